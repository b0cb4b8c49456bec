"""All metrics of a report, in its order. To add one, declare it in a file of this folder and list it here."""

from __future__ import annotations

from .calibration import CALIBRATION_ERROR
from .confusion import MACRO_F1, MEAN_RECALL
from .metric import Metric
from .shares import RECIPROCAL_RANK

METRICS: tuple[Metric, ...] = (MEAN_RECALL, MACRO_F1, RECIPROCAL_RANK, CALIBRATION_ERROR)


def as_markdown() -> str:
    """Return the table of metrics in docs/evaluation.md."""
    rows = [f"| {m.name} | {m.short} | {m.better} | {m.documentation} |" for m in METRICS]
    return "\n".join(["| name | column | better | what it is |", "| --- | --- | --- | --- |", *rows])

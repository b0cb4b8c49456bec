"""What trained methods are compared with: recorded zero-shot runs, and results from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.analysis.stats.proportions import wilson
from shotdex.store.baselines import OVERALL, WITHOUT_INTERVAL, find_baseline
from shotdex.store.connection import Connection
from shotdex.store.errors import EvaluationError, OptionError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run, list_runs
from shotdex.store.types import Estimate, Ids, Run

from .gather import Material


def outside_result(con: Connection, text: str) -> tuple[str, str, Estimate]:
    """Return name, source and accuracy of a result from elsewhere.

    `NAME=VALUE:N` is an accuracy over N images, with its Wilson interval (of the nearest whole number right);
    `NAME=VALUE` one of which no more is known: its bounds are NaN and its n is 0. A NAME alone is that of an imported
    baseline, of which the accuracy over all conditions is taken.

    Raises:
        OptionError: a text in another form, a value that is not a share, or no such baseline.
    """
    name, equals, number = text.rpartition("=")
    if not equals:
        return _baseline(con, text)
    value_text, colon, n_text = number.partition(":")
    try:
        value, n = float(value_text), int(n_text) if colon else 0
    except ValueError:
        raise _unreadable(text) from None
    if not name.strip() or (colon and n < 1):
        raise _unreadable(text)
    if not 0 <= value <= 1:
        raise OptionError(f"{value_text} in {text!r} is not a share between 0 and 1", "write 91.9 % as 0.919")
    return name.strip(), "reported", _estimate(value, n)


def _estimate(value: float, n: int) -> Estimate:
    if n == 0:
        return Estimate(value, nan, nan, 0, WITHOUT_INTERVAL)
    return replace(wilson(round(value * n), n), value=value)


def _unreadable(text: str) -> OptionError:
    return OptionError(f"cannot read the result {text!r}", "write it as --outside 'NAME=VALUE' or 'NAME=VALUE:N'")


def _baseline(con: Connection, name: str) -> tuple[str, str, Estimate]:
    baseline = find_baseline(con, name)
    if OVERALL not in baseline.accuracies:
        known = ", ".join(baseline.accuracies)
        raise OptionError(
            f"the baseline {baseline.name!r} has no accuracy over all conditions; it has {known}",
            f"pass the accuracy that fits the test images: --outside '{baseline.name}=VALUE:N'",
        )
    return baseline.name, baseline.source, baseline.accuracies[OVERALL]


Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """A run on the test images: `scored` (M,) bool, which it has predictions for, and `correct` (M,) bool.

    `correct` is False where it did not score. `prompts` names its prompt set.
    """

    run: Run
    prompts: str
    scored: Flags
    correct: Flags


def zero_shot_runs(con: Connection, names: tuple[str, ...], material: Material) -> list[ZeroShot]:
    """Return the named runs on the test images; without a name the newest of this encoder that scored any of them.

    Raises:
        OptionError: there is no such run.
        EvaluationError: a named run scored none of the test images.
    """
    if names:
        found = [_read(con, find_run(con, name), material.test_ids) for name in dict.fromkeys(names)]
        for one in found:
            if not one.scored.any():
                raise EvaluationError(
                    f"the run {one.run.name!r} scored none of the {len(material.test_ids):,} test images",
                    "classify them: shotdex classify, with --test-where as its --where",
                )
        return found
    for run in reversed([run for run in list_runs(con) if run.encoder_id == material.encoder_id]):
        newest = _read(con, run, material.test_ids)
        if newest.scored.any():
            return [newest]
    return []


def _read(con: Connection, run: Run, test_ids: Ids) -> ZeroShot:
    with con.holding("tested", pa.table({"image_id": pa.array(test_ids)})):
        # An image that got its category after the run is judged by it now; one of no class of the run is never right.
        rows = con.rows(
            "SELECT o.image_id, coalesce(o.correct, o.category IS NULL AND o.predicted = i.category) "
            "FROM outcomes o SEMI JOIN tested USING (image_id) JOIN images i USING (image_id) WHERE o.run_id = $run",
            {"run": run.run_id},
        )
    right = dict(rows)
    scored = np.array([image_id in right for image_id in test_ids.tolist()], dtype=bool)
    correct = np.array([bool(right.get(image_id)) for image_id in test_ids.tolist()], dtype=bool)
    return ZeroShot(run, load_prompt_set(con, run.prompt_set_id).name, scored, correct)

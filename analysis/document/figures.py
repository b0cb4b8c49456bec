"""The figures of a document as PNGs, drawn as `shotdex plot` draws them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from shotdex.analysis.accuracy_plots import accuracy_plot
from shotdex.analysis.drawn_runs import about_runs
from shotdex.analysis.figures.drawing import signed
from shotdex.analysis.figures.map_points import point_map
from shotdex.analysis.metrics.metric import Outcomes
from shotdex.analysis.plots import ConfusionOptions, confusion_plot, reliability_plot, selective_plot, topk_plot
from shotdex.analysis.projections import ProjectionOptions
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import ShotdexError
from shotdex.store.store import Store
from shotdex.store.types import Run, Space

from .parts import Chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .gather import DocumentOptions

DPI = 120
COLOURS = 64
"""Of a PNG's palette: figures have few colours, and a third of the bytes that they have without one."""


def charts(
    store: Store,
    runs: Sequence[Run],
    found: Outcomes,
    by: Sequence[str],
    baselines: Sequence[str],
    options: DocumentOptions,
) -> Mapping[str, Chart]:
    """Return the figures by name; one that cannot be drawn for these runs, such as too many groups, is left out."""
    names = [run.name for run in runs]
    known = baselines if tuple(by) == ("condition",) else ()
    drawn: dict[str, Chart] = {}
    wanted: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: confusion_plot(store, ConfusionOptions(names[0])),
        "reliability": lambda: reliability_plot(store, names, options.bins, None, options.anyway),
        "selective": lambda: selective_plot(store, names, None, options.anyway),
        "topk": lambda: topk_plot(store, names, options.anyway),
    }
    if by:
        wanted["accuracy"] = lambda: accuracy_plot(store, names, by, known, options.anyway)
    alts = {
        "accuracy": f"Accuracy@1 by {', '.join(by)} with 95 % intervals; the table has the same numbers.",
        "confusion": f"Confusion matrix of the run “{names[0]}”, {len(found.classes)} classes, as counts and shares.",
        "reliability": "Share of correct predictions against the probability that the model gives them, in bins.",
        "selective": "Error rate of the images that are kept against their share, surest first; see the table.",
        "topk": "Share of images whose class is among their k best, for every k; the table has the same numbers.",
    }
    for name, draw in wanted.items():
        try:
            drawn[name] = Chart(name, _png(draw()), alts[name], in_html=name not in ("accuracy", "topk"))
        except ShotdexError:
            continue
    if (placed := _map(store, runs[0])) is not None:
        drawn["map"] = placed
    return drawn


def _png(figure: Figure) -> bytes:
    """Return a figure as a PNG with a palette; the same figure gives the same bytes."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    image = Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    image.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _map(store: Store, run: Run) -> Chart | None:
    """Return the newest map that was drawn of the run's encoder and shows images of the run, or None."""
    with store.reading() as con:
        encoder = list_encoders(con)[run.encoder_id]
        maps = con.rows(
            "SELECT p.projection_id, p.space, p.method, p.settings::VARCHAR, count(o.correct) "
            "FROM projections p JOIN projection_points USING (projection_id) "
            "LEFT JOIN outcomes o USING (image_id) WHERE p.encoder_id = $encoder AND o.run_id = $run "
            "GROUP BY ALL HAVING count(o.correct) > 0 ORDER BY p.projection_id DESC LIMIT 1",
            {"encoder": run.encoder_id, "run": run.run_id},
        )
        if not maps:
            return None
        number, space, method, settings, judged = maps[0]
        rows = con.rows(
            "SELECT x, y, correct FROM projection_points LEFT JOIN "
            "(SELECT image_id, correct FROM outcomes WHERE run_id = $run) USING (image_id) "
            "WHERE projection_id = $number ORDER BY image_id",
            {"run": run.run_id, "number": number},
        )
        about = about_runs(con, [run], judged)
    words = {True: "correct", False: "wrong", None: None}
    called = {"umap": "UMAP", "tsne": "t-SNE"}.get(method, method)
    title = f"{called} of {len(rows):,} images, {space} space, run “{run.name}”"
    with signed(about):
        figure = point_map(np.array([row[:2] for row in rows]), [words[row[2]] for row in rows], title, "prediction")
    known = {field.name for field in fields(ProjectionOptions)}
    made = ProjectionOptions(**{name: value for name, value in json.loads(settings).items() if name in known})
    alt = (
        f"Map of {len(rows):,} images in the {space} space, {judged:,} of them coloured by whether the run "
        f"“{run.name}” is right. {made.describe(encoder.dim if space == Space.JOINT else encoder.vision_dim)} "
        "Images lie near those that they resemble; distances between groups mean little."
    )
    return Chart("map", _png(figure), alt)

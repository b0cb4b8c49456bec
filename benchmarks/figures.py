"""Draws the figures of docs/: those of the README, and pairs with seaborn's and scikit-learn's for the same data.

    pip install seaborn
    shotdex demo --out demo-out
    python benchmarks/figures.py demo-out/store [--out docs/images]

seaborn is needed for nothing else, so it is in no extra.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

import shotdex

mpl.use("Agg")
HEIGHT = 460  # pixels of a pair
SIZE = "150mm"


def _png(figure: Any) -> Image.Image:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    image = Image.open(data).convert("RGB")
    return image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)


def _pair(ours: Any, theirs: Any, target: Path) -> None:
    left, right = _png(ours), _png(theirs)
    page = Image.new("RGB", (left.width + right.width + 24, HEIGHT), "white")
    page.paste(left, (0, 0))
    page.paste(right, (left.width + 24, 0))
    page.quantize(200, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def _small(figure: Any, target: Path, colours: int) -> None:
    """Write a figure of the README, 1,200 pixels across at most."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=200)
    image = Image.open(data).convert("RGB")
    image.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
    image.quantize(colours, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def _axes() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 4.6), layout="constrained")
    return figure, figure.add_subplot()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    try:
        import seaborn
    except ImportError:
        sys.exit("seaborn is not installed: pip install seaborn")
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay

    store = shotdex.open(options.store)
    folder = options.out / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    judged = store.sql(
        "SELECT o.run, o.image_id, o.category, o.predicted, o.probability, o.correct, i.condition FROM outcomes o "
        "JOIN images i USING (image_id) WHERE o.correct IS NOT NULL ORDER BY o.run, o.image_id"
    ).to_pandas()
    first = judged.run.iloc[0]
    own = judged[judged.run == first]

    def accuracy() -> Any:
        figure, axes = _axes()
        seaborn.barplot(judged, x="condition", y="correct", hue="run", ax=axes)
        return figure

    def confusion() -> Any:
        figure, axes = _axes()
        ConfusionMatrixDisplay.from_predictions(own.category, own.predicted, ax=axes, xticks_rotation="vertical")
        return figure

    def counts() -> Any:
        figure, axes = _axes()
        seaborn.histplot(own, x="category", hue="condition", multiple="stack", shrink=0.8, ax=axes)
        return figure

    def reliability() -> Any:
        figure, axes = _axes()
        CalibrationDisplay.from_predictions(own.correct, own.probability, n_bins=15, ax=axes, name=first)
        return figure

    def points() -> Any:
        figure, axes = _axes()
        placed = store.sql(
            "SELECT x, y, category FROM projection_points JOIN images USING (image_id) "
            "WHERE projection_id = (SELECT projection_id FROM projection_points GROUP BY ALL "
            f"HAVING count(*) = {len(own)} ORDER BY 1 DESC LIMIT 1)"
        ).to_pandas()
        seaborn.scatterplot(placed, x="x", y="y", hue="category", ax=axes)
        return figure

    labelled = "category IS NOT NULL"
    every = judged.run.unique().tolist()
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "accuracy": (lambda: store.plot.accuracy(runs=every, size=SIZE), accuracy),
        "confusion": (lambda: store.plot.confusion(run=first, size=SIZE), confusion),
        "counts": (lambda: store.plot.counts(where=labelled, size=SIZE), counts),
        "reliability": (lambda: store.plot.reliability(runs=first, size=SIZE), reliability),
        "map": (lambda: store.plot.map(where=labelled, size=SIZE), points),
    }
    for name, (ours, theirs) in pairs.items():
        _pair(ours(), theirs(), folder / f"{name}.png")
    _small(store.plot.accuracy(runs=every, baselines="toddlers"), options.out / "accuracy.png", 256)
    shown = store.plot.map(where=labelled, color="correct", thumbnails=True, run=first)
    _small(shown, options.out / "map-thumbnails.png", 256)
    assert np.isclose(own.correct.mean(), store.run(first).accuracy().value)


if __name__ == "__main__":
    main()

"""How long do maps take to compute, and figures of 70,000 points to draw?

    python benchmarks/analysis.py [--small] [--sizes 1000 5000 20000] [--tsne-sizes 1000 2500 5000]

Projects synthetic clustered 512-d vectors of several numbers with UMAP and t-SNE, once each, as their times are long
(UMAP a first time before, as it compiles itself); one thread each, so that a map is the same every time. Then draws
each kind of figure for 70,000 images, and writes it as PNG; a confusion matrix and top-k curve have 1,000 classes, and
a map of thumbnails 20,000 images. `--small` projects 1,000 only and draws each figure once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import heading, in_turns, line
from PIL import Image
from synthetic import clustered

from shotdex.analysis.figures import confusion_figure, point_map, reliability_figure, save, thumbnail_map, topk_figure
from shotdex.analysis.figures.map_extras import MapExtras
from shotdex.analysis.metrics.calibration import reliability
from shotdex.analysis.metrics.shares import top_k
from shotdex.analysis.projections import ProjectionOptions, project
from shotdex.analysis.stats.proportions import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 70_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="project 1,000 only")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 5000, 20_000], help="for UMAP")
    parser.add_argument("--tsne-sizes", type=int, nargs="*", default=[1000, 2500, 5000], help="for t-SNE")
    given = parser.parse_args()
    heading("Projections of 512-d vectors, by 50 principal components")
    project(clustered(1000))  # UMAP compiles itself
    for method, sizes in (("umap", given.sizes), ("tsne", given.tsne_sizes)):
        for size in [1000] if given.small else sizes:
            vectors, settings = clustered(size), ProjectionOptions(method)
            started = time.perf_counter()
            project(vectors, settings)
            line(f"{method} of {size:,}", f"{time.perf_counter() - started:.1f} s")
    heading(f"Figures of {POINTS:,} images, drawn and written as PNG")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "figure.png"
        work = {
            name: lambda draw=draw: save(draw(), target)  # type: ignore[misc]
            for name, draw in figures().items()
        }
        for name, times in in_turns(work, repeats=1 if given.small else 5, warm=not given.small).items():
            line(name, times, "expected: seconds")


def figures() -> dict[str, Callable[[], Figure]]:
    """Return what draws each kind of figure."""
    rng = np.random.default_rng(0)
    group = rng.integers(10, size=POINTS)
    xy = 6 * rng.standard_normal((10, 2))[group] + rng.standard_normal((POINTS, 2))
    ten = [f"class {number}" for number in group.tolist()]
    thousand = [f"class {number:03d}" for number in rng.integers(1000, size=POINTS).tolist()]
    right = rng.random(POINTS) < 0.7
    judged = ["correct" if one else "wrong" for one in right.tolist()]
    prompts = MapExtras(tuple((f"a photo of thing {i}", (float(x), float(y))) for i, (x, y) in enumerate(xy[:100])))
    counts = np.zeros((1000, 1000), dtype=np.int64)
    truth = rng.integers(1000, size=POINTS)
    np.add.at(counts, (truth, np.where(right, truth, rng.integers(1000, size=POINTS))), 1)
    names = tuple(f"class {number:03d}" for number in range(1000))
    images = [Image.new("RGB", (28, 28), (number % 255, 90, 160)) for number in range(20_000)]
    ranks = np.where(right, 1, rng.integers(1, 1001, size=POINTS))
    sure = reliability(rng.random(POINTS), right)
    return {
        "map, 10 categories": lambda: point_map(xy, ten, "Map", "category"),
        "map, 1,000 categories": lambda: point_map(xy, thousand, "Map", "category"),
        "map, correct and wrong": lambda: point_map(xy, judged, "Map", "correct"),
        "map, 10 categories and 100 prompts": lambda: point_map(xy, ten, "Map", "category", prompts),
        "map of thumbnails, of 20,000 images read": lambda: thumbnail_map(xy[:20_000], images, ten[:20_000], "Map"),
        "confusion, 1,000 classes": lambda: confusion_figure(counts, names),
        "top-k, 1,000 classes": lambda: topk_figure([("run", top_k(ranks, 1000))], "Top-k", 1000),
        "reliability": lambda: reliability_figure([("run", sure, wilson(1, 2))], "Reliability"),
    }


if __name__ == "__main__":
    main()

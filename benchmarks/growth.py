"""Does a store slow down, or swell, as it grows?

    python benchmarks/growth.py [--rows 1000000] [--figure docs/images/growth.svg]

Fills one store through the code that indexing commits with, each image with 512-d joint and 768-d vision vectors: 8,192
images at a time, and around every power of ten eight times 1,000, so that the same commit is met at every size. Prints
the median time of such a commit for each image in it, the memory of the process, and the catalog's size over that of
the raw vectors. Making the vectors is not counted. `--figure` draws every commit. Nothing is decoded or encoded: with a
model at 30 images a second an image costs 33 ms before it is committed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from measuring import heading, line, ratio
from synthetic import COMMIT_ROWS, clustered_parts, encoded, encoder

from shotdex.store.encoded_batch import commit
from shotdex.store.store import Store

DIM, VISION_DIM = 512, 768
SMALL, TIMES = 1000, 8
"""Images of the smaller commits, and how many of them there are at every power of ten."""


@dataclass(frozen=True, slots=True)
class Point:
    """The store after a commit: `rows` in it, `added` by it, seconds for each of these, and sizes in bytes."""

    rows: int
    added: int
    seconds: float
    memory: int
    catalog: int

    @property
    def overhead(self) -> float:
        """The catalog's size over that of the raw vectors."""
        return self.catalog / (self.rows * (DIM + VISION_DIM) * 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how far it grows")
    parser.add_argument("--figure", type=Path, help="draw the curves as .svg, .png or .pdf")
    given = parser.parse_args()
    heading(f"A store grows to {given.rows:,} images, {DIM}-d joint and {VISION_DIM}-d vision vectors")
    with tempfile.TemporaryDirectory() as folder:
        points = list(grow(Path(folder), given.rows))
    report(points)
    if given.figure:
        draw(points, given.figure)


def grow(root: Path, rows: int) -> Iterator[Point]:
    """Fill a store, and yield a point for each commit."""
    store = Store.create(root)
    identity = encoder(DIM, VISION_DIM)
    done, drawn = 0, np.random.default_rng(1)
    for joint in parts(rows):
        vision = drawn.standard_normal((len(joint), VISION_DIM), dtype=np.float32)
        started = time.perf_counter()
        batch, placement = encoded(done + 1, joint, vision, identity)
        with store.writing() as con:
            commit(con, batch, placement)
        seconds = time.perf_counter() - started
        done += len(joint)
        yield Point(done, len(joint), seconds / len(joint), memory(), store.catalog_bytes())


def parts(rows: int) -> Iterator[np.ndarray]:
    """Yield vectors for one commit after the other."""
    made, done = clustered_parts(rows, DIM), 0
    while done < rows:
        joint = next(made)
        if any(done <= size <= done + len(joint) for size in decades(rows)):
            yield from np.split(joint[: SMALL * TIMES], min(TIMES, max(1, len(joint) // SMALL)))
            if len(joint) > SMALL * TIMES:
                yield joint[SMALL * TIMES :]
        else:
            yield joint
        done += len(joint)


def decades(rows: int) -> list[int]:
    return [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= rows]


def report(points: list[Point]) -> None:
    small, whole = ([point for point in points if point.added == size] for size in (SMALL, COMMIT_ROWS))
    for count, size in zip(range(0, len(small), TIMES), decades(points[-1].rows), strict=False):
        near = small[count : count + TIMES]
        line(
            f"about {size:,} images, commits of {SMALL:,}",
            f"{median(point.seconds for point in near) * 1e6:.0f} us an image, {near[-1].memory / 1e6:,.0f} MB",
            f"catalog {near[-1].overhead:.2f} of the raw vectors",
        )
    for name, some in ((f"{SMALL:,}", small), (f"{COMMIT_ROWS:,}", whole)):
        first, last = (median(point.seconds for point in part) for part in (some[:TIMES], some[-TIMES:]))
        ratio(f"time of a commit of {name}, last {TIMES} over first {TIMES}", last, first, "expected: <= 1.1")
    line("the catalog over the raw vectors, at the end", f"{points[-1].overhead:.3f}", "expected: <= 1.3")
    if len(whole) > 3:
        early = whole[2]
        text = f"memory of the last whole commit over that at {early.rows:,} images"
        ratio(text, whole[-1].memory, early.memory, "expected: 1")


def memory() -> int:
    """Return the memory that this process takes now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def draw(points: list[Point], target: Path) -> None:
    """Draw time, memory and size over the rows."""
    from shotdex.analysis.figures import style
    from shotdex.analysis.figures.drawing import theme

    figure = style.new_figure(8.4, 2.9)
    panels = (
        ("Commit, ms an image", lambda point: point.seconds * 1e3),
        ("Memory of the process, MB", lambda point: point.memory / 1e6),
        ("Catalog over raw vectors", lambda point: point.overhead),
    )
    for place, (title, value) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        for number, added in enumerate((SMALL, COMMIT_ROWS)):
            shown = [point for point in points if point.added == added]
            xy = [[point.rows for point in shown], [value(point) for point in shown]]
            how = {"color": style.OKABE_ITO[number], "label": f"commits of {added:,}", "markeredgewidth": 0}
            axes.plot(*xy, "os"[number], markersize=3.2, alpha=0.8, **how)
        axes.set_xscale("log")
        axes.set_ylim(0, max(value(point) for point in points if point.added in (SMALL, COMMIT_ROWS)) * 1.35)
        axes.set_xlabel("images in the store")
        style.clean(axes, grid="both")
        axes.set_title(title, loc="left", fontsize=theme().label, color=theme().ink)
        if place == 0:
            axes.legend(frameon=False, fontsize=theme().small, loc="upper right")
        if place == 2:
            axes.axhline(1, color=theme().muted, linewidth=0.8, linestyle=":")
    style.save(figure, target)


if __name__ == "__main__":
    main()

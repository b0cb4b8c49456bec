"""What does a classification cost compared with the bare arithmetic?

    python benchmarks/classify.py [--small] [--rows N] [--classes C]

First 70,000 images x 10 classes, all of `classify()` with the texts known: choosing the images, reading their vectors
from the catalog, scoring, digests, and committing the predictions. Then a million x 1,000 (or `--rows` x `--classes`;
with `--small` 70,000 x 100) compared with the bare chunked arithmetic, in the same threads, on vectors in memory: the
float32
matrix product and the top 5 of each image with numpy's argpartition, sorted; and the same with the faster way to the
top 5 that shotdex uses itself. The bare versions read nothing, compute no probability and no true rank, and keep no
prediction. Peak memory is that of a process that classifies and does nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import heading, in_turns, line, ratio
from synthetic import clustered, fill

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.scoring import best_classes
from shotdex.store.store import Store
from shotdex.store.types import PromptSet
from shotdex.store.vectors import remember_texts

CHUNK = 16_384
K = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="70,000 x 100 instead of a million x 1,000")
    parser.add_argument("--rows", type=int, help="images of the larger case")
    parser.add_argument("--classes", type=int, help="classes of the larger case")
    parser.add_argument("--only", nargs=2, metavar=("STORE", "CLASSES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(peak(Path(given.only[0]), int(given.only[1])))
        return
    rows = given.rows or (70_000 if given.small else 1_000_000)
    classes = given.classes or (100 if given.small else 1000)
    with tempfile.TemporaryDirectory() as folder:
        small(Path(folder) / "small")
        large(Path(folder) / "large", rows, classes)


def small(root: Path) -> None:
    store, prompts = fill(root, 70_000), prompt_set(10)
    know(store, prompts)
    heading("Classify 70,000 images x 10 classes, texts known")
    times = in_turns({"classify": lambda: run(store, prompts)})["classify"]
    line("all of classify()", times, "expected: under 1 s")
    line("images a second", f"{70_000 / times.median:,.0f}")


def large(root: Path, rows: int, classes: int) -> None:
    store, prompts = fill(root, rows), prompt_set(classes)
    know(store, prompts)
    heading(f"Classify {rows:,} images x {classes:,} classes, texts known, top {K} kept")
    images, texts = clustered(rows), clustered(classes)
    work: dict[str, Callable[[], object]] = {
        "classify": lambda: run(store, prompts),
        "partition": lambda: bare(images, texts, partitioned),
        "best": lambda: bare(images, texts, lambda cosines: best_classes(cosines, K)),
        "product": lambda: bare(images, texts, lambda cosines: cosines[:, :K]),
    }
    times = in_turns(work, warm=rows * classes <= 10**8)
    line("classify()", times["classify"])
    line("bare matrix product and argpartition", times["partition"])
    line("bare matrix product and the top 5 as shotdex finds it", times["best"])
    line("bare matrix product alone", times["product"])
    ours = times["classify"].median
    ratio("classify() / bare with argpartition", ours, times["partition"].median, "expected: <= 1.5")
    ratio("classify() / bare with shotdex's own top 5", ours, times["best"].median)
    command = [sys.executable, __file__, "--only", str(root), str(classes)]
    used = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    kept, vectors = rows * K * 32 / 1e6, rows * 2048 / 1e6
    line("memory before classifying, MB", used[0])
    line("peak memory of classifying, MB", used[1], f"of it predictions {kept:,.0f}; all vectors are {vectors:,.0f}")


def bare(images: np.ndarray, texts: np.ndarray, top: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the numbers of the best classes of each image, by chunks."""
    return np.concatenate([top(images[start : start + CHUNK] @ texts.T) for start in range(0, len(images), CHUNK)])


def partitioned(cosines: np.ndarray) -> np.ndarray:
    some = np.argpartition(-cosines, K - 1, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(cosines, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


def prompt_set(classes: int) -> PromptSet:
    return make_prompt_set("synthetic", {f"class {i:03d}": (f"text {i}",) for i in range(classes)})


def know(store: Store, prompts: PromptSet) -> None:
    """Give the store vectors of the prompts' texts."""
    texts = [own[0] for own in prompts.classes.values()]
    with store.writing() as con:
        remember_texts(con, 1, texts, clustered(len(texts)))


def run(store: Store, prompts: PromptSet) -> None:
    def no_model(_: object) -> None:
        raise AssertionError("every text is known")

    classify(store, Classification(prompts, k=K), no_model)  # type: ignore[arg-type]


def peak(root: Path, classes: int) -> str:
    """Return the memory in MB that this process took before it classified, and the most that it took then."""
    before = most()
    run(Store.open(root), prompt_set(classes))
    return f"{before:,.0f} {most():,.0f}"


def most() -> float:
    """Return the most memory in MB that this process ever took; what getrusage tells includes its parent's."""
    rows = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(row.split()[1]) / 1000 for row in rows if row.startswith("VmHWM"))


if __name__ == "__main__":
    main()

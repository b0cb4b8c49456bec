"""What every trained method is given: the options, and training and test vectors with their classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.errors import OptionError
from shotdex.store.types import Space, Vectors

Codes = npt.NDArray[np.int64]
"""The class of each image as its number, shape (N,)."""

Rows = npt.NDArray[np.int64]
"""Places in an array of images, rising."""

FIFTH = 5
"""One training image in five chooses settings, the others are fitted to meanwhile."""

VALIDATION_AT_MOST = 20_000
"""More images than this would not make a choice any surer: an accuracy is then known to 0.7 points."""


def validation_split(codes: Codes, seed: int) -> tuple[Rows, Rows]:
    """Split training images (N,) into a part to fit to and a part to choose settings on: (fit rows, validation rows).

    A fifth of each class is for validation, less where that would be more than `VALIDATION_AT_MOST` in all; of a class
    of two to four images it is one. A class of one image gives it to the fitting part, so every class can be fitted.
    Both parts are rising; together they are all rows. The same codes and seed give the same split.
    """
    share = min(1 / FIFTH, VALIDATION_AT_MOST / max(len(codes), 1))
    chosen = [rows[: _at_least_one(len(rows), share)] for rows in _shuffled(codes, seed)]
    return _both(chosen, len(codes))


def _at_least_one(count: int, share: float) -> int:
    # The small amount undoes what rounding takes off a product such as 5 * 0.2.
    return 0 if count < 2 else max(int(count * share + 1e-9), 1)


def subsample(codes: Codes, at_most: int, seed: int) -> Rows:
    """Return at most about `at_most` rows of (N,), rising, in the shares of the classes, at least one of each class."""
    if len(codes) <= at_most:
        return np.arange(len(codes), dtype=np.int64)
    share = at_most / len(codes)
    kept = [rows[: max(int(len(rows) * share), 1)] for rows in _shuffled(codes, seed)]
    return np.sort(np.concatenate(kept))


def halves(codes: Codes, contents: npt.NDArray[Any], seed: int) -> tuple[Rows, Rows]:
    """Split images (N,) into halves to train and to test on: (train rows, test rows).

    `contents` (N,) names each image's content; copies go to the same side, so that no test image has been seen in
    training. Of the contents of each class half go to each side, the odd one to training. A content belongs to the
    class of its first row, should its copies be labelled differently.
    """
    _, first, content = np.unique(contents, return_index=True, return_inverse=True)
    chosen = [owners[: len(owners) // 2] for owners in _shuffled(codes[first], seed)]
    tested = np.zeros(len(first), dtype=bool)
    for owners in chosen:
        tested[owners] = True
    return np.flatnonzero(~tested[content]), np.flatnonzero(tested[content])


def class_orders(codes: Codes, seed: int, draw: int) -> list[Rows]:
    """Return each class's rows in a random order that depends on seed and draw; classes by rising code."""
    return list(_shuffled(codes, [seed, draw]))


def _shuffled(codes: Codes, seed: int | list[int]) -> Iterator[Rows]:
    """Yield the rows of each class in a random order, classes by rising code."""
    rng = np.random.default_rng(seed)
    order = np.argsort(codes, kind="stable")
    _, starts = np.unique(codes[order], return_index=True)
    for rows in np.split(order, starts[1:]):
        yield rng.permutation(rows)


def _both(chosen: list[Rows], count: int) -> tuple[Rows, Rows]:
    """Return the rows that are not among the chosen ones, and those that are."""
    mask = np.zeros(count, dtype=bool)
    for rows in chosen:
        mask[rows] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


@dataclass(frozen=True, slots=True)
class Problem:
    """Vectors to learn from and to be tested on.

    `train` (N, D) and `test` (M, D) float32 with unit rows; `train_codes` (N,) int64 from 0 to `classes` - 1;
    `test_codes` (M,) int64, in which -1 stands for a class that training does not have: never answered rightly.

    Raises:
        ValueError: lengths that do not fit, no training vector, or a code out of range.
    """

    train: Vectors
    train_codes: Codes
    test: Vectors
    test_codes: Codes
    classes: int

    def __post_init__(self) -> None:
        for vectors, codes, lowest in ((self.train, self.train_codes, 0), (self.test, self.test_codes, -1)):
            if vectors.ndim != 2 or codes.shape != (len(vectors),):
                raise ValueError(f"{codes.shape} classes for vectors of shape {vectors.shape}")
            if len(codes) and not (codes.min() >= lowest and codes.max() < self.classes):
                raise ValueError(f"classes run from {codes.min()} to {codes.max()}, outside {lowest} to {self.classes}")
        if not len(self.train) or self.train.shape[1] != self.test.shape[1]:
            raise ValueError(f"cannot train on {self.train.shape} and test on {self.test.shape}")


def unit_rows(vectors: Vectors) -> Vectors:
    """Return vectors (N, D) as float32 of length 1; a row of zeros stays zeros.

    Vision vectors are probed like this, joint ones are stored so: inner products are then cosines in both spaces, and
    one L2 strength means about the same.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


SHOTS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What to compare. Without `train_where` and `test_where` the images' own splits are taken, see `gather`.

    `shots` are numbers of images a class, each with `draws` draws; `runs` names the zero-shot runs, the newest of the
    same encoder where it is empty; `outside` holds results from elsewhere, see `outside_rung`. Of all images only those
    for which `where` holds are on either side.
    """

    train_where: str | None = None
    test_where: str | None = None
    shots: tuple[int, ...] = SHOTS
    draws: int = 10
    space: Space = Space.JOINT
    seed: int = 0
    runs: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    encoder_name: str | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        if (self.train_where is None) != (self.test_where is None):
            given, other = (
                ("--train-where", "--test-where")
                if self.test_where is None
                else (
                    "--test-where",
                    "--train-where",
                )
            )
            raise OptionError(f"{given} selects only one side", f"pass the other as well: {other} SQL")
        if self.draws < 1 or any(shots < 1 for shots in self.shots):
            raise OptionError(
                f"cannot draw {self.shots} images per class {self.draws} times", "both must be whole numbers from 1"
            )


def parse_shots(listed: str) -> tuple[int, ...]:
    """Return the numbers in a comma-separated list, rising and each once; `none` means no few-shot rows.

    Raises:
        OptionError: something else than whole numbers from 1.
    """
    if listed.strip().lower() == "none":
        return ()
    parts = [part.strip() for part in listed.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise OptionError(
            f"cannot read the numbers of images per class in {listed!r}", "for example: --few-shot 1,2,4   or none"
        )
    return tuple(sorted({int(part) for part in parts}))

"""What every trained method is given: training and test vectors with their classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotdex.store.words import Vectors

from .splits import Codes


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

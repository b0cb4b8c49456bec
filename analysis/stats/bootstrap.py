"""The uncertainty of any statistic over images: the stratified percentile bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Estimate

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Statistic = Callable[[Indices], Floats | float]
"""Takes (n,) int64 indices of images, some of them repeated, and returns (S,) float64, or one float."""

TAILS = (0.025, 0.975)
"""The quantiles that bound 95 %."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """S statistics of a sample with their 95 % percentile intervals.

    `values`, `low` and `high` are (S,) float64, and `undefined` (S,) int64 counts the resamples in which the statistic
    was NaN. `n` is the number of images, `strata` that of the groups that were resampled apart.
    """

    values: Floats
    low: Floats
    high: Floats
    undefined: npt.NDArray[np.int64]
    n: int
    strata: int
    resamples: int
    seed: int

    def estimates(self, counts: Sequence[int] | None = None) -> list[Estimate]:
        """Return the S statistics as estimates.

        Each carries `n`, or its own of the S `counts`: the recall of a class, for instance, rests on the images of
        that class. Where resamples were left out because the statistic was NaN there, the method says how many.

        Raises:
            ValueError: not S counts.
        """
        sizes = [self.n] * len(self.values) if counts is None else [int(count) for count in counts]
        columns = (self.values.tolist(), self.low.tolist(), self.high.tolist(), sizes, self.undefined.tolist())
        return [
            Estimate(value, low, high, n, self._method(0 if isnan(value) else undefined))
            for value, low, high, n, undefined in zip(*columns, strict=True)
        ]

    def _method(self, undefined: int) -> str:
        kind = "stratified bootstrap" if self.strata > 1 else "bootstrap"
        left_out = f", {undefined} undefined left out" if undefined else ""
        return f"{kind} 95 %, {self.resamples} resamples, seed {self.seed}{left_out}"


def bootstrap(
    statistic: Statistic, strata: npt.NDArray[np.integer[Any]], resamples: int = 1000, seed: int = 0
) -> Bootstrap:
    """Return the statistic of all images and how it varies when images are drawn again, with replacement.

    Efron (1979), "Bootstrap methods: another look at the jackknife"; Efron and Tibshirani (1993), "An introduction to
    the bootstrap", section 13.3 for the percentile interval and 8.3 for drawing within strata. Every resample takes as
    many images from a stratum as it holds. So a stratum of one image always gives that image, and where all
    answers are right the interval has no width: take `wilson` for plain shares.

    Undefined values: a statistic that is NaN over all images stays NaN, and so do its bounds. Resamples in which it
    is NaN are left out of the quantiles, and counted. Without images everything is NaN; the statistic is then asked
    once, with no indices, how many values it gives.

    Args:
        statistic: called `resamples` + 1 times with (N,) int64 indices into the images.
        strata: (N,) the stratum of each image, such as the number of its class. What the numbers are does not matter,
            only which images share one: the draws do not depend on it.
        resamples: how often to draw, from 1.
        seed: of numpy's default generator; the same seed gives the same interval.

    Raises:
        ValueError: `strata` is not one-dimensional, no resamples, or the statistic gives no vector of one length.
    """
    codes = np.asarray(strata)
    if codes.ndim != 1 or resamples < 1:
        raise ValueError(f"cannot draw {resamples} resamples from strata of shape {codes.shape}")
    values = _vector(statistic(np.arange(len(codes), dtype=np.int64)))
    if len(codes) == 0:
        values = np.full_like(values, np.nan)
        return Bootstrap(values, values, values, np.zeros(len(values), np.int64), 0, 0, resamples, seed)
    draws = np.empty((resamples, len(values)))
    for i, indices in enumerate(_draws(codes, resamples, seed)):
        draw = _vector(statistic(indices))
        if draw.shape != values.shape:
            raise ValueError(f"the statistic gave {len(values)} values for the images and {len(draw)} for a resample")
        draws[i] = draw
    low, high = _bounds(draws, values)
    return Bootstrap(values, low, high, np.isnan(draws).sum(axis=0), len(codes), len(np.unique(codes)), resamples, seed)


def _draws(codes: npt.NDArray[Any], resamples: int, seed: int) -> Iterator[Indices]:
    """Yield one resample at a time, so that memory stays at a few arrays of length N."""
    _, stratum, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    members = np.argsort(stratum, kind="stable")
    start = (np.cumsum(sizes) - sizes)[stratum]
    size = sizes[stratum].astype(np.float64)
    rng = np.random.default_rng(seed)
    place = np.empty(len(codes))
    for _ in range(resamples):
        # Place i draws from the stratum of image i. random() is below 1 by at least 2^-53, so the product rounds to
        # below `size`; it takes half the time of integers() with an array of bounds, and is even to size / 2^53.
        rng.random(out=place)
        np.multiply(place, size, out=place)
        chosen = place.astype(np.int64)
        chosen += start
        yield members.take(chosen)


def _bounds(draws: Floats, values: Floats) -> tuple[Floats, Floats]:
    bounds = np.full((2, len(values)), np.nan)
    for s, column in enumerate(draws.T):
        defined = column[~np.isnan(column)]
        if defined.size and not isnan(values[s]):
            bounds[:, s] = np.quantile(defined, TAILS)
    return bounds[0], bounds[1]


def _vector(values: Floats | float) -> Floats:
    vector = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if vector.ndim != 1:
        raise ValueError(f"the statistic gave an array of shape {vector.shape}, not a vector")
    return vector

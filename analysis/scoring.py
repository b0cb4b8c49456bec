"""Scores of images against classes: pure arithmetic on unit vectors, every image against every prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Combine, EncoderId, Vectors

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PASSES = 32
"""Up to so many best classes are found by looking for the best again and again, beyond by sorting them all."""


ROUNDING = 1e-5
"""The largest difference of a number in two unit vectors of one text: what it was encoded with moves its last bits."""


class Texts:
    """Texts (T, D) that images are multiplied with. Those that are equal but for rounding get equal cosines.

    What the model reads as the same tokens, such as names that differ in case, it may give other last bits in another
    batch, and a matrix product rounds a column by where it stands. Both would break ties: each is multiplied once.
    """

    def __init__(self, vectors: Vectors) -> None:
        self.first = same_vectors(vectors)
        kept, which = np.unique(self.first, return_inverse=True)
        self._distinct = np.ascontiguousarray(vectors[kept])
        self._which = None if len(kept) == len(vectors) else which.ravel()

    def cosines(self, images: Vectors) -> Vectors:
        """Return all cosines (N, T) of unit rows (N, D)."""
        found = images @ self._distinct.T
        return np.asarray(found if self._which is None else found[:, self._which], dtype=np.float32)


def same_vectors(vectors: Vectors) -> Indices:
    """Return for each of T unit vectors (T, D) the number of the first that equals it but for rounding, (T,)."""
    _, first, which = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    distinct, leader = vectors[first[order]], np.arange(len(first))
    # Vectors that are close lie close on any line: only those that do on each of some are compared. On a random line in
    # D dimensions a difference has the square root of D-th part of its length, or a few times as much.
    lines = np.random.default_rng(0).normal(size=(4, vectors.shape[1])).astype(np.float32)
    along = distinct @ (lines / np.linalg.norm(lines, axis=1, keepdims=True)).T
    sequence = np.argsort(along[:, 0], kind="stable")
    near, pairs = 8 * ROUNDING, [np.empty((0, 2), np.int64)]
    for step in range(1, len(sequence)):
        close = along[sequence[step:], 0] - along[sequence[:-step], 0] <= near
        if not close.any():
            break
        found = np.column_stack([sequence[:-step], sequence[step:]])[close]
        found = found[(np.abs(along[found[:, 0]] - along[found[:, 1]]) <= near).all(axis=1)]
        pairs.append(found[np.abs(distinct[found[:, 0]] - distinct[found[:, 1]]).max(axis=1) <= ROUNDING])
    for one, other in sorted(np.sort(np.concatenate(pairs), axis=1).tolist()):
        leader[other] = min(leader[other], leader[one])
    return np.asarray(first[order][leader[np.argsort(order)[which.ravel()]]])


class ClassTexts:
    """The prompts (P, D) of classes, class by class, ready to be compared with images.

    With `mean` a class's vector is the mean of its prompts' unit vectors, made unit again (Radford et al. 2021, 3.1.4);
    with `max` the class scores as its best prompt does. All rows are unit vectors, so scores are cosines.
    """

    def __init__(self, prompts: Vectors, class_sizes: Sequence[int], combine: Combine) -> None:
        sizes = np.asarray(class_sizes, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._single = int(sizes.max()) == 1
        # A shorter class has its first prompt again and again, which wins no tie against itself.
        steps = np.arange(int(sizes.max()))
        self._own = self._starts[:, None] + np.where(steps < sizes[:, None], steps, 0)
        self._prompts = Texts(prompts)
        means = combine is Combine.MEAN and not self._single
        self._means = Texts(class_means(prompts, list(class_sizes))) if means else None

    def alike(self) -> list[list[int]]:
        """Return the numbers of the classes that the model does not distinguish, group by group."""
        texts, groups = self._means or self._prompts, dict[frozenset[int], list[int]]()
        for number, own in enumerate(self._own):
            columns = [number] if self._means is not None else own
            groups.setdefault(frozenset(texts.first[columns].tolist()), []).append(number)
        return [group for group in groups.values() if len(group) > 1]

    def scores(self, images: Vectors) -> tuple[Vectors, Vectors]:
        """Return the cosines of N images (N, D) with the C classes, (N, C), and with the P prompts, (N, P)."""
        prompts = self._prompts.cosines(images)
        if self._single:
            return prompts, prompts
        if self._means is not None:
            return self._means.cosines(images), prompts
        return np.maximum.reduceat(prompts, self._starts, axis=1), prompts

    def best_prompts(self, prompt_cosines: Vectors, classes: Indices) -> Indices:
        """Return the numbers (N, K) of the best prompts, the first of equals, of some classes (N, K) of each image."""
        if self._single:
            return classes
        own = self._own[classes]
        cosines = np.take_along_axis(prompt_cosines[:, None, :], own, axis=2)
        return np.take_along_axis(own, cosines.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]


def class_means(prompts: Vectors, class_sizes: list[int]) -> Vectors:
    """Return unit class vectors (C, D): normalise, mean, normalise."""
    starts = np.concatenate([[0], np.cumsum(class_sizes)[:-1]])
    unit = prompts / np.linalg.norm(prompts, axis=1, keepdims=True)
    means = np.add.reduceat(unit, starts, axis=0) / np.asarray(class_sizes)[:, None]
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def probabilities(cosines: Vectors, chosen: Indices, encoder: EncoderId) -> Floats:
    """Return what the model makes of cosines (N, C) for `chosen` classes (N, K) of each image: float64 (N, K), 0 to 1.

    That is the softmax over the classes of logit scale x cosine (CLIP), or, for SigLIP, the logistic function of
    logit scale x cosine + bias for each class by itself.
    """
    scale, bias = encoder.logit_scale, encoder.logit_bias
    if encoder.sigmoid:
        own = scale * np.take_along_axis(cosines, chosen, axis=1).astype(np.float64) + bias
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * own)))
    # The bias is the same for all and cancels out. All terms of the sum are at most 1 and the highest is 1, so float32
    # keeps it to 1e-7 or so: a cosine's own rounding, times a logit scale of 100, moves it by more.
    best = cosines.max(axis=1, keepdims=True)
    terms = cosines - best
    np.multiply(terms, np.float32(scale), out=terms)
    np.exp(terms, out=terms)
    own = np.exp(scale * (np.take_along_axis(cosines, chosen, axis=1).astype(np.float64) - best))
    return np.asarray(own / terms.sum(axis=1, keepdims=True))


def best_classes(cosines: Vectors, k: int) -> Indices:
    """Return the K best classes of each image (N, C), best first, (N, K).

    Ties go to the class that stands first; NaN comes last.
    """
    if k > PASSES:
        return np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    left, rows = cosines.copy(), np.arange(len(cosines))
    best = np.empty((len(cosines), k), dtype=np.int64)
    odd = np.zeros(len(cosines), dtype=bool)
    for place in range(k):
        best[:, place] = left.argmax(axis=1)
        odd |= ~np.isfinite(left[rows, best[:, place]])
        left[rows, best[:, place]] = -np.inf
    best[odd] = np.argsort(-cosines[odd], axis=1, kind="stable")[:, :k]
    return best


def true_ranks(cosines: Vectors, truth: Indices) -> Indices:
    """Return the rank (N,), from 1, of each image's true class among all (N, C); 0 where truth is -1 (unknown).

    Ties go to the class that stands first; NaN comes last.
    """
    own = np.take_along_axis(cosines, np.maximum(truth, 0)[:, None], axis=1)
    # Summed as such small numbers, what holds is counted four times as fast as by count_nonzero.
    ranks = (cosines > own).sum(axis=1, dtype=np.uint32).astype(np.int64) + 1
    # The class itself is one that is not lower; where there are others, or it is NaN, their order is looked at.
    several = np.flatnonzero((cosines >= own).sum(axis=1, dtype=np.uint32) != ranks)
    in_order = np.argsort(-cosines[several], axis=1, kind="stable")
    ranks[several] = (in_order == truth[several, None]).argmax(axis=1) + 1
    return np.asarray(np.where(truth >= 0, ranks, 0))

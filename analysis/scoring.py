"""Scores of images against classes: pure arithmetic on unit vectors, every image against every prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.store.words import Combine, Vectors

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassScores:
    """For N images and C classes: `cosines` (N, C) float32, and `prompts` (N, C), each class's best prompt's number."""

    cosines: Vectors
    prompts: Indices


def class_scores(images: Vectors, prompts: Vectors, class_sizes: list[int], combine: Combine) -> ClassScores:
    """Score N images (N, D) against P prompts (P, D), which lie class by class, `class_sizes` of each.

    With `mean` a class's vector is the mean of its prompts' unit vectors, made unit again (Radford et al. 2021, 3.1.4);
    with `max` the class scores as its best prompt does. All rows are unit vectors, so scores are cosines.
    """
    cosines = product(images, prompts)
    starts = np.concatenate([[0], np.cumsum(class_sizes)[:-1]])
    best = np.stack(
        [
            start + cosines[:, start : start + size].argmax(axis=1)
            for start, size in zip(starts, class_sizes, strict=True)
        ],
        axis=1,
    )
    if combine is Combine.MAX:
        return ClassScores(np.take_along_axis(cosines, best, axis=1), best)
    if max(class_sizes) == 1:
        return ClassScores(cosines, best)
    return ClassScores(product(images, class_means(prompts, class_sizes)), best)


def product(images: Vectors, texts: Vectors) -> Vectors:
    """Return all cosines (N, T) of unit rows (N, D) and (T, D).

    Equal texts get equal cosines: a matrix product rounds a column by where it stands, which would break their ties.
    """
    distinct, which = np.unique(texts, axis=0, return_inverse=True)
    return np.asarray(np.ascontiguousarray(images @ distinct.T)[:, which.ravel()], dtype=np.float32)


def class_means(prompts: Vectors, class_sizes: list[int]) -> Vectors:
    """Return unit class vectors (C, D): normalise, mean, normalise."""
    starts = np.concatenate([[0], np.cumsum(class_sizes)[:-1]])
    unit = prompts / np.linalg.norm(prompts, axis=1, keepdims=True)
    means = np.add.reduceat(unit, starts, axis=0) / np.asarray(class_sizes)[:, None]
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def probabilities(cosines: Vectors, scale: float, bias: float, sigmoid: bool) -> Floats:
    """Return what the model makes of cosines (N, C): softmax(scale * cosine) over the classes (CLIP), or, for SigLIP,
    the logistic function of scale * cosine + bias for each class by itself. Float64 (N, C) in [0, 1].
    """
    logits = scale * cosines.astype(np.float64) + bias
    if sigmoid:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def ranking(cosines: Vectors) -> Indices:
    """Return for each image (N, C) the classes, best first; ties go to the class that stands first."""
    return np.asarray(np.argsort(-cosines, axis=1, kind="stable"))


def true_ranks(order: Indices, truth: Indices) -> Indices:
    """Return the rank (N,), from 1, of each image's true class in its ranking (N, C); 0 where truth is -1 (unknown)."""
    places = (order == truth[:, None]).argmax(axis=1) + 1
    return np.asarray(np.where(truth >= 0, places, 0))

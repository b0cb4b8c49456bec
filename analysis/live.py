"""Zero-shot classification while prompts are being typed: only what changed is computed, and nothing is recorded.

A class is one column of cosines, or with `max` one for each of its prompts. A column is a product of all vectors with
one text, and stays as long as there is room. The predictions are those of `classify` for every image: where two columns
are so close that rounding decides, the images are scored again exactly as `classify` scores them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt

from shotdex.store.engines.many import products
from shotdex.store.types import Combine, Ids, PromptSet, Vectors

from .metrics.metric import Flags
from .prompt_sweep import halves
from .prompts.build import class_of_label
from .scorer import CELLS, CHUNK, HELD_BYTES
from .scoring import ClassTexts, class_means, same_vectors
from .stats.paired import holm

COLUMN_BYTES = 512 * 1024 * 1024
"""Columns that are kept: at 70,000 images 1,900 of them."""

CLOSE = 2e-6
"""Cosines that differ by less may change places with the order in which a product is summed up."""

AGAIN = 2_048
"""Images that are scored again together, and what is left at the end of a part with them. From 1,024 on the products of
OpenBLAS do not depend on how many there are; of fewer it computes them in another way.
"""

CHANGES = 512
"""Columns that are computed in one product, at most."""

UNLABELLED, OUTSIDE = -1, -2
"""In the place of a class: an image without a category, and with one that is not among the classes."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveImages:
    """What is classified: `ids` (N,) rising, their unit vectors (N, D), and the category of each.

    `codes` (N,) are numbers among `categories`, -1 without one.
    """

    ids: Ids
    vectors: Vectors
    codes: Ids
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LiveOutcomes:
    """What a prompt set makes of all images: `predicted` and `truth` (N,) are numbers of `classes`.

    `truth` is `UNLABELLED` or `OUTSIDE` where there is no such class. `gap` (N,) is by how much the predicted class is
    nearer than the true one, as a cosine; NaN where that is not known.
    """

    classes: tuple[str, ...]
    ids: Ids
    predicted: Ids
    truth: Ids
    gap: Vectors

    @property
    def known(self) -> Flags:
        """Whether the true class of each image is known, (N,)."""
        return np.asarray(self.truth >= 0)

    @property
    def correct(self) -> Flags:
        """Whether each image is classified correctly, (N,)."""
        return np.asarray(self.truth == self.predicted)


class LiveClassifier:
    """Classifies images again and again with other prompts. Safe to use from several threads; they take turns.

    `products` counts the columns that were computed so far.
    """

    def __init__(self, images: LiveImages, column_bytes: int = COLUMN_BYTES) -> None:
        self.images = images
        self.products = 0
        self._room = max(1, column_bytes // max(1, 4 * len(images.ids)))
        self._columns: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = Lock()

    def classify(self, prompts: PromptSet, texts: Mapping[str, Vectors]) -> LiveOutcomes:
        """Return what `classify` with the same prompts would predict for every image, ties included.

        Args:
            prompts: the classes with their prompts, at least two classes.
            texts: the unit vector (D,) of every prompt.
        """
        with self._lock:
            return self._classify(prompts, texts)

    def _classify(self, prompts: PromptSet, texts: Mapping[str, Vectors]) -> LiveOutcomes:
        classes = tuple(prompts.classes)
        sizes = [len(own) for own in prompts.classes.values()]
        matrix = np.stack([texts[text] for own in prompts.classes.values() for text in own]).astype(np.float32)
        truth = self._truth(prompts)
        best = np.full(len(self.images.ids), -np.inf, np.float32)
        second, own = best.copy(), best.copy()
        predicted, images_of = np.zeros(len(best), np.int32), _rows_of(truth, len(classes))
        for column, number, sharing in self._candidates(matrix, sizes, prompts.combine):
            over = column > best
            np.maximum(second, np.minimum(best, column), out=second)
            np.maximum(best, column, out=best)
            predicted[over] = number
            for one in sharing:
                own[images_of[one]] = np.maximum(own[images_of[one]], column[images_of[one]])
        found = predicted.astype(np.int64)
        self._settle(
            found, np.flatnonzero(best - second <= CLOSE), ClassTexts(matrix, sizes, prompts.combine), len(matrix)
        )
        gap = np.where(np.isfinite(own), best - own, np.float32(np.nan))
        return LiveOutcomes(classes, self.images.ids, found, truth, gap)

    def without_each(self, prompts: PromptSet, texts: Mapping[str, Vectors], category: str) -> dict[str, LiveOutcomes]:
        """Return what becomes of the outcomes as each prompt of a class is left out; empty where it has only one."""
        own, found = prompts.classes[category], {}
        for text in dict.fromkeys(own):
            rest = tuple(one for one in own if one != text)
            if rest:
                less = PromptSet(prompts.name, {**prompts.classes, category: rest}, prompts.combine)
                found[text] = self.classify(less, texts)
        return found

    def _truth(self, prompts: PromptSet) -> Ids:
        place = {name: number for number, name in enumerate(prompts.classes)}
        meant = {label: place[name] for label, name in class_of_label(prompts).items()}
        numbers = [*(meant.get(name, OUTSIDE) for name in self.images.categories), UNLABELLED]
        return np.array(numbers, np.int64)[self.images.codes]

    def _candidates(
        self, matrix: Vectors, sizes: list[int], combine: Combine
    ) -> Iterator[tuple[Vectors, int, list[int]]]:
        """Yield each distinct column with the first class that scores by it, and all classes that do."""
        owners = np.repeat(np.arange(len(sizes)), sizes)
        if combine is Combine.MEAN and max(sizes) > 1:
            matrix, owners = class_means(matrix, sizes), np.arange(len(sizes))
        leaders = same_vectors(matrix)
        sharing: dict[int, list[int]] = {}
        for leader, owner in zip(leaders.tolist(), owners.tolist(), strict=True):
            sharing.setdefault(leader, []).append(owner)
        for start in range(0, len(sharing), CHANGES):
            some = list(sharing)[start : start + CHANGES]
            for leader, column in zip(some, self._columns_of(matrix[some]), strict=True):
                yield column, sharing[leader][0], list(dict.fromkeys(sharing[leader]))

    def _columns_of(self, vectors: Vectors) -> list[Vectors]:
        """Return the column (N,) of each vector; those that are not kept are computed in one product."""
        keys = [vector.tobytes() for vector in vectors]
        new = [number for number, key in enumerate(keys) if key not in self._columns]
        if new:
            made = products(vectors[new], self.images.vectors)
            self.products += len(new)
            for number, column in zip(new, made, strict=True):
                self._columns[keys[number]] = np.ascontiguousarray(column)
        found = []
        for key in keys:
            self._columns.move_to_end(key)
            found.append(self._columns[key])
        while len(self._columns) > self._room:
            self._columns.popitem(last=False)
        return found

    def _settle(self, predicted: Ids, rows: Ids, texts: ClassTexts, prompts: int) -> None:
        """Replace predictions that rounding decides by those that `classify` makes of the same parts of the images."""
        if not len(rows):
            return
        for part in _parts(len(self.images.ids), self.images.vectors.shape[1], prompts):
            own = rows[np.searchsorted(rows, part.start) : np.searchsorted(rows, part.stop)]
            if len(own):
                cosines = texts.scores(self.images.vectors[part])[0]
                predicted[own] = cosines[own - part.start].argmax(axis=1)


def _rows_of(truth: Ids, classes: int) -> list[Ids]:
    """Return the rows of the images of each class."""
    order = np.argsort(truth, kind="stable")
    return np.split(order, np.searchsorted(truth[order], np.arange(classes + 1)))[1:-1]


def _parts(count: int, dim: int, prompts: int) -> Iterator[slice]:
    """Yield the parts of the images in which `classify` scores them: see `ImageParts` and `Scorer.score`.

    They are cut into smaller ones, of which the products have the same bits.
    """
    held, step = max(1, HELD_BYTES // (4 * dim)), max(1, CELLS // prompts)
    for first, last in ((0, min(held, count)), (held, count)):
        for start in range(first, last, CHUNK):
            end = min(start + CHUNK, last)
            for at in range(start, end, step):
                stop = min(at + step, end)
                bounds = [*range(at, max(at + 1, stop - AGAIN + 1), AGAIN), stop]
                yield from map(slice, bounds[:-1], bounds[1:])


def exploring_half(images: LiveImages, seed: int = 0) -> Flags:
    """Return which images are for exploring, (N,): a random half of each category; the other half confirms.

    Images without a category are in neither half. It does not depend on the prompts.
    """
    labelled = np.flatnonzero(images.codes >= 0)
    half = np.zeros(len(images.ids), bool)
    half[labelled] = halves(images.codes[labelled], seed)
    return half


@dataclass(slots=True)
class Looks:
    """How often one has looked: prompt sets seen on the exploring half, and p values of those that were confirmed.

    A set is counted once, by the digest of what decides its numbers; the confirming half is shown once for each.
    """

    seen: set[str] = field(default_factory=set)
    confirmed: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def look(self, sha256: str) -> int:
        """Count a prompt set, and return how many were looked at."""
        with self._lock:
            self.seen.add(sha256)
            return len(self.seen)

    def confirm(self, sha256: str, p_value: float) -> float:
        """Count a confirmed set, and return its p value adjusted by Holm's method over all that were confirmed."""
        with self._lock:
            self.confirmed.setdefault(sha256, p_value)
            adjusted: npt.NDArray[np.float64] = holm(list(self.confirmed.values()))
            return float(adjusted[list(self.confirmed).index(sha256)])

"""What a reader's page needs to compute a run again without some prompts, classes or conditions, and the check of it.

The page holds the cosine of each image with each prompt. With `mean` a class scores as the sum of the cosines of its
ticked prompts over the length of the sum of their vectors, which follows from the prompts' products with each other;
with `max` as its best ticked prompt. Cosines and products are float32 and are added in float64, which is exact for as
many as there are, so the order of prompts breaks no tie.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.analysis.metrics.metric import Flags, Outcomes
from shotdex.analysis.results import UNLABELLED, image_labels
from shotdex.analysis.scorer import CELLS, ImageParts
from shotdex.analysis.scoring import ClassTexts, same_vectors
from shotdex.store.store import Store
from shotdex.store.types import Combine, EncoderId, Ids, PromptSet, Run, Vectors

BYTES = 3_000_000
"""Bytes of cosines in a page, at most; of more images a sample is taken."""

FEWEST = 100
"""Images below which a sample is not worth its section."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cosines:
    """N evaluated images and P prompts of C classes: `cosines` (N, P), `products` of each class's prompts with each
    other, `owner` (P,) the class of a prompt; `truth`, `stored` (N,) classes and `condition` (N,) by number.
    """

    cosines: Vectors
    products: tuple[Vectors, ...]
    owner: Ids
    truth: Ids
    stored: Ids
    condition: Ids
    conditions: tuple[str, ...]
    classes: tuple[str, ...]
    combine: Combine
    of: int

    def predicted(self, prompts: Flags, classes: Flags) -> Ids:
        """Return the class (N,) that each image is taken for with the ticked prompts (P,) of the ticked classes (C,).

        The page's script does the same in the same order. A class without a ticked prompt is not among the choices;
        -1 without any.
        """
        best = np.full(len(self.truth), -np.inf)
        taken = np.full(len(self.truth), -1, dtype=np.int64)
        for number in np.flatnonzero(classes).tolist():
            own = np.flatnonzero(self.owner == number)
            kept = np.flatnonzero(prompts[own])
            if not len(kept):
                continue
            cosines = self.cosines[:, own[kept]].astype(np.float64)
            if self.combine is Combine.MAX:
                score = cosines.max(axis=1)
            else:
                squared = self.products[number][np.ix_(kept, kept)].astype(np.float64).sum()
                score = cosines.sum(axis=1) / (np.sqrt(squared) if len(kept) > 1 else 1.0)
            better = score > best
            best[better], taken[better] = score[better], number
        return taken

    def as_data(self) -> dict[str, Any]:
        """Return what the page's script reads: numbers as lists, float32 as base64 of their little-endian bytes."""
        return {
            "classes": len(self.classes),
            "owner": self.owner.tolist(),
            "combine": self.combine.value,
            "truth": self.truth.tolist(),
            "stored": self.stored.tolist(),
            "condition": self.condition.tolist(),
            "cosines": _packed(self.cosines),
            "products": [_packed(one) for one in self.products],
        }


def _packed(numbers: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, dtype="<f4").tobytes()).decode()


def cosines(
    store: Store, run: Run, prompts: PromptSet, found: Outcomes, encoder: EncoderId, texts: Vectors
) -> Cosines | str:
    """Return what the page needs, or in words why it cannot have it.

    Args:
        run, prompts, encoder: the run, and what it was made with.
        found: its outcomes, N images.
        texts: unit vectors (P, D) of its prompts, class by class.
    """
    sizes = [len(own) for own in prompts.classes.values()]
    texts = texts[same_vectors(texts)]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    most = (BYTES - 4 * sum(size**2 for size in sizes)) // (4 * len(texts) + 8)
    rows = _sample(found.truth, most, run.seed)
    if len(rows) < min(FEWEST, len(found)):
        return f"its {len(texts):,} prompts would need more than {BYTES // 1_000_000} MB in this file"
    measured = _measured(store, run, encoder, ClassTexts(texts, sizes, prompts.combine), found.image_ids[rows])
    if measured is None:
        return "images of the run are no longer in the store"
    with store.reading() as con:
        codes, names = image_labels(con, found.image_ids[rows])["condition"]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    page = Cosines(
        measured,
        tuple(texts[a:b] @ texts[a:b].T for a, b in pairwise(starts.tolist())),
        owner,
        found.truth[rows].astype(np.int64),
        found.predicted[rows].astype(np.int64),
        np.where(codes < 0, len(names), codes),
        (*names, UNLABELLED) if (codes < 0).any() else tuple(names),
        tuple(prompts.classes),
        prompts.combine,
        len(found),
    )
    again = page.predicted(np.ones(len(texts), dtype=np.bool_), np.ones(len(sizes), dtype=np.bool_))
    apart = int((again != page.stored).sum())
    if apart:
        return (
            f"with everything ticked, {apart:,} of {len(rows):,} images would be classified differently from the "
            "stored run, so what the page computes could not be trusted"
        )
    return page


def _sample(truth: npt.NDArray[Any], most: int, seed: int) -> Ids:
    """Return the rows of a sample of at most `most` images, rising, with the classes' shares kept but for rounding."""
    if len(truth) <= most:
        return np.arange(len(truth))
    order = np.random.default_rng(seed).permutation(len(truth))
    by_class = order[np.argsort(truth[order], kind="stable")]
    places = np.linspace(0, len(truth), max(most, 0), endpoint=False).astype(np.int64)
    return np.sort(by_class[places])


def _measured(store: Store, run: Run, encoder: EncoderId, texts: ClassTexts, wanted: Ids) -> Vectors | None:
    """Return the cosines (N, P) of some images with the prompts, in the blocks in which `Scorer` computed them."""
    with store.reading() as con:
        scored = np.array(
            [row[0] for row in con.rows("SELECT image_id FROM truths WHERE run_id = $n ORDER BY 1", {"n": run.run_id})]
        )
        parts = ImageParts(store, con, run.encoder_id, encoder, scored)
    ids: list[Ids] = []
    kept: list[Vectors] = []
    count = len(texts.scores(np.zeros((1, encoder.dim), dtype=np.float32))[1][0])
    for part, vectors in parts:
        step = max(1, CELLS // count)
        for start in range(0, len(part), step):
            block = part[start : start + step]
            chosen = np.isin(block, wanted)
            ids.append(block[chosen])
            kept.append(texts.scores(vectors[start : start + step])[1][chosen])
    if sum(map(len, ids)) != len(wanted):
        return None
    return np.concatenate(kept)


def text_order(prompts: PromptSet) -> Sequence[str]:
    """Return the prompts class by class, as `cosines` expects their vectors."""
    return [text for own in prompts.classes.values() for text in own]

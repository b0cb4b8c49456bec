"""From vectors to rows of predictions and truths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shotdex.store.words import EncoderId, Ids, PromptSet, Vectors

from .prompts.build import class_of_label
from .scoring import Indices, class_scores, probabilities, ranking, true_ranks


@dataclass(frozen=True, slots=True)
class Part:
    """Rows for the tables `predictions` and `truths`, but for the run's number."""

    predictions: pa.Table
    truths: pa.Table


class Scorer:
    """Turns vectors into rows of predictions and truths."""

    def __init__(
        self, prompts: PromptSet, texts: Sequence[str], text_matrix: Vectors, encoder: EncoderId, k: int
    ) -> None:
        self._classes = list(prompts.classes)
        self._position = {category: i for i, category in enumerate(self._classes)}
        self._meant = class_of_label(prompts)
        self._sizes = [len(prompts.classes[category]) for category in self._classes]
        self._combine = prompts.combine
        self._texts = pa.array(texts, pa.string())
        self._matrix = text_matrix
        self._encoder = encoder
        self._k = k

    def score(self, ids: Ids, vectors: Vectors, categories: Sequence[str | None]) -> Part:
        """Return the rows for images (N,) with vectors (N, D) and their categories."""
        scores = class_scores(vectors, self._matrix, self._sizes, self._combine)
        encoder = self._encoder
        chances = probabilities(scores.cosines, encoder.logit_scale, encoder.logit_bias, encoder.sigmoid)
        order = ranking(scores.cosines)
        # A label that is an alias stands as its class from here on; one that is no class stands as it is.
        meant = [label if label is None else self._meant.get(label, label) for label in categories]
        truth = np.array([self._position.get(category or "", -1) for category in meant], dtype=np.int64)
        return Part(
            self._predictions(ids, order[:, : self._k], scores.prompts, scores.cosines, chances),
            _truths(ids, meant, truth, order, scores.cosines, chances),
        )

    def _predictions(self, ids: Ids, top: Indices, prompts: Indices, cosines: Vectors, chances: np.ndarray) -> pa.Table:
        flat = top.ravel()
        best_prompt = np.take_along_axis(prompts, top, axis=1).ravel()
        return pa.table(
            {
                "image_id": np.repeat(ids, self._k),
                "rank": np.tile(np.arange(1, self._k + 1, dtype=np.int32), len(ids)),
                "category": pa.array(self._classes, pa.string()).take(pa.array(flat)),
                "prompt": self._texts.take(pa.array(best_prompt)),
                "cosine": np.take_along_axis(cosines, top, axis=1).ravel(),
                "probability": np.take_along_axis(chances, top, axis=1).ravel(),
            }
        )


def _truths(
    ids: Ids, categories: Sequence[str | None], truth: Indices, order: Indices, cosines: Vectors, chances: np.ndarray
) -> pa.Table:
    unknown = truth < 0
    column = np.maximum(truth, 0)[:, None]
    return pa.table(
        {
            "image_id": ids,
            "category": pa.array(categories, pa.string()),
            "true_rank": pa.array(true_ranks(order, truth).astype(np.int32), mask=unknown),
            "true_cosine": pa.array(np.take_along_axis(cosines, column, axis=1)[:, 0], mask=unknown),
            "true_probability": pa.array(np.take_along_axis(chances, column, axis=1)[:, 0], mask=unknown),
        }
    )

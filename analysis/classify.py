"""Zero-shot classification: every image against every prompt of every class, kept as predictions that SQL can read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

import numpy as np
import pyarrow as pa

from shotdex.query.texts import LoadEncoder, text_vectors
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyStore, MissingLabels, SettingsError, UnknownClass
from shotdex.store.images import now
from shotdex.store.prompt_sets import save_prompt_set
from shotdex.store.runs import next_run, save_predictions, save_run
from shotdex.store.store import Store
from shotdex.store.vectors import encoded_ids, filtered_ids, load_vectors
from shotdex.store.words import EncoderId, Ids, PromptSet, Run, Space, Vectors

from .scoring import Indices, class_scores, probabilities, ranking, true_ranks

CHUNK = 16_384
"""Images scored at a time; bounds memory at CHUNK x (dimension + prompts) floats."""


@dataclass(frozen=True, slots=True)
class Classification:
    """What to classify and how. `k` predictions are kept for each image, at most one a class."""

    prompts: PromptSet
    name: str | None = None
    where: str | None = None
    k: int = 5
    encoder_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def indexed_categories(store: Store, where: str | None = None) -> list[str]:
    """Return the categories of the images that a filter keeps, in alphabetical order.

    Raises:
        MissingLabels: none of them has one.
    """
    with store.reading() as con:
        kept = None if where is None else set(filtered_ids(con, where).tolist())
        rows = con.rows("SELECT image_id, category FROM images WHERE category IS NOT NULL")
    categories = sorted({category for image_id, category in rows if kept is None or image_id in kept})
    if not categories:
        raise MissingLabels(
            "no image here has a category, so there are no classes to choose from",
            "name them: --classes cat,dog   or label the images: shotdex index SOURCE --layout '{category}/*'",
        )
    return categories


def classify(store: Store, wanted: Classification, load: LoadEncoder) -> Run:
    """Score every image that has vectors against every class, and record the run.

    Raises:
        EmptyStore: the filter leaves no image.
        UnknownClass: images have categories, but none is among the classes.
        SettingsError, BadSql, EncoderMismatch, ModelUnavailable.
    """
    if wanted.k < 1:
        raise SettingsError(f"cannot keep {wanted.k} predictions an image", "keep at least one: -k 5")
    started_at, started = now(), time.monotonic()
    work = _gather(store, wanted)
    texts = [text for prompts in wanted.prompts.classes.values() for text in prompts]
    text_matrix = text_vectors(store, work.encoder_id, work.encoder, texts, load)
    scorer = _Scorer(wanted.prompts, texts, text_matrix, work.encoder, min(wanted.k, len(wanted.prompts.classes)))
    parts = []
    for start in range(0, len(work.ids), CHUNK):
        with store.reading() as con:
            ids, vectors = load_vectors(
                con, work.encoder_id, work.encoder, Space.JOINT, work.ids[start : start + CHUNK]
            )
        parts.append(scorer.score(ids, vectors, [work.categories.get(int(image_id)) for image_id in ids]))
    return _record(store, wanted, work, parts, started_at, started)


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to score: images with vectors, and the categories of those that have one."""

    encoder_id: int
    encoder: EncoderId
    ids: Ids
    categories: dict[int, str]
    images: int
    failed: int


def _gather(store: Store, wanted: Classification) -> _Work:
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, wanted.encoder_name)
        next_run(con, wanted.name)  # a name already taken is said before the work, not after
        ids = encoded_ids(con, encoder_id, wanted.where)
        in_filter = filtered_ids(con, wanted.where or "true")
        categories = dict(con.rows("SELECT image_id, category FROM images WHERE category IS NOT NULL"))
        unseen = "SELECT count(*) FROM failures ANTI JOIN images USING (path)"  # a filter cannot speak of these
        failures = int(con.value(unseen)) if wanted.where is None else 0
    if len(ids) == 0:
        raise EmptyStore("there is no image to classify", "loosen --where, or index pictures: shotdex index FOLDER")
    _check_classes(wanted.prompts, {categories[i] for i in ids.tolist() if i in categories})
    return _Work(encoder_id, encoder, ids, categories, len(in_filter), len(in_filter) - len(ids) + failures)


def _check_classes(prompts: PromptSet, categories: set[str]) -> None:
    if categories and not categories & set(prompts.classes):
        raise UnknownClass(
            f"the classes are {_some(prompts.classes)}, but the images' categories are {_some(sorted(categories))}",
            "spell the classes as the categories are, or index again with --categories",
        )


def _some(names: Sequence[str] | Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


@dataclass(frozen=True, slots=True)
class _Part:
    predictions: pa.Table
    truths: pa.Table


class _Scorer:
    """Turns vectors into rows of predictions and truths."""

    def __init__(
        self, prompts: PromptSet, texts: Sequence[str], text_matrix: Vectors, encoder: EncoderId, k: int
    ) -> None:
        self._classes = list(prompts.classes)
        self._position = {category: i for i, category in enumerate(self._classes)}
        self._sizes = [len(prompts.classes[category]) for category in self._classes]
        self._combine = prompts.combine
        self._texts = pa.array(texts, pa.string())
        self._matrix = text_matrix
        self._encoder = encoder
        self._k = k

    def score(self, ids: Ids, vectors: Vectors, categories: Sequence[str | None]) -> _Part:
        """Return the rows for images (N,) with vectors (N, D) and their categories."""
        scores = class_scores(vectors, self._matrix, self._sizes, self._combine)
        encoder = self._encoder
        chances = probabilities(scores.cosines, encoder.logit_scale, encoder.logit_bias, encoder.sigmoid)
        order = ranking(scores.cosines)
        truth = np.array([self._position.get(category or "", -1) for category in categories], dtype=np.int64)
        return _Part(
            self._predictions(ids, order[:, : self._k], scores.prompts, scores.cosines, chances),
            _truths(ids, categories, truth, order, scores.cosines, chances),
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


def _record(
    store: Store, wanted: Classification, work: _Work, parts: Sequence[_Part], started_at: datetime, started: float
) -> Run:
    predictions = pa.concat_tables(part.predictions for part in parts)
    truths = pa.concat_tables(part.truths for part in parts)
    unlabelled = truths.column("category").null_count
    with store.writing() as con:
        run_id, name = next_run(con, wanted.name)
        run = Run(
            run_id=run_id,
            name=name,
            encoder_id=work.encoder_id,
            prompt_set_id=save_prompt_set(con, wanted.prompts),
            where=wanted.where,
            k=min(wanted.k, len(wanted.prompts.classes)),
            images=work.images,
            scored=len(work.ids),
            unlabelled=unlabelled,
            outside=truths.column("true_rank").null_count - unlabelled,
            failed=work.failed,
            started_at=started_at,
            seconds=time.monotonic() - started,
            settings=dict(wanted.settings),
            versions=versions(),
        )
        save_run(con, run)
        save_predictions(con, _with_run(predictions, run_id), _with_run(truths, run_id))
    return run


def _with_run(rows: pa.Table, run_id: int) -> pa.Table:
    return rows.append_column("run_id", pa.array(np.full(len(rows), run_id, dtype=np.int32)))


def versions() -> dict[str, str]:
    """Return the versions of what a number depends on."""
    found = {"python": python_version()}
    for package in ("shotdex", "torch", "transformers", "faiss-cpu", "duckdb", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found

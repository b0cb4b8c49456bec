"""Zero-shot classification: every image against every prompt of every class, kept as predictions that SQL can read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from shotdex.models.protocols import LoadEncoder
from shotdex.query.text_lookup import text_vectors
from shotdex.store.arrow import to_arrow, to_codes
from shotdex.store.connection import Connection, now
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyStore, MissingLabels, OptionError, StoreError, UnknownClass
from shotdex.store.ids import encoded_ids, filtered_ids
from shotdex.store.prompt_sets import save_prompt_set
from shotdex.store.runs import next_run, save_predictions, save_run
from shotdex.store.store import Store
from shotdex.store.text_vectors import remembered_texts
from shotdex.store.types import EncoderId, Ids, PromptSet, Run, Vectors

from .coverage import count_failed
from .prompts.build import class_of_label
from .run_digests import data_digests, versions
from .scorer import Part, Scorer, image_parts


@dataclass(frozen=True, slots=True)
class Classification:
    """What to classify and how. `k` predictions are kept for each image, at most one a class.

    `command` is the command line, for the record; `seed` that of every random draw made about the run later on.
    """

    prompts: PromptSet
    name: str | None = None
    where: str | None = None
    k: int = 5
    encoder_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to score: images with vectors (N,), rising, the numbers (N,) of their labels among `labels`, -1
    without one, and digests of both. `texts` are the prompts whose vectors the store knows.
    """

    encoder_id: int
    encoder: EncoderId
    ids: Ids
    codes: Ids
    labels: tuple[str, ...]
    images: int
    failed: int
    data_sha256: str
    labels_sha256: str
    texts: Mapping[str, Vectors]


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows for the tables `predictions` and `truths`, but for the run's number, and what was scored."""

    work: Work
    predictions: pa.Table
    truths: pa.Table


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
            "no image has a category, so there are no classes to choose from",
            "pass them: --classes cat,dog   or label the images: shotdex index SOURCE --layout '{category}/*'",
        )
    return categories


def classify(store: Store, options: Classification, load: LoadEncoder) -> Run:
    """Score every image that has vectors against every class, and record the run.

    Raises:
        EmptyStore: the filter leaves no image.
        UnknownClass: images have categories, but none is among the classes.
        OptionError, BadSql, EncoderMismatch, ModelUnavailable.
    """
    started_at, started = now(), time.monotonic()
    answers = answer(store, options, load)
    with store.writing() as con:
        run = _run(con, options, answers, started_at, time.monotonic() - started)
        save_run(con, run)
        save_predictions(con, _with_run(answers.predictions, run.run_id), _with_run(answers.truths, run.run_id))
    return run


def answer(store: Store, options: Classification, load: LoadEncoder) -> Answers:
    """Score every image that has vectors against every class, and record nothing.

    Raises:
        The same as `classify`.
    """
    if options.k < 1:
        raise OptionError(f"cannot keep {options.k} predictions per image", "keep at least one: -k 5")
    texts = [text for prompts in options.prompts.classes.values() for text in prompts]
    with store.reading() as con:
        work = _gather(con, options, texts)
    known = all(text in work.texts for text in texts)
    matrix = (
        np.stack([work.texts[text] for text in texts])
        if known
        else text_vectors(store, work.encoder_id, work.encoder, texts, load)
    )
    scorer = Scorer(options.prompts, matrix, work.encoder, min(options.k, len(options.prompts.classes)), work.labels)
    scored: list[Future[Part]] = []
    # Some images are scored while the next are read: no more, so that memory stays bounded.
    with closing(image_parts(store, work.encoder_id, work.encoder, work.ids)) as parts, ThreadPoolExecutor(1) as beside:
        for ids, vectors in parts:
            if len(ids) == 0:
                continue
            if len(scored) > 1:
                scored[-2].result()
            scored.append(beside.submit(scorer.score, ids, vectors, work.codes[np.searchsorted(work.ids, ids)]))
    found = [part.result() for part in scored]
    if sum(len(part.truths) for part in found) != len(work.ids):
        raise StoreError(
            "images were added or removed during classification",
            "run the command again; if that fails, too: shotdex verify",
        )
    predictions = pa.concat_tables(part.predictions for part in found)
    return Answers(work, predictions, pa.concat_tables(part.truths for part in found))


def _gather(con: Connection, options: Classification, texts: Sequence[str]) -> Work:
    encoder_id, encoder = choose_encoder(con, options.encoder_name)
    next_run(con, options.name)  # a name already taken is said before the work, not after
    ids = encoded_ids(con, encoder_id, options.where)
    if len(ids) == 0:
        raise EmptyStore("there are no images to classify", "loosen --where, or index images: shotdex index FOLDER")
    images = len(filtered_ids(con, options.where or "true"))
    failed = count_failed(con, images - len(ids), options.where)
    codes, labels = image_labels(con, ids)
    _check_classes(options.prompts, set(labels))
    known = remembered_texts(con, encoder_id, list(dict.fromkeys(texts)))
    return Work(encoder_id, encoder, ids, codes, labels, images, failed, *data_digests(con, ids), known)


def image_labels(con: Connection, ids: Ids) -> tuple[Ids, tuple[str, ...]]:
    """Return the numbers (N,) of images' categories among the distinct ones, -1 without one, and those."""
    with con.holding("labelled", pa.table({"image_id": to_arrow(ids)})):
        found = con.table("SELECT category FROM stored_images SEMI JOIN labelled USING (image_id) ORDER BY image_id")
    return to_codes(found.column("category"))


def _check_classes(prompts: PromptSet, categories: set[str]) -> None:
    if categories and not categories & set(class_of_label(prompts)):
        raise UnknownClass(
            f"the classes are {_some(prompts.classes)}, but the images' categories are {_some(sorted(categories))}",
            "name the classes as the categories, or map labels to classes under [aliases] in a prompt file",
        )


def _some(names: Sequence[str] | Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _run(con: Connection, options: Classification, answers: Answers, started_at: datetime, seconds: float) -> Run:
    run_id, name = next_run(con, options.name)
    work, unlabelled = answers.work, answers.truths.column("category").null_count
    return Run(
        run_id=run_id,
        name=name,
        encoder_id=work.encoder_id,
        prompt_set_id=save_prompt_set(con, options.prompts),
        where=options.where,
        k=min(options.k, len(options.prompts.classes)),
        images=work.images,
        scored=len(work.ids),
        unlabelled=unlabelled,
        outside=answers.truths.column("true_rank").null_count - unlabelled,
        failed=work.failed,
        started_at=started_at,
        seconds=seconds,
        settings=dict(options.settings),
        versions=versions(),
        command=options.command,
        data_sha256=work.data_sha256,
        labels_sha256=work.labels_sha256,
        seed=options.seed,
    )


def _with_run(rows: pa.Table, run_id: int) -> pa.Table:
    return rows.append_column("run_id", to_arrow(np.full(len(rows), run_id, dtype=np.int32)))

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
from shotdex.store.errors import EmptyStore, MissingLabels, OptionError, StoreError
from shotdex.store.ids import encoded_ids, filtered_ids
from shotdex.store.prompt_sets import save_prompt_set
from shotdex.store.runs import list_runs, next_run, remove_run, save_predictions, save_run
from shotdex.store.store import Store
from shotdex.store.text_vectors import remembered_texts
from shotdex.store.types import EncoderId, Ids, PromptSet, Run, Vectors

from .categories import categories_met, check_categories
from .coverage import count_failed
from .run_digests import data_digests, versions
from .scorer import Part, Scorer, image_parts


@dataclass(frozen=True, slots=True)
class Classification:
    """What to classify and how. `k` predictions are kept for each image, at most one a class.

    With `replace` a run of the same name is deleted once this one is complete. Unless `partial`, every category needs a
    class. `command` is the command line, for the record; `seed` that of every random draw made about the run later on.
    """

    prompts: PromptSet
    name: str | None = None
    where: str | None = None
    k: int = 5
    encoder_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seed: int = 0
    replace: bool = False
    partial: bool = True


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


def indexed_categories(store: Store) -> list[str]:
    """Return the categories of all indexed images, in alphabetical order.

    A filter does not narrow them: with fewer classes to choose among, the same images would be an easier task.

    Raises:
        MissingLabels: no image has one.
    """
    with store.reading() as con:
        categories = [row[0] for row in con.rows("SELECT DISTINCT category FROM images WHERE category IS NOT NULL")]
    if not categories:
        raise MissingLabels(
            "no image has a category, so there are no classes to choose from",
            "pass them: --classes cat,dog   or label the images: shotdex index SOURCE --layout '{category}/*'",
        )
    return sorted(categories)


def classify(store: Store, options: Classification, load: LoadEncoder) -> Run:
    """Score every image that has vectors against every class, and record the run.

    Raises:
        EmptyStore: the filter leaves no image.
        UnknownClass: images have categories, but none is among the classes, or, unless `partial`, some are not.
        OptionError, BadSql, EncoderMismatch, ModelUnavailable.
    """
    started_at, started = now(), time.monotonic()
    answers = answer(store, options, load)
    with store.writing() as con:
        run = _run(con, options, answers, started_at, time.monotonic() - started)
        for old in [old for old in list_runs(con) if old.name == run.name]:
            remove_run(con, old)
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
    next_run(con, options.name, replace=options.replace)  # a name already taken is said before the work, not after
    ids = encoded_ids(con, encoder_id, options.where)
    if len(ids) == 0:
        raise EmptyStore("there are no images to classify", "loosen --where, or index images: shotdex index FOLDER")
    images = len(filtered_ids(con, options.where or "true"))
    failed = count_failed(con, images - len(ids), options.where)
    codes, labels = image_labels(con, ids)
    check_categories(
        con,
        options.prompts,
        dict(zip(labels, np.bincount(codes[codes >= 0], minlength=len(labels)).tolist(), strict=True)),
        partial=options.partial,
    )
    known = remembered_texts(con, encoder_id, list(dict.fromkeys(texts)))
    return Work(encoder_id, encoder, ids, codes, labels, images, failed, *data_digests(con, ids), known)


def image_labels(con: Connection, ids: Ids) -> tuple[Ids, tuple[str, ...]]:
    """Return the numbers (N,) of images' categories among the distinct ones, -1 without one, and those."""
    with con.holding("labelled", pa.table({"image_id": to_arrow(ids)})):
        found = con.table("SELECT category FROM stored_images SEMI JOIN labelled USING (image_id) ORDER BY image_id")
    return to_codes(found.column("category"))


def _run(con: Connection, options: Classification, answers: Answers, started_at: datetime, seconds: float) -> Run:
    run_id, name = next_run(con, options.name, replace=options.replace)
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
        settings={key: value for key, value in options.settings.items() if key != "categories"}
        | categories_met(options.prompts, work.labels),
        versions=versions(),
        command=options.command,
        data_sha256=work.data_sha256,
        labels_sha256=work.labels_sha256,
        seed=options.seed,
    )


def _with_run(rows: pa.Table, run_id: int) -> pa.Table:
    return rows.append_column("run_id", to_arrow(np.full(len(rows), run_id, dtype=np.int32)))

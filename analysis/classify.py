"""Zero-shot classification: every image against every prompt of every class, kept as predictions that SQL can read.

The catalog is opened twice: once to read everything that the work needs, once to write the run. Between the two, while
a model is loaded and images are scored, others may write to it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from shotdex.models.protocols import LoadEncoder
from shotdex.query.text_lookup import encoded_texts, texts_cut
from shotdex.store.arrow import to_arrow
from shotdex.store.connection import Connection, now
from shotdex.store.encoders import choose_encoder, list_encoders
from shotdex.store.engines.flat import among
from shotdex.store.errors import EmptyStore, EncoderMismatch, MissingLabels, OptionError, StoreError
from shotdex.store.ids import filtered_ids, images_generation, present_ids, stored_ids
from shotdex.store.near import near_a_filter
from shotdex.store.prediction_folder import PredictionFolder, new_folder
from shotdex.store.prompt_sets import save_prompt_set
from shotdex.store.runs import list_runs, next_run, recount, remove_run, save_run
from shotdex.store.schema import vectors_table
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Estimate, Ids, PromptSet, Run, Vectors
from shotdex.store.vectors import remember_texts, remembered_texts

from .coverage import Unscored, categories_met, check_categories, classes_without_images, find_unscored, narrowing
from .prompts.build import class_of_label
from .results import Codes, Labels, accuracies, image_labels
from .run_digests import data_digests, versions
from .scorer import TABLES, ImageParts, Part, Scorer, Spool

FromCatalog = Callable[[Connection], PromptSet]
"""Makes a prompt set of what an open catalog says."""

MANY = 200_000
"""Images of which the catalog is opened once more for the digests of their contents, to take less memory."""

SHOWN = 3
"""Groups of classes that the model does not distinguish which are named one by one."""


@dataclass(frozen=True, slots=True)
class Classification:
    """What to classify and how. `k` predictions are kept for each image, at most one a class.

    With `replace` a run of the same name is deleted once this one is complete. Unless `partial`, every category needs a
    class. `command` is the command line, for the record; `seed` that of every random draw made about the run later on.
    `place` is a folder for files with the predictions, which are in the catalog if it is None.
    """

    prompts: PromptSet | FromCatalog
    name: str | None = None
    where: str | None = None
    k: int = 5
    encoder_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seed: int = 0
    replace: bool = False
    partial: bool = True
    place: str | os.PathLike[str] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to score: images with vectors (N,), rising, and their labels.

    `texts` are the prompts whose vectors the store knows.
    """

    prompts: PromptSet
    encoder_id: int
    encoder: EncoderId
    ids: Ids
    labels: Labels
    images: int
    unscored: Unscored
    texts: Mapping[str, Vectors]
    vectors: ImageParts


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows for the tables `predictions` and `truths`, but for the run's number, `spooled`, and what was scored.

    `data_sha256` and `labels_sha256` are digests of the contents and labels of those images. `ranks` (N,) are those of
    the true classes, 0 where they are unknown; `new_texts` the vectors of prompts that the store does not know; `notes`
    say which texts were cut and which classes the model does not distinguish.
    """

    work: Work
    data_sha256: str
    labels_sha256: str
    spooled: Spool
    ranks: Codes
    new_texts: Mapping[str, Vectors]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Classified:
    """A run on record, with its accuracies: over all its images, and by category, condition and split.

    `outside` are the categories of scored images that are not classes, with their images, most first; `unscored` the
    images that could not be scored; `narrowing` is a sentence on classes that the filter left without images. `notes`
    say which texts were cut and which classes the model does not distinguish.
    """

    run: Run
    prompts: PromptSet
    accuracy: Estimate
    groups: Mapping[str, Mapping[str, Estimate]]
    outside: Sequence[tuple[str, int]]
    unscored: Unscored
    classes_without_images: Sequence[str]
    narrowing: str
    notes: tuple[str, ...]


def indexed_categories(con: Connection) -> list[str]:
    """Return the categories of all indexed images, in alphabetical order.

    A filter does not narrow them: with fewer classes to choose among, the same images would be an easier task.

    Raises:
        MissingLabels: no image has one.
    """
    categories = [row[0] for row in con.rows("SELECT DISTINCT category FROM images WHERE category IS NOT NULL")]
    if not categories:
        raise MissingLabels(
            "no image has a category, so there are no classes to choose from",
            "pass them: --classes cat,dog   or label the images: shotdex index SOURCE --layout '{category}/*'",
        )
    return sorted(categories)


def classify(store: Store, options: Classification, load: LoadEncoder) -> Run:
    """Score every image that has vectors against every class, and record the run; see `classify_in_full`."""
    return classify_in_full(store, options, load).run


def classify_in_full(store: Store, options: Classification, load: LoadEncoder) -> Classified:
    """Score every image that has vectors against every class, record the run, and return it with its accuracies.

    Raises:
        EmptyStore: the filter leaves no image.
        UnknownClass: images have categories, but none is among the classes, or, unless `partial`, some are not.
        StoreError: images or the encoder were removed from the store meanwhile.
        OptionError, BadSql, EncoderMismatch, ModelUnavailable.
    """
    if options.place is None:
        return _classify(store, options, load, None)
    with new_folder(store, options.place) as folder:
        found = _classify(store, options, load, folder)
        folder.committed = True
    return found


def _classify(store: Store, options: Classification, load: LoadEncoder, folder: PredictionFolder | None) -> Classified:
    started_at, started = now(), time.monotonic()
    answers = answer(store, options, load)
    if folder is not None:
        folder.write(answers.spooled.both(), {"prompts": answers.work.prompts.name, "k": options.k})
    work = answers.work
    accuracy, groups, outside = accuracies(work.labels, class_of_label(work.prompts), answers.ranks)
    with store.writing() as con:
        known = list_encoders(con).get(work.encoder_id)
        if known is None or known.key() != work.encoder.key():
            raise EncoderMismatch("the encoder was removed from the store meanwhile", "run the command again")
        if answers.new_texts:
            new = answers.new_texts
            remember_texts(con, work.encoder_id, list(new), np.stack(list(new.values())))
        run = _run(con, options, answers, started_at, time.monotonic() - started)
        if options.replace:
            for old in [old for old in list_runs(con) if old.name == run.name]:
                remove_run(con, old)
        save_run(con, run)
        if folder is not None:
            folder.record(con, run.run_id, run.name)
        for table in TABLES if folder is None else ():
            for rows in answers.spooled.parts(table):
                number = to_arrow(np.full(len(rows), run.run_id, dtype=np.int32))
                con.append(f"catalog.main.{table}", rows.append_column("run_id", number))
        recount(con, [run.run_id])
        vectors = vectors_table(work.encoder_id)
        gone = f"SELECT count(*) FROM truths ANTI JOIN {vectors} USING (image_id) WHERE run_id = $run"
        if con.value(gone, {"run": run.run_id}):
            raise _changed()
        empty = classes_without_images(con, run)
        narrowed = narrowing(con, run, empty) if empty and run.where is not None else ""
    return Classified(run, work.prompts, accuracy, groups, outside, work.unscored, empty, narrowed, answers.notes)


def answer(
    store: Store, options: Classification, load: LoadEncoder, again: Mapping[str, Vectors] | None = None
) -> Answers:
    """Score every image that has vectors against every class, and record nothing; raises what `classify_in_full` does.

    `again` are vectors (D,) of texts that were just encoded again; they replace what the store remembers.
    """
    if options.k < 1:
        raise OptionError(f"cannot keep {options.k} predictions per image", "keep at least one: -k 5")
    with store.reading() as con:
        work, generation = _gather(store, con, options), images_generation(con)
        digests = data_digests(con, work.ids) if len(work.ids) < MANY else None
    if digests is None:
        with store.reading() as con:  # again, as DuckDB keeps in memory what it has read
            if images_generation(con) != generation:
                raise _changed()
            digests = data_digests(con, work.ids)
    texts = [text for prompts in work.prompts.classes.values() for text in prompts]
    encoded = encoded_texts(work.encoder, texts, load, {**work.texts, **(again or {})})
    assert encoded is not None
    matrix, new = encoded
    codes, categories = work.labels["category"]
    scorer = Scorer(work.prompts, matrix, work.encoder, min(options.k, len(work.prompts.classes)), categories)
    waiting: deque[Future[Part]] = deque()
    spooled, ranks = Spool(), np.zeros(len(work.ids), np.int32)

    def take(part: Part) -> None:
        spooled.add(part)
        ranks[np.searchsorted(work.ids, part.ids)] = part.ranks

    # Some images are scored while the next are read: no more, so that memory stays bounded.
    with ThreadPoolExecutor(1) as beside:
        for ids, vectors in work.vectors:
            if len(waiting) > 1:
                take(waiting.popleft().result())
            waiting.append(beside.submit(scorer.score, ids, vectors, codes[np.searchsorted(work.ids, ids)]))
    list(map(take, (part.result() for part in waiting)))
    work.vectors.close()
    if spooled.images != len(work.ids):
        raise _changed()
    notes = (
        *texts_cut(work.encoder, texts, load),
        *alike_notes(scorer.class_texts.alike(), list(work.prompts.classes)),
    )
    return Answers(work, *digests, spooled, ranks, new, notes)


def _changed() -> StoreError:
    return StoreError(
        "images were added or removed during classification",
        "run the command again; if that fails, too: shotdex verify",
    )


def _gather(store: Store, con: Connection, options: Classification) -> Work:
    next_run(con, options.name, replace=options.replace)  # a name already taken is said before the work, not after
    prompts = options.prompts if isinstance(options.prompts, PromptSet) else options.prompts(con)
    encoder_id, encoder = choose_encoder(con, options.encoder_name)
    kept = present_ids(con) if options.where is None else filtered_ids(con, options.where)
    ids = kept[among(kept, stored_ids(con, encoder_id))]
    if len(ids) == 0:
        hint = f"{near_a_filter(con, options.where)}relax --where, or index images: shotdex index FOLDER"
        raise EmptyStore("there are no images to classify", hint)
    labels = image_labels(con, ids)
    codes, categories = labels["category"]
    counts = np.bincount(codes[codes >= 0], minlength=len(categories)).tolist()
    check_categories(con, prompts, dict(zip(categories, counts, strict=True)), partial=options.partial)
    texts = [text for own in prompts.classes.values() for text in own]
    return Work(
        prompts=prompts,
        encoder_id=encoder_id,
        encoder=encoder,
        ids=ids,
        labels=labels,
        images=len(kept),
        unscored=find_unscored(con, np.setdiff1d(kept, ids, assume_unique=True), options.where),
        texts=remembered_texts(con, encoder_id, list(dict.fromkeys(texts))),
        vectors=ImageParts(store, con, encoder_id, encoder, ids),
    )


def alike_notes(groups: Sequence[Sequence[int]], classes: Sequence[str]) -> tuple[str, ...]:
    """Say which classes the model does not distinguish, the first few groups one by one."""
    said = []
    for group in groups[:SHOWN]:
        names = _some([repr(classes[number]) for number in group])
        said.append(f"the model cannot tell these {len(group)} classes apart, and the first of them wins: {names}")
    if rest := groups[SHOWN:]:
        said.append(f"nor can it tell apart {sum(map(len, rest)):,} more classes, in {len(rest):,} groups")
    return tuple(said)


def _some(names: Collection[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _run(con: Connection, options: Classification, answers: Answers, started_at: datetime, seconds: float) -> Run:
    run_id, name = next_run(con, options.name, replace=options.replace)
    work = answers.work
    unlabelled = int((work.labels["category"][0] < 0).sum())
    return Run(
        run_id=run_id,
        name=name,
        encoder_id=work.encoder_id,
        prompt_set_id=save_prompt_set(con, work.prompts),
        where=options.where,
        k=min(options.k, len(work.prompts.classes)),
        images=work.images,
        scored=len(work.ids),
        unlabelled=unlabelled,
        outside=int((answers.ranks == 0).sum()) - unlabelled,
        failed=work.unscored.failed,
        started_at=started_at,
        seconds=seconds,
        settings={key: value for key, value in options.settings.items() if key != "categories"}
        | categories_met(work.prompts, work.labels["category"][1]),
        versions=versions(),
        command=options.command,
        data_sha256=answers.data_sha256,
        labels_sha256=answers.labels_sha256,
        seed=options.seed,
    )

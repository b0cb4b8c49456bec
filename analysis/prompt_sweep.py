"""Templates on trial: each alone and each left out, chosen on some images and reported on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.models.protocols import LoadEncoder
from shotdex.query.text_lookup import text_vectors, texts_cut
from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyStore, OptionError, UnknownClass
from shotdex.store.ids import encoded_ids, filtered_ids
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Estimate, Ids, PromptSet, Vectors
from shotdex.store.vectors import remembered_texts

from .classify import alike_notes
from .coverage import Coverage, find_unscored
from .prompts.build import class_of_label, only_templates
from .scorer import ImageParts
from .scoring import ClassTexts
from .stats.paired import Paired, paired
from .stats.proportions import wilson

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Which images choose and which report: two filters, or one and the rest, or a seeded half of each category."""

    choose_where: str | None = None
    report_where: str | None = None
    where: str | None = None
    encoder_name: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of templates, and its accuracy@1 on the images that choose and on those that report.

    `kind` is `all`, `alone` or `without`; `template` the one that is alone or left out, empty for `all`.
    """

    kind: str
    template: str
    chosen_on: Estimate
    reported_on: Estimate


@dataclass(frozen=True, slots=True)
class Sweep:
    """All trials: `all` first, then each template alone, then each left out. `best` is the one of the highest accuracy
    on the choosing images (ties: the first); `against_all` compares it with all templates on the reporting images.
    `notes` say which texts are longer than the model reads, and which classes it cannot tell apart.
    """

    trials: tuple[Trial, ...]
    best: Trial
    against_all: Paired
    how: str
    coverage: Coverage
    notes: tuple[str, ...] = ()


def sweep(store: Store, prompts: PromptSet, options: SweepOptions, load: LoadEncoder) -> Sweep:
    """Score every template of a set alone and left out, without recording a run.

    Raises:
        OptionError: the set has fewer than two templates, or the two parts share images.
        EmptyStore: one of the parts has no image with a category among the classes.
        BadSql, EncoderMismatch, ModelUnavailable.
    """
    count = len(prompts.templates)
    if count < 2:
        has = "one template" if count else "no templates"
        raise OptionError(
            f"the prompt set {prompts.name!r} has {has}; a sweep needs several",
            "pass at least two: --template 'a photo of a {}.' --template '{}'",
        )
    texts = [text for own in prompts.classes.values() for text in own]
    with store.reading() as con:
        parts = _images(store, con, prompts, options)
        known = remembered_texts(con, parts.encoder_id, list(dict.fromkeys(texts)))
    vectors = dict(zip(texts, text_vectors(store, parts.encoder_id, parts.encoder, texts, load, known), strict=True))
    truth, choosing = parts.truth, parts.choosing
    numbers = range(count)
    kept = [list(numbers), *([n] for n in numbers)]
    kinds = [("all", ""), *(("alone", prompts.templates[n]) for n in numbers)]
    if count > 2:  # of two, leaving one out is the other alone
        kept += [[other for other in numbers if other != n] for n in numbers]
        kinds += [("without", prompts.templates[n]) for n in numbers]
    right, notes = _right([only_templates(prompts, some) for some in kept], parts, vectors)
    trials = tuple(
        Trial(kind, template, _share(flags[choosing]), _share(flags[~choosing]))
        for (kind, template), flags in zip(kinds, right, strict=True)
    )
    best = max(range(len(trials)), key=lambda i: trials[i].chosen_on.value)
    against = paired(right[0][~choosing], right[best][~choosing], truth[~choosing], seed=options.seed)
    notes = (*texts_cut(parts.encoder, texts, load), *notes)
    return Sweep(trials, trials[best], against, parts.how, parts.coverage, notes)


def _share(flags: Flags) -> Estimate:
    return wilson(int(flags.sum()), flags.size)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The images of a sweep: ids and their classes' numbers, (N,), which of them choose, and how they were parted."""

    encoder_id: int
    encoder: EncoderId
    vectors: ImageParts
    ids: Ids
    truth: Ids
    choosing: Flags
    how: str
    coverage: Coverage


def _images(store: Store, con: Connection, prompts: PromptSet, options: SweepOptions) -> _Parts:
    place = {category: number for number, category in enumerate(prompts.classes)}
    meant = {label: place[category] for label, category in class_of_label(prompts).items()}
    encoder_id, encoder = choose_encoder(con, options.encoder_name)
    every = encoded_ids(con, encoder_id, options.where)
    within = filtered_ids(con, options.where or "true")
    failed = find_unscored(con, np.setdiff1d(within, every, assume_unique=True), options.where).failed
    labels = dict(con.rows("SELECT image_id, category FROM images WHERE category IS NOT NULL"))
    filters = (options.choose_where, options.report_where)
    parts = [None if where is None else filtered_ids(con, where) for where in filters]
    ids = np.array([i for i in every.tolist() if labels.get(i) in meant], dtype=np.int64)
    if not len(ids):
        raise UnknownClass("no image has a category among the classes", "see what fits: shotdex prompts check SET")
    truth = np.array([meant[labels[i]] for i in ids.tolist()], dtype=np.int64)
    choosing, used, how = _parted(ids, truth, parts, options)
    if not choosing.any() or choosing[used].all():
        raise EmptyStore("one of the two parts has no images", "relax --choose-where or --report-where")
    labelled = sum(i in labels for i in every.tolist())
    covered = Coverage(len(every), failed, len(every) - labelled, labelled - len(ids), int(used.sum()))
    vectors = ImageParts(store, con, encoder_id, encoder, ids[used])
    return _Parts(encoder_id, encoder, vectors, ids[used], truth[used], choosing[used], how, covered)


def _parted(ids: Ids, truth: Ids, parts: Sequence[Ids | None], options: SweepOptions) -> tuple[Flags, Flags, str]:
    choose, report = parts
    if choose is None and report is None:
        how = f"chosen on a random half of each class, reported on the other (seed {options.seed})"
        return halves(truth, options.seed), np.ones(len(ids), bool), how
    inside = [None if part is None else np.isin(ids, part) for part in (choose, report)]
    chosen = ~inside[1] if inside[0] is None and inside[1] is not None else np.asarray(inside[0])
    reported = ~chosen if inside[1] is None else inside[1]
    both = int((chosen & reported).sum())
    if both:
        raise OptionError(
            f"{both:,} images would both choose and report, which overstates the chosen template",
            "make the two filters disjoint, such as split = 'train' and split = 'test'",
        )
    named = [options.choose_where or "the rest", options.report_where or "the rest"]
    return np.asarray(chosen), np.asarray(chosen | reported), f"chosen on {named[0]}, reported on {named[1]}"


def halves(truth: Ids, seed: int) -> Flags:
    """Return a mask of half of each class, the larger half where its number is odd."""
    mixed = np.random.default_rng(seed).permutation(len(truth))
    choosing = np.zeros(len(truth), dtype=bool)
    for number in np.unique(truth):
        own = mixed[truth[mixed] == number]
        choosing[own[: (len(own) + 1) // 2]] = True
    return choosing


def _right(
    sets: Sequence[PromptSet], parts: _Parts, vectors: Mapping[str, Vectors]
) -> tuple[list[Flags], tuple[str, ...]]:
    """Return for each set which images it gets right, and which classes all templates together cannot tell apart."""
    scorers = [
        ClassTexts(
            np.stack([vectors[text] for own in one.classes.values() for text in own]),
            [len(own) for own in one.classes.values()],
            one.combine,
        )
        for one in sets
    ]
    right = [np.zeros(len(parts.ids), dtype=bool) for _ in sets]
    for found, images in parts.vectors:
        part = np.searchsorted(parts.ids, found)
        for flags, scorer in zip(right, scorers, strict=True):
            flags[part] = scorer.scores(images)[0].argmax(axis=1) == parts.truth[part]
    return right, alike_notes(scorers[0].alike(), list(sets[0].classes))

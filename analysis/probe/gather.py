"""From the store to a problem: which images train and which test, their vectors, and which are left out and why."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyStore, EvaluationError, MissingLabels, OptionError
from shotdex.store.ids import encoded_ids, filtered_ids, present_ids
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, Space, Vectors
from shotdex.store.vectors import load_vectors

from .problem import ProbeOptions, Problem, halves, unit_rows

Names = npt.NDArray[np.object_]
"""A text for each image, or None, shape (N,)."""


@dataclass(frozen=True, slots=True)
class ProbeCoverage:
    """What became of the images on both sides: `indexed` have vectors of the encoder, `unlabelled` of these have no
    category and are left out; `train` and `test` remain. `failed` have no vector or, where no filter chose the images,
    could not be indexed: a filter is over images, so it cannot say which failures belong to it. `unseen` test images
    have a category that training does not have: they stay, as errors of all that is trained.
    """

    indexed: int
    failed: int
    unlabelled: int
    train: int
    test: int
    unseen: int

    def __str__(self) -> str:
        return (
            f"images: indexed {self.indexed:,}, failed {self.failed:,}, unlabelled {self.unlabelled:,}; "
            f"trained on {self.train:,}, evaluated {self.test:,}"
        )


@dataclass(frozen=True, slots=True)
class Material:
    """A problem with where it came from. `test_ids` (M,) int64 rise; `copies` (M,) bool: which test images have a
    bit-identical copy among the training images. `split` says how the sides were chosen, `notes` what was left out.
    """

    encoder_id: int
    encoder: EncoderId
    classes: tuple[str, ...]
    problem: Problem
    test_ids: Ids
    copies: npt.NDArray[np.bool_]
    coverage: ProbeCoverage
    split: Split
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """How train and test were separated, in words. `assumed`: nothing said how, so random halves were drawn."""

    words: str
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class _Sides:
    """Ids, rising, of the images with vectors on each side, and how many were meant but have none."""

    train: Ids
    test: Ids
    without: int
    split: Split
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The labelled images of one side: ids (N,) int64 rising, categories and content hashes (N,)."""

    ids: Ids
    categories: Names
    contents: Names


def gather(store: Store, options: ProbeOptions) -> Material:
    """Load the vectors and labels of both sides.

    Of the images that `where` keeps, the sides are what the two filters keep; without these the images of the splits
    `train` and `test`; where no image has a split, seeded halves of each category, copies on the same side. The classes
    are the categories of the training images, in alphabetical order.

    Raises:
        OptionError: the sides overlap, or there are splits but not `train` and `test`.
        EmptyStore, MissingLabels: a side has no image, or none with a category.
        EvaluationError: all training images are of one category.
        BadSql, EncoderMismatch.
    """
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, options.encoder_name)
        sides = _sides(con, encoder_id, options)
        if options.where is not None:
            sides = replace(sides, split=replace(sides.split, words=f"{sides.split.words}; only: {options.where}"))
        train, test = _labelled(con, sides.train), _labelled(con, sides.test)
        failures = int(con.value("SELECT count(*) FROM failures ANTI JOIN images USING (path)"))
        _check(sides, train, test)
        train_vectors = _vectors(con, encoder_id, encoder, options.space, train.ids)
        test_vectors = _vectors(con, encoder_id, encoder, options.space, test.ids)
    classes = tuple(sorted(set(train.categories.tolist())))
    problem = Problem(
        train_vectors, _codes(train.categories, classes), test_vectors, _codes(test.categories, classes), len(classes)
    )
    seen = set(train.contents.tolist())
    copies = np.array([content in seen for content in test.contents.tolist()], dtype=bool)
    indexed = len(sides.train) + len(sides.test)
    unlabelled = indexed - len(train.ids) - len(test.ids)
    unseen = problem.test_codes < 0
    filtered = options.where is not None or options.train_where is not None
    failed = sides.without + (0 if filtered else failures)
    coverage = ProbeCoverage(indexed, failed, unlabelled, len(train.ids), len(test.ids), int(unseen.sum()))
    notes = (*sides.notes, *_unseen_note(test.categories[unseen]), *(_beyond_note(failures) if filtered else ()))
    return Material(encoder_id, encoder, classes, problem, test.ids, copies, coverage, sides.split, notes)


def _sides(con: Connection, encoder_id: int, options: ProbeOptions) -> _Sides:
    kept = present_ids(con) if options.where is None else filtered_ids(con, options.where)
    if options.train_where is not None and options.test_where is not None:
        return _filtered(con, encoder_id, kept, options.train_where, options.test_where)
    with con.holding("kept", pa.table({"image_id": pa.array(kept)})):
        splits = dict(
            con.rows(
                "SELECT split, count(*) FROM images SEMI JOIN kept USING (image_id) WHERE split IS NOT NULL "
                "GROUP BY split ORDER BY split"
            )
        )
    if {"train", "test"} <= set(splits):
        sides = _filtered(con, encoder_id, kept, "split = 'train'", "split = 'test'")
        others = len(kept) - splits["train"] - splits["test"]
        note = (f"{others:,} images are in neither of the splits train and test, and are ignored",) if others else ()
        return replace(sides, notes=note)
    if splits:
        found = ", ".join(f"{name} {n:,}" for name, n in splits.items())
        raise OptionError(
            f"the images have splits, but not both train and test: {found}",
            "choose the images of each side: --train-where \"split = 'a'\" --test-where \"split = 'b'\"",
        )
    return _halved(con, encoder_id, kept, options.seed)


def _filtered(con: Connection, encoder_id: int, kept: Ids, train_where: str, test_where: str) -> _Sides:
    meant_train, meant_test = (
        np.intersect1d(filtered_ids(con, where), kept, assume_unique=True) for where in (train_where, test_where)
    )
    overlap = len(np.intersect1d(meant_train, meant_test, assume_unique=True))
    if overlap:
        raise OptionError(
            f"{overlap:,} images would be both trained on and tested on",
            f"make the two disjoint, for example with: --train-where {shlex.quote(f'NOT ({test_where})')}",
        )
    known, split = encoded_ids(con, encoder_id), Split(f"train: {train_where}; test: {test_where}")
    train, test = (np.intersect1d(ids, known, assume_unique=True) for ids in (meant_train, meant_test))
    return _Sides(train, test, len(meant_train) + len(meant_test) - len(train) - len(test), split)


def _halved(con: Connection, encoder_id: int, kept: Ids, seed: int) -> _Sides:
    ids = np.intersect1d(encoded_ids(con, encoder_id), kept, assume_unique=True)
    labelled = _labelled(con, ids)
    _, codes = np.unique(labelled.categories.astype(str), return_inverse=True)
    train, test = halves(codes.astype(np.int64), labelled.contents.astype(str), seed)
    # An image without a category is on neither side; so that it is counted, it goes with the training images.
    unlabelled = np.setdiff1d(ids, labelled.ids, assume_unique=True)
    without = len(kept) - len(ids)
    split = Split(f"random halves of each category, seed {seed}, copies on the same side", assumed=True)
    return _Sides(np.union1d(labelled.ids[train], unlabelled), labelled.ids[test], without, split)


def _labelled(con: Connection, ids: Ids) -> _Labelled:
    with con.holding("wanted", pa.table({"image_id": pa.array(ids)})):
        found = con.table(
            "SELECT image_id, category, content_sha256 FROM images SEMI JOIN wanted USING (image_id) "
            "WHERE category IS NOT NULL ORDER BY image_id"
        )
    categories, contents = (np.array(found.column(i).to_pylist(), dtype=object) for i in (1, 2))
    return _Labelled(np.asarray(found.column(0).to_numpy(), dtype=np.int64), categories, contents)


def _check(sides: _Sides, train: _Labelled, test: _Labelled) -> None:
    for name, ids, labelled in (("train on", sides.train, train), ("test on", sides.test, test)):
        if not len(ids):
            raise EmptyStore(f"there are no images to {name}", "see what the store contains: shotdex status")
        if not len(labelled.ids):
            raise MissingLabels(
                f"none of the {len(ids):,} images to {name} has a category",
                "label them: shotdex index SOURCE --layout '{category}/*'",
            )
    only = set(train.categories.tolist())
    if len(only) == 1:
        raise EvaluationError(
            f"all training images are of category {only.pop()!r}, so there is nothing to classify",
            "relax --train-where",
        )


def _beyond_note(failures: int) -> tuple[str, ...]:
    count = "1 image" if failures == 1 else f"{failures:,} images"
    who = "it belongs" if failures == 1 else "they belong"
    return (f"{count} could not be indexed, and a filter cannot say whether {who} here",) if failures else ()


def _vectors(con: Connection, encoder_id: int, encoder: EncoderId, space: Space, ids: Ids) -> Vectors:
    _, vectors = load_vectors(con, encoder_id, encoder, space, ids)
    return vectors if space is Space.JOINT else unit_rows(vectors)


def _codes(categories: Names, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    number = {name: code for code, name in enumerate(classes)}
    return np.array([number.get(name, -1) for name in categories.tolist()], dtype=np.int64)


def _unseen_note(categories: Names) -> tuple[str, ...]:
    if not len(categories):
        return ()
    names = sorted(set(categories.tolist()))
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        f"{len(categories):,} test images are of categories without a training image ({listed}); "
        "they count as errors of every trained method",
    )

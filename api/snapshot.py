"""A store as it was at one moment, in memory: labels of all images, outcomes of all runs, what else there is.

Read in one short opening of the catalog and kept by the session; of a later state only what is new is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shotdex.store.arrow import to_arrow, to_codes, to_numpy
from shotdex.store.baselines import Baseline, list_baselines
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import OptionError
from shotdex.store.ids import images_generation
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import list_runs
from shotdex.store.schema import texts_table
from shotdex.store.types import EncoderId, Ids, PromptSet, Run, Vectors

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = ("category", "condition", "split")

MOST_TEXTS = 5_000
"""Text vectors of an encoder that are read, at a few kilobytes each; further texts are encoded again."""

DIGITS = 15
"""Hexadecimal digits of a file's SHA-256 that are kept, as many as a number of 64 bits holds."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StoredImages:
    """All images that are present: `ids` (N,) rising, `rows` an Arrow table of path, width and height.

    `labels` has for category, condition and split the number (N,) of each image's value among the distinct ones, -1
    without one, and these in alphabetical order. `contents` (N,) are the first 60 bits of the SHA-256 of each file, -1
    where it is not known.
    """

    generation: str
    ids: Ids
    rows: pa.Table
    labels: Mapping[str, tuple[Codes, tuple[str, ...]]]
    contents: Codes

    def copies(self, ids: Ids, sha256: str = "") -> Ids:
        """Return which images are those of `ids`, have a file with this SHA-256, or are exact copies of one, rising."""
        wanted = [*self.contents[self.places(ids)].tolist(), int(sha256[:DIGITS], 16) if sha256 else -1]
        same = np.isin(self.contents, [one for one in wanted if one >= 0])
        return self.ids[same | np.isin(self.ids, ids)]

    def places(self, ids: Ids) -> Ids:
        """Return the place of each image that is present, in the same order; others are left out."""
        if not len(self.ids):
            return np.empty(0, np.int64)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.asarray(places[self.ids[places] == ids])

    def records(self, ids: Ids) -> list[dict[str, Any]]:
        """Return id, path, width, height and labels of images, in the same order."""
        places = self.places(ids)
        columns: dict[str, list[Any]] = self.rows.take(to_arrow(places)).to_pydict()
        for name, (codes, names) in self.labels.items():
            columns[name] = [names[code] if code >= 0 else None for code in codes[places].tolist()]
        columns = {"image_id": self.ids[places].tolist()} | columns
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def counts(self, label: str) -> dict[str, int]:
        """Return how many images have each value of a label."""
        codes, names = self.labels[label]
        return dict(zip(names, np.bincount(codes[codes >= 0], minlength=len(names)).tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class RunOutcomes:
    """What a run made of each image that it scored: `ids` (N,) rising, `classes` those it chose among.

    `predicted` and `truth` (N,) are numbers of classes; `truth` is -1 where an image has no label, and -2 where its
    label is not a class. `rank`, from 1, is that of the true class; `prompt` is the number, among `texts`, of that
    prompt of the predicted class that is nearest to the image. `cosine` and `probability` are the predicted class's.
    """

    record: Run
    prompts: PromptSet
    classes: tuple[str, ...]
    ids: Ids
    predicted: Codes
    truth: Codes
    rank: Codes
    prompt: Codes
    texts: tuple[str, ...]
    cosine: Vectors
    true_cosine: Vectors
    probability: npt.NDArray[np.float64]
    true_probability: npt.NDArray[np.float64]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each image was classified correctly, (N,)."""
        return np.asarray(self.truth == self.predicted)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the true class of each image is known, (N,)."""
        return np.asarray(self.truth >= 0)


@dataclass(frozen=True, slots=True)
class StoredMap:
    """A map on record: its number, how it was made, and of how many images."""

    projection_id: int
    encoder_id: int
    space: str
    method: str
    settings: Mapping[str, Any]
    where: str | None
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A store at one moment. `generation` is another one as soon as anything in here is.

    `texts` has vectors (D,) of texts by encoder; `tables` the columns of the tables and views that SQL can read.
    """

    generation: str
    images: StoredImages
    failures: int
    encoders: Mapping[int, EncoderId]
    runs: tuple[RunOutcomes, ...]
    maps: tuple[StoredMap, ...]
    baselines: tuple[Baseline, ...]
    texts: Mapping[int, Mapping[str, Vectors]]
    tables: Mapping[str, tuple[str, ...]]

    def run(self, name: str | None) -> RunOutcomes:
        """Return the run of a name or number, or the newest.

        Raises:
            OptionError: there is no such run.
        """
        if not self.runs:
            raise OptionError("this store has no runs yet", "classify first: shotdex classify")
        if name is None:
            return self.runs[-1]
        named = [one for one in self.runs if one.record.name == name]
        named += [one for one in self.runs if str(one.record.run_id) == name]
        if not named:
            known = ", ".join(one.record.name for one in self.runs)
            raise OptionError(f"there is no run {name!r}", f"the runs are: {known}")
        return named[0]

    def encoder(self, name: str | None) -> tuple[int, EncoderId]:
        """Return an encoder by its name or number; the first where none is named.

        Raises:
            OptionError: there is no such encoder.
        """
        for number, encoder in self.encoders.items():
            if name in (None, encoder.name, str(number)):
                return number, encoder
        known = ", ".join(one.name for one in self.encoders.values()) or "none"
        raise OptionError(f"the store has no encoder {name!r}", f"the encoders are: {known}")


def read_snapshot(con: Connection, before: Snapshot | None) -> Snapshot:
    """Read a store; what is as it was in an earlier snapshot is taken from there."""
    generation, encoders = images_generation(con), list_encoders(con)
    if before is not None and generation and before.images.generation == generation:
        images = before.images
    else:
        images = _images(con, generation)
    known = {} if before is None else {_identity(one.record): one for one in before.runs}
    runs = tuple(
        replace(known[_identity(record)], record=record) if _identity(record) in known else _outcomes(con, record)
        for record in list_runs(con)
    )
    maps = tuple(
        StoredMap(number, encoder, space, method, json.loads(settings), where, count)
        for number, encoder, space, method, settings, where, count in con.rows(
            "SELECT projection_id, encoder_id, space, method, settings, filter, images FROM projections ORDER BY 1"
        )
    )
    baselines, failures = tuple(list_baselines(con)), int(con.value("SELECT count(*) FROM failures"))
    state = [
        [generation or images.ids.tolist(), failures, sorted(encoders)],
        [(_identity(one.record), one.record.name) for one in runs],
        [one.projection_id for one in maps],
        [(one.baseline_id, one.name) for one in baselines],
    ]
    digest = hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()[:16]
    texts = {number: _texts(con, number) for number in encoders}
    return Snapshot(digest, images, failures, encoders, runs, maps, baselines, texts, _tables(con))


def _tables(con: Connection) -> dict[str, tuple[str, ...]]:
    """Return the columns of the tables and views that are meant for users."""
    found: dict[str, tuple[str, ...]] = {}
    for table, column in con.rows(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = current_database() "
        "AND NOT regexp_matches(table_name, '^(stored_|meta$|.*_[0-9]+$)') ORDER BY table_name, column_index"
    ):
        found[table] = (*found.get(table, ()), column)
    return found


def _identity(run: Run) -> tuple[Any, ...]:
    return run.run_id, run.prompt_set_id, run.started_at, run.scored


def _images(con: Connection, generation: str) -> StoredImages:
    found = con.table(
        f"SELECT image_id, path, width, height, {', '.join(LABELS)}, "
        f"CASE WHEN len(content_sha256) = 64 THEN ('0x' || content_sha256[:{DIGITS}])::BIGINT ELSE -1 END AS content "
        "FROM images WHERE image_id IS NOT NULL ORDER BY 1"
    )
    labels = {name: _ordered(*to_codes(found.column(name))) for name in LABELS}
    rows = found.select(["path", "width", "height"]).combine_chunks()
    ids, contents = (to_numpy(found.column(name)) for name in ("image_id", "content"))
    return StoredImages(generation, ids, rows, labels, contents)


def _ordered(codes: Codes, names: tuple[str, ...]) -> tuple[Codes, tuple[str, ...]]:
    """Return the same values, numbered in alphabetical order."""
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names) + 1, np.int64)
    place[order], place[-1] = np.arange(len(names)), -1
    return place[codes], tuple(names[number] for number in order)


def _outcomes(con: Connection, run: Run) -> RunOutcomes:
    prompts = load_prompt_set(con, run.prompt_set_id)
    classes = tuple(prompts.classes)
    found = con.table(
        "SELECT image_id, category, predicted, prompt, coalesce(true_rank, 0)::BIGINT AS rank, cosine, "
        "coalesce(true_cosine, 'nan')::FLOAT AS true_cosine, probability, "
        "coalesce(true_probability, 'nan')::DOUBLE AS true_probability FROM outcomes WHERE run_id = $run ORDER BY 1",
        {"run": run.run_id},
    )
    numbers = {name: to_numpy(found.column(name)) for name in found.column_names if name not in _NAMES}
    place = {name: number for number, name in enumerate(classes)}
    codes, names = to_codes(found.column("predicted"))
    predicted = np.array([place[name] for name in names] or [0], np.int64)[codes]
    codes, names = to_codes(found.column("category"))
    truth = np.array([*(place.get(name, -2) for name in names), -1], np.int64)[codes]
    prompt, texts = to_codes(found.column("prompt"))
    ids, rank = numbers.pop("image_id"), numbers.pop("rank")
    return RunOutcomes(run, prompts, classes, ids, predicted, truth, rank, prompt, texts, **numbers)


_NAMES = ("category", "predicted", "prompt")


def _texts(con: Connection, encoder_id: int) -> dict[str, Vectors]:
    table = texts_table(encoder_id)
    found = con.arrays(f"SELECT text, vector FROM {table} ORDER BY rowid DESC LIMIT {MOST_TEXTS}")
    pairs = zip(found["text"].tolist(), found["vector"].tolist(), strict=True)
    return {text: vector for text, vector in pairs if type(vector) is np.ndarray and np.isfinite(vector).all()}

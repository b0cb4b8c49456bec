"""From vectors to rows of predictions and truths, some images after some."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shotdex.store.arrow import coded, to_arrow
from shotdex.store.connection import Connection
from shotdex.store.engines.base import EngineDamaged, VectorEngine
from shotdex.store.engines.flat import FlatEngine, among
from shotdex.store.engines.registry import open_engines
from shotdex.store.errors import StoreError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, PromptSet, Run, Space, Vectors
from shotdex.store.vectors import check_finite, load_vectors, remembered_texts

from .metrics.metric import Outcomes
from .prompts.build import class_of_label
from .results import Codes
from .scoring import ClassTexts, Floats, Indices, best_classes, probabilities, true_ranks

CELLS = 2**24
"""Cosines that are in memory at a time, 64 MB of them."""

BLOCK_CELLS = 2**18
"""Cosines that one core ranks at a time: they and their exponents stay in its cache."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows for the tables `predictions` and `truths` of images (N,), but for the run's number.

    `ranks` (N,) are those of the true classes, from 1; 0 where the true class is unknown.
    """

    ids: Ids
    predictions: pa.Table
    truths: pa.Table
    ranks: Indices


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Of N images: the K best classes, their best prompts, cosines and probabilities, (N, K); and the true class's
    rank, cosine and probability, (N,), which mean nothing where it is unknown.
    """

    top: Indices
    prompts: Indices
    cosines: Vectors
    chances: Floats
    true_rank: Indices
    true_cosine: Vectors
    true_chance: Floats


class Scorer:
    """Turns vectors into rows of predictions and truths. `labels` are the names of the images' categories."""

    def __init__(
        self, prompts: PromptSet, text_matrix: Vectors, encoder: EncoderId, k: int, labels: Sequence[str]
    ) -> None:
        self._classes = list(prompts.classes)
        self._texts = [text for own in prompts.classes.values() for text in own]
        self.class_texts = ClassTexts(text_matrix, [len(own) for own in prompts.classes.values()], prompts.combine)
        self._encoder = encoder
        self._k = k
        # A label that is an alias stands as its class from here on; one that is not a class stands as it is.
        of_label = class_of_label(prompts)
        meant = [of_label.get(label, label) for label in labels]
        self._meant = list(dict.fromkeys(meant))
        places = {name: i for i, name in enumerate(self._meant)}, {name: i for i, name in enumerate(self._classes)}
        # The last entry is for -1, an image without a label.
        self._meant_codes = np.array([*(places[0][name] for name in meant), -1], dtype=np.int64)
        self._class_codes = np.array([*(places[1].get(name, -1) for name in meant), -1], dtype=np.int64)

    def score(self, ids: Ids, vectors: Vectors, labels: Indices | Codes) -> Part:
        """Return the rows for images (N,) with vectors (N, D) and the numbers of their labels (N,), -1 without one."""
        truth = self._class_codes[labels]
        rows = max(1, CELLS // len(self._texts))
        blocks = [
            block
            for start in range(0, len(ids), rows)
            for block in self._ranked(vectors[start : start + rows], truth[start : start + rows])
        ]
        found = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in _Ranked.__slots__}
        unknown = truth < 0
        predictions = {
            "image_id": to_arrow(np.repeat(ids, self._k)),
            "rank": to_arrow(np.tile(np.arange(1, self._k + 1, dtype=np.int32), len(ids))),
            "category": coded(found["top"].ravel(), self._classes),
            "prompt": coded(found["prompts"].ravel(), self._texts),
            "cosine": to_arrow(found["cosines"].ravel()),
            "probability": to_arrow(found["chances"].ravel()),
        }
        truths = {
            "image_id": to_arrow(ids),
            "category": coded(self._meant_codes[labels], self._meant),
            "true_rank": to_arrow(found["true_rank"].astype(np.int32), unknown),
            "true_cosine": to_arrow(found["true_cosine"], unknown),
            "true_probability": to_arrow(found["true_chance"], unknown),
        }
        return Part(ids, pa.table(predictions), pa.table(truths), found["true_rank"])

    def _ranked(self, vectors: Vectors, truth: Indices) -> Iterator[_Ranked]:
        """Yield what is found of images (N, D), some after some; numpy lets the cores work at once."""
        classes, prompts = self.class_texts.scores(vectors)
        step = max(1, min(BLOCK_CELLS // classes.shape[1], -(-len(vectors) // (os.cpu_count() or 1))))
        parts = [slice(start, start + step) for start in range(0, len(vectors), step)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda part: self._rank(classes[part], prompts[part], truth[part]), parts)

    def _rank(self, cosines: Vectors, prompts: Vectors, truth: Indices) -> _Ranked:
        top = best_classes(cosines, self._k)
        chosen = np.column_stack([top, np.maximum(truth, 0)])
        own, chances = np.take_along_axis(cosines, chosen, axis=1), probabilities(cosines, chosen, self._encoder)
        return _Ranked(
            top,
            self.class_texts.best_prompts(prompts, top),
            own[:, :-1],
            chances[:, :-1],
            true_ranks(cosines, truth),
            own[:, -1],
            chances[:, -1],
        )


TABLES = ("predictions", "truths")

SPOOL_BYTES = 1 << 24
"""Bytes of each table's rows that wait in memory; more go to a temporary file, about 160 bytes an image."""


class Spool:
    """Rows of predictions and truths of so many `images` that wait to be recorded, part by part."""

    def __init__(self) -> None:
        self.images = 0
        self._files = {name: tempfile.SpooledTemporaryFile(SPOOL_BYTES) for name in TABLES}  # noqa: SIM115, as it stays
        self._writers: dict[str, pa.ipc.RecordBatchStreamWriter] = {}
        for file in self._files.values():
            weakref.finalize(self, file.close)

    def add(self, part: Part) -> None:
        """Take in a part.

        Raises:
            StoreError: there is no room for it.
        """
        self.images += len(part.ids)
        try:
            for name in TABLES:
                rows: pa.Table = getattr(part, name)
                if name not in self._writers:
                    self._writers[name] = pa.ipc.new_stream(self._files[name], rows.schema)
                self._writers[name].write_table(rows)
        except OSError as error:
            raise StoreError(
                f"not enough room for temporary files in {tempfile.gettempdir()}: {error}",
                "make room there, or choose another folder with the environment variable TMPDIR",
            ) from error

    def parts(self, name: str) -> Iterator[pa.Table]:
        """Yield the rows of a table, part by part; nothing is added any more."""
        if name in self._writers:
            self._writers[name].close()
            self._files[name].seek(0)
            for batch in pa.ipc.open_stream(self._files[name]):
                yield pa.Table.from_batches([batch])

    def both(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield the rows of predictions and truths of the same images, part by part."""
        return zip(*map(self.parts, TABLES), strict=True)

    def table(self, name: str) -> pa.Table:
        """Return all rows of a table."""
        return pa.concat_tables(self.parts(name))


HELD_BYTES = 1 << 27
"""Vectors that are read at once and held in memory: about 65,000 of 512 numbers, in a fifth of a second."""

CHUNK = 16_384
"""Images that are scored, and beyond those that are held also read, at a time."""


class ImageParts:
    """The joint vectors of images (N,), rising, some at a time, and most of them without opening the catalog again.

    Some are read at once. Of the others those that the FAISS file has come from there. What is left, as where there is
    no such file, comes from the catalog, which is open only while some are read, so that an indexer need not wait.
    """

    def __init__(self, store: Store, con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids) -> None:
        """Read what is held, while the catalog is open."""
        self._store, self._encoder_id, self._encoder = store, encoder_id, encoder
        self._at_once = max(1, HELD_BYTES // (4 * encoder.dim))
        self._rest = ids[self._at_once :]
        self._flat: VectorEngine | None = None
        if len(self._rest):
            self._flat = open_engines(store, con, encoder_id, encoder, ("flat",))["flat"]
        self._held = load_vectors(con, encoder_id, encoder, Space.JOINT, ids[: self._at_once])

    def __iter__(self) -> Iterator[tuple[Ids, Vectors]]:
        """Yield ids and vectors (n, D). What has no vector any more is left out."""
        yield from _chunks(*self._held)
        rest = self._rest
        if isinstance(self._flat, FlatEngine):
            places = np.flatnonzero(among(self._flat.covers, rest))
            read = 0
            with suppress(EngineDamaged):  # it was changed since it was opened
                for start in range(0, len(places), CHUNK):
                    part = places[start : start + CHUNK]
                    covered, vectors = self._flat.covers[part], self._flat.read(part)
                    check_finite(covered, vectors)
                    yield covered, vectors
                    read += len(part)
            rest = rest[~among(rest, self._flat.covers[places[:read]])]
        for start in range(0, len(rest), self._at_once):
            with self._store.reading() as con:
                some = rest[start : start + self._at_once]
                found = load_vectors(con, self._encoder_id, self._encoder, Space.JOINT, some)
            yield from _chunks(*found)

    def close(self) -> None:
        """Let go of what is in memory; nothing is read any more."""
        self._flat, self._rest, self._held = None, self._rest[:0], (self._held[0][:0].copy(), self._held[1][:0].copy())


def _chunks(ids: Ids, vectors: Vectors) -> Iterator[tuple[Ids, Vectors]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK], vectors[start : start + CHUNK]


TOLERANCE = 1e-3
"""How far a probability that is computed again may be from the one on record."""


def run_cosines(con: Connection, run: Run, encoder: EncoderId, found: Outcomes) -> Vectors | str:
    """Return the cosines (N, C) of a run's images with its classes, or why they are not those of the run any more."""
    prompts = load_prompt_set(con, run.prompt_set_id)
    texts = [text for own in prompts.classes.values() for text in own]
    known = remembered_texts(con, run.encoder_id, list(dict.fromkeys(texts)))
    ids, vectors = load_vectors(con, run.encoder_id, encoder, Space.JOINT, found.image_ids)
    again = "so only the risk is known: classify again for the rest"
    if any(text not in known for text in texts):
        return f"the store no longer has the vectors of the run's prompts, {again}"
    if len(ids) != len(found):
        return f"{len(found) - len(ids):,} images of the run were removed from the store since, {again}"
    matrix = np.stack([known[text] for text in texts])
    classes = ClassTexts(matrix, [len(own) for own in prompts.classes.values()], prompts.combine)
    step = max(1, BLOCK_CELLS * 16 // len(texts))
    cosines = np.concatenate(
        [classes.scores(vectors[start : start + step])[0] for start in range(0, len(vectors), step)]
    )
    recorded = probabilities(cosines, found.truth[:, None].astype(np.int64), encoder)[:, 0]
    if not np.allclose(recorded, found.true_probability, rtol=0, atol=TOLERANCE):
        return f"images or prompts were encoded again since the run, {again}"
    return cosines

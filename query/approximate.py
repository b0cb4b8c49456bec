"""Building an inverted file for an encoder's vectors, and measuring on these very vectors what searching it misses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.arrow import texts as text_column
from shotdex.store.arrow import to_arrow, vectors_from_arrow
from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import FlatEngine, Rows
from shotdex.store.engines.inverted_file import (
    CHUNK,
    LEAST,
    MEASURED_K,
    ROUNDS,
    SAMPLE,
    Changed,
    Figures,
    InvertedFile,
    Recall,
    train_inverted_file,
)
from shotdex.store.engines.ivf import IvfEngine, drop_inverted_file, inverted_file_path, write_inverted_file
from shotdex.store.engines.vector_index import VectorIndex, open_index
from shotdex.store.engines.writing import write_index
from shotdex.store.errors import EmptyStore, OptionError
from shotdex.store.progress import Progress
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.schema import texts_table
from shotdex.store.store import Store
from shotdex.store.types import Combine, Ids, PromptSet, Vectors
from shotdex.store.vectors import check_finite, remembered_texts

_LATEST = "SELECT max(run_id) FROM runs WHERE encoder_id = $encoder GROUP BY prompt_set_id ORDER BY 1"
_FOUND = """
    SELECT count(*), count(s.centroid) FROM predictions p JOIN centroid_of c USING (image_id)
    LEFT JOIN searched s
    ON s.category = p.category AND s.centroid = c.centroid AND (s.prompt = '' OR s.prompt = p.prompt)
    WHERE p.run_id = $run AND p.rank = 1
"""


def changed_predictions(store: Store, encoder_id: int, inverted: InvertedFile, rows: Rows) -> tuple[Changed, ...]:
    """Count, for the latest run of each prompt set, the rank-1 predictions that would change.

    A class finds the images in the lists of the centroids nearest to its vector, all of them. The class that wins
    exhaustively wins among those that find the image if it finds it itself; so an image changes where it does not. Runs
    whose texts the store no longer remembers are left out.
    """
    of_rows = inverted.centroid_of_rows()
    place = pa.table({"image_id": to_arrow(rows.ids[: len(of_rows)]), "centroid": to_arrow(of_rows)})
    counted = []
    with store.reading() as con, con.holding("centroid_of", place):
        for (run,) in con.rows(_LATEST, {"encoder": encoder_id}):
            name, number = con.rows("SELECT name, prompt_set_id FROM runs WHERE run_id = $run", {"run": run})[0]
            searched = _searched(con, encoder_id, inverted, load_prompt_set(con, number))
            if searched is None:
                continue
            with con.holding("searched", searched):
                images, found = con.rows(_FOUND, {"run": run})[0]
            counted.append(Changed(name, images, images - found))
    return tuple(counted)


def _searched(con: Connection, encoder_id: int, inverted: InvertedFile, prompts: PromptSet) -> pa.Table | None:
    """Return the centroids whose lists each class searches; with the best prompt of each class, each prompt does."""
    needed = list(dict.fromkeys(text for texts in prompts.classes.values() for text in texts))
    vectors = remembered_texts(con, encoder_id, needed)
    if len(vectors) < len(needed) or not all(np.isfinite(vector).all() for vector in vectors.values()):
        return None
    queries, nprobe = list(_class_vectors(prompts, vectors)), inverted.nprobe
    found = [inverted.nearest(vector)[:nprobe].astype(np.int64) for _, _, vector in queries]
    return pa.table(
        {
            "category": text_column([category for category, _, _ in queries for _ in range(nprobe)]),
            "prompt": text_column([prompt for _, prompt, _ in queries for _ in range(nprobe)]),
            "centroid": to_arrow(np.concatenate(found)),
        }
    )


def _class_vectors(prompts: PromptSet, vectors: dict[str, Vectors]) -> Iterator[tuple[str, str, Vectors]]:
    """Yield class, prompt (empty if all make one vector) and vector (D,)."""
    for category, texts in prompts.classes.items():
        if prompts.combine is Combine.MAX:
            yield from ((category, text, vectors[text]) for text in dict.fromkeys(texts))
        else:
            units = [vectors[text] / np.linalg.norm(vectors[text]) for text in texts]
            yield category, "", np.mean(units, axis=0)


QUERIES = 200
"""Vectors of images, and as many of texts, for which the true nearest are found and searched."""

CEILING = 0.2
"""The share of the images up to which it pays: beyond, little is gained over comparing all of them."""

TIMED = 15
"""Searches whose time is taken, each exactly and through the inverted file in turn."""


@dataclass(frozen=True, slots=True)
class Truths:
    """Queries (Q, D), and for each the rows of its true nearest (Q, 10), fewer only if there are fewer."""

    queries: Vectors
    rows: Ids


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What an inverted file is built from: the flat engine's rows, which of them are present, and the texts (T, D)."""

    encoder_id: int
    index: VectorIndex
    flat: FlatEngine
    present: npt.NDArray[np.bool_]
    texts: Vectors


def build(store: Store, encoder_name: str | None, recall: float, progress: Progress, seed: int = 0) -> Figures:
    """Build the inverted file of an encoder's vectors, so that `recall` of the true ten nearest are found, and keep it.

    `nprobe` is the least with which both image vectors that had no part in the training and the texts that the store
    remembers reach that recall. Besides the result, memory holds the sample that the centroids are trained on.

    Raises:
        OptionError: there are too few images to gain anything, or the recall would take comparing most of them.
        StoreCorrupt: the vector of an image holds NaN or infinity.
        EmptyStore, EncoderMismatch, StoreLocked, StoreError.
    """
    started = time.monotonic()
    gathered = _gather(store, encoder_name)
    rows, present = gathered.flat.rows, gathered.present
    count = len(rows.ids)
    if count < LEAST:
        raise OptionError(
            f"there are {count:,} images, and exact search through fewer than {LEAST:,} takes a few milliseconds",
            "search as before: it is exact",
        )
    rng = np.random.default_rng(seed)
    centroids = round(2 * count**0.5)
    held_out = np.sort(rng.choice(np.flatnonzero(present), min(QUERIES, int(present.sum())), replace=False))
    others = np.setdiff1d(np.arange(count), held_out, assume_unique=True)
    sample = np.sort(rng.choice(others, min(len(others), SAMPLE * centroids), replace=False))
    progress.start(ROUNDS * len(sample) + 2 * count)
    inverted = train_inverted_file(rows.vectors, sample, centroids, seed, progress.advance)
    images, texts = truths(rows, present, gathered.texts, held_out, progress.advance)
    inverted = replace(inverted, nprobe=_choose(inverted, [images, texts], recall))
    figures = _figures(store, gathered, inverted, (images, texts), recall)
    figures = replace(figures, built_seconds=time.monotonic() - started)
    write_inverted_file(store, gathered.encoder_id, rows.ids, inverted, figures)
    return figures


def _figures(
    store: Store, gathered: _Gathered, inverted: InvertedFile, queries: tuple[Truths, Truths], recall: float
) -> Figures:
    images, texts = queries
    engine = IvfEngine(gathered.flat, inverted_file_path(store, gathered.encoder_id), inverted)
    exact_seconds, seconds = _times(gathered.index.with_engine(engine), np.concatenate([images.queries, texts.queries]))
    return Figures(
        rows=len(inverted.rows),
        cells=len(inverted.centroids),
        probes=inverted.nprobe,
        asked=recall,
        images=measured(inverted, images),
        texts=measured(inverted, texts) if len(texts.queries) else None,
        exact_seconds=exact_seconds,
        seconds=seconds,
        built_seconds=0.0,
        runs=changed_predictions(store, gathered.encoder_id, inverted, gathered.flat.rows),
    )


def drop(store: Store, encoder_name: str | None) -> bool:
    """Delete the inverted file of an encoder, and tell whether there was one."""
    with store.reading() as con:
        number, _ = choose_encoder(con, encoder_name)
    return drop_inverted_file(store, number)


def _gather(store: Store, encoder_name: str | None) -> _Gathered:
    with store.reading() as con:
        number, encoder = choose_encoder(con, encoder_name)
        texts = con.table(f"SELECT vector FROM {texts_table(number)} ORDER BY hash(text) LIMIT {QUERIES}")
    with store.indexing():
        write_index(store, number, encoder)
    with store.reading() as con:
        index = open_index(store, con, number, encoder)
    flat = index.engine(exact=True)
    if not isinstance(flat, FlatEngine):
        raise EmptyStore(f"the store at {store.root} has no images", "index images: shotdex index FOLDER")
    check_finite(flat.rows.ids, flat.rows.vectors)
    present = np.zeros(len(flat.covers), dtype=np.bool_)
    present[flat.rows.positions(Filter(without=index.removed))] = True
    of_texts = vectors_from_arrow(texts.column("vector"), encoder.dim)
    return _Gathered(number, index, flat, present, of_texts[np.isfinite(of_texts).all(axis=1)])


def truths(
    rows: Rows, present: npt.NDArray[np.bool_], texts: Vectors, held_out: Ids, advance: Callable[[int], None]
) -> tuple[Truths, Truths]:
    """Find the true nearest of the vectors of held-out rows and of texts in one pass; no image is its own neighbour."""
    images = np.array(rows.vectors[held_out])
    queries = np.concatenate([images, texts])
    best = np.full((len(queries), 0), 0, dtype=np.int64)
    scores = np.empty((len(queries), 0), dtype=np.float32)
    for start in range(0, len(rows.ids), CHUNK):
        part = np.array(rows.vectors[start : start + CHUNK])
        products = queries @ part.T
        products[:, ~present[start : start + len(part)]] = -np.inf
        own = np.flatnonzero((held_out >= start) & (held_out < start + len(part)))
        products[own, held_out[own] - start] = -np.inf
        positions = np.broadcast_to(np.arange(start, start + len(part)), products.shape)
        scores, best = np.concatenate([scores, products], axis=1), np.concatenate([best, positions], axis=1)
        kept = np.argpartition(-scores, min(MEASURED_K, scores.shape[1] - 1), axis=1)[:, :MEASURED_K]
        scores, best = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(best, kept, axis=1)
        advance(len(part))
    return Truths(images, best[: len(images)]), Truths(texts, best[len(images) :])


def ranks(inverted: InvertedFile, found: Truths) -> npt.NDArray[np.int64]:
    """Return for each true neighbour (Q, 10) how many lists are searched before its own."""
    of_rows = inverted.centroid_of_rows()
    place = np.empty((len(found.queries), len(inverted.centroids)), dtype=np.int64)
    for query, row in zip(found.queries, place, strict=True):
        row[inverted.nearest(query)] = np.arange(len(row))
    return np.take_along_axis(place, of_rows[found.rows], axis=1)


def measured(inverted: InvertedFile, found: Truths) -> Recall:
    """Return the recall at `nprobe`: a neighbour is found if its list is searched.

    What is found is compared exactly, so a true neighbour in a list that is searched is always among the hits.
    """
    sizes = np.diff(inverted.starts)
    looked_at = [sizes[inverted.nearest(query)[: inverted.nprobe]].sum() for query in found.queries]
    value = float((ranks(inverted, found) < inverted.nprobe).mean())
    return Recall(value, len(found.queries), float(np.mean(looked_at) / len(inverted.rows)))


def _choose(inverted: InvertedFile, kinds: list[Truths], recall: float) -> int:
    """Return the least `nprobe` with which every kind of query reaches the recall."""
    measurable = [found for found in kinds if len(found.queries)]
    chosen = 1
    for found in measurable:
        rank = np.sort(ranks(inverted, found), axis=None)
        needed = int(np.ceil(recall * len(rank) - 1e-9))
        chosen = max(chosen, int(rank[needed - 1]) + 1)
    tried = [measured(replace(inverted, nprobe=chosen), found) for found in measurable]
    if max(one.looked_at for one in tried) <= CEILING:
        return chosen
    most = max(1, round(CEILING * len(inverted.centroids)))
    best = min(measured(replace(inverted, nprobe=most), found).value for found in measurable)
    raise OptionError(
        f"for a recall of {recall:g}, {max(one.looked_at for one in tried):.0%} of the images must be compared",
        f"choose a lower recall: a fifth of the images gives {best:.3f}; or search as before, which is exact",
    )


def _times(index: VectorIndex, queries: Vectors) -> tuple[float, float]:
    """Return the median seconds of an exact search and of one through the inverted file."""
    picked = queries[np.linspace(0, len(queries) - 1, TIMED, dtype=np.int64)]
    taken: dict[bool, list[float]] = {True: [], False: []}
    for query in picked:
        for exact, seconds in taken.items():
            started = time.perf_counter()
            index.search(query, MEASURED_K, exact=exact)
            seconds.append(time.perf_counter() - started)
    return median(taken[True]), median(taken[False])

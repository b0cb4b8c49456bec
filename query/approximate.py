"""Building cells for an encoder's vectors, and measuring on these very vectors what searching through them costs."""

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
from shotdex.store.engines.flat_search import Rows
from shotdex.store.engines.ivf import CHUNK, MEASURED_K, ROUNDS, SAMPLE, Cells, Changed, Figures, Recall, make_cells
from shotdex.store.engines.ivf_file import cells_file, write_cells
from shotdex.store.engines.vector_index import VectorIndex, open_index, write_index
from shotdex.store.errors import OptionError
from shotdex.store.progress import Progress
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.schema import texts_table
from shotdex.store.store import Store
from shotdex.store.text_vectors import remembered_texts
from shotdex.store.types import Combine, Ids, PromptSet, Vectors

_LATEST = "SELECT max(run_id) FROM runs WHERE encoder_id = $encoder GROUP BY prompt_set_id ORDER BY 1"
_FOUND = """
    SELECT count(*), count(s.cell) FROM predictions p JOIN cell_of c USING (image_id)
    LEFT JOIN looked_into s ON s.category = p.category AND s.cell = c.cell AND (s.prompt = '' OR s.prompt = p.prompt)
    WHERE p.run_id = $run AND p.rank = 1
"""


def changed_predictions(store: Store, encoder_id: int, cells: Cells, rows: Rows) -> tuple[Changed, ...]:
    """Count, for the latest run of each prompt set, the rank-1 predictions that would be others.

    A class finds the images in the cells nearest to its vector, all of them. The class that wins exhaustively wins
    among those that find the image if it finds it itself; so an image changes where it does not. Runs whose texts the
    store no longer remembers are left out.
    """
    of_rows = cells.of_rows()
    place = pa.table({"image_id": to_arrow(rows.ids[: len(of_rows)]), "cell": to_arrow(of_rows)})
    counted = []
    with store.reading() as con, con.holding("cell_of", place):
        for (run,) in con.rows(_LATEST, {"encoder": encoder_id}):
            name, number = con.rows("SELECT name, prompt_set_id FROM runs WHERE run_id = $run", {"run": run})[0]
            looked_into = _looked_into(con, encoder_id, cells, load_prompt_set(con, number))
            if looked_into is None:
                continue
            with con.holding("looked_into", looked_into):
                images, found = con.rows(_FOUND, {"run": run})[0]
            counted.append(Changed(name, images, images - found))
    return tuple(counted)


def _looked_into(con: Connection, encoder_id: int, cells: Cells, prompts: PromptSet) -> pa.Table | None:
    """Return the cells that each class looks into; with the best prompt of each class, those of each prompt."""
    wanted = list(dict.fromkeys(text for texts in prompts.classes.values() for text in texts))
    vectors = remembered_texts(con, encoder_id, wanted)
    if len(vectors) < len(wanted):
        return None
    asked = list(_asked(prompts, vectors))
    found = [cells.nearest(vector)[: cells.probes].astype(np.int64) for _, _, vector in asked]
    return pa.table(
        {
            "category": text_column([category for category, _, _ in asked for _ in range(cells.probes)]),
            "prompt": text_column([prompt for _, prompt, _ in asked for _ in range(cells.probes)]),
            "cell": to_arrow(np.concatenate(found)),
        }
    )


def _asked(prompts: PromptSet, vectors: dict[str, Vectors]) -> Iterator[tuple[str, str, Vectors]]:
    """Yield class, prompt (empty where they make one vector) and vector (D,)."""
    for category, texts in prompts.classes.items():
        if prompts.combine is Combine.MAX:
            yield from ((category, text, vectors[text]) for text in dict.fromkeys(texts))
        else:
            units = [vectors[text] / np.linalg.norm(vectors[text]) for text in texts]
            yield category, "", np.mean(units, axis=0)


LEAST = 10_000
"""Images below which exact search takes a few milliseconds."""

QUESTIONS = 200
"""Vectors of images, and as many of texts, for which the true nearest are found and searched."""

CEILING = 0.2
"""The share of the images up to which it is worth looking: beyond, little is gained over looking at all of them."""

TIMED = 15
"""Searches whose time is taken, each exactly and through the cells in turn."""


@dataclass(frozen=True, slots=True)
class Truths:
    """Questions (Q, D), and for each the rows of its true nearest (Q, 10), fewer only where there are fewer."""

    questions: Vectors
    rows: Ids


def build(store: Store, encoder_name: str | None, recall: float, progress: Progress, seed: int = 0) -> Figures:
    """Build the cells of an encoder's vectors, so that `recall` of the true ten nearest are found, and keep them.

    The fewest cells are looked into with which both image vectors that had no part in the training and the texts that
    the store remembers reach that recall. Beside the result, memory holds the sample that the centres are trained on.

    Raises:
        OptionError: there are too few images to gain anything, or the recall would take looking at most of them.
        EmptyStore, EncoderMismatch, StoreLocked, StoreError.
    """
    started = time.monotonic()
    number, index, texts = _gather(store, encoder_name)
    rows, count = index.filed, len(index.filed.ids)
    if count < LEAST:
        raise OptionError(
            f"there are {count:,} images, and exact search through fewer than {LEAST:,} takes a few milliseconds",
            "search as before: it is exact",
        )
    rng = np.random.default_rng(seed)
    wanted = round(2 * count**0.5)
    held_out = np.sort(rng.choice(rows.wanted(None), min(QUESTIONS, int(rows.present.sum())), replace=False))
    others = np.setdiff1d(np.arange(count), held_out, assume_unique=True)
    sample = np.sort(rng.choice(others, min(len(others), SAMPLE * wanted), replace=False))
    progress.start(ROUNDS * len(sample) + 2 * count)
    cells = make_cells(rows.vectors, sample, wanted, seed, progress.advance)
    images, asked = truths(rows, np.array(rows.vectors[held_out]), texts, held_out, progress.advance)
    chosen = _choose(cells, [images, asked], recall)
    cells = replace(cells, probes=chosen)
    exact_seconds, seconds = _times(replace(index, cells=cells), np.concatenate([images.questions, asked.questions]))
    figures = Figures(
        rows=count,
        cells=len(cells.centres),
        probes=chosen,
        asked=recall,
        images=measured(cells, images),
        texts=measured(cells, asked) if len(asked.questions) else None,
        exact_seconds=exact_seconds,
        seconds=seconds,
        built_seconds=time.monotonic() - started,
        runs=changed_predictions(store, number, cells, rows),
    )
    write_cells(store, number, rows.ids, cells, figures)
    return figures


def drop(store: Store, encoder_name: str | None) -> bool:
    """Take away the cells of an encoder, and tell whether there were any."""
    with store.reading() as con:
        number, _ = choose_encoder(con, encoder_name)
    path = cells_file(store, number)
    there = path.is_file() and not store.index_folder.is_symlink()
    if there:
        path.unlink()
    return there


def _gather(store: Store, encoder_name: str | None) -> tuple[int, VectorIndex, Vectors]:
    with store.reading() as con:
        number, encoder = choose_encoder(con, encoder_name)
        texts = con.table(f"SELECT vector FROM {texts_table(number)} ORDER BY hash(text) LIMIT {QUESTIONS}")
    with store.indexing():
        write_index(store, number, encoder)
    with store.reading() as con:
        index = open_index(store, con, number, encoder)
    return number, index, np.array(vectors_from_arrow(texts.column("vector"), encoder.dim))


def truths(
    rows: Rows, images: Vectors, texts: Vectors, held_out: Ids, advance: Callable[[int], None]
) -> tuple[Truths, Truths]:
    """Find the true nearest of image and text vectors, all in one pass; no image is its own neighbour."""
    questions = np.concatenate([images, texts])
    best = np.full((len(questions), 0), 0, dtype=np.int64)
    scores = np.empty((len(questions), 0), dtype=np.float32)
    for start in range(0, len(rows.ids), CHUNK):
        part = np.array(rows.vectors[start : start + CHUNK])
        products = questions @ part.T
        products[:, ~rows.present[start : start + len(part)]] = -np.inf
        own = np.flatnonzero((held_out >= start) & (held_out < start + len(part)))
        products[own, held_out[own] - start] = -np.inf
        positions = np.broadcast_to(np.arange(start, start + len(part)), products.shape)
        scores, best = np.concatenate([scores, products], axis=1), np.concatenate([best, positions], axis=1)
        kept = np.argpartition(-scores, min(MEASURED_K, scores.shape[1] - 1), axis=1)[:, :MEASURED_K]
        scores, best = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(best, kept, axis=1)
        advance(len(part))
    return Truths(images, best[: len(images)]), Truths(texts, best[len(images) :])


def ranks(cells: Cells, found: Truths) -> npt.NDArray[np.int64]:
    """Return for each true neighbour (Q, 10) how many cells are looked into before its own."""
    of_rows = cells.of_rows()
    place = np.empty((len(found.questions), len(cells.centres)), dtype=np.int64)
    for query, row in zip(found.questions, place, strict=True):
        row[cells.nearest(query)] = np.arange(len(row))
    return np.take_along_axis(place, of_rows[found.rows], axis=1)


def measured(cells: Cells, found: Truths) -> Recall:
    """Return the recall at the number of cells that are looked into: a neighbour is found where its cell is.

    What is found is scored exactly, so a true neighbour in a cell that is looked into is always among the answers.
    """
    sizes = np.diff(cells.starts)
    looked_at = [sizes[cells.nearest(query)[: cells.probes]].sum() for query in found.questions]
    value = float((ranks(cells, found) < cells.probes).mean())
    return Recall(value, len(found.questions), float(np.mean(looked_at) / len(cells.rows)))


def _choose(cells: Cells, questions: list[Truths], recall: float) -> int:
    """Return the fewest cells with which every kind of question reaches the recall."""
    asked = [found for found in questions if len(found.questions)]
    chosen = 1
    for found in asked:
        rank = np.sort(ranks(cells, found), axis=None)
        needed = int(np.ceil(recall * len(rank) - 1e-9))
        chosen = max(chosen, int(rank[needed - 1]) + 1)
    tried = [measured(replace(cells, probes=chosen), found) for found in asked]
    if max(one.looked_at for one in tried) <= CEILING:
        return chosen
    most = max(1, round(CEILING * len(cells.centres)))
    best = min(measured(replace(cells, probes=most), found).value for found in asked)
    raise OptionError(
        f"for a recall of {recall:g}, {max(one.looked_at for one in tried):.0%} of the images must be looked at",
        f"ask for less: a fifth of the images gives {best:.3f}; or search as before, which is exact",
    )


def _times(index: VectorIndex, questions: Vectors) -> tuple[float, float]:
    """Return the median seconds of an exact search and of one through the cells."""
    picked = questions[np.linspace(0, len(questions) - 1, TIMED, dtype=np.int64)]
    taken: dict[bool, list[float]] = {True: [], False: []}
    for query in picked:
        for exact, seconds in taken.items():
            started = time.perf_counter()
            index.search(query, MEASURED_K, exact=exact)
            seconds.append(time.perf_counter() - started)
    return median(taken[True]), median(taken[False])

"""Engines over rows in memory, and the files of engines, as tests look at them and damage them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from shotdex.store.engines.base import EngineSite
from shotdex.store.engines.flat import FlatEngine, Rows, no_rows
from shotdex.store.engines.inverted_file import InvertedFile
from shotdex.store.engines.ivf import IvfEngine
from shotdex.store.engines.registry import faiss_file
from shotdex.store.engines.vector_index import Part, VectorIndex
from shotdex.store.store import Store


def file_of(store: Store, number: int = 1) -> Path:
    """Return where the FAISS file that the catalog records is or was; a path without a file if it records none."""
    with store.reading() as con:
        path = faiss_file(store, con, number)
    return store.index_folder / "none.faiss" if path is None else path


def flat_over(rows: Rows) -> FlatEngine:
    """Return a flat engine over rows in memory."""
    engine = FlatEngine(EngineSite(Path(), "", 1, rows.vectors.shape[1], {}))
    engine.rows = rows
    return engine


def index_over(
    filed: Rows,
    rest: Rows | None = None,
    inverted: InvertedFile | None = None,
    removed: np.ndarray | None = None,
    again: Callable[[], Rows] | None = None,
) -> VectorIndex:
    """Return an index over rows in memory, the first of which an engine covers."""
    flat, rest = flat_over(filed), no_rows(filed.vectors.shape[1]) if rest is None else rest
    gone = np.empty(0, np.int64) if removed is None else removed
    engine = flat if inverted is None else IvfEngine(flat, Path(), inverted)
    return VectorIndex(Part(engine, rest, gone), Part(flat, rest, gone), again or (lambda: rest))

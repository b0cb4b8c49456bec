"""What a store holds, to be compared; and what must hold of any store at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shotdex.indexer.layout import parse_layout
from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import open_source
from shotdex.query.search import search
from shotdex.store.queries import Query
from shotdex.store.schema import vectors_table
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Space
from shotdex.store.vectors import load_vectors
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.orders import disorder

from .corpus import Corpus

Contents = dict[str, Any]

BATCH = 4


def index_corpus(store: Store, corpus: Corpus, encoder: FakeEncoder, commit_rows: int) -> list[IndexReport]:
    """Index every source of a corpus, one after the other."""
    return [
        index_source(
            store,
            open_source(place.path),
            encoder,
            IndexOptions(parse_layout(place.layout) if place.layout else None, BATCH, commit_rows, commit_seconds=1e9),
        )
        for place in corpus.places()
    ]


def everything(store: Store) -> Contents:
    """Return all that a store holds but the times at which it was written: ids, rows, vectors bit for bit, answers."""
    return {**rows_of(store), "answers": answers(store)}


def rows_of(store: Store) -> Contents:
    """Return everything but the answers, which follow from it."""
    with store.reading() as con:
        found: Contents = {
            "images": con.rows(
                "SELECT * EXCLUDE (added_at, removed_at), removed_at IS NULL FROM stored_images ORDER BY image_id"
            ),
            "failures": con.rows("SELECT * EXCLUDE (failed_at) FROM failures ORDER BY path"),
            "encoders": con.rows("SELECT * EXCLUDE (added_at) FROM encoders"),
            "sources": con.rows("SELECT * EXCLUDE (added_at) FROM sources ORDER BY source"),
        }
        for space in Space:
            ids, vectors = load_vectors(con, 1, fake_id(), space)
            found[space.value] = (ids.tolist(), vectors.tobytes())
    return found


def as_seen(store: Store) -> Contents:
    """Return what a user can see of a store, without ids: it may have any past."""
    with store.reading() as con:
        rows = con.rows(
            "SELECT path, source, content_sha256, category, condition, split, width, height, size_bytes, modified_ns, "
            f"metadata, joint, vision FROM images JOIN {vectors_table(1)} USING (image_id) ORDER BY path"
        )
        failures = con.rows(
            "SELECT path, source, stage, reason, detail, size_bytes, modified_ns FROM failures ORDER BY path"
        )
        count = con.value("SELECT count(*) FROM images")
    return {"count": count, "images": rows, "failures": failures}


def answers(store: Store, k: int = 5) -> list[list[tuple[str, float]]]:
    """Return what a store answers to a few questions: paths and cosines."""
    questions = [
        Query(("red",), k=k),
        Query(("a dog",), k=k),
        Query(("red",), where="condition LIKE 'c%'", k=k),
    ]
    return [[(hit.path, hit.cosine) for hit in search(store, q, lambda _: FakeEncoder()).hits] for q in questions]


def difference(got: Contents, want: Contents) -> str | None:
    """Return where two contents differ, shortly, or None."""
    for name in want:
        if got[name] == want[name]:
            continue
        if isinstance(want[name], list):
            more = [row for row in got[name] if row not in want[name]]
            less = [row for row in want[name] if row not in got[name]]
            return f"{name}: {len(got[name])} for {len(want[name])}; too much: {more[:2]}; missing: {less[:2]}"
        return f"{name} differ"
    return None


def problems(store: Store, asking: bool = True) -> list[str]:
    """Return what is wrong with a store that was cut short at any moment: nothing may be.

    `asking` compares an answer with all vectors; not where somebody may commit between the two.
    """
    found = []
    with store.reading() as con:
        tables = {row[0] for row in con.rows("SELECT table_name FROM duckdb_tables()")}
        if vectors_table(1) not in tables:
            return [] if con.value("SELECT count(*) FROM images") == 0 else ["images without an encoder"]
        checks = {
            "present images without vectors": f"FROM images ANTI JOIN {vectors_table(1)} USING (image_id)",
            "vectors without images": f"FROM {vectors_table(1)} ANTI JOIN stored_images USING (image_id)",
            "vectors twice": f"FROM {vectors_table(1)} GROUP BY image_id HAVING count(*) > 1",
            "ids twice": "FROM stored_images GROUP BY image_id HAVING count(*) > 1",
            "paths twice": "FROM images GROUP BY path HAVING count(*) > 1",
            "failures twice": "FROM failures GROUP BY path HAVING count(*) > 1",
            "images that are failures": "FROM images SEMI JOIN (FROM failures WHERE stage = 'decode') USING (path)",
        }
        for name, query in checks.items():
            rows = con.rows(f"SELECT 1 {query}")
            if rows:
                found.append(f"{len(rows)} {name}")
        ids, vectors = load_vectors(con, 1, fake_id(), Space.JOINT)
        present = np.array([row[0] for row in con.rows("SELECT image_id FROM images ORDER BY image_id")], np.int64)
    if len(vectors) and not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5):
        found.append("vectors that are not unit")
    if len(present) and asking:
        found += _wrong_answers(store, present, vectors[np.isin(ids, present)])
    return found


def _wrong_answers(store: Store, ids: np.ndarray, vectors: np.ndarray) -> list[str]:
    """Compare a search with the naive one over all vectors."""
    query = FakeEncoder().encode_texts(["red"])[0]
    got = [hit.image_id for hit in search(store, Query(("red",), k=5), lambda _: FakeEncoder()).hits]
    wrong = disorder(got, ids, vectors, query, 5)
    return [f"search is wrong: {wrong}"] if wrong else []


def fresh_store(corpus: Corpus, root: Path) -> Store:
    """Index a corpus as it is now into a store without a past."""
    store = Store.create(root)
    index_corpus(store, corpus, FakeEncoder(), 64)
    return store

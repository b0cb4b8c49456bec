"""What the catalog knows of a Milvus collection: its record in `meta`, and which image is found through which row.

The table `engine_rows_N` holds, for encoder N, every image that the collection was brought up to, with its owner: the
lowest id of the same content, which alone is a row there. It is replaced in the transaction that records the state.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from shotdex.store.arrow import to_numpy
from shotdex.store.connection import Connection
from shotdex.store.schema import vectors_table
from shotdex.store.types import Ids

from .base import NO_IDS, STAMP_KEY
from .pushed import ANY, CAPACITY, LABELS, code_sql

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class MilvusRecord:
    """Where the collection of an encoder is, and in which state it was left.

    `states` are the names that it may bear: the last one, or, while it is being changed, the one before, too. `rows`
    is how many it has, `ready` whether it was brought up to the end, and `generation` says for which state of the
    images: their labels there are those of now if it still is theirs.
    """

    uri: str
    kind: str
    collection: str
    states: tuple[str, ...] = ()
    rows: int = 0
    ready: bool = False
    generation: str = ""


@dataclass(frozen=True, slots=True)
class EngineRows:
    """Images (N,), rising, and the owner of each."""

    ids: Ids
    owners: Ids


def read_record(con: Connection, encoder_id: int) -> MilvusRecord | None:
    """Return the record of an encoder's collection; None if there is none, or if it cannot be read."""
    value = con.value("SELECT value FROM meta WHERE key = $key", {"key": STAMP_KEY.format("milvus", encoder_id)})
    if value is None:
        return None
    try:
        said = json.loads(str(value))
        return MilvusRecord(**{**said, "states": tuple(said["states"])})
    except (ValueError, TypeError, KeyError):
        return None


def write_record(con: Connection, encoder_id: int, record: MilvusRecord | None) -> None:
    """Replace the record of an encoder's collection within a transaction; with None forget it and its rows."""
    con.run("DELETE FROM meta WHERE key = $key", {"key": STAMP_KEY.format("milvus", encoder_id)})
    if record is None:
        forget_rows(con, encoder_id)
    else:
        con.run(
            "INSERT INTO meta VALUES ($key, $text)",
            {"key": STAMP_KEY.format("milvus", encoder_id), "text": json.dumps(asdict(record))},
        )


def forget_rows(con: Connection, encoder_id: int) -> None:
    """Forget what a collection has, in a transaction that changes vectors under ids: all of it is sent again."""
    con.run(f"DROP TABLE IF EXISTS {rows_table(encoder_id)}")
    record = read_record(con, encoder_id)
    if record is not None:
        write_record(con, encoder_id, replace(record, ready=False))


def read_rows(con: Connection, encoder_id: int) -> EngineRows:
    """Return which images a collection was brought up to."""
    if not _has_rows(con, encoder_id):
        return EngineRows(NO_IDS, NO_IDS)
    found = con.arrays(f"SELECT image_id, owner FROM {rows_table(encoder_id)} ORDER BY image_id")
    return EngineRows(found["image_id"], found["owner"])


def rows_table(encoder_id: int) -> str:
    """Return the name of the table with the images that a collection has."""
    return f"engine_rows_{encoder_id}"


def _has_rows(con: Connection, encoder_id: int) -> bool:
    found = con.value(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = $name AND NOT internal",
        {"name": rows_table(encoder_id)},
    )
    return bool(found)


def count_images(con: Connection, encoder_id: int) -> tuple[int, int]:
    """Return how many encoded images a collection was brought up to, and how many it lacks."""
    stored = f"(SELECT DISTINCT image_id FROM {vectors_table(encoder_id)} WHERE image_id IS NOT NULL)"
    total = int(con.value(f"SELECT count(*) FROM {stored}"))
    if not _has_rows(con, encoder_id):
        return 0, total
    found = int(con.value(f"SELECT count(*) FROM {stored} SEMI JOIN {rows_table(encoder_id)} USING (image_id)"))
    return found, total - found


@dataclass(frozen=True, slots=True)
class Changes:
    """What brings a collection up to the catalog: rows to write, with the numbers of their labels, and to delete.

    `rows` is how many it then has.
    """

    put: pa.Table
    forget: Ids
    rows: int


def changes(con: Connection, encoder_id: int) -> Changes:
    """Compare the images of the catalog with those that a collection was brought up to."""
    before = "(SELECT NULL::BIGINT AS image_id, NULL::BIGINT AS owner, NULL::UBIGINT AS labels WHERE false)"
    if _has_rows(con, encoder_id):
        before = rows_table(encoder_id)
    old = f"(SELECT owner, labels FROM {before} WHERE image_id = owner)"
    with con.holding("wanted_rows", wanted(con, encoder_id)):
        new = "(FROM wanted_rows WHERE image_id = owner)"
        put = con.table(
            f"SELECT n.owner, {', '.join('n.' + field for field in LABELS.values())} FROM {new} n LEFT JOIN {old} o "
            "USING (owner) WHERE o.owner IS NULL OR o.labels IS DISTINCT FROM n.labels ORDER BY n.owner"
        )
        gone = con.table(f"SELECT owner FROM {old} ANTI JOIN {new} USING (owner) ORDER BY owner")
        rows = int(con.value(f"SELECT count(*) FROM {new}"))
    return Changes(put, to_numpy(gone.column("owner")), rows)


def record_rows(con: Connection, encoder_id: int, left_out: Ids) -> int:
    """Record, within a transaction, that a collection has every image but the copies of some; return its rows."""
    table = rows_table(encoder_id)
    with con.holding("wanted_rows", wanted(con, encoder_id)), con.holding("left_out", {"owner": left_out}):
        con.run(
            f"CREATE OR REPLACE TABLE {table} AS SELECT image_id, owner, labels FROM wanted_rows "
            "WHERE owner NOT IN (SELECT owner FROM left_out) ORDER BY image_id"
        )
    return int(con.value(f"SELECT count(*) FROM {table} WHERE image_id = owner"))


def wanted(con: Connection, encoder_id: int) -> pa.Table:
    """Return every encoded image with its owner; an owner's row has the labels of all present copies, and their hash.

    Copies whose vectors differ, which `verify` reports, own themselves.
    """
    fields = ", ".join(f"l.{field}" for field in LABELS.values())
    return con.table(
        f"""
        WITH encoded AS (
            SELECT image_id, any_value(content_sha256) FILTER (len(content_sha256) = 64) AS content,
                   bool_or(removed_at IS NULL) AS present,
                   {", ".join(f"any_value({column}) AS {column}" for column in LABELS)}
            FROM stored_images SEMI JOIN {vectors_table(encoder_id)} USING (image_id) GROUP BY image_id
        ), unlike AS (
            SELECT content FROM encoded JOIN {vectors_table(encoder_id)} v USING (image_id)
            WHERE content IN (SELECT content FROM encoded GROUP BY content HAVING count(*) > 1)
            GROUP BY content HAVING min(hash(v.joint)) <> max(hash(v.joint))
        ), owned AS (
            SELECT *, CASE WHEN content IS NULL OR content IN (FROM unlike) THEN image_id
                           ELSE min(image_id) OVER (PARTITION BY content) END AS owner
            FROM encoded
        ), l AS (
            SELECT owner, {", ".join(_codes(column, field) for column, field in LABELS.items())}
            FROM owned GROUP BY owner
        )
        SELECT o.image_id, o.owner, CASE WHEN o.image_id = o.owner THEN hash({fields}) END AS labels, {fields}
        FROM owned o JOIN l USING (owner) ORDER BY o.image_id
        """
    )


def _codes(column: str, field: str) -> str:
    codes = f"list_sort(list(DISTINCT {code_sql(column)}) FILTER (present AND {column} IS NOT NULL))"
    return f"coalesce(CASE WHEN len({codes}) > {CAPACITY} THEN [{ANY}::BIGINT] ELSE {codes} END, []) AS {field}"


def labels_of(table: pa.Table) -> list[list[list[int]]]:
    """Return the numbers of the labels of rows, a list for each field of `LABELS`."""
    return [table.column(field).to_pylist() for field in LABELS.values()]

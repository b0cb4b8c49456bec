"""Taking images, or an encoder with its vectors, out of a store for good, with everything that was made of them.

The rows go in one transaction, which also leaves a mark: what is derived, and the file of the catalog itself, are then
written again without them, and the mark is taken away. Killed in between, the next `remove` or `verify` finishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shotdex.analysis.run_digests import data_digests
from shotdex.media.files.places import absolute
from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder, list_encoders
from shotdex.store.engines.milvus_rows import read_record, write_record
from shotdex.store.engines.milvus_upload import drop_quietly
from shotdex.store.engines.registry import forget_stamps
from shotdex.store.engines.writing import sweep, write_index
from shotdex.store.errors import OptionError
from shotdex.store.ids import filtered_ids, renew_images_generation
from shotdex.store.images import remember_next_id
from shotdex.store.runs import COUNTS, recount
from shotdex.store.schema import texts_table, vectors_table
from shotdex.store.shard_vectors import delete_vectors, stored_vectors
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids

from .check_engines import leftovers

UNFINISHED = "removal_unfinished"
"""The key in `meta` of a removal after which files may still have the bytes of the removed rows."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal takes out, in counts of rows; `runs`, `encoders` and `sources` by name.

    `images` counts present images, `vectors` rows over all encoders, `texts` remembered texts. `runs` are removed as a
    whole; `shortened` lose some images and keep the others; `predictions` is how many rows both lose. `returning` are
    the sources of the images: the next indexing of one brings back what is still there. `freed_bytes` is how much
    smaller the catalog's file became, and `compacted` whether its old bytes are gone.
    """

    images: int = 0
    vectors: int = 0
    texts: int = 0
    failures: int = 0
    predictions: int = 0
    maps: int = 0
    runs: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()
    freed_bytes: int = 0
    compacted: bool = False


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """What is to go: all of a source, all of an encoder, or the images that a filter keeps; exactly one of them."""

    source: str | None = None
    encoder: str | None = None
    where: str | None = None


def count_removal(store: Store, options: RemoveOptions) -> Removed:
    """Return what `remove` would take out, and take nothing out; an earlier removal that was interrupted is finished.

    Raises:
        OptionError: not exactly one option is set, or the store has no such source.
        EncoderMismatch, EmptyStore, BadSql.
    """
    finish_removal(store)
    with store.reading() as con, _leaving(con, options) as leaving:
        return leaving.counted(con)


def remove(store: Store, options: RemoveOptions) -> Removed:
    """Take something out for good: rows, FAISS files, text towers, and the bytes in the catalog's file.

    The files of the images are not touched. Runs that lose images keep the others, with the counts and hashes of these;
    a run that loses all of them goes, and so does a map of any of them. Ids are never given again. Files with the
    predictions of runs stay as they are; their rows about these images count no more.

    Raises:
        The same as `count_removal`.
        StoreLocked: another process is indexing, or holds the catalog.
        StoreError: the disk is full; then all of it was done, or nothing.
    """
    finish_removal(store)
    with store.indexing():
        before = store.catalog_bytes()
        with store.writing() as con, _leaving(con, options) as leaving:
            found = leaving.counted(con)
            collections = [record for number in leaving.encoders if (record := read_record(con, number))]
            remember_next_id(con)
            leaving.take_out(con)
            renew_images_generation(con)
            con.run("INSERT INTO meta VALUES ($key, 'true')", {"key": UNFINISHED})
        for record in collections:
            drop_quietly(record)
        compacted = _finish(store)
    return replace(found, freed_bytes=max(0, before - store.catalog_bytes()), compacted=compacted)


def finish_removal(store: Store) -> bool:
    """Finish a removal that was interrupted after its transaction; return whether there was one and it is finished."""
    with store.reading() as con:
        if not is_unfinished(con):
            return False
    with store.indexing():
        return _finish(store)


def is_unfinished(con: Connection) -> bool:
    """Tell whether a removal was interrupted after its transaction."""
    return _count(con, "meta WHERE key = $key", {"key": UNFINISHED}) > 0


def _finish(store: Store) -> bool:
    with store.reading() as con:
        encoders, rest = list_encoders(con), leftovers(store, con)
    for path in rest:
        path.unlink(missing_ok=True)
    for number, encoder in encoders.items():
        write_index(store, number, encoder)
    sweep(store)
    if compacted := store.compact():
        with store.writing() as con:
            con.run("DELETE FROM meta WHERE key = $key", {"key": UNFINISHED})
    return compacted


@dataclass(frozen=True, slots=True)
class _Leaving:
    """What leaves an open catalog, which meanwhile has the tables `leaving` (image_id), `losing` (run_id, and whether
    the whole run goes) and `outdated` (projection_id)."""

    encoders: dict[int, EncoderId]
    staying: dict[int, EncoderId]
    source: str | None

    def counted(self, con: Connection) -> Removed:
        """Return the counts; nothing may have been taken out yet."""
        vectors = [f"{vectors_table(number)} WHERE {_LEAVES}" for number in self.staying]
        runs = con.rows("SELECT name, whole FROM runs JOIN losing USING (run_id) ORDER BY run_id")
        returning = con.rows(f"SELECT DISTINCT source FROM images WHERE {_LEAVES} AND source IS NOT NULL ORDER BY 1")
        return Removed(
            images=_count(con, f"images WHERE {_LEAVES}"),
            vectors=sum(_count(con, query) for query in [*vectors, *map(vectors_table, self.encoders)]),
            texts=sum(_count(con, texts_table(number)) for number in self.encoders),
            failures=_count(con, f"failures WHERE {_FAILED}", {"source": self.source}),
            predictions=_count(con, f"predictions WHERE {_OF_RUNS}"),
            maps=_count(con, "outdated"),
            runs=tuple(name for name, whole in runs if whole),
            shortened=tuple(name for name, whole in runs if not whole),
            encoders=tuple(map(str, self.encoders.values())),
            sources=() if self.source is None else (self.source,),
            returning=() if self.encoders or self.source is not None else tuple(row[0] for row in returning),
        )

    def take_out(self, con: Connection) -> None:
        """Delete the rows and bring the runs that stay in line, within a transaction."""
        shortened = [row[0] for row in con.rows("SELECT run_id FROM losing WHERE NOT whole")]
        truthful = {number: _right_digests(con, number) for number in shortened}
        for number in shortened:
            con.run(_SHORTEN, {"run": number})
        whole = "run_id IN (SELECT run_id FROM losing WHERE whole)"
        of_tables = {"predictions": _OF_RUNS, "truths": _OF_RUNS, "prediction_files": whole, "runs": whole}
        for table, which in (of_tables | dict.fromkeys(COUNTS, "run_id IN (SELECT run_id FROM losing)")).items():
            con.run(f"DELETE FROM catalog.main.{table} WHERE {which}")
        for table in ("projection_points", "projections"):
            con.run(f"DELETE FROM {table} WHERE projection_id IN (SELECT projection_id FROM outdated)")
        for table, which in {"failures": _FAILED, "sources": "source = $source", "shards": "source = $source"}.items():
            con.run(f"DELETE FROM {table} WHERE {which}", {"source": self.source})
        con.run(f"DELETE FROM stored_images WHERE {_LEAVES}")
        for number in self.staying:
            delete_vectors(con, number, _LEAVES)
        recount(con, shortened)
        for number, columns in truthful.items():  # what did not hold before is left as it is
            renewed = _digests(con, number)
            for column in columns:
                con.run(f"UPDATE runs SET {column} = $to WHERE run_id = $run", {"to": renewed[column], "run": number})
        for number in self.encoders:
            forget_stamps(con, number)
            write_record(con, number, None)
            con.run(f"DROP TABLE {stored_vectors(number)}; DROP TABLE {texts_table(number)}")
            for table in ("encoders", "shards", "vector_shards", "vector_places"):
                con.run(f"DELETE FROM {table} WHERE encoder_id = $number", {"number": number})


_LEAVES = "image_id IN (SELECT image_id FROM leaving)"

_FAILED = f"source = $source OR path IN (SELECT path FROM stored_images WHERE {_LEAVES})"

_OF_RUNS = f"""
    run_id IN (SELECT run_id FROM losing WHERE whole) OR run_id IN (SELECT run_id FROM losing) AND {_LEAVES}
"""

_SHORTEN = f"""
    UPDATE runs SET images = images - gone, scored = scored - gone, unlabelled = runs.unlabelled - g.unlabelled,
        outside = runs.outside - g.outside
    FROM (
        SELECT count(*) AS gone, count(*) FILTER (category IS NULL) AS unlabelled,
            count(*) FILTER (category IS NOT NULL AND true_rank IS NULL) AS outside
        FROM truths WHERE run_id = $run AND {_LEAVES}
    ) g
    WHERE run_id = $run
"""

_LOSING = f"""
    SELECT run_id, run_id IN (SELECT run_id FROM runs WHERE encoder_id IN (SELECT unnest($encoders)::INTEGER))
        OR run_id NOT IN (SELECT run_id FROM truths WHERE NOT {_LEAVES}) AS whole
    FROM runs
    WHERE encoder_id IN (SELECT unnest($encoders)::INTEGER) OR run_id IN (SELECT run_id FROM truths WHERE {_LEAVES})
    ORDER BY run_id
"""

_OUTDATED = f"""
    SELECT projection_id FROM projections WHERE encoder_id IN (SELECT unnest($encoders)::INTEGER)
        OR projection_id IN (SELECT projection_id FROM projection_points WHERE {_LEAVES})
    ORDER BY projection_id
"""


@contextmanager
def _leaving(con: Connection, options: RemoveOptions) -> Iterator[_Leaving]:
    """Find what the options mean in an open catalog."""
    named = [value for value in (options.source, options.encoder, options.where) if value is not None]
    if len(named) != 1:
        what = "remove takes exactly one of --source, --encoder and --where"
        raise OptionError(what, "pass one of --source S, --encoder E and --where SQL")
    encoders, source, staying = {}, None, list_encoders(con)
    if options.encoder is not None:
        encoders = dict([choose_encoder(con, options.encoder)])
        staying = {number: encoder for number, encoder in staying.items() if number not in encoders}
        ids = _only_of(con, next(iter(encoders)), staying)
    elif options.source is not None:
        source = _recorded(con, options.source)
        ids = _ids(con, "SELECT image_id FROM stored_images WHERE source = $source", {"source": source})
    else:
        ids = filtered_ids(con, options.where or "")
    which = {"encoders": list(encoders)}
    with con.holding("leaving", {"image_id": ids}):
        losing, outdated = con.table(_LOSING, which), con.table(_OUTDATED, which)
        with con.holding("losing", losing), con.holding("outdated", outdated):
            yield _Leaving(encoders, staying, source)


def _only_of(con: Connection, number: int, others: dict[int, EncoderId]) -> Ids:
    """Return the images that nothing could find any more without an encoder, as no other has their vectors."""
    anti = " ".join(f"ANTI JOIN {vectors_table(other)} USING (image_id)" for other in others)
    return _ids(con, f"SELECT image_id FROM stored_images SEMI JOIN {vectors_table(number)} USING (image_id) {anti}")


def _recorded(con: Connection, source: str) -> str:
    """Return a source as the catalog has it.

    Raises:
        OptionError: it has no such source.
    """
    query = " UNION ALL ".join(f"SELECT source FROM {table}" for table in ("stored_images", "sources", "failures"))
    rows = con.rows(f"FROM ({query}) WHERE source IS NOT NULL GROUP BY source ORDER BY count(*) DESC, source")
    known = [row[0] for row in rows]
    if found := next((name for name in (source, absolute(source)) if name in known), None):
        return str(found)
    listed = ", ".join(known[:5]) + (f" and {len(known) - 5:,} more" if len(known) > 5 else "")
    raise OptionError(
        f"the store has no source {source}" + (f"; it has {listed}" if known else ""),
        "choose one of them, or part of one: --where \"starts_with(path, '/folder/')\"",
    )


def _count(con: Connection, query: str, parameters: dict[str, Any] | None = None) -> int:
    return int(con.value(f"SELECT count(*) FROM {query}", parameters))


def _ids(con: Connection, query: str, parameters: dict[str, Any] | None = None) -> Ids:
    return np.array(sorted(row[0] for row in con.rows(query, parameters) if row[0] is not None), np.int64)


def _digests(con: Connection, run: int) -> dict[str, str]:
    """Return the digests of the images of a run, and of their labels, by their columns in `runs`."""
    data, labels = data_digests(
        con, _ids(con, "SELECT DISTINCT image_id FROM truths WHERE run_id = $run", {"run": run})
    )
    return {"data_sha256": data, "labels_sha256": labels}


def _right_digests(con: Connection, run: int) -> list[str]:
    """Return the columns of those digests that are on record as they are: nothing changed since the run was scored."""
    recorded = con.rows("SELECT data_sha256, labels_sha256 FROM runs WHERE run_id = $run", {"run": run})[0]
    return [name for (name, found), was in zip(_digests(con, run).items(), recorded, strict=True) if found == was]

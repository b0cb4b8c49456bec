"""Repairing what can be repaired without losing anything: what is derived is made again, what is wrong is deleted.

No image, run or prediction is ever deleted. What is taken away of the vectors is made again by indexing the source.
"""

from __future__ import annotations

from shotdex.store import schema
from shotdex.store.connection import STORAGE, Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.faiss_file import remove_file
from shotdex.store.engines.ivf import inverted_file_path
from shotdex.store.engines.milvus_rows import forget_rows
from shotdex.store.engines.registry import faiss_file, forget_stamps
from shotdex.store.engines.writing import drop_index, write_index
from shotdex.store.ids import renew_images_generation
from shotdex.store.images import mark_removed
from shotdex.store.runs import recount
from shotdex.store.schema import texts_table, vectors_table
from shotdex.store.shard_vectors import drop_unneeded, stored_vectors
from shotdex.store.store import Store
from shotdex.store.types import EncoderId

from .check import index_again, sources_of
from .check_catalog import all_views
from .check_engines import check_index, check_inverted_file, leftovers
from .check_files import as_recorded
from .check_images import OF_ANOTHER, OLDER_ROWS, PRESENT, not_unit, unlike, unusable
from .check_runs import broken_maps, uncounted
from .check_shards import check_kept, repair_shards
from .check_texts import drop_broken_towers, unusable_text
from .engines import repair_collections


def repair_store(store: Store) -> list[str]:
    """Repair a store and return what was done, a line each; nothing where there was nothing to do.

    Raises:
        StoreLocked: another process is indexing, or holds the catalog.
        StoreError: a shard in which vectors stay is lost, without which nothing can be made again of them.
    """
    with store.indexing():
        with store.reading() as con:
            check_kept(store, con)
            encoders, rest = list_encoders(con), leftovers(store, con)
            towers = drop_broken_towers(store, con)
            doubtful = {number: _doubtful(con, number, encoder) for number, encoder in encoders.items()}
        done = [*towers.values()]
        with store.writing() as con:
            done += _repair_catalog(con)
            for number, encoder in encoders.items():
                changed = _repair_vectors(con, number, encoder, doubtful[number])
                if changed:
                    renew_images_generation(con)
                    forget_stamps(con, number)  # the FAISS file has vectors under ids that get new ones
                    forget_rows(con, number)
                done += changed + _repair_texts(con, number, encoder, doubted=number in towers)
        for path in rest:
            path.unlink(missing_ok=True)
            done.append(f"removed {path.name}, which was left behind")
        done += [line for number, encoder in encoders.items() for line in _repair_index(store, number, encoder)]
        with store.reading() as con:
            done += repair_shards(store, con)
        return done + repair_collections(store, encoders)


def update_storage(store: Store) -> list[str]:
    """Write a catalog again that other programs cannot open yet, and return what was done.

    Raises:
        StoreLocked: another process is indexing.
    """
    if not store.has_newer_storage():
        return []
    with store.indexing():
        again = store.update_storage()
    return [f"rewrote the catalog in storage version {STORAGE}, which other programs can open"] * again


def _repair_catalog(con: Connection) -> list[str]:
    done = []
    if not all(check.ok for check in all_views(con)):
        con.run(schema.view_statements())
        done.append("made the views again")
    older = [row[0] for row in con.rows(OLDER_ROWS)]
    if older:
        mark_removed(con, older)
        done.append(f"marked as removed, because their paths have a newer row: {_images(len(older))}")
    maps = broken_maps(con)
    if maps:
        con.run("DELETE FROM projections WHERE projection_id IN (SELECT unnest($maps))", {"maps": maps})
        done.append(f"removed incomplete maps, which are made again when they are drawn: {len(maps):,}")
    if wrong := uncounted(con):
        recount(con, wrong)
        done.append(f"counted the outcomes of runs again: {len(wrong):,}")
    stray = con.value(
        "DELETE FROM projection_points WHERE projection_id NOT IN (SELECT projection_id FROM projections)"
    )
    return done + ([f"removed positions on such maps: {stray:,}"] if stray else [])


def _repair_vectors(con: Connection, number: int, encoder: EncoderId, doubtful: list[int]) -> list[str]:
    table, unknown, broken, twice = stored_vectors(number), 0, 0, 0
    suspect = "image_id IN (SELECT unnest($doubtful)::BIGINT)"
    wrong = f"{unusable(encoder)} OR {suspect}"
    hint = _encode_again(con, f"SELECT image_id FROM {table} WHERE {wrong}", {"doubtful": doubtful}, encoder)
    # Of vectors that stay in shards the numbers were looked at when they were committed.
    places, own = "catalog.main.vector_places", f"encoder_id = {number}"
    for rows, those, bad in ((table, "true", wrong), (places, own, suspect)):
        unknown += con.value(
            f"DELETE FROM {rows} v WHERE {those} AND NOT EXISTS (FROM stored_images s WHERE s.image_id = v.image_id)"
        )
        broken += con.value(f"DELETE FROM {rows} WHERE {those} AND ({bad})", {"doubtful": doubtful})
        first = f"SELECT min(rowid) FROM {rows} WHERE {those} GROUP BY image_id"
        twice += con.value(f"DELETE FROM {rows} WHERE {those} AND rowid NOT IN ({first})")
    twice += con.value(f"DELETE FROM {places} WHERE {own} AND image_id IN (SELECT image_id FROM {table})")
    drop_unneeded(con)
    counted = {
        "vectors of unknown images": unknown,
        f"invalid vectors ({hint})": broken,
        "vectors beyond one row an image": twice,
    }
    return [f"removed {what}, encoder {number}: {n:,}" for what, n in counted.items() if n]


def _encode_again(con: Connection, images: str, parameters: dict[str, list[int]], encoder: EncoderId) -> str:
    ids = [row[0] for row in con.rows(images, parameters)]
    present = f"SELECT image_id FROM {PRESENT} WHERE image_id IN ({', '.join(map(str, ids)) or 'NULL'})"
    return f"to encode them again, {index_again(sources_of(con, present), encoder.name)}"


def _doubtful(con: Connection, number: int, encoder: EncoderId) -> list[int]:
    """Return the images whose vectors are finite but not right, where the image is there to be encoded again.

    They are those of a length other than 1, those encoded from another content, and all copies of an image whose
    vectors differ: which one is right cannot be known. While the image is not there, nothing is taken away.
    """
    rows = con.rows(
        f"SELECT s.image_id, s.content_sha256 FROM stored_images s JOIN {vectors_table(number)} v USING (image_id) "
        f"WHERE {not_unit(encoder)} OR {OF_ANOTHER} OR s.content_sha256 IN ({unlike(number, encoder)})"
    )
    contents = sorted({content for _, content in rows})
    places = con.rows(
        f"SELECT content_sha256, path, size_bytes, modified_ns FROM {PRESENT} "
        "WHERE content_sha256 IN (SELECT unnest($contents))",
        {"contents": contents},
    )
    there = {content for content, *place in places if as_recorded(*place)}
    return sorted({image_id for image_id, content in rows if content in there})


def _repair_texts(con: Connection, number: int, encoder: EncoderId, *, doubted: bool) -> list[str]:
    table = texts_table(number)
    # A text tower that was not whole, which makes it `doubted`, may have encoded any of them.
    broken = con.value(f"DELETE FROM {table} WHERE {'true' if doubted else unusable_text(encoder)}")
    broken += con.value(f"DELETE FROM {table} WHERE rowid NOT IN (SELECT min(rowid) FROM {table} GROUP BY text)")
    return [
        f"forgot remembered texts, which are encoded again when they are next needed, encoder {number}: {broken:,}"
    ] * (broken > 0)


def _repair_index(store: Store, number: int, encoder: EncoderId) -> list[str]:
    done = []
    with store.reading() as con:
        inverted_is_whole = all(check.ok for check in check_inverted_file(store, con, number))
        index_is_whole, before = check_index(store, con, number, encoder).ok, faiss_file(store, con, number)
        count = con.value(f"SELECT count(*) FROM {vectors_table(number)}")
    if not inverted_is_whole:
        remove_file(inverted_file_path(store, number))
        done.append(f"removed {inverted_file_path(store, number).name}; build it again: shotdex approximate")
    if index_is_whole:
        return done
    drop_index(store, number)
    write_index(store, number, encoder)
    with store.reading() as con:
        file = faiss_file(store, con, number)
    assert file is not None
    if before is not None and before.is_dir():
        done.append(f"left {before.name} as it is: it is a folder, which shotdex does not make; move it away")
    return [*done, f"wrote {file.name} again from the catalog: {count:,} vectors"]


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"

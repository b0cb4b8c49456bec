"""Vectors that stay in shards: the catalog has for each image a shard and a row, and queries read the Parquet file.

The table `vector_places` has for such a vector the shard, one of `vector_shards`, and the row in it. In a connection to
a store that has some, a temporary view `vectors_N` has them, bit for bit, next to those of the table of that name;
whoever changes the table calls it `stored_vectors`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .connection import Connection
from .ids import renew_images_generation
from .object_stores import in_bucket
from .prediction_files import recorded
from .schema import vectors_table
from .shard_reader import Reader, VectorFile, lost_files


def vector_files(con: Connection, root: Path, *, needed: bool = False) -> dict[int, VectorFile]:
    """Return the shards in which vectors of the store in the folder `root` stay, by their numbers.

    With `needed`, not those in which only vectors are that wait for another shard; see `find_again`.
    """
    of_places = "SEMI JOIN (FROM vector_places WHERE shard_id > 0) USING (shard_id)" * needed
    rows = con.rows(
        f"SELECT shard_id, encoder_id, source, sha256, place, name FROM vector_shards {of_places} ORDER BY shard_id"
    )
    return {
        number: VectorFile(
            number, encoder_id, source, sha256, place if in_bucket(place) else str(root.absolute() / place), name
        )
        for number, encoder_id, source, sha256, place, name in rows
    }


def stored_vectors(encoder_id: int) -> str:
    """Return the name of the table with those vectors of an encoder that are in the catalog, also next to the view."""
    return f"catalog.main.{vectors_table(encoder_id)}"


def delete_vectors(con: Connection, encoder_id: int, which: str) -> int:
    """Delete the vectors of an encoder whose `image_id` a condition holds for; return how many there were."""
    deleted = int(con.value(f"DELETE FROM {stored_vectors(encoder_id)} WHERE {which}"))
    deleted += int(con.value(f"DELETE FROM vector_places WHERE encoder_id = {encoder_id} AND ({which})"))
    drop_unneeded(con)
    return deleted


def add_file(con: Connection, root: Path, file: VectorFile) -> int:
    """Return the number of a shard whose vectors stay in it, recording it, within a transaction, where it is new."""
    for known in vector_files(con, root).values():
        if known[1:] == file[1:]:
            return known.shard_id
    place = file.place if in_bucket(file.place) else recorded(Path(file.place), root)
    con.run(
        "INSERT INTO vector_shards SELECT coalesce(max(shard_id), 0) + 1, $encoder, $source, $sha256, $place, $name "
        "FROM vector_shards",
        {"encoder": file.encoder_id, "source": file.source, "sha256": file.sha256}
        | {"place": place, "name": file.name},
    )
    return int(con.value("SELECT max(shard_id) FROM vector_shards"))


def find_again(con: Connection, root: Path, encoder_id: int, source: str, here: Mapping[str, tuple[str, str]]) -> int:
    """Follow, within a transaction, the shards that moved; return of how many vectors the place is another one now.

    `here` has places and names of shards that are there, by the digests of their rows. Where another shard of this
    encoder is lost, its vectors wait, with the negative number of the shard: they do not count as vectors, so that
    images of this source get those of the shards that are indexed now; see `settle`. That holds for all vectors in
    shards of this source, and for those of its images in other shards. When a shard is back, what waited for others is
    in it again.

    Raises:
        StoreError: a shard of this source can be neither read nor called lost.
    """
    changed = 0
    waiting = con.value("SELECT count(*) FROM vector_places WHERE shard_id < 0")
    for file in vector_files(con, root).values():
        if file.encoder_id != encoder_id:
            continue
        which = {"shard": file.shard_id}
        now = here.get(file.sha256)
        lost = not file.check_there() if file.source == source and now is None else bool(lost_files([file]))
        if lost and now is not None:
            place, name = now
            where = {"place": place if in_bucket(place) else recorded(Path(place), root), "name": name}
            con.run("UPDATE vector_shards SET place = $place, name = $name WHERE shard_id = $shard", where | which)
        if not lost or now is not None:
            if waiting:
                changed += con.value(f"{_TURNED} WHERE shard_id = -$shard", which)
        elif file.source == source:
            changed += con.value(f"{_TURNED} WHERE shard_id = $shard", which)
        else:
            changed += con.value(f"{_TURNED} WHERE shard_id = $shard AND {_OF_SOURCE}", which | {"source": source})
    if changed:
        renew_images_generation(con)
    return changed


_TURNED = "UPDATE vector_places SET shard_id = -shard_id"

_OF_SOURCE = "image_id IN (SELECT image_id FROM stored_images WHERE source = $source)"


def settle(con: Connection, encoder_id: int) -> None:
    """Let images whose vectors wait have those of other images of their content, within a transaction."""
    number, waiting = {"encoder": encoder_id}, "vector_places WHERE encoder_id = $encoder AND shard_id < 0"
    con.run(_FROM_SHARDS, number)
    con.run(_FROM_CATALOG.format(vectors=stored_vectors(encoder_id)), number)
    con.run(f"DELETE FROM {waiting} AND image_id IN (SELECT image_id FROM {stored_vectors(encoder_id)})", number)
    drop_unneeded(con)
    renew_images_generation(con)


def waiting_images(con: Connection, encoder_id: int) -> dict[str, int]:
    """Return how many present images wait for vectors in the place of lost ones, by their sources."""
    return dict(
        con.rows(
            "SELECT source, count(*) FROM images SEMI JOIN (FROM vector_places WHERE encoder_id = $encoder "
            "AND shard_id < 0) USING (image_id) GROUP BY source ORDER BY source",
            {"encoder": encoder_id},
        )
    )


_FROM_SHARDS = """
    UPDATE vector_places SET shard_id = f.shard_id, shard_row = f.shard_row
    FROM stored_images s JOIN (
        SELECT content_sha256, arg_min(shard_id, image_id) AS shard_id, arg_min(shard_row, image_id) AS shard_row
        FROM vector_places JOIN stored_images USING (image_id) WHERE encoder_id = $encoder AND shard_id > 0
        GROUP BY content_sha256
    ) f USING (content_sha256)
    WHERE vector_places.image_id = s.image_id AND vector_places.encoder_id = $encoder AND vector_places.shard_id < 0
"""

_FROM_CATALOG = """
    INSERT INTO {vectors} BY NAME
    SELECT w.image_id, v.joint, v.vision, v.content_hash
    FROM vector_places w JOIN stored_images s USING (image_id) JOIN (
        SELECT content_sha256, min(image_id) AS owner FROM stored_images SEMI JOIN {vectors} USING (image_id)
        GROUP BY content_sha256
    ) o USING (content_sha256) JOIN {vectors} v ON v.image_id = o.owner
    WHERE w.encoder_id = $encoder AND w.shard_id < 0 ORDER BY w.image_id
"""


def drop_unneeded(con: Connection) -> None:
    """Forget, within a transaction, the shards in which there is no vector of the store any more."""
    con.run("DELETE FROM vector_shards WHERE shard_id NOT IN (SELECT DISTINCT abs(shard_id) FROM vector_places)")


@contextmanager
def in_shards_shown(con: Connection, root: Path, *, leave_out_lost: bool = False) -> Iterator[None]:
    """Let queries read the vectors that are in shards like those of the catalog, for what runs inside.

    Raises:
        StoreError: a query needs vectors whose shard is lost, unless all those of lost ones are to be left out.
    """
    files = vector_files(con, root)
    if not files:
        yield
        return
    reader = Reader(files)
    lost = [str(number) for number in lost_files(files.values())] if leave_out_lost else []
    kept = f" AND shard_id NOT IN ({', '.join(lost)})" if lost else ""
    encoders = con.rows("SELECT encoder_id, dim, vision_dim FROM encoders SEMI JOIN vector_shards USING (encoder_id)")
    with ExitStack() as made:
        for number, *dims in encoders:
            values = []
            for space, dim in zip(("joint", "vision"), dims, strict=True):
                name = f"shard_{space}_{secrets.token_hex(8)}"  # others of this process share the catalog
                work = reader.function(space, dim)
                made.enter_context(con.function(name, work, ["INTEGER", "INTEGER"], f"FLOAT[{dim}]", arrow=True))
                values.append(f"{name}(shard_id, shard_row) AS {space}")
            con.vector_parts[number] = [
                f"SELECT image_id, joint, vision, content_hash FROM {stored_vectors(number)} WHERE true",
                f"SELECT image_id, {', '.join(values)}, content_hash FROM catalog.main.vector_places "
                f"WHERE encoder_id = {number} AND shard_id > 0{kept}",
            ]
            rows = " UNION ALL ".join(con.vector_parts[number])
            con.run(f"CREATE OR REPLACE TEMP VIEW {vectors_table(number)} AS {rows}")
        try:
            yield
        except Exception as error:
            if reader.error is None or error is reader.error:
                raise
            raise reader.error from error

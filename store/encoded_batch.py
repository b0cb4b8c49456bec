"""The published form between encoding and the catalog: a batch of encoded images, and `commit`, which writes one.

An encoded batch is an Arrow table with the schema of `batch_schema`, one row for each image or failure, whether it was
made by indexing here or comes as a Parquet file from elsewhere. An address stands in it once.

| field | type | meaning |
|---|---|---|
| `address` | string | where the image is: a file's absolute path, a URL, or `archive!member` |
| `source` | string | the folder, archive or list that it belongs to |
| `category`, `condition`, `split` | string | its labels; null where the source says nothing |
| `metadata` | string | everything else that the source says, as the text of a JSON object, or null |
| `taken_at` | timestamp[us] | when the image was taken, as the camera's clock showed it; this field and the next |
| | | five are what the file's EXIF block says, and null where it does not |
| `camera`, `lens` | string | what it was taken with |
| `latitude`, `longitude` | double | where, in degrees, south and west below zero; both or neither |
| `exif` | string | the rest of the block, as the text of a JSON object; null where the file was not looked at for it |
| `sha256` | string | SHA-256 of the file's bytes, 64 hex digits; null for a failure |
| `width`, `height` | int32 | pixels after EXIF orientation; null for a failure |
| `size_bytes` | int64 | size of the file, by which a later run sees whether it changed |
| `modified_ns` | int64 | the file's modification time in ns since 1970, for the same purpose |
| `joint` | float32[D] | unit vector in the space shared with texts; null for a failure, and for a copy: an image |
| | | whose content has vectors of this encoder in the store, or in another row of the batch |
| `vision` | float32[V] | the image tower's vector before its projection; null where `joint` is |
| `failure` | struct | `reason` (a value of `Reason`), `stage` (scan, read, decode, encode), `detail`; null for an |
| | | image |

The schema's metadata, which Parquet keeps: `shotdex.encoded_batch`, the version of this form; `shotdex.encoder`, the
encoder's identity (`EncoderId`) as JSON; `shotdex.decoder`, a digest of what decoded, with its limits: an unchanged
file that failed to decode is not tried again by the same decoder.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .arrow import mask, to_arrow, to_numpy, vectors_from_arrow
from .connection import ROW_GROUP, Connection, now
from .encoders import add_encoder
from .errors import StoreError
from .ids import renew_images_generation
from .image_columns import PHOTO
from .images import next_image_id
from .runs import recount, runs_of_relabelled
from .schema import short_hash, vectors_table
from .shard_vectors import stored_vectors
from .types import EncoderId, Ids, Pooling, Precision

VERSION = b"2"
"""The first had no `taken_at`, `camera`, `lens`, `latitude`, `longitude` and `exif`; it can still be committed."""
_FORM, _ENCODER, _DECODER = b"shotdex.encoded_batch", b"shotdex.encoder", b"shotdex.decoder"

PLACEMENT = pa.schema(
    [("image_id", pa.int64()), ("is_new", pa.bool_()), ("replaces", pa.int64()), ("vectors_of", pa.int64())]
)
"""What each row of a batch means in one catalog: the image that it is (null: none), whether that gets a row, the image
at its address that is no longer there, and whose vectors it is to have: its own id for those in the batch, another's
for a copy, null for none to add."""


def batch_schema(encoder: EncoderId, decoder: str = "") -> pa.Schema:
    """Return the schema of batches of this encoder; see the top of this module."""
    texts = [(name, pa.string()) for name in ("address", "source", "category", "condition", "split", "metadata")]
    numbers = [("width", pa.int32()), ("height", pa.int32()), ("size_bytes", pa.int64()), ("modified_ns", pa.int64())]
    spaces = [("joint", encoder.dim), ("vision", encoder.vision_dim)]
    return pa.schema(
        [
            *texts,
            *PHOTO,
            ("sha256", pa.string()),
            *numbers,
            *((name, pa.list_(pa.float32(), dim)) for name, dim in spaces),
            ("failure", pa.struct([(name, pa.string()) for name in ("reason", "stage", "detail")])),
        ],
        metadata={_FORM: VERSION, _ENCODER: json.dumps(asdict(encoder)).encode(), _DECODER: decoder.encode()},
    )


class Kept(NamedTuple):
    """The vectors of a batch stay in a shard: its number in `vector_shards`, and the row of each of the batch (N,)."""

    shard_id: int
    rows: Ids


def commit(con: Connection, batch: pa.Table, placement: pa.Table | None = None, kept: Kept | None = None) -> None:
    """Write a batch inside the caller's transaction; the caller also keeps other indexers out (`Store.indexing`).

    `placement` (see `PLACEMENT`) says what each row means in this catalog. Without it that is found here: content that
    is on record at its address is the same image, all else at an address is a new one in the place of what was there.
    With `kept`, for which `placement` is needed, the catalog gets the places of the vectors instead of their numbers.

    Raises:
        StoreError: it is not an encoded batch, has an address twice, or an image without vectors that the store lacks.
    """
    encoder, decoder = _identities(batch)
    batch = _present_form(batch, encoder, decoder)
    number = add_encoder(con, encoder)
    if placement is None:
        _check(batch, encoder)
        placement = _place(con, number, batch)
    spaces = ["joint", "vision"]
    rows = batch.drop_columns(spaces)
    for name in PLACEMENT.names:
        rows = rows.append_column(name, placement.column(name))
    image_id, vectors_of = (to_numpy(placement.column(name).fill_null(-1)) for name in ("image_id", "vectors_of"))
    new, failed = mask(placement.column("is_new")), mask(batch.column("failure").is_valid())
    origin, at = _origins(image_id, vectors_of), {"now": now()}
    pieces = rows.combine_chunks().to_batches(max_chunksize=ROW_GROUP)  # which DuckDB compresses in several threads
    # Without the vectors, which DuckDB would filter less quickly.
    with con.holding("rows", pa.Table.from_batches(pieces, rows.schema)):
        if placement.column("replaces").null_count < len(batch):
            con.run(_REPLACED, at)
        if new.any():
            con.run(_NEW, at)
        if (~new & (image_id >= 0)).any():
            counted = runs_of_relabelled(con, "rows")
            con.run(_KNOWN)
            recount(con, counted)
        if (vectors_of >= 0).any():
            con.run(_WAITED, {"number": number})
        con.run("DELETE FROM failures WHERE path IN (SELECT address FROM rows)")
        if failed.any():
            con.run(_FAILED, at | {"decoder": decoder})
    _add_vectors(con, number, batch.append_column("image_id", placement.column("image_id")), origin, kept)
    if ((vectors_of >= 0) & (origin < 0)).any():
        with con.holding("rows", placement.append_column("in_batch", pa.array(origin >= 0))):
            con.run(_COPIED.format(vectors=stored_vectors(number)))
            con.run(_COPIED_PLACES, {"number": number})
    renew_images_generation(con)


def _origins(image_id: Ids, vectors_of: Ids) -> Ids:
    """Return the row of the batch whose vectors each row is to have (N,); -1 for none in the batch."""
    own = np.flatnonzero((vectors_of == image_id) & (vectors_of >= 0))
    own = own[np.argsort(image_id[own], kind="stable")]
    place = np.searchsorted(image_id[own], vectors_of)
    found = np.append(own, -1)[place]
    return np.where(image_id[found] == vectors_of, found, -1) if len(own) else np.full(len(image_id), -1)


def _add_vectors(con: Connection, number: int, batch: pa.Table, origin: Ids, kept: Kept | None) -> None:
    """Add vectors of the batch, or their places, for the rows (N,) that have an `origin` in it."""
    to, of = np.flatnonzero(origin >= 0), origin[origin >= 0]
    if not len(to):
        return
    vectors = batch.select(["sha256"] if kept else ["sha256", "joint", "vision"])
    if len(to) < len(batch) or (to != of).any():
        vectors = vectors.take(to_arrow(of))
    vectors = vectors.append_column("image_id", batch.column("image_id").take(to_arrow(to)))
    if kept:
        vectors = vectors.append_column("shard_row", to_arrow(kept.rows[of]))
    with con.holding("rows", vectors.combine_chunks()):
        if kept:
            con.run(_POINTED, {"number": number, "shard": kept.shard_id})
        else:
            with con.uncompressed():
                con.run(_OWN.format(vectors=stored_vectors(number)))


_REPLACED = """
    UPDATE stored_images SET removed_at = $now WHERE image_id IN (SELECT replaces FROM rows WHERE replaces IS NOT NULL)
"""

_NEW = """
    INSERT INTO stored_images BY NAME
    SELECT image_id, address AS path, source, category, condition, split, sha256 AS content_sha256, width, height,
        size_bytes, modified_ns, metadata, taken_at, camera, lens, latitude, longitude, exif, $now AS added_at
    FROM rows WHERE is_new
"""

_KNOWN = """
    UPDATE stored_images SET path = b.address, source = b.source, size_bytes = b.size_bytes,
        modified_ns = b.modified_ns, category = b.category, condition = b.condition, split = b.split,
        metadata = b.metadata, removed_at = NULL, {photo}
    FROM rows b WHERE NOT b.is_new AND stored_images.image_id = b.image_id
""".format(photo=", ".join(f"{name} = coalesce(b.{name}, stored_images.{name})" for name in PHOTO.names))

# Images that get vectors do not wait for those of a lost shard any more.
_WAITED = """
    DELETE FROM vector_places WHERE encoder_id = $number AND shard_id < 0
    AND image_id IN (SELECT image_id FROM rows WHERE vectors_of IS NOT NULL)
"""

_OWN = f"""
    INSERT INTO {{vectors}} BY NAME
    SELECT image_id, joint, vision, {short_hash("sha256")} AS content_hash FROM rows
"""

_POINTED = f"""
    INSERT INTO vector_places BY NAME
    SELECT $number AS encoder_id, image_id, {short_hash("sha256")} AS content_hash, $shard AS shard_id, shard_row
    FROM rows
"""

_COPIED = """
    INSERT INTO {vectors} BY NAME
    SELECT b.image_id, v.joint, v.vision, v.content_hash
    FROM rows b JOIN {vectors} v ON v.image_id = b.vectors_of WHERE NOT b.in_batch ORDER BY b.image_id
"""

_COPIED_PLACES = """
    INSERT INTO vector_places BY NAME
    SELECT v.encoder_id, b.image_id, v.content_hash, v.shard_id, v.shard_row
    FROM rows b JOIN vector_places v ON v.image_id = b.vectors_of AND v.encoder_id = $number
    WHERE NOT b.in_batch ORDER BY b.image_id
"""

_FAILED = """
    INSERT INTO failures BY NAME
    SELECT address AS path, source, failure.stage AS stage, failure.reason AS reason, failure.detail AS detail,
        size_bytes, modified_ns, $now AS failed_at, $decoder AS decoder
    FROM rows WHERE failure IS NOT NULL
"""


def _present_form(batch: pa.Table, encoder: EncoderId, decoder: str) -> pa.Table:
    """Return a batch of an earlier form as one of this."""
    schema = batch_schema(encoder, decoder)
    if batch.schema.metadata[_FORM] == VERSION:
        return batch
    for field in PHOTO:
        batch = batch.append_column(field, pa.nulls(len(batch), field.type))
    names = sorted(batch.column_names, key=lambda name: schema.get_field_index(name) % (len(schema) + 1))
    return batch.select(names).replace_schema_metadata(schema.metadata)


def _identities(batch: pa.Table) -> tuple[EncoderId, str]:
    """Return the encoder and the decoder of a batch."""
    metadata = batch.schema.metadata or {}
    if metadata.get(_FORM) not in (b"1", VERSION):
        raise StoreError(
            "this table is not an encoded batch that this version can read",
            "its schema is described in shotdex/store/encoded_batch.py; `batch_schema` makes it",
        )
    known = json.loads(metadata[_ENCODER])
    encoder = EncoderId(**known | {"precision": Precision(known["precision"]), "pooling": Pooling(known["pooling"])})
    return encoder, metadata[_DECODER].decode()


def _check(batch: pa.Table, encoder: EncoderId) -> None:
    """Check a batch that was made elsewhere."""
    if not batch.schema.equals(batch_schema(encoder)):
        raise StoreError(
            "the columns of this table are not those of an encoded batch", "`batch_schema` makes the schema"
        )
    if len(set(batch.column("address").to_pylist())) < len(batch):
        raise StoreError("the encoded batch has an address twice", "keep its last row only")
    for name, dim in (("joint", encoder.dim), ("vision", encoder.vision_dim)):
        if not np.isfinite(vectors_from_arrow(batch.column(name).drop_null(), dim)).all():
            raise StoreError(
                f"the encoded batch has vectors in {name} with NaN or infinity", "record these images as failures"
            )


# What stands at a row's address now, and the image that has vectors for its content, in the catalog or in the batch.
_PLACE = """
    WITH newest AS (
        FROM stored_images SEMI JOIN rows ON path = address
        QUALIFY row_number() OVER (PARTITION BY path ORDER BY image_id DESC) = 1
    ), placed AS (
        SELECT r.*, n.image_id AS known, coalesce(n.content_sha256 = r.sha256, false) AS same,
            n.removed_at IS NULL AND n.image_id IS NOT NULL AS present,
            coalesce(n.size_bytes = r.size_bytes AND n.modified_ns = r.modified_ns, false) AS same_file,
            r.failure IS NULL AND NOT same AS is_new,
            CASE WHEN is_new THEN $next - 1 + count(*) FILTER (is_new) OVER (ORDER BY position)
                WHEN same THEN known END AS image_id
        FROM rows r LEFT JOIN newest n ON n.path = r.address
    ), owners AS (
        SELECT content AS sha256, min(image_id) AS owner FROM (
            SELECT content_sha256 AS content, image_id
            FROM stored_images SEMI JOIN {vectors} USING (image_id)
            WHERE content_sha256 IN (SELECT sha256 FROM rows)
            UNION ALL SELECT sha256, image_id FROM placed WHERE joint IS NOT NULL
        ) GROUP BY content
    )
    SELECT p.image_id, p.is_new,
        CASE WHEN present AND (is_new OR failure.stage IN ('decode', 'encode') AND NOT same_file) THEN known END
            AS replaces,
        CASE WHEN failure IS NOT NULL OR v.image_id IS NOT NULL THEN NULL
            WHEN p.joint IS NOT NULL THEN p.image_id ELSE o.owner END AS vectors_of,
        failure IS NULL AND v.image_id IS NULL AND p.joint IS NULL AND o.owner IS NULL AS without
    FROM placed p LEFT JOIN owners o USING (sha256) LEFT JOIN {vectors} v ON v.image_id = p.image_id
    ORDER BY position
"""


def _place(con: Connection, number: int, batch: pa.Table) -> pa.Table:
    """Return what the rows of a batch from elsewhere mean in a catalog."""
    rows = batch.append_column("position", to_arrow(np.arange(len(batch))))
    with con.holding("rows", rows):
        placed = con.table(_PLACE.format(vectors=vectors_table(number)), {"next": next_image_id(con)})
    without = sum(placed.column("without").to_pylist())
    if without:
        raise StoreError(
            f"{without:,} rows of the encoded batch have neither vectors nor a failure, and the store has no vectors "
            "of the same content",
            "encode these images, or commit the batch that has their vectors first",
        )
    return placed.drop_columns("without").cast(PLACEMENT)

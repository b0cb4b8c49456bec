"""Rows of images and vectors that tests put straight into a catalog, with ids and contents of their own choosing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shotdex.store.arrow import vectors_to_arrow
from shotdex.store.connection import Connection, now
from shotdex.store.ids import renew_images_generation
from shotdex.store.schema import vectors_table
from shotdex.store.types import ImageVectors


@dataclass(frozen=True)
class ImageRow:
    """A row of `stored_images`."""

    image_id: int
    path: str
    source: str
    category: str | None
    condition: str | None
    split: str | None
    content_sha256: str
    width: int = 1
    height: int = 1
    size_bytes: int = 1
    modified_ns: int = 1
    metadata: str | None = None


_TYPES = {"image_id": pa.int64(), "size_bytes": pa.int64(), "modified_ns": pa.int64(), "width": pa.int32()}
_TYPES |= {"height": pa.int32()}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in ImageRow.__dataclass_fields__])


def add_images(con: Connection, rows: Sequence[ImageRow]) -> None:
    table = pa.table({name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}, _SCHEMA)
    con.append("stored_images", table.append_column("added_at", pa.array([now()] * len(rows), pa.timestamp("us"))))
    renew_images_generation(con)


def add_vectors(con: Connection, encoder_id: int, image_ids: Sequence[int], vectors: ImageVectors) -> None:
    columns = {
        "image_id": np.asarray(image_ids, dtype=np.int64),
        "joint": vectors_to_arrow(vectors.joint),
        "vision": vectors_to_arrow(vectors.vision),
    }
    con.append(vectors_table(encoder_id), pa.table(columns))
    renew_images_generation(con)

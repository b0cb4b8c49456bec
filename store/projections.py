"""Coordinates of a map, kept with what made them, so that a map drawn again is the same map and costs nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .arrow import to_arrow, to_numpy
from .connection import Connection, now
from .types import Ids, Space


@dataclass(frozen=True, slots=True)
class ProjectionKey:
    """What decides a projection: encoder, space, method, its settings (seed included), the filter, and the images."""

    encoder_id: int
    space: Space
    method: str
    settings: Mapping[str, Any]
    where: str | None
    images_sha256: str


def digest_ids(ids: Ids) -> str:
    """Return the SHA-256 of a list of image ids, hex."""
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()


def load_projection(con: Connection, key: ProjectionKey) -> npt.NDArray[np.float64] | None:
    """Return kept coordinates (N, 2), rows by rising image id, or None."""
    number = con.value(
        "SELECT max(projection_id) FROM projections WHERE encoder_id = $encoder_id AND space = $space "
        "AND method = $method AND settings::VARCHAR = $settings AND images_sha256 = $images",
        _parameters(key),
    )
    if number is None:
        return None
    table = con.table("SELECT x, y FROM projection_points WHERE projection_id = $n ORDER BY image_id", {"n": number})
    return np.column_stack([to_numpy(table.column(axis)) for axis in ("x", "y")])


def save_projection(con: Connection, key: ProjectionKey, ids: Ids, points: npt.NDArray[np.float64]) -> None:
    """Keep coordinates (N, 2) of images (N,)."""
    number = int(con.value("SELECT coalesce(max(projection_id), 0) + 1 FROM projections"))
    con.run(
        "INSERT INTO projections VALUES ($number, $encoder_id, $space, $method, $settings, $where, $n, $images, $now)",
        _parameters(key) | {"number": number, "where": key.where, "n": len(ids), "now": now()},
    )
    columns = {
        "projection_id": to_arrow(np.full(len(ids), number, np.int32)),
        "image_id": to_arrow(np.asarray(ids, dtype=np.int64)),
        "x": to_arrow(points[:, 0]),
        "y": to_arrow(points[:, 1]),
    }
    con.append("projection_points", pa.table(columns))


def _parameters(key: ProjectionKey) -> dict[str, Any]:
    return {
        "encoder_id": key.encoder_id,
        "space": key.space.value,
        "method": key.method,
        "settings": json.dumps(dict(key.settings), sort_keys=True),
        "images": key.images_sha256,
    }

"""TIFF files written sample by sample, so that what they show is known without any library that reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

_TYPES = {"B": 1, "H": 3, "I": 4, "b": 6, "h": 8, "i": 9, "f": 11, "d": 12}
_FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}


def tiff(
    samples: np.ndarray,
    photometric: int = 1,
    *,
    order: str = "<",
    bits: int | None = None,
    tags: Mapping[int, tuple[str, Any]] | None = None,
    **layout: Any,
) -> bytes:
    """Return a TIFF file of samples, (H, W) or (H, W, S), stored as they are.

    Args:
        samples: of any numeric type; its kind becomes the tag SampleFormat where it is not unsigned.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 CIE L*a*b*.
        order: byte order, `<` or `>`.
        bits: bits of a sample as stored, where fewer than its type has.
        tags: further tags, number to (type, values); they replace those made here.
        layout: `compression` (1 none, 8 deflate), `planar` (1 or 2), `predictor` (1 or 2), `rows` in a strip, `tile`
            (its side in pixels).
    """
    cube = samples[:, :, None] if samples.ndim == 2 else samples
    height, width, count = cube.shape
    depth = bits or 8 * samples.dtype.itemsize
    planes = [cube[:, :, i : i + 1] for i in range(count)] if layout.get("planar") == 2 else [cube]
    side, rows = layout.get("tile"), layout.get("rows", height)
    parts = [
        _coded(part, depth, order, layout)
        for plane in planes
        for part in (_tiles(plane, side) if side else [plane[top : top + rows] for top in range(0, height, rows)])
    ]
    entries: dict[int, tuple[str, Any]] = {
        256: ("I", width),
        257: ("I", height),
        258: ("H", (depth,) * count),
        259: ("H", layout.get("compression", 1)),
        262: ("H", photometric),
        277: ("H", count),
        284: ("H", layout.get("planar", 1)),
    }
    if samples.dtype.kind != "u":
        entries[339] = ("H", (_FORMATS[samples.dtype.kind],) * count)
    if layout.get("predictor", 1) != 1:
        entries[317] = ("H", layout["predictor"])
    starts, place = [], 8
    for part in parts:
        starts.append(place)
        place += len(part)
    if side:
        entries |= {322: ("I", side), 323: ("I", side), 324: ("I", starts), 325: ("I", [len(p) for p in parts])}
    else:
        entries |= {273: ("I", starts), 278: ("I", rows), 279: ("I", [len(p) for p in parts])}
    return _file(b"".join(parts), entries | dict(tags or {}), order)


def _tiles(plane: np.ndarray, side: int) -> list[np.ndarray]:
    height, width, _ = plane.shape
    padded = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)))
    return [
        padded[top : top + side, left : left + side] for top in range(0, height, side) for left in range(0, width, side)
    ]


def _coded(part: np.ndarray, depth: int, order: str, layout: Mapping[str, Any]) -> bytes:
    if layout.get("predictor") == 2:
        part = np.concatenate([part[:, :1], np.diff(part, axis=1)], axis=1)
    whole = 8 * part.dtype.itemsize
    if depth == whole:
        data = part.astype(part.dtype.newbyteorder(order)).tobytes()
    else:
        wide = part.reshape(part.shape[0], -1, 1).astype(f">u{part.dtype.itemsize}")
        each = np.unpackbits(wide.view(np.uint8).reshape(part.shape[0], -1, whole // 8), axis=2)[:, :, whole - depth :]
        data = np.packbits(each.reshape(part.shape[0], -1), axis=1).tobytes()
    return zlib.compress(data) if layout.get("compression") == 8 else data


def _file(pixels: bytes, entries: Mapping[int, tuple[str, Any]], order: str) -> bytes:
    pixels += b"\0" * (len(pixels) % 2)
    start = 8 + len(pixels)
    table, extra = b"", b""
    beyond = start + 2 + 12 * len(entries) + 4
    for number, (kind, values) in sorted(entries.items()):
        listed = values if isinstance(values, (tuple, list)) else (values,)
        data = struct.pack(f"{order}{len(listed)}{kind}", *listed)
        table += struct.pack(f"{order}HHI", number, _TYPES[kind], len(listed))
        if len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", beyond + len(extra))
            extra += data + b"\0" * (len(data) % 2)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + pixels + struct.pack(f"{order}H", len(entries)) + table + b"\0\0\0\0" + extra

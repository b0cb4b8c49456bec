"""The file of an encoder's cells: ours to the last byte, checked whole whenever it is opened, and no matter if lost.

It names rows of the encoder's FAISS file and is of use only with one that has the same images in the same rows, which
it says by their hash. As the cosines are taken from that file, a wrong cell could hide an image, never score one wrong.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from shotdex.store.types import Ids

from .faiss_file import BadIndexFile, IndexLayout, is_inside
from .ivf import Cells, Changed, Figures, Recall

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<8sI")
_KIND = b"shotcel1"
_HASH_BYTES = 32
_LONGEST = 1 << 20
"""Bytes of what a file says of itself: far above what a thousand runs take."""


def cells_file(store: Store, encoder_id: int) -> Path:
    """Return where the cells of an encoder are; the name holds the catalog's id, so no other catalog reads it."""
    return store.index_folder / f"encoder-{encoder_id}-{store.identity[:12]}.cells"


def open_cells(path: Path, layout: IndexLayout) -> Cells | None:
    """Return the cells of a FAISS file, or None where there are none that fit it."""
    if not is_inside(path.parent, path):
        return None
    try:
        return read_cells(path, layout)
    except (BadIndexFile, OSError) as error:
        log.warning(
            "%s is not used: %s; searching exactly (make it anew: shotdex approximate)",
            path,
            getattr(error, "strerror", None) or error,
        )
        return None


def read_cells(path: Path, layout: IndexLayout) -> Cells:
    """Return the cells in a file that fit a FAISS file.

    Raises:
        BadIndexFile: it is damaged, or of another FAISS file.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    figures, said, at = _front(data)
    if hashlib.sha256(data[:-_HASH_BYTES]).digest() != data[-_HASH_BYTES:]:
        raise BadIndexFile("it is truncated or damaged")
    count, rows = figures.cells, figures.rows
    sizes = (4 * count * layout.dim, 8 * (count + 1), 4 * rows)
    if said["dim"] != layout.dim or len(data) != at + sum(sizes) + _HASH_BYTES:
        raise BadIndexFile("it is of other vectors")
    if rows > len(layout.ids) or said["ids_sha256"] != _digest(layout.ids[:rows]):
        raise BadIndexFile("it was made for other images")
    centres = np.frombuffer(data, "<f4", count * layout.dim, at).reshape(count, layout.dim)
    starts = np.frombuffer(data, "<i8", count + 1, at + sizes[0])
    kept = np.frombuffer(data, "<i4", rows, at + sizes[0] + sizes[1])
    if starts[0] != 0 or starts[-1] != rows or (np.diff(starts) < 0).any() or not _is_permutation(kept):
        raise BadIndexFile("its cells are not of its rows")
    return Cells(np.array(centres), np.array(starts), np.array(kept), figures.probes, figures)


def read_figures(path: Path) -> Figures | None:
    """Return what was measured when a file of cells was made, from its first bytes; None where there is none."""
    if not is_inside(path.parent, path):
        return None
    try:
        with path.open("rb") as file:
            return _front(file.read(_HEAD.size + _LONGEST))[0]
    except (BadIndexFile, OSError):
        return None


def write_cells(store: Store, encoder_id: int, ids: Ids, cells: Cells, figures: Figures) -> None:
    """Write the cells of the first rows of a FAISS file, which has these `ids`: aside, flushed to disk, renamed.

    Raises:
        StoreError: it cannot be written, as where the disk is full. The old file is as it was.
    """
    said = {"dim": cells.centres.shape[1], "ids_sha256": _digest(ids[: figures.rows]), "figures": asdict(figures)}
    text = json.dumps(said).encode()
    text += b" " * (-(_HEAD.size + len(text)) % 8)
    parts = [
        _HEAD.pack(_KIND, len(text)) + text,
        cells.centres.astype("<f4").tobytes(),
        cells.starts.astype("<i8").tobytes(),
        cells.rows.astype("<i4").tobytes(),
    ]
    data = b"".join(parts)
    target = cells_file(store, encoder_id)
    aside = target.with_suffix(f".{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(data + hashlib.sha256(data).digest())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}", "make room on the disk, then try again") from error
    finally:
        aside.unlink(missing_ok=True)


def _front(data: bytes) -> tuple[Figures, dict[str, Any], int]:
    """Return what a file says of itself, and where the numbers begin."""
    if len(data) < _HEAD.size + _HASH_BYTES:
        raise BadIndexFile("it is truncated or damaged")
    kind, length = _HEAD.unpack_from(data)
    if kind != _KIND or length > min(_LONGEST, len(data) - _HEAD.size):
        raise BadIndexFile("it is another kind of file")
    try:
        said = json.loads(data[_HEAD.size : _HEAD.size + length])
        return _figures(said["figures"]), {"dim": said["dim"], "ids_sha256": said["ids_sha256"]}, _HEAD.size + length
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadIndexFile("it is truncated or damaged") from error


def _figures(said: dict[str, Any]) -> Figures:
    values = dict(said)
    values["images"] = Recall(**values["images"])
    values["texts"] = None if values["texts"] is None else Recall(**values["texts"])
    values["runs"] = tuple(Changed(**run) for run in values["runs"])
    figures = Figures(**values)
    if not all(isinstance(number, int) and number > 0 for number in (figures.rows, figures.cells, figures.probes)):
        raise ValueError("counts that cannot be")
    return figures


def _digest(ids: Ids) -> str:
    return hashlib.sha256(ids.astype("<i8", copy=False).tobytes()).hexdigest()


def _is_permutation(rows: np.ndarray) -> bool:
    if len(rows) and (rows.min() < 0 or rows.max() >= len(rows)):
        return False
    return bool((np.bincount(rows, minlength=len(rows)) == 1).all())

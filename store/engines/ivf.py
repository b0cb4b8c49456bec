"""Approximate search: an inverted file over the vectors of the flat engine, kept in a file of its own.

The file names rows of the encoder's FAISS file and is used only with one that has the same images in the same rows,
which it says by their hash. As the cosines are computed from that file, a wrong list could hide an image, never score
one wrong.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
from collections.abc import Iterable
from dataclasses import asdict
from errno import EACCES
from pathlib import Path
from typing import Any

import numpy as np

from shotdex.store.errors import StoreError
from shotdex.store.lock import ownership
from shotdex.store.store import Store
from shotdex.store.types import Ids, Vectors

from .base import EngineDamaged, EngineSite, Filter
from .faiss_file import is_inside, remove_file
from .flat import FlatEngine, Rows, stacked_hits
from .inverted_file import Changed, Figures, InvertedFile, Recall

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<8sI")
_KIND = b"shotcel1"
_HASH_BYTES = 32
_LONGEST = 1 << 20
"""Bytes of what a file says of itself: far above what a thousand runs take."""


class IvfEngine:
    """Searches the vectors of the flat engine: of those in the inverted file, only the lists nearest to the query.

    Once the inverted file is gone, all of them.
    """

    stamped_as = FlatEngine.stamped_as

    def __init__(self, flat: FlatEngine, path: Path, inverted: InvertedFile | None) -> None:
        """`path` is where the inverted file is kept, if it is."""
        self.flat, self.inverted, self._path = flat, inverted, path

    @property
    def exact(self) -> bool:
        """Whether every vector is compared."""
        return self.inverted is None

    @property
    def stamp(self) -> str | None:
        """That of the flat engine; the inverted file says itself which rows it was made for."""
        return self.flat.stamp

    @property
    def covers(self) -> Ids:
        """The ids that the flat engine covers."""
        return self.flat.covers

    def search(self, vectors: Vectors, k: int, among: Filter) -> tuple[Ids, Vectors]:
        """Compare the vectors in the nearest lists, and those that came after the inverted file was made."""
        inverted = self.inverted
        if inverted is None:
            return self.flat.search(vectors, k, among)
        self.flat.check()
        rows = self.flat.rows
        kept = rows.positions(among)
        k = min(k, len(kept))
        return stacked_hits([rows.best(vector, k, inverted.positions(vector, k, kept)) for vector in vectors], k)

    def add(self, ids: Ids, vectors: Iterable[Vectors]) -> None:
        """Add to the vectors of the flat engine; the new ones are compared in every search."""
        self.flat.add(ids, vectors)

    def remove(self, ids: Ids) -> None:
        """Remove vectors of the flat engine; an inverted file of which rows went is of no use."""
        self.flat.remove(ids)
        self.inverted = open_inverted_file(self._path, self.flat.rows)

    def drop(self) -> None:
        """Delete the inverted file; the vectors are the flat engine's."""
        if not self._path.parent.is_symlink():
            remove_file(self._path)
        self.inverted = None


def open_ivf(site: EngineSite) -> IvfEngine | FlatEngine:
    """Open the inverted file of an encoder over the vectors of its flat engine; without one it is the flat engine."""
    flat, path = site.opened[FlatEngine.stamped_as], _path(site.folder, site.store_id, site.encoder_id)
    assert isinstance(flat, FlatEngine)
    # Without vectors of the flat engine, as after it was damaged, nothing is wrong with the inverted file.
    inverted = open_inverted_file(path, flat.rows) if len(flat.rows.ids) else None
    return flat if inverted is None else IvfEngine(flat, path, inverted)


def inverted_file_path(store: Store, encoder_id: int) -> Path:
    """Return where the inverted file of an encoder is: the name holds the identity of its catalog."""
    return _path(store.index_folder, store.identity, encoder_id)


def drop_inverted_file(store: Store, encoder_id: int) -> bool:
    """Delete the inverted file of an encoder, and tell whether there was one."""
    path = inverted_file_path(store, encoder_id)
    if not is_inside(store.index_folder, path):
        return False
    path.unlink()
    return True


def _path(folder: Path, store_id: str, encoder_id: int) -> Path:
    return folder / f"encoder-{encoder_id}-{store_id[:12]}.cells"


def open_inverted_file(path: Path, rows: Rows) -> InvertedFile | None:
    """Return the inverted file over some rows, or None if there is none that fits them."""
    if not is_inside(path.parent, path):
        return None
    try:
        return read_inverted_file(path, rows)
    except (EngineDamaged, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning("%s is not used: %s; searching exactly (build it again: shotdex approximate)", path, reason)
        return None


def read_inverted_file(path: Path, rows: Rows) -> InvertedFile:
    """Return an inverted file over the first of some rows.

    Raises:
        EngineDamaged: it is damaged, or of other rows.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    figures, said, at = _front(data)
    if hashlib.sha256(data[:-_HASH_BYTES]).digest() != data[-_HASH_BYTES:]:
        raise EngineDamaged("it is truncated or damaged")
    count, covered, dim = figures.cells, figures.rows, rows.vectors.shape[1]
    sizes = (4 * count * dim, 8 * (count + 1), 4 * covered)
    if said["dim"] != dim or len(data) != at + sum(sizes) + _HASH_BYTES:
        raise EngineDamaged("it was made for other vectors")
    if covered > len(rows.ids) or said["ids_sha256"] != _digest(rows.ids[:covered]):
        raise EngineDamaged("it was made for other images")
    centroids = np.frombuffer(data, "<f4", count * dim, at).reshape(count, dim)
    starts = np.frombuffer(data, "<i8", count + 1, at + sizes[0])
    kept = np.frombuffer(data, "<i4", covered, at + sizes[0] + sizes[1])
    if starts[0] != 0 or starts[-1] != covered or (np.diff(starts) < 0).any() or not _is_permutation(kept):
        raise EngineDamaged("its lists do not hold each of its rows once")
    return InvertedFile(np.array(centroids), np.array(starts), np.array(kept), figures.probes, figures)


def read_figures(path: Path) -> Figures | None:
    """Return what was measured when an inverted file was made, from its first bytes; None if there is no such file."""
    if not is_inside(path.parent, path):
        return None
    try:
        with path.open("rb") as file:
            return _front(file.read(_HEAD.size + _LONGEST))[0]
    except (EngineDamaged, OSError):
        return None


def write_inverted_file(store: Store, encoder_id: int, ids: Ids, inverted: InvertedFile, figures: Figures) -> None:
    """Write the inverted file of the first rows of a FAISS file, which has these `ids`: aside, flushed, renamed.

    Raises:
        StoreError: it cannot be written, as where the disk is full. The old file is as it was.
    """
    said = {"dim": inverted.centroids.shape[1], "ids_sha256": _digest(ids[: figures.rows]), "figures": asdict(figures)}
    text = json.dumps(said).encode()
    text += b" " * (-(_HEAD.size + len(text)) % 8)
    parts = [
        _HEAD.pack(_KIND, len(text)) + text,
        inverted.centroids.astype("<f4").tobytes(),
        inverted.starts.astype("<i8").tobytes(),
        inverted.rows.astype("<i4").tobytes(),
    ]
    data = b"".join(parts)
    target = inverted_file_path(store, encoder_id)
    aside = target.with_suffix(f".{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(data + hashlib.sha256(data).digest())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except OSError as error:
        owner = ownership(target.parent) if error.errno == EACCES else ""
        raise StoreError(
            f"cannot write {target}: {error.strerror}{owner}", "make room on the disk, then try again"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _front(data: bytes) -> tuple[Figures, dict[str, Any], int]:
    """Return what a file says of itself, and where the numbers begin."""
    if len(data) < _HEAD.size + _HASH_BYTES:
        raise EngineDamaged("it is truncated or damaged")
    kind, length = _HEAD.unpack_from(data)
    if kind != _KIND or length > min(_LONGEST, len(data) - _HEAD.size):
        raise EngineDamaged("it is another kind of file")
    try:
        said = json.loads(data[_HEAD.size : _HEAD.size + length])
        return _figures(said["figures"]), {"dim": said["dim"], "ids_sha256": said["ids_sha256"]}, _HEAD.size + length
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EngineDamaged("it is truncated or damaged") from error


def _figures(said: dict[str, Any]) -> Figures:
    values = dict(said)
    values["images"] = Recall(**values["images"])
    values["texts"] = None if values["texts"] is None else Recall(**values["texts"])
    values["runs"] = tuple(Changed(**run) for run in values["runs"])
    figures = Figures(**values)
    if not all(isinstance(number, int) and number > 0 for number in (figures.rows, figures.cells, figures.probes)):
        raise ValueError("a count that is not positive")
    return figures


def _digest(ids: Ids) -> str:
    return hashlib.sha256(ids.astype("<i8", copy=False).tobytes()).hexdigest()


def _is_permutation(rows: np.ndarray) -> bool:
    if len(rows) and (rows.min() < 0 or rows.max() >= len(rows)):
        return False
    return bool((np.bincount(rows, minlength=len(rows)) == 1).all())

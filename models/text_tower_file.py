"""The file of a text tower: safetensors, next to the index, named by the encoder it belongs to.

It is used only where it carries that encoder's identity and every byte of it is as it was written: the file has the
SHA-256 of its tensors and of its header in itself, so nothing can part the two. That is checked when the file is opened
for the first time and after its size, time or inode changed; a stamp next to it remembers that it was checked. Besides,
a text whose vector was pinned when the file was made goes along with every query and must still get that vector.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from shotdex.store.engines.faiss_file import is_inside
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Vectors

from .text_tower import TextRules, Tokens, TowerShape, by_length, text_vectors

log = logging.getLogger(__name__)

FORM = "shotdex text tower 1"

TOKENIZER, PINNED = "tokenizer", "pinned"

KEYS, HEADER_DIGEST = {"form", "encoder", "sha256", "shape", "rules"}, "header_sha256"

PINNED_TEXT = "a photo of a cat, a dog and 3 red bicycles"

PARITY = 1e-5
"""Largest difference of a number in a unit vector that counts as the same vector: float32 rounds 1e-6 or so."""

AT_ONCE, FEW = 64, 8
"""Texts that go through the tower together, and up to how many are few."""


TICK = 20_000_000
"""Nanoseconds in which a file can change twice and keep its time; one so new is checked again the next time."""

_ALONE = Lock()
"""The number of BLAS threads is the process's: two that set it at once would put it back in the wrong order."""


class TowerBroken(Exception):
    """The weights are not what they were. Never leaves shotdex: the model is loaded instead."""


@dataclass(frozen=True, slots=True)
class TextTower:
    """A text tower that can be used. Its file stays open for as long as this lives.

    `pinned` (D,) is the vector of `PINNED_TEXT`.
    """

    shape: TowerShape
    tokens: Tokens
    file: _MappedFile
    pinned: Vectors

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) float32 unit rows for N texts.

        Raises:
            TowerBroken: the text whose vector is known gets another one, or a vector is not finite.
        """
        from threadpoolctl import threadpool_limits

        # Together with the others: reading the weights twice would take twice as long.
        ids = self.tokens.of([PINNED_TEXT, *texts])
        few = len(ids) <= FEW
        if few and not self.shape.looks_ahead:  # nothing looks beyond a text's end, so they can be filled up
            longest = max(map(len, ids))
            ids = [row + [0] * (longest - len(row)) for row in ids]
        vectors = np.empty((len(ids), len(self.pinned)), np.float32)
        # For so little work a second thread brings nothing, and on a busy machine waits for its turn many times over.
        with _ALONE, threadpool_limits(1 if few else None, "blas"):
            for group in by_length(ids, AT_ONCE):
                vectors[group] = text_vectors(
                    self.file.tensors, self.shape, np.array([ids[n] for n in group], np.int64)
                )
        apart = np.abs(vectors[0] - self.pinned).max()
        if not apart <= PARITY:
            raise TowerBroken(f"its weights changed: a known text's vector is off by {apart:.1e}")
        if not np.isfinite(vectors).all():
            raise TowerBroken("its weights changed: a text's vector is not finite")
        return vectors[1:]


class _MappedFile:
    """The tensors of a safetensors file that is mapped into memory: only what is used is ever read.

    The safetensors package copies each tensor, twice, which takes longer than computing with it. The form is simple:
    the length of a header in 8 bytes (little-endian), the header in JSON, the numbers.
    https://github.com/huggingface/safetensors#format

    Raises:
        ValueError, OSError: it is not such a file, or a tensor of it would lie outside.
    """

    def __init__(self, path: Path) -> None:
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
        start = 8 + int.from_bytes(mapped[:8].tobytes(), "little")
        header = json.loads(mapped[8:start].tobytes())
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self.tensors: dict[str, np.ndarray] = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            tensor = np.ndarray(entry["shape"], _TYPES[entry["dtype"]], buffer=mapped.data, offset=start + begin)
            if not 0 <= begin <= end == begin + tensor.nbytes:
                raise ValueError("a tensor is not where the header says")
            self.tensors[name] = tensor

    def is_whole(self) -> bool:
        """Read everything and tell whether it is as it was written.

        A file of shotdex 0.1 has no digest of its header.
        """
        header = self.metadata.get(HEADER_DIGEST)
        if self.metadata.keys() - {HEADER_DIGEST} != KEYS:
            return False
        return _digest(self.tensors) == self.metadata.get("sha256") and (
            header is None or header == _header_digest(self.metadata, self.tensors)
        )


_TYPES: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype(np.uint8)}


def tower_file(store: Store, encoder: EncoderId) -> Path:
    """Return where the text tower of an encoder is kept."""
    return store.index_folder / f"text-{_identity(encoder)[:16]}.safetensors"


def open_tower(store: Store, encoder: EncoderId) -> TextTower | None:
    """Return the text tower of an encoder, or None if none can be trusted; a warning says why."""
    path = tower_file(store, encoder)
    if not is_inside(store.index_folder, path):
        return None
    try:
        stamp = _stamp(path)
        tower = read_tower(path, encoder)
        if not _was_checked(path, stamp):
            if not tower.file.is_whole():
                raise ValueError("its bytes changed since it was made")
            remember_checked(path, stamp)
        return tower
    except Exception as error:  # tokenizers and json each raise what they like of a broken file
        log.warning(NOT_USED, path, (str(error).splitlines() or [type(error).__name__])[0])
        return None


NOT_USED = "%s is not used: %s; loading the whole model instead (repair it: shotdex verify --repair)"


def read_tower(path: Path, encoder: EncoderId) -> TextTower:
    """Return the tower in a file.

    Raises:
        ValueError, OSError, SafetensorError, ...: the file is broken, or another encoder's.
    """
    file = _MappedFile(path)
    if file.metadata.get("form") != FORM or file.metadata.get("encoder") != _identity(encoder):
        raise ValueError("it belongs to another encoder, or to another version of shotdex")
    pinned = file.tensors[PINNED]
    if pinned.shape != (encoder.dim,) or not np.isfinite(pinned).all():
        raise ValueError("its vectors have a different length")
    shape, rules = TowerShape(**json.loads(file.metadata["shape"])), TextRules(**json.loads(file.metadata["rules"]))
    tokenizer = file.tensors[TOKENIZER].tobytes().decode()
    return TextTower(shape, Tokens(tokenizer, rules), file, pinned)


def stamp_file(tower: Path) -> Path:
    """Return where it is kept that a tower's file was checked, and how the file was then."""
    return tower.with_name(tower.stem.replace("text-", "tower-") + ".checked")


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _was_checked(path: Path, stamp: str) -> bool:
    try:
        return stamp_file(path).is_file() and stamp_file(path).read_text() == stamp  # to read a pipe would wait
    except (OSError, ValueError):
        return False


def remember_checked(path: Path, stamp: str | None = None) -> None:
    """Keep that a tower's file is whole as it is now, or was at `stamp`; where nothing can be written, nothing is kept.

    A process that is killed here leaves the stamp of before, or none: then the file is checked once more.
    """
    aside = stamp_file(path).with_suffix(f".{os.getpid()}.part")
    try:
        if stamp_file(path).exists() and not stamp_file(path).is_file():
            return
        if time.time_ns() - path.stat().st_mtime_ns < TICK:
            return
        aside.write_text(stamp or _stamp(path))
        aside.replace(stamp_file(path))
    except OSError as error:
        log.info("that %s was checked is not kept: %s", path.name, error)


def tower_fault(store: Store, encoder: EncoderId) -> str | None:
    """Return what is wrong with the file of a text tower, every byte of it read; None where it is whole, or not there.

    `open_tower` looks at the weights through one known text, which says nothing of the words that are not in it.
    """
    path = tower_file(store, encoder)
    if path.is_symlink() or not path.is_file():
        return "it is a link" if path.is_symlink() else "it is not a file" if path.exists() else None
    try:
        tower = read_tower(path, encoder)
        tower.tokens.of([PINNED_TEXT])  # parses the tokenizer
        return None if tower.file.is_whole() else "its bytes changed since it was made"
    except Exception as error:  # as above
        return (str(error).splitlines() or [type(error).__name__])[0]


def write_tower(
    path: Path, encoder: EncoderId, shape: TowerShape, rules: TextRules, tensors: Mapping[str, np.ndarray]
) -> None:
    """Write a tower aside, flush it to disk and leave it there under `path`.

    `tensors` are the weights by name, with the tokenizer's JSON as bytes under `TOKENIZER` and a vector under `PINNED`.

    Raises:
        OSError, SafetensorError: it cannot be written, as where the disk is full.
    """
    from safetensors.numpy import save_file

    metadata = {
        "form": FORM,
        "encoder": _identity(encoder),
        "sha256": _digest(tensors),
        "shape": json.dumps(asdict(shape)),
        "rules": json.dumps(asdict(rules)),
    }
    metadata[HEADER_DIGEST] = _header_digest(metadata, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    mode = path.stat().st_mode & 0o777  # as files are made here; safetensors lets nobody else read its own
    save_file(dict(tensors), str(path), metadata=metadata)
    path.chmod(mode)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _identity(encoder: EncoderId) -> str:
    return hashlib.sha256(repr(encoder.key()).encode()).hexdigest()


def _header_digest(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    said = {key: value for key, value in metadata.items() if key != HEADER_DIGEST}
    table = {name: [str(tensor.dtype), list(tensor.shape)] for name, tensor in tensors.items()}
    return hashlib.sha256(json.dumps([said, table], sort_keys=True).encode()).hexdigest()


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()

"""IDX, the format of MNIST and Fashion-MNIST: a header of sizes, then bytes; often gzipped.

Format: http://yann.lecun.com/exdb/mnist/ ("THE IDX FILE FORMAT").
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

UNSIGNED_BYTE = 0x08


@lru_cache(maxsize=4)
def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, as (N,) labels or (N, H, W) pictures; read-only.

    Raises:
        ValueError: not an IDX file of unsigned bytes, or shorter than its header says.
        OSError: it cannot be read.
    """
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != UNSIGNED_BYTE:
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    start = 4 + 4 * raw[3]
    shape = tuple(int(size) for size in np.frombuffer(raw[4:start], dtype=">u4"))
    wanted = int(np.prod(shape, dtype=np.int64))
    if len(raw) - start != wanted:
        raise ValueError(f"{path.name} has {len(raw) - start} bytes of data where its header says {wanted}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def picture_file(path: Path, position: int) -> bytes:
    """Return one picture of an IDX file as a PGM file, a form that any image library reads.

    Raises:
        KeyError: there is no picture at that position.
    """
    pictures = read_idx(path)
    if pictures.ndim != 3 or not 0 <= position < len(pictures):
        raise KeyError(f"{path.name} has no picture {position}")
    picture = pictures[position]
    header = f"P5 {picture.shape[1]} {picture.shape[0]} 255\n"
    return header.encode("ascii") + bytes(picture.tobytes())


def is_idx_name(name: str) -> bool:
    """Tell by the name whether a file is an IDX file, gzipped or not."""
    return name.removesuffix(".gz").endswith(("-ubyte", ".idx1", ".idx3", ".idx"))

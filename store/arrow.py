"""Arrow columns from numpy arrays and back.

pyarrow's own conversions of Python values import pandas wherever it is installed, which takes a second: here they go
through the columns' memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import StoreCorrupt

if TYPE_CHECKING:
    import pyarrow as pa


def to_arrow(values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return a column of int32, int64, float32 or float64 numbers (N,), NULL where `missing` (N,) says so."""
    import pyarrow as pa

    flat = np.ascontiguousarray(values)
    present = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [present, pa.py_buffer(flat)])


def to_numpy(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column of such numbers as an array (N,).

    Raises:
        ValueError: a number is missing.
    """
    if column.null_count:
        raise ValueError(f"{column.null_count} of {len(column)} numbers are missing")
    parts = [_numbers(chunk) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=column.type.to_pandas_dtype())


def _numbers(chunk: pa.Array) -> npt.NDArray[Any]:
    kind = np.dtype(chunk.type.to_pandas_dtype())
    return np.frombuffer(chunk.buffers()[1], dtype=kind, count=len(chunk), offset=chunk.offset * kind.itemsize)


def texts(values: Sequence[str]) -> pa.Array:
    """Return a column of texts."""
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def joined(column: pa.ChunkedArray) -> bytes:
    """Return a column's texts one after the other, in UTF-8."""
    import pyarrow as pa

    parts = []
    for chunk in column.cast(pa.large_string()).chunks:
        ends = np.frombuffer(chunk.buffers()[1], dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        parts.append(memoryview(chunk.buffers()[2])[ends[0] : ends[-1]] if ends[-1] > ends[0] else b"")
    return b"".join(parts)


def coded(codes: npt.NDArray[np.int64], values: Sequence[str]) -> pa.Array:
    """Return a column of texts given by their numbers (N,) among `values`; -1 is NULL."""
    import pyarrow as pa

    indices = to_arrow(codes.astype(np.int32), codes < 0 if (codes < 0).any() else None)
    return pa.DictionaryArray.from_arrays(indices, texts(values).cast(pa.string()))


def to_codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return the numbers (N,) of a column's texts among its distinct ones, -1 for NULL, and those."""
    parts = column.dictionary_encode().unify_dictionaries()
    if not parts.num_chunks:
        return np.empty(0, dtype=np.int64), ()
    codes = [np.where(_present(chunk.indices), _numbers(chunk.indices).astype(np.int64), -1) for chunk in parts.chunks]
    return np.concatenate(codes), tuple(parts.chunk(0).dictionary.to_pylist())


def _present(chunk: pa.Array) -> npt.NDArray[np.bool_]:
    bitmap = chunk.buffers()[0]
    if bitmap is None:
        return np.ones(len(chunk), dtype=bool)
    bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    return bits[chunk.offset : chunk.offset + len(chunk)].astype(bool)


def mask(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return a column of truth values as an array (N,); what is missing is not true."""
    parts = []
    for chunk in getattr(column, "chunks", [column]):
        bits = np.unpackbits(np.frombuffer(chunk.buffers()[1], dtype=np.uint8), bitorder="little")
        parts.append(bits[chunk.offset : chunk.offset + len(chunk)].astype(bool) & _present(chunk))
    return np.concatenate(parts) if parts else np.empty(0, dtype=bool)


def vectors_to_arrow(vectors: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return an (N, D) float32 array as N fixed-size lists, the form of a `FLOAT[D]` column; NULL where `missing`."""
    import pyarrow as pa

    flat = to_arrow(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    present = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    kind = pa.list_(pa.float32(), vectors.shape[1])
    return pa.Array.from_buffers(kind, len(vectors), [present], children=[flat])


def vectors_from_arrow(column: pa.ChunkedArray, dim: int) -> npt.NDArray[np.float32]:
    """Return a `FLOAT[D]` column as an (N, D) float32 array, a view of the column's memory where that is in one piece.

    Raises:
        StoreCorrupt: a vector, or a number in one, is missing.
    """
    if len(column) == 0:
        return np.empty((0, dim), dtype=np.float32)
    # Not flatten(): it imports pyarrow.compute, which takes as long as all of a search.
    parts = [chunk.values.slice(chunk.offset * dim, len(chunk) * dim) for chunk in column.chunks]
    if column.null_count or any(part.null_count for part in parts):
        raise _missing()
    found = [_numbers(part) for part in parts]
    return (found[0] if len(found) == 1 else np.concatenate(found)).reshape(-1, dim)


def fixed_lists(column: pa.ChunkedArray, name: str, wanted: pa.DataType) -> pa.Array:
    """Return vectors as lists of a fixed size, from bytes of a fixed length or from any kind of list of float32.

    Raises:
        TypeError, ValueError: they are of another type or length, or numbers are missing.
    """
    import pyarrow as pa

    found = column.combine_chunks()
    found = found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    kind, dim = found.type, wanted.list_size
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 4 * dim:
        if found.offset:
            found = pa.concat_arrays([found, found.slice(0, 0)])
        numbers = pa.Array.from_buffers(pa.float32(), len(found) * dim, [None, found.buffers()[1]])
        return pa.Array.from_buffers(wanted, len(found), [found.buffers()[0]], children=[numbers])
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_float32(kind.value_type):
        raise TypeError(f"its column {name} is {kind}, not {4 * dim} bytes or {dim} float32")
    if found.drop_null().flatten().null_count:
        raise ValueError(f"its vectors in {name} have numbers missing")
    return found.cast(wanted)


def whole(vectors: npt.NDArray[np.object_]) -> list[npt.NDArray[np.float32]]:
    """Return the vectors (D,) of a column as `Connection.arrays` gives it, (N,) of objects.

    Raises:
        StoreCorrupt: a vector, or a number in one, is missing.
    """
    found: list[npt.NDArray[np.float32]] = vectors.tolist()
    # By their types, as numpy.ma, of which a masked array is one, takes long to import.
    if any(type(each) is not np.ndarray for each in (vectors, *found)):
        raise _missing()
    return found


def stacked(vectors: npt.NDArray[np.object_], dim: int) -> npt.NDArray[np.float32]:
    """Return such a column as one array (N, D); see `whole`."""
    found = whole(vectors)
    return np.stack(found) if found else np.empty((0, dim), dtype=np.float32)


def _missing() -> StoreCorrupt:
    return StoreCorrupt("the catalog has vectors with numbers missing", "repair it with: shotdex verify --repair")

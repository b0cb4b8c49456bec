"""Columns from arrays and back, against pyarrow's own conversions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.store.arrow import coded, joined, texts, to_arrow, to_codes, to_numpy
from shotdex.store.store import Store

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float32, np.float64])
@given(st.lists(st.tuples(st.integers(-99, 99), st.booleans()), max_size=20), st.integers(0, 4))
def test_numbers(kind: type, rows: list[tuple[int, bool]], start: int) -> None:
    values, missing = np.array([row[0] for row in rows], dtype=kind), np.array([row[1] for row in rows], dtype=bool)
    assert to_arrow(values, missing).to_pylist() == [None if gone else value for value, gone in rows]
    parts = pa.chunked_array([to_arrow(values)[start:], to_arrow(values[::-1])], type=to_arrow(values).type)
    assert to_numpy(parts).tolist() == [*values[start:].tolist(), *values[::-1].tolist()]
    assert to_numpy(parts).dtype == kind
    if missing.any():
        with pytest.raises(ValueError, match="missing"):
            to_numpy(pa.chunked_array([to_arrow(values, missing)]))


@given(st.lists(words, max_size=20), st.integers(0, 4))
def test_texts(values: list[str], start: int) -> None:
    column = texts(values)
    assert column.to_pylist() == values
    parts = pa.chunked_array([column[start:], column.cast(pa.string()).cast(pa.large_string())], pa.large_string())
    assert joined(parts).decode() == "".join([*values[start:], *values])


@given(st.lists(st.one_of(st.none(), st.sampled_from("abc")), max_size=20), st.integers(0, 20))
def test_codes(values: list[str | None], cut: int) -> None:
    codes, names = to_codes(pa.chunked_array([values[:cut], values[cut:]], pa.string()))
    assert [None if code < 0 else names[code] for code in codes.tolist()] == values
    assert len(set(names)) == len(names)
    assert coded(codes, names).to_pylist() == values


def test_pandas_is_not_imported_for_it(store: Store) -> None:
    """Its import takes a second, and pyarrow imports it with every conversion where it is installed."""
    code = (
        "import sys, numpy as np; from pathlib import Path; from shotdex.store.store import Store; "
        "from shotdex.store.vectors import *; from shotdex.store.types import *; "
        "from shotdex.store.encoders import add_encoder\n"
        "store = Store.open(Path(sys.argv[1]))\n"
        "rows = np.eye(3, 5, dtype='f4')\n"
        "with store.writing() as con:\n"
        "    one = EncoderId('x', '', '1', '2', Precision.FLOAT32, 5, 5); number = add_encoder(con, one)\n"
        "    con.run('INSERT INTO vectors_1 SELECT unnest([3, 4, 5, 9]), [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], 7')\n"
        "    remember_texts(con, number, ['a', 'b', 'c'], rows); remembered_texts(con, number, ['a'])\n"
        "    load_vectors(con, number, one, Space.JOINT, np.array([3, 9, 500]))\n"
        "print(sorted(name for name in sys.modules if name == 'pandas'))"
    )
    done = subprocess.run([sys.executable, "-c", code, store.root], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")

"""A DuckDB connection with the four things shotdex asks of one: rows, an Arrow table, a statement, a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

Parameters = Mapping[str, Any]


class Connection:
    """One open catalog. Parameters are named: `$name` in the SQL, `{"name": value}` beside it."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Return every row of a query as tuples."""
        return self._raw.execute(sql, parameters or None).fetchall()

    def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Return the first column of the first row, or None where there is no row."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def table(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """Return a query's result as an Arrow table."""
        return self._raw.sql(sql, params=parameters or None).to_arrow_table()

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run statements to their end and drop what they return."""
        self._raw.execute(sql, parameters or None).fetchall()

    def append(self, table: str, rows: pa.Table) -> None:
        """Add the rows of an Arrow table, matching columns by name."""
        self._raw.register("arriving_rows", rows)
        try:
            self.run(f"INSERT INTO {table} BY NAME SELECT * FROM arriving_rows")
        finally:
            self._raw.unregister("arriving_rows")

    @contextmanager
    def holding(self, name: str, rows: pa.Table) -> Iterator[None]:
        """Let queries read an Arrow table under a name for a while."""
        self._raw.register(name, rows)
        try:
            yield
        finally:
            self._raw.unregister(name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or none of it."""
        self.run("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def described(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the column names and the rows of a statement."""
        result = self._raw.execute(sql)
        if result is None or result.description is None:  # a comment, say
            return [], []
        return [column[0] for column in result.description], result.fetchall()

    def statements(self, sql: str) -> int:
        """Return how many statements a text holds."""
        return len(self._raw.extract_statements(sql))

    def close(self) -> None:
        """Close the catalog; it is checkpointed when this was the writer."""
        self._raw.close()


def vectors_to_arrow(vectors: np.ndarray) -> pa.Array:
    """Return an (N, D) float32 array as N fixed-size lists, the form of a `FLOAT[D]` column."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def vectors_from_arrow(column: pa.ChunkedArray, dim: int) -> np.ndarray:
    """Return a `FLOAT[D]` column as an (N, D) float32 array."""
    if len(column) == 0:
        return np.empty((0, dim), dtype=np.float32)
    # Concatenating in numpy keeps the peak at twice the vectors; combine_chunks refuses more than 2**31 values.
    return np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks]).reshape(-1, dim)

"""What every result has in common: rows under named columns, shown as a table and handed to other libraries."""

from __future__ import annotations

import html
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from shotdex.analysis.stats.proportions import describe
from shotdex.store.errors import ShotdexError
from shotdex.store.types import Estimate

from .formatting import cell, estimate_cells, signed_cells, table

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

T = TypeVar("T")

SHOWN_ROWS = 20
"""Rows that `repr` and a notebook show; all of them are in the result."""


class Tabular(Sequence[T], Generic[T]):
    """Rows with named columns. Iterating, indexing and `len` are over the rows; a slice is a list of them."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order, no two alike."""

    @abstractmethod
    def _rows(self) -> Sequence[T]:
        """Return the rows."""

    @abstractmethod
    def _values(self, row: T) -> Sequence[Any]:
        """Return a row's values, one a column."""

    def __len__(self) -> int:
        return len(self._rows())

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._rows()[index]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as dicts from column names to Python values."""
        return [dict(zip(self.columns, self._values(row), strict=True)) for row in self]

    def to_arrow(self) -> pyarrow.Table:
        """Return a `pyarrow.Table` with these columns."""
        import pyarrow as pa

        values = [list(map(_storable, self._values(row))) for row in self]
        listed = [list(column) for column in zip(*values, strict=True)] or [[] for _ in self.columns]
        return pa.table(dict(zip(self.columns, listed, strict=True)))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame.

        Raises:
            ShotdexError: pandas is not installed.
        """
        _need("pandas")
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Return a polars DataFrame.

        Raises:
            ShotdexError: polars is not installed.
        """
        _need("polars")
        import polars as pl

        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def arrow(self) -> pyarrow.Table:
        """The same as `to_arrow`, under DuckDB's name."""
        return self.to_arrow()

    def df(self) -> pandas.DataFrame:
        """The same as `to_pandas`, under DuckDB's name."""
        return self.to_pandas()

    def pl(self) -> polars.DataFrame:
        """The same as `to_polars`, under DuckDB's name."""
        return self.to_polars()

    def _headline(self) -> str:
        """Return what stands above the table."""
        return f"{type(self).__name__}: {len(self):,} {'row' if len(self) == 1 else 'rows'}"

    def _cells(self, row: T) -> Sequence[Any]:
        """Return a row's values as a person reads them; one for each of `_headings`."""
        return self._values(row)

    def _headings(self) -> Sequence[str]:
        return self.columns

    def __repr__(self) -> str:
        more = f"\n... and {len(self) - SHOWN_ROWS:,} more" if len(self) > SHOWN_ROWS else ""
        if not len(self):
            return self._headline()
        rows = [self._cells(row) for row in self[:SHOWN_ROWS]]
        return f"{self._headline()}\n{table(self._headings(), rows)}{more}"

    def _repr_html_(self) -> str:
        """Return the table for a notebook; all text in it is escaped."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self._headings())
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell(value))}</td>" for value in self._cells(row)) + "</tr>"
            for row in self[:SHOWN_ROWS]
        )
        more = f"<p>... and {len(self) - SHOWN_ROWS:,} more</p>" if len(self) > SHOWN_ROWS else ""
        caption = f"<p>{html.escape(self._headline())}</p>"
        return f"{caption}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


class Table(Tabular[tuple[Any, ...]]):
    """Rows of values under named columns."""

    columns: tuple[str, ...] = ()

    def __init__(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.title = title
        self.columns = tuple(columns)
        self._kept = [tuple(row) for row in rows]

    def _rows(self) -> Sequence[tuple[Any, ...]]:
        return self._kept

    def _values(self, row: tuple[Any, ...]) -> Sequence[Any]:
        return row

    def _headline(self) -> str:
        return self.title


class Records(Tabular[T]):
    """Rows that are dataclasses. An `Estimate` in the field X becomes the columns X, X_low, X_high and X_n."""

    def __init__(self, rows: Sequence[T], kind: type[T] | None = None) -> None:
        self._kept = tuple(rows)
        self._kind = kind

    def _rows(self) -> Sequence[T]:
        return self._kept

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Tabular`."""
        if self._kept:
            return tuple(_flat(self._kept[0]))
        return tuple(field.name for field in fields(self._kind)) if self._kind is not None else ()  # type: ignore[arg-type]

    def _values(self, row: T) -> Sequence[Any]:
        return list(_flat(row).values())

    def _headings(self) -> Sequence[str]:
        return list(_shown(self._kept[0])) if self._kept else self.columns

    def _cells(self, row: T) -> Sequence[Any]:
        return list(_shown(row).values())


def _flat(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, Estimate):
            values |= {
                field.name: value.value,
                f"{field.name}_low": value.low,
                f"{field.name}_high": value.high,
                f"{field.name}_n": value.n,
            }
        else:
            values[field.name] = value
    return values


def _shown(row: Any) -> dict[str, Any]:
    """Return a row's cells by their headings; of several estimates each has its interval in its own cell."""
    values: dict[str, Any] = {}
    alone = sum(isinstance(getattr(row, field.name), Estimate) for field in fields(row)) == 1
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, Estimate) and alone:
            values |= dict(zip((field.name, "95 % interval", "n"), estimate_cells(value), strict=True))
        elif isinstance(value, Estimate):
            values[field.name] = describe(value) if field.name != "difference" else " ".join(signed_cells(value))
        elif isinstance(value, Mapping) or (isinstance(value, (list, tuple)) and not value):
            continue
        else:
            values[field.name] = value
    return values


def _storable(value: Any) -> Any:
    """Return a value that Arrow has a type for."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _storable(part) for name, part in _flat(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _storable(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_storable(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _need(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ShotdexError(
            f"the package {package} is not installed, which this needs",
            f"pip install {package}   or use to_arrow() or to_dicts(), which need nothing else",
        )

"""What searching, SQL and evaluating return: typed rows that show themselves and go to Arrow, pandas and polars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shotdex.store.types import Estimate

from .formatting import estimate_cells
from .tabular import Records, Tabular

if TYPE_CHECKING:
    import pyarrow

    from shotdex.analysis.document.write import Written
    from shotdex.query.sql import Rows


class SqlResult(Tabular[tuple[Any, ...]]):
    """The rows of a SQL statement, as tuples of Python values.

    `results` has the rows of every statement where several were run together, in order; this one is the last. `near`
    says, without rows, which values that the statement looked for are not there, and which are; `notes` say what may be
    a mistake in the statement. `types` are those of DuckDB, and `more` says whether a limit left rows out.
    """

    def __init__(self, found: Rows) -> None:
        self._found = found
        self.results: tuple[SqlResult, ...] = (self,)
        self.columns = found.names()
        self.near = found.near
        self.notes = found.notes
        self.types, self.more = found.types, found.more
        self.headings = found.columns
        """The columns as the statement names them, where two may have the same name."""

    columns: tuple[str, ...] = ()

    def _rows(self) -> Sequence[tuple[Any, ...]]:
        return self._found.rows

    def _values(self, row: tuple[Any, ...]) -> Sequence[Any]:
        return row

    def _headings(self) -> Sequence[str]:
        return self.headings

    def to_arrow(self) -> pyarrow.Table:
        """Return a `pyarrow.Table` with the types that DuckDB gave the columns."""
        return self._found.to_arrow()


@dataclass(frozen=True, slots=True)
class GroupEstimate:
    """An estimate for one group of images: value with the bounds of its 95 % interval, in [0, 1], and n images."""

    group: str
    value: float
    low: float
    high: float
    n: int
    method: str


class Estimates(Records[GroupEstimate]):
    """Estimates for groups of images, each with its interval and n; `estimates["blurred"]` is that group's."""

    def __init__(self, title: str, found: Mapping[str, Estimate]) -> None:
        self.title = title
        super().__init__(
            [GroupEstimate(name, one.value, one.low, one.high, one.n, one.method) for name, one in found.items()],
            GroupEstimate,
        )

    def __getitem__(self, index: Any) -> Any:
        """Return a row by its number, some by a slice, or an `Estimate` by the name of its group."""
        if not isinstance(index, str):
            return super().__getitem__(index)
        for row in self:
            if row.group == index:
                return Estimate(row.value, row.low, row.high, row.n, row.method)
        raise KeyError(f"there is no group {index!r}; there are: {', '.join(self.groups)}")

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, in order."""
        return tuple(row.group for row in self)

    def _headline(self) -> str:
        return self.title

    def _headings(self) -> Sequence[str]:
        return ("group", "value", "95 % interval", "n")

    def _cells(self, row: GroupEstimate) -> Sequence[Any]:
        return [row.group, *estimate_cells(Estimate(row.value, row.low, row.high, row.n, row.method))]


class Findings(Records[Any]):
    """The rows of an analysis, with all other results in `details`; `written` is the document about it, if any."""

    def __init__(
        self,
        title: str,
        rows: Iterable[Any],
        details: Any,
        kind: type[Any] | None = None,
        written: Written | None = None,
    ) -> None:
        super().__init__(tuple(rows), kind)
        self.title = title
        self.details = details
        self.written = written

    def _headline(self) -> str:
        return self.title

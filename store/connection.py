"""A DuckDB connection with what shotdex needs of one: rows, columns, an Arrow table, a statement, a transaction.

pyarrow is imported where it is used, here and elsewhere in the store: that takes a tenth of what a whole query may.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import numpy.typing as npt
from duckdb.func import ARROW, NATIVE

if TYPE_CHECKING:
    import pyarrow as pa

    from .prediction_files import RunFiles


Parameters = Mapping[str, Any]
Columns = Mapping[str, npt.NDArray[Any]]

ROW_GROUP = 2048
"""Rows that DuckDB writes as one piece, the fewest it takes. It fills a piece and leaves it alone, so a commit rewrites
one at most; with its own 122,880 (65,536 of wide vectors) it joins the pieces of several commits, which writes each
vector four times over. The file keeps as much room again as the piece that was last rewritten. DuckDB does not remember
the number: every writer says it again.
"""

STORAGE = "v1.2.0"
"""The storage version of a catalog: the one that DuckDB 1.2 and everything since reads. DuckDB 2 writes by itself a
version that no other program reads yet; it keeps the version of a catalog that is there.
"""

T = TypeVar("T")

GRACE_SECONDS = 3.0
"""How long an interrupted query may take to end. DuckDB looks for an interruption between two chunks of rows."""

ROWS = 4096
"""Rows taken from a result at a time."""


class TookTooLong(Exception):
    """A query was ended by the clock. Never leaves shotdex: it becomes a `BadSql`."""


class TooMuch(Exception):
    """A result is larger than its limit. Never leaves shotdex: it becomes a `BadSql`."""


@contextmanager
def ctrl_c() -> Iterator[None]:
    """Make a Ctrl-C of what DuckDB makes of one: it raises errors of its own where one comes while it works."""
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise
    except duckdb.InvalidInputException as error:
        if re.search(r"the object registered as \S* failed: KeyboardInterrupt", str(error)):
            raise KeyboardInterrupt from error
        raise


class Connection:
    """One open catalog. Parameters are named: `$name` in the SQL, `{"name": value}` next to it."""

    def __init__(self, raw: duckdb.DuckDBPyConnection, leave: Callable[[], None] | None = None) -> None:
        """Wrap an open connection; `leave` is called once it is closed."""
        self._raw = raw
        self.leave = leave
        self._stuck = False
        self.run_files: dict[int, RunFiles] = {}
        """The runs whose predictions are in files, which queries read, too; see `prediction_files`."""
        self.vector_parts: dict[int, list[str]] = {}
        """The encoders with vectors in shards: queries, each ending in a condition, for those and for the others."""

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Return every row of a query as tuples."""
        with ctrl_c():
            return self._raw.execute(sql, parameters or None).fetchall()

    def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Return the first column of the first row, or None if there are no rows."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def table(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """Return a query's result as an Arrow table."""
        with ctrl_c():
            return self._raw.sql(sql, params=parameters or None).to_arrow_table()

    def arrays(self, sql: str, parameters: Parameters | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return a query's columns as numpy arrays (N,), masked where a value is missing.

        Texts and vectors come as objects, a vector as an array (D,), masked where a number is missing.
        """
        with ctrl_c():
            found: dict[str, npt.NDArray[Any]] = self._raw.execute(sql, parameters or None).fetchnumpy()
        return found

    def batches(self, sql: str, parameters: Parameters | None = None, rows: int = 65_536) -> Iterator[pa.Table]:
        """Yield a query's result in Arrow tables of about `rows` rows; run nothing else here before the last one."""
        import pyarrow as pa

        with ctrl_c():
            for batch in self._raw.sql(sql, params=parameters or None).to_arrow_reader(rows):
                yield pa.Table.from_batches([batch])

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run statements to their end and drop what they return."""
        with ctrl_c():
            self._raw.execute(sql, parameters or None).fetchall()

    def append(self, table: str, rows: pa.Table) -> None:
        """Add the rows of an Arrow table, matching columns by name."""
        with self.holding("arriving_rows", rows):
            self.run(f"INSERT INTO {table} BY NAME SELECT * FROM arriving_rows")

    @contextmanager
    def holding(self, name: str, rows: pa.Table | Columns) -> Iterator[None]:
        """Let queries read an Arrow table, or columns (N,) of numbers, under a name for a while."""
        with ctrl_c():
            self._raw.register(name, rows)
        try:
            yield
        finally:
            with ctrl_c():
                self._raw.unregister(name)

    @contextmanager
    def uncompressed(self) -> Iterator[None]:
        """Let what is inserted be written as it is, for a while; the end of a transaction writes by its own rules."""
        self._set("SET force_compression = 'uncompressed'")
        try:
            yield
        finally:
            self._set("RESET force_compression")

    def _set(self, sql: str) -> None:
        """Change a setting of the whole database, from outside the transaction, which may have failed."""
        with ctrl_c(), self._raw.cursor() as other:
            other.execute(sql)

    @contextmanager
    def function(
        self, name: str, work: Callable[..., Any], takes: Sequence[str], returns: str, *, arrow: bool = False
    ) -> Iterator[None]:
        """Let queries call a function under a name for a while; `takes` and `returns` are DuckDB's types.

        An `arrow` function takes and returns Arrow columns, of many rows at a time.
        """
        self._raw.create_function(name, work, list(takes), returns, type=ARROW if arrow else NATIVE)
        try:
            yield
        finally:
            with ctrl_c():
                self._raw.remove_function(name)

    def register(self, system: Any) -> None:
        """Let queries open files through an fsspec file system; connections to one catalog share it."""
        with suppress(duckdb.InvalidInputException):  # another connection of this process did so
            self._raw.register_filesystem(system)

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

    def described(
        self, sql: str, limit: int = sys.maxsize, parameters: Parameters | None = None, most: int = sys.maxsize
    ) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
        """Return the column names, their types and the rows of a statement; some rows more than `most` at the most.

        Raises:
            TooMuch: the rows take more than about `limit` bytes of memory.
        """
        result = self._raw.execute(sql, dict(parameters)) if parameters else self._raw.execute(sql)
        if result is None or result.description is None:  # a comment, say
            return [], [], []
        rows: list[tuple[Any, ...]] = []
        taken = 0
        while len(rows) <= most and (arrived := result.fetchmany(ROWS)):
            rows += arrived
            taken += sum(_size(value) for row in arrived for value in row)
            if taken > limit:
                raise TooMuch(f"the result takes more than {limit:,} bytes")
        return [column[0] for column in result.description], [str(column[1]) for column in result.description], rows

    def statements(self, sql: str) -> list[tuple[str, str, frozenset[str]]]:
        """Return the kind, the text and the names of the parameters of each statement, without comments before it."""
        return [
            (_kind(statement), statement.query.strip(), frozenset(statement.named_parameters))
            for statement in self._raw.extract_statements(sql)
        ]

    def watched(self, work: Callable[[], T], seconds: float) -> T:
        """Do work with this connection that Ctrl-C and the clock can end at once; nothing else may use it meanwhile.

        DuckDB does not look for signals while it computes, so the work has a thread of its own.

        Raises:
            TookTooLong: it took longer than `seconds`.
        """
        given: list[T] = []
        errors: list[BaseException] = []
        begun, given_up = threading.Event(), threading.Event()
        ended = threading.Event()  # not Thread.join, after whose interruption a thread passes for ended (Python 3.11)

        def work_on() -> None:
            begun.set()
            try:
                if not given_up.is_set():
                    given.append(work())
            except BaseException as error:
                errors.append(error)
            finally:
                ended.set()

        try:
            threading.Thread(target=work_on, name="query", daemon=True).start()
            _wait(ended, seconds)
        finally:
            given_up.set()  # Ctrl-C may come while the thread is being started: then it works, or never will
            if begun.is_set() and not ended.is_set():
                self._interrupt(ended)
        if errors and not isinstance(errors[0], duckdb.InterruptException):
            raise errors[0]
        if not given:
            raise TookTooLong(f"it took longer than {seconds:g} s")
        return given[0]

    def _interrupt(self, ended: threading.Event) -> None:
        self._stuck = True  # until it has ended; a second Ctrl-C cuts the waiting short
        deadline = time.monotonic() + GRACE_SECONDS
        while not ended.is_set() and time.monotonic() < deadline:
            self._raw.interrupt()  # more than once: before the query has begun it does nothing
            ended.wait(0.05)
        self._stuck = not ended.is_set()

    def storage_version(self) -> str:
        """Return the storage version of the catalog, such as `v1.2.0`."""
        found = self.value(
            "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = current_database()"
        )
        return str(found).rstrip("+")

    def close(self) -> None:
        """Close the catalog; it is checkpointed when this was the writer."""
        if not self._stuck:  # what cannot be ended would keep this waiting; it ends with the process
            leave, self.leave = self.leave, None
            try:
                self._raw.close()
            finally:
                if leave is not None:
                    leave()


def quoted(path: Path) -> str:
    """Return a path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def _wait(ended: threading.Event, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ended.is_set() and (left := deadline - time.monotonic()) > 0:
        ended.wait(min(left, 0.2))  # in short turns, as Windows hears no Ctrl-C while it waits


def _kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # DuckDB knows kinds of statement that its Python package has no name for
        return "OTHER"


def _size(value: Any) -> int:
    """Return about how many bytes a value of a result takes, without going through long lists."""
    return 8 + sys.getsizeof(value) + (64 * len(value) if isinstance(value, (list, tuple, dict)) else 0)


def now() -> datetime:
    """Return the time in UTC without a zone, the form of the catalog's TIMESTAMP columns."""
    return datetime.now(UTC).replace(tzinfo=None)

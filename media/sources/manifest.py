"""A table of images: CSV, Parquet or JSONL, with one image a row.

The image is a path relative to the table, a URL, an address of an archive's member, or bytes in the cell. Bytes have
the address `TABLE!COLUMN/ROW`. What tells whether they changed is, in Parquet, the table's own time, since the scan
does not read them; elsewhere a digest of the cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from shotdex.media.files import places
from shotdex.media.tables.cells import data_size, is_data_url, open_text, read_cell, table_kind
from shotdex.media.tables.lines import buffered
from shotdex.media.tables.parquet import ParquetTable
from shotdex.media.tables.table import InCell, Row, Table, image_name
from shotdex.store.errors import SourceError
from shotdex.store.images import Labels
from shotdex.store.types import Failure, Reason

from . import read_bytes
from .address import join
from .base import Candidate, Found, Note, Reading
from .columns import Roles, csv_value, find_roles, metadata
from .label_cells import BadValue, CouldLabel, LabelCells
from .located import locate, name_failure, plain_path

read = read_cell


def matches(place: str) -> bool:
    """Tell whether there is a file at a path or URL that is a table by its extension."""
    return table_kind(place) is not None and places.is_file(place)


def open_source(place: str, reading: Reading) -> ManifestSource:
    """Return the table at a place; the columns of `reading` map roles to names of its columns."""
    return ManifestSource(place, reading)


def facts(place: str, member: str) -> None:
    """Return None: that a cell changed shows only when it is read."""


@dataclass(frozen=True, slots=True)
class ManifestSource:
    """A table at an absolute path or a URL.

    The columns of `reading` map roles (see `columns.py`) to names; the rest is guessed.
    """

    root: str
    reading: Reading = field(default_factory=Reading)
    by_path: bool = False
    complete: bool = True
    in_order: bool = False

    @property
    def kind(self) -> str:
        """CSV manifest, Parquet manifest or JSONL manifest."""
        return f"{table_kind(self.root)} manifest"

    def scan(self) -> Iterator[Found]:
        """Read the rows in their order, each once.

        Raises:
            SourceError: the table cannot be read, or lacks a column.
        """
        try:
            with closing(buffered(places.open_binary(self.root))) as file:
                table: Table | None = ParquetTable(file) if self._is("Parquet") else open_text(file, self.root)
                if table is not None:
                    yield from self._rows(table, places.facts(self.root).modified_ns)
        except OSError as error:
            detail = error.strerror or str(error)
            raise SourceError(
                f"{places.shown(self.root)} cannot be read: {detail}", "check that it is still there"
            ) from error
        except SourceError as error:
            raise SourceError(f"{places.shown(self.root)} cannot be used: {error}", error.hint) from error

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file; see `Source`."""
        return read_bytes(address, limit)

    def _is(self, kind: str) -> bool:
        return table_kind(self.root) == kind

    def _rows(self, table: Table, modified_ns: int) -> Iterator[Found]:
        columns = table.columns()
        roles = find_roles(self.reading.columns, columns) if columns else Roles("")
        folder = _bare(self.root).rpartition("/")[0] or "/"
        cells, unlabelled = LabelCells(self.reading.labels_as_written), CouldLabel(columns, roles.names())
        reader = _RowReader(self.root, folder, roles, roles.names(), modified_ns, self._is("CSV"), cells)
        for row in table.rows(roles.image):
            if roles.category is None:
                unlabelled.see(row.values)
            yield reader.found(row)
        yield from cells.found()
        if roles.category is None and (hint := unlabelled.note()):
            yield Note(hint, if_unlabelled=True)
        if note := table.note():
            yield Note(f"{places.shown(self.root)}: {note}")


@dataclass(frozen=True, slots=True)
class _RowReader:
    """Makes images of rows. `modified_ns` is the table's own time; in a CSV, `typed`, numbers are not text."""

    root: str
    folder: str
    roles: Roles
    own: frozenset[str]
    modified_ns: int
    typed: bool
    cells: LabelCells

    def found(self, row: Row) -> Found:
        if row.problem:
            return self._failed(row, row.problem)
        try:
            labels, further = self._labels(row.values), self._metadata(row.values)
        except BadValue as error:
            return self._failed(row, str(error))
        image = self._image(row)
        if isinstance(image, Candidate):
            return replace(image, labels=labels or image.labels, metadata=further)
        return image

    def _failed(self, row: Row, detail: str, reason: Reason = Reason.UNREADABLE) -> Failure:
        return name_failure(f"{self.root}!row {row.number}", f"{row.place}: {detail}", reason)

    def _labels(self, values: Mapping[str, Any]) -> Labels | None:
        if not self.roles.has_labels():
            return None
        roles = (self.roles.category, self.roles.condition, self.roles.split)
        return Labels(*(self.cells.label(values.get(name)) if name else None for name in roles))

    def _metadata(self, values: Mapping[str, Any]) -> Mapping[str, Any] | None:
        further = {name: value for name, value in values.items() if name not in self.own}
        if self.typed:
            further = {name: csv_value(value) for name, value in further.items()}
        return metadata(further)

    def _image(self, row: Row) -> Candidate | Failure:
        cell = row.values.get(self.roles.image)
        name = image_name(cell) or cell
        if isinstance(cell, InCell):
            return self._in_cell(row, cell.name, 0, self.modified_ns)
        if name is None or name == "":
            return self._failed(row, f"the column {self.roles.image!r} is empty")
        if not isinstance(name, str):
            return self._failed(row, f"the column {self.roles.image!r} has no path but {type(name).__name__}")
        if is_data_url(name):
            digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 1
            return self._in_cell(row, "", data_size(name), digest)
        if name[:5].lower() == "data:":
            return self._failed(row, "of data: URLs, only images in base64 can be read", Reason.UNSUPPORTED)
        found = locate(name, self.folder)
        return replace(found, detail=f"{found.detail} ({row.place})") if isinstance(found, Failure) else found

    def _in_cell(self, row: Row, name: str, size_bytes: int, modified_ns: int) -> Candidate:
        address = join(self.root, f"{self.roles.image}/{row.number}")
        relative = plain_path(name) or f"{_file_name(self.root)}/{row.number}"
        # No layout is guessed from a path that is made up of the table's own name.
        return Candidate(address, relative, size_bytes, modified_ns, None if plain_path(name) else Labels())


def _bare(root: str) -> str:
    return root.partition("?")[0].partition("#")[0] if places.is_url(root) else root


def _file_name(root: str) -> str:
    return _bare(root).rpartition("/")[2]

"""The store: a folder with the catalog and what is derived from it. Opens the catalog for a moment at a time.

A writer keeps out every reader and a reader every writer. So nothing here holds the catalog open while it computes;
who finds it taken waits a little, then says which process has it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from . import opening, schema
from .connection import STORAGE, Connection
from .create import bring_up, create_catalog, is_cut_short, rewrite_catalog, unborn
from .errors import SchemaTooNew, StoreCorrupt, StoreError, StoreNotFound
from .location import CATALOG
from .lock import only_one
from .prediction_files import lost_named, show
from .shard_vectors import in_shards_shown

log = logging.getLogger(__name__)

INDEXING_WAIT_SECONDS = 3.0
"""How long to wait for another indexer, which may go on for hours."""

_OUTSIDE = "SELECT EXISTS (FROM prediction_files) OR EXISTS (FROM vector_shards)"
"""Whether predictions or vectors of the store are in files of their own, which queries then read, too."""


class Store:
    """A store on disk. Make one with `Store.create`, open one with `Store.open`.

    With `allow_external` the SQL that is run here may read other files, too; it never writes anything.
    """

    def __init__(self, root: Path, *, allow_external: bool = False) -> None:
        self.root = root
        self.catalog = root / CATALOG
        self.index_folder = root / "index"  # where the files of engines and the kept text towers are
        self.allow_external = allow_external
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """A random number that this catalog was born with, as 32 hex digits."""
        if self._identity is None:
            with self.reading():
                pass
        assert self._identity is not None
        return self._identity

    @classmethod
    def open(cls, root: Path, *, allow_external: bool = False) -> Store:
        """Open an existing store and check that this version can read it.

        Raises:
            StoreNotFound, StoreLocked, SchemaTooNew, StoreCorrupt.
        """
        store = cls.at(root, allow_external=allow_external)
        with store.reading():
            return store

    @classmethod
    def at(cls, root: Path, *, allow_external: bool = False) -> Store:
        """Return the store that is at `root`; the first who reads or writes it meets what `open` raises.

        For commands that read at once: opening a catalog takes as long as most queries.

        Raises:
            StoreNotFound, StoreCorrupt.
        """
        store = cls(root, allow_external=allow_external)
        if not store.catalog.is_file():
            raise StoreNotFound(f"there is no store at {root}", f"make one with: shotdex index FOLDER --store {root}")
        if is_cut_short(store.catalog):
            raise unborn(root)
        return store

    @classmethod
    def create(cls, root: Path) -> Store:
        """Open the store at `root`, making it first if it does not exist."""
        store = cls(root)
        if store.catalog.is_file():
            try:
                return cls.open(root)
            except StoreCorrupt:
                if not store._is_unborn():
                    raise
        try:
            store.index_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make a store at {root}: {error.strerror}", "choose another place: --store DIR"
            ) from error
        with store.indexing():  # one at a time: what is unborn for one may be what another is just writing
            if not store.catalog.is_file() or store._is_unborn():
                create_catalog(store.catalog)
                return store
        return cls.open(root)

    @contextmanager
    def reading(self, *, leave_out_lost: bool = False) -> Iterator[Connection]:
        """Open the catalog read-only, with no way from SQL to settings, nor, unless allowed, to other files.

        Raises:
            StoreError: a query needs the predictions of a run, or vectors, whose files are lost, unless these are to be
                left out.
        """
        try:
            con = opening.to_read(self.catalog, allow_external=self.allow_external)
        except StoreCorrupt as error:
            if is_cut_short(self.catalog):
                raise unborn(self.root) from error
            raise
        try:
            with opening.damage_named(self.catalog), ExitStack() as shown:
                if self._identity is None and self._version(con) < schema.VERSION:
                    con.close()
                    with self.writing():  # which migrates it
                        pass
                    con = opening.to_read(self.catalog, allow_external=self.allow_external)
                    self._version(con)
                if con.value(_OUTSIDE):
                    show(con, self.root, leave_out_lost=leave_out_lost)
                    shown.enter_context(lost_named(con))
                    shown.enter_context(in_shards_shown(con, self.root, leave_out_lost=leave_out_lost))
                yield con
        finally:
            con.close()

    @contextmanager
    def writing(self, seconds: float | None = None) -> Iterator[Connection]:
        """Open the catalog for a transaction that is committed when the block ends and undone when it fails.

        Waits up to `seconds` for another process, `opening.WAIT_SECONDS` where none are named.

        Raises:
            StoreLocked: another process held it for all of `seconds`.
            StoreNotFound: it was there once and is not any more.
            StoreError: the disk is full, or does not work.
        """
        if not self.catalog.is_file():  # DuckDB would make an empty one in its place
            raise StoreNotFound(f"{self.catalog} no longer exists", "restore it, or index again")
        if is_cut_short(self.catalog):
            raise unborn(self.root)
        con = opening.to_write(self.catalog, seconds)
        try:
            with opening.damage_named(self.catalog), ExitStack() as shown:
                if self._identity is None and (found := self._version(con)) < schema.VERSION:
                    with con.transaction():
                        bring_up(con, found)
                    self._version(con)
                if con.value(_OUTSIDE):
                    show(con, self.root, writing=True)
                    shown.enter_context(in_shards_shown(con, self.root))
                with con.transaction(), lost_named(con):
                    yield con
        finally:
            con.close()

    def compact(self) -> bool:
        """Write the catalog again, without the room of deleted rows; return whether that was done.

        Where it cannot be done, for want of room on the disk or because somebody keeps writing, it stays as it was.
        The caller holds the indexing lock.
        """
        try:
            rewrite_catalog(self.catalog)
        except (StoreError, duckdb.Error, OSError) as error:
            log.info("the catalog was not written again: %s", error)
            return False
        return True

    def update_storage(self) -> bool:
        """Write a catalog again that other programs cannot open, as its storage version is newer than they are.

        Return whether that was done. The caller holds the indexing lock.
        """
        return self.has_newer_storage() and self.compact()

    def has_newer_storage(self) -> bool:
        """Tell whether the catalog has a newer storage version than other programs read."""
        with self.reading() as con:
            return self._is_newer(con)

    @contextmanager
    def reading_updated(self) -> Iterator[Connection]:
        """Open the catalog as `reading` does, after `update_storage` where that is needed."""
        with self.reading() as con:
            if not self._is_newer(con):
                yield con
                return
        self.compact()
        with self.reading() as con:
            yield con

    @staticmethod
    def _is_newer(con: Connection) -> bool:
        found, ours = (tuple(map(int, re.findall(r"\d+", text))) for text in (con.storage_version(), STORAGE))
        return found > ours

    def catalog_bytes(self) -> int:
        """Return the size of the catalog with its write-ahead log."""
        files = (self.catalog, self.catalog.with_name(self.catalog.name + ".wal"))
        return sum(path.stat().st_size for path in files if path.is_file())

    @contextmanager
    def indexing(self) -> Iterator[None]:
        """Keep other indexers out: ids are given in memory, between commits. Readers are not kept out.

        Raises:
            StoreLocked: another process is indexing.
        """
        with only_one(self.root / "indexing.lock", INDEXING_WAIT_SECONDS):
            yield

    def _is_unborn(self) -> bool:
        """Tell whether somebody was killed, or the disk full, between making the catalog's file and filling it."""
        if is_cut_short(self.catalog):
            return True
        con = opening.to_read(self.catalog, allow_external=self.allow_external)
        try:
            with opening.damage_named(self.catalog):
                return not con.rows("SHOW TABLES")
        finally:
            con.close()

    def _version(self, con: Connection) -> int:
        """Return a catalog's schema version, from 1; where it is that of this version, learn the catalog's identity.

        Raises:
            StoreCorrupt: it has no version or identity, so it is not a catalog of shotdex, or damaged.
            SchemaTooNew: it has a newer one.
        """
        try:
            meta = dict(con.rows("SELECT key, value FROM meta WHERE key IN ('schema_version', 'store_id')"))
        except duckdb.Error as error:
            if not con.rows("SHOW TABLES"):
                raise unborn(self.root) from error
            raise _not_ours(self.root, "it has no table `meta`") from error
        number, identity = str(meta.get("schema_version")), str(meta.get("store_id"))
        if not re.fullmatch("[1-9][0-9]{0,5}", number):
            raise _not_ours(self.root, f"its schema version is {number[:40]!r}, not a number from 1")
        if not re.fullmatch("[0-9a-f]{32}", identity):  # names of files are made of it
            raise _not_ours(self.root, f"its store_id is {identity[:40]!r}, not 32 hex digits")
        if int(number) > schema.VERSION:
            raise SchemaTooNew(
                f"the store at {self.root} was made by a newer shotdex (schema {number}; "
                f"this one knows {schema.VERSION})",
                "upgrade with: pip install --upgrade shotdex",
            )
        if int(number) == schema.VERSION:
            self._identity = identity
        return int(number)


def _not_ours(root: Path, why: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{root / CATALOG} is not a catalog of shotdex, or is damaged: {why}",
        "restore it from a backup, or index again into another folder: --store DIR",
    )

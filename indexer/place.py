"""Where shards lie: a folder on this machine, or a prefix in S3 or Google Cloud Storage, through `pyarrow.fs`.

Nobody ever meets half a file under its name: in a folder it is written aside and renamed, in a bucket it appears when
the whole of it was sent. `store/object_stores.py` says where credentials come from.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from shotdex.media.files.buckets import abort_upload, unfinished_uploads
from shotdex.media.files.places import absolute, is_url, shown
from shotdex.media.files.urls import scheme_of
from shotdex.media.sources.kinds import PARQUET_ENDINGS
from shotdex.store.errors import OptionError, StoreError
from shotdex.store.object_stores import file_system

BUCKETS = ("s3", "gs")

ASIDE = 3600.0
"""Seconds after which a file that was being written passes for left by a process that was killed."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file that somebody is writing, or was killed in writing: its name, `age` in seconds, and the upload's id."""

    name: str
    age: float
    upload: str = ""

    @property
    def is_left(self) -> bool:
        """Whether it is so old that its writer was killed."""
        return self.age > ASIDE


class Place:
    """A folder or prefix; it need not exist yet. `url` is its absolute path, or its URL."""

    def __init__(self, place: str) -> None:
        """Take in what a user names.

        Raises:
            OptionError: it is empty, or a URL that is not of S3 or Google Cloud Storage.
            SourceError: the URL has a password in it.
        """
        if not place:
            raise OptionError("the place for shards is empty", "pass a folder, or an s3:// or gs:// prefix")
        if is_url(place) and scheme_of(place) not in BUCKETS:
            raise OptionError(
                f"shards cannot be kept at {shown(place)}", "pass a folder, or an s3:// or gs:// prefix that ends in /"
            )
        self.url = absolute(place).rstrip("/") or "/"
        self.in_bucket = is_url(self.url)
        self._found: tuple[Any, str] | None = None

    def __str__(self) -> str:
        return shown(self.url)

    def named(self, name: str) -> str:
        """Return where a file lies, for messages."""
        return f"{self}/{name}"

    def make(self) -> None:
        """Make the folder, and see that it can be written to, before there is anything to write; a bucket is listed.

        Raises:
            StoreError: it cannot.
        """
        if self.in_bucket:
            self.tables()
            return
        with self._named_errors("written to"):
            Path(self.url).mkdir(parents=True, exist_ok=True)
            if not os.access(self.url, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def tables(self) -> list[str]:
        """Return the names of the Parquet files that lie here, not below, in order; none where the place is not there.

        Raises:
            StoreError: it cannot be listed.
        """
        from pyarrow.fs import FileSelector, FileType

        with self._named_errors("listed"):
            files, path = self._files()
            found = files.get_file_info(FileSelector(path, allow_not_found=True))
        names = (info.base_name for info in found if info.type != FileType.Directory)
        return sorted(name for name in names if name.lower().endswith(PARQUET_ENDINGS) and not name.startswith("."))

    @contextmanager
    def reading(self, name: str) -> Iterator[pa.NativeFile]:
        """Open a file to read it; it can seek.

        Raises:
            OSError: it cannot be opened.
        """
        files, path = self._files()
        with files.open_input_file(f"{path}/{name}") as file:
            yield file

    def write(self, name: str, data: pa.Buffer) -> None:
        """Write a whole file under its name, in the place of one that is there.

        Raises:
            StoreError: it cannot be written.
        """
        with self._named_errors("written to"):
            if self.in_bucket:
                files, path = self._files()
                with files.open_output_stream(f"{path}/{name}") as file:
                    file.write(data)
                return
            folder = Path(self.url)
            folder.mkdir(parents=True, exist_ok=True)
            for left in self.unfinished():
                if left.is_left and left.name.startswith(f".{name}."):
                    with suppress(OSError):
                        self.abandon(left)
            aside = folder / f".{name}.{uuid.uuid4().hex[:12]}.part"
            try:
                with aside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(folder / name)
            finally:
                aside.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete a file, where it is there.

        Raises:
            StoreError: it cannot be deleted.
        """
        files, path = self._files()
        with self._named_errors("written to"), suppress(FileNotFoundError):
            files.delete_file(f"{path}/{name}")

    def unfinished(self) -> list[Unfinished]:
        """Return the Parquet files here that were begun and not finished. Google deletes them by itself after a week.

        Raises:
            StoreError, OSError: the place cannot be looked at.
            SourceError: that needs a library which is not installed.
        """
        if not self.in_bucket:
            left = []
            with self._named_errors("listed"):
                for path in sorted(Path(self.url).glob(".*.parquet.*.part")):
                    with suppress(FileNotFoundError):  # its writer has just finished
                        left.append(Unfinished(path.name, time.time() - path.stat().st_mtime))
            return left
        if scheme_of(self.url) != "s3":
            return []
        now, prefix = datetime.now(UTC), f"{self.url}/".partition("://")[2].partition("/")[2]
        found = unfinished_uploads(f"{self.url}/")
        begun = [(key.removeprefix(prefix), upload, started) for key, upload, started in found]
        return [
            Unfinished(name, (now - started).total_seconds(), upload)
            for name, upload, started in begun
            if "/" not in name and name.lower().endswith(PARQUET_ENDINGS)
        ]

    def abandon(self, left: Unfinished) -> None:
        """Delete a file that was begun and not finished; for whoever still writes it, that is an error."""
        if self.in_bucket:
            abort_upload(f"{self.url}/{left.name}", left.upload)
        else:
            with suppress(FileNotFoundError):
                (Path(self.url) / left.name).unlink()

    def _files(self) -> tuple[Any, str]:
        if self._found is None:
            self._found = file_system(self.url)
        return self._found

    @contextmanager
    def _named_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            detail = getattr(error, "strerror", None) or str(error).splitlines()[0][:300]
            raise StoreError(f"{self} cannot be {what}: {detail}", "check the place and its permissions") from error

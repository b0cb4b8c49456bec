"""What cameras wrote into files, read again: the files' headers only, and nothing is encoded."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyarrow as pa

from shotdex.media.decoding.exif import read_exif
from shotdex.media.files.places import is_url
from shotdex.media.sources import Source
from shotdex.store.errors import SourceError
from shotdex.store.file_names import local
from shotdex.store.image_columns import PHOTO, photo_table
from shotdex.store.progress import Progress
from shotdex.store.store import Store
from shotdex.store.types import BYTES_LIMIT, IndexReport, Photo

from .inventory import Inventory

READERS, ROWS = 16, 4096
"""Files that are read at a time, mostly waiting for a disk, and images that one commit takes."""

_TABLE = pa.schema([("image_id", pa.int64()), *PHOTO])

_KNOWN = """
    CREATE TABLE to_refresh AS
    SELECT k.image_id, o.address, row_number() OVER (ORDER BY o.step) - 1 AS step
    FROM ordered o JOIN known_images k ON k.path = o.address
"""


def refresh_metadata(store: Store, inventory: Inventory, progress: Progress) -> IndexReport:
    """Give the images of a source that are in the store what their files' EXIF blocks say now.

    Of files on this machine only the headers are read; members of archives and files elsewhere are read whole. Images
    whose files cannot be read stay as they are.

    Raises:
        SourceError: none of the source's images is in the store.
        StoreLocked, StoreError.
    """
    started, con = time.monotonic(), inventory.con
    done = changed = failed = 0
    with store.indexing():
        with store.reading() as catalog:
            known = catalog.table("SELECT path, max(image_id) AS image_id FROM images GROUP BY path")
        with con.holding("known_images", known):
            con.run(_KNOWN)
        count = int(con.value("SELECT count(*) FROM to_refresh"))
        if not count:
            raise SourceError(
                f"no image of {inventory.source.root} is in the store", "index them, which reads their metadata, too"
            )
        progress.start(count)
        try:
            for ids, photos in _read(inventory, progress):
                good = [(number, photo) for number, photo in zip(ids, photos, strict=True) if photo is not None]
                rows = [{"image_id": number, **asdict(photo)} for number, photo in good]
                with store.writing() as catalog:
                    changed += photo_table(catalog, pa.Table.from_pylist(rows, _TABLE))
                done, failed = done + len(good), failed + len(ids) - len(good)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
    return IndexReport(
        unchanged=done,
        seconds=time.monotonic() - started,
        notes=tuple(_notes(inventory.candidates - count, done, changed, failed)),
        interrupted=interrupted,
        source=inventory.source.root,
        kind=inventory.source.kind,
    )


def _read(inventory: Inventory, progress: Progress) -> Iterator[tuple[list[int], list[Photo | None]]]:
    source = inventory.source
    with ThreadPoolExecutor(1 if source.in_order else READERS, thread_name_prefix="headers") as pool:
        pending: tuple[list[int], list[Photo | None]] = [], []
        for rows in inventory.chunks("to_refresh"):
            pending[0].extend(row["image_id"] for row in rows)
            for photo in pool.map(partial(_photo, source), [row["address"] for row in rows]):
                pending[1].append(photo)
                progress.advance(1)
            if len(pending[0]) >= ROWS:
                yield pending
                pending = [], []
        if pending[0]:
            yield pending


def _photo(source: Source, address: str) -> Photo | None:
    """Return what a file says; None where it cannot be read."""
    try:
        if not is_url(address) and (path := Path(local(address))).is_file():
            with path.open("rb") as file:
                return read_exif(file)
        return read_exif(io.BytesIO(source.read(address, BYTES_LIMIT)))
    except Exception:  # archives and servers raise errors of many types
        return None


def _notes(new: int, done: int, changed: int, failed: int) -> Iterator[str]:
    yield f"the metadata of {done:,} image{'' if done == 1 else 's'} was read again; {changed:,} changed"
    if failed:
        yield f"{failed:,} could not be read and stay as they were"
    if new > 0:
        images = "1 image is" if new == 1 else f"{new:,} images are"
        yield f"{images} not indexed yet; index the source without --refresh"

"""All shards at a place: whether they are the parts of one whole, and what they say of their source."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.media.files.places import Listed, is_url
from shotdex.media.files.urls import scheme_of
from shotdex.media.sources.base import Found
from shotdex.media.sources.kinds import PARQUET_ENDINGS
from shotdex.store.errors import SourceError, StoreError
from shotdex.store.images import Labels
from shotdex.store.source_records import SourceRecord

from .encode_parts import bounds
from .inventory import Inventory
from .layout import Labelling, Layout
from .place import BUCKETS, Place
from .shard_header import Header, Origin
from .shard_rows import read_rows
from .shards import Shard, find_shards

NAMED = 12
"""Missing parts, or ranges of them, that an error names."""

LOOK = 1000
"""Files of a bucket that are looked at to see whether there are Parquet files: one request."""


@dataclass(frozen=True, slots=True)
class ShardSource:
    """Implements `Source` for images that were encoded elsewhere: they come with their vectors, and are not read."""

    origin: Origin
    by_path: bool = False
    in_order: bool = False

    @property
    def root(self) -> str:
        """See `Source`."""
        return self.origin.root

    @property
    def kind(self) -> str:
        """See `Source`."""
        return self.origin.kind

    @property
    def complete(self) -> bool:
        """See `Source`."""
        return self.origin.complete

    def scan(self) -> Iterator[Found]:
        """Find nothing: `scan_shards` fills an inventory by whole columns."""
        return iter(())

    def read(self, address: str, limit: int) -> bytes:
        """Raise: the images are not here."""
        raise FileNotFoundError(address)


@dataclass(frozen=True, slots=True)
class ShardSet:
    """The shards of one source at a place, in the order of their parts, each once."""

    place: Place
    shards: tuple[Shard, ...]

    @property
    def header(self) -> Header:
        """What all of them have in common; the first of them also has what is said once."""
        return self.shards[0].header

    def labelling(self) -> Labelling:
        """Return how the images were labelled, as the catalog is to remember it."""
        origin = self.header.origin
        record = SourceRecord(
            origin.root,
            origin.kind,
            origin.layout,
            origin.categories,
            Labels(origin.category, origin.condition, origin.split),
            origin.columns,
            origin.reading,
        )
        return Labelling(Layout(), record, origin.notes, origin.explicit)


def open_shards(place: str) -> ShardSet | None:
    """Return the shards at a folder or prefix, or those that a Parquet file is one of; None where there are none.

    Raises:
        SourceError: they are a mixture, one is damaged, a part is missing, or there are other Parquet files, too.
    """
    name = ""
    if place.lower().endswith(PARQUET_ENDINGS) and not places.is_folder(place):
        folder, slash, name = place.rpartition("/")
        place = folder or slash or "."
    if not _may_have_shards(place):
        return None
    where = Place(place)
    shards, others = find_shards(where, name or None)
    if not shards:
        return None
    if others:
        raise SourceError(
            f"{where} has shards and other Parquet files: {shards[0].name} is a shard, {others[0]} is not",
            "index each separately: move the shards, or the other files, to a separate folder",
        )
    try:
        return _whole(where, shards)
    except SourceError as error:
        if name and shards[0].header.parts * shards[0].header.pieces > 1:
            hint = f"index all of them: shotdex index {shlex.quote(str(where))}"
            raise SourceError(f"{where.named(name)} is one of several shards", hint) from error
        raise


def _may_have_shards(place: str) -> bool:
    """Tell whether a place is a folder or prefix with Parquet files and, as far as a first look tells, no images."""
    if is_url(place):
        if scheme_of(place) not in BUCKETS:
            return False
        try:
            found = islice(places.walk(place), LOOK)
            return any(isinstance(one, Listed) and one.url.lower().endswith(PARQUET_ENDINGS) for one in found)
        except SourceError as missing:  # the library that lists images there; for shards it is not needed
            try:
                return bool(Place(place).tables())
            except StoreError as error:
                raise SourceError(f"{missing}; without it, {error}", missing.hint) from error
        except OSError:  # what is wrong there is said by whoever opens it as a source
            return False
    has_some = False
    try:
        with os.scandir(Path(place).expanduser()) as entries:
            for entry in entries:
                if looks_like_image(entry.name):
                    return False
                has_some = has_some or entry.name.lower().endswith(PARQUET_ENDINGS)
    except (OSError, ValueError):
        return False
    return has_some


def _whole(place: Place, shards: list[Shard]) -> ShardSet:
    for name, told in _SAME.items():
        for shard in shards[1:]:
            # A model that is a folder has another path on each machine.
            if name == "encoder" and shard.header.encoder.key() == shards[0].header.encoder.key():
                continue
            if told(shard.header) != told(shards[0].header):
                raise SourceError(
                    f"the shards at {place} are not of one {name}: {shards[0].name} is of {told(shards[0].header)}, "
                    f"{shard.name} of {told(shard.header)}",
                    "delete the wrong ones, or keep each kind in a separate folder",
                )
    found: dict[tuple[int, int], Shard] = {}
    for shard in shards:
        header = shard.header
        twin = found.setdefault((header.part, header.piece), shard)
        if (twin.header.key, twin.header.sha256) != (header.key, header.sha256):
            raise SourceError(
                f"two shards at {place} are piece {header.piece} of part {header.part}: {twin.name} and {shard.name}",
                "delete the wrong one",
            )
    ordered = ShardSet(place, tuple(found[where] for where in sorted(found)))
    _check_complete(ordered)
    return ordered


_SAME: dict[str, Callable[[Header], object]] = {
    "source": lambda header: header.origin.root,
    "encoder": lambda header: f"{header.encoder} ({', '.join(part[:16] for part in header.encoder.key()[1:])})",
    "number of parts": lambda header: f"1/{header.parts}" if header.parts == 1 else header.parts,
    "state of the source": lambda header: header.state[:12] or "no state",
    "number of images": lambda header: header.images,
    "set of limits": lambda header: header.limits,
}
"""What the shards of a set have in common, as an error says it."""


def _check_complete(shards: ShardSet) -> None:
    header = shards.header
    pieces = {shard.header.part: shard.header.pieces for shard in shards.shards}
    there = {(shard.header.part, shard.header.piece) for shard in shards.shards}
    missing = []
    for part in range(header.parts):
        first, end = bounds(header.images, part, header.parts) if header.images else (0, 1)
        lacks = part not in pieces or any((part, piece) not in there for piece in range(pieces[part]))
        if first < end and lacks:
            missing.append(part)
    if missing:
        one = len(missing) == 1
        raise SourceError(
            f"{'part' if one else 'parts'} {_ranges(missing)} of {header.parts} {'is' if one else 'are'} missing at "
            f"{shards.place}, whole or in part (parts count from 0)",
            f"encode {'it' if one else 'each'} with the options of the others, then index again: shotdex encode "
            f"{shlex.quote(header.origin.root)} --part {missing[0]}/{header.parts} "
            f"--out {shlex.quote(str(shards.place))}",
        )


def _ranges(numbers: list[int]) -> str:
    """Return rising numbers as `1, 4 to 7, 9`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    said = [
        f"{low}" if low == high else f"{low} to {high}" if high > low + 1 else f"{low}, {high}" for low, high in found
    ]
    return ", ".join(said[:NAMED]) + (", ..." if len(said) > NAMED else "")


def scan_shards(shards: ShardSet) -> Inventory:
    """Return the inventory of the source that shards are of, as its scan would have found it.

    Raises:
        SourceError: a row is not what a row of a shard is, or an image comes twice.
    """
    origin = shards.header.origin
    inventory = Inventory(ShardSource(origin))
    try:
        position = 0
        for shard in shards.shards:
            rows = read_rows(shard, inventory.con)
            with inventory.con.holding("shard_rows", rows):
                inventory.con.run(
                    _FOUND, {"position": position, "root": f"{origin.root.rstrip('/')}/", "given": origin.given}
                )
                inventory.con.run(_UNUSED)
            position += len(rows)
        inventory.candidates = int(inventory.con.value("SELECT count(*) FROM found"))
        inventory.failed = int(inventory.con.value("SELECT count(*) FROM scan_failures"))
        inventory.con.append("not_entered", pa.table({"path": pa.array(origin.not_entered, pa.string())}))
        inventory.left_out = {left.kind: left for left in origin.left_out}
        inventory.ignored = sum(
            left.count for left in origin.left_out if left.kind in ("other files", "archives", "tables")
        )
        twice = inventory.con.value("SELECT address FROM found GROUP BY address HAVING count(*) > 1 LIMIT 1")
        if twice is not None:
            raise SourceError(f"the shards at {shards.place} have an image twice: {twice}", "encode the source again")
        inventory.arrange()
    except BaseException:
        inventory.con.close()
        raise
    return inventory


_FOUND = """
    INSERT INTO found
    SELECT $position + row_number() OVER () - 1, address,
        CASE WHEN starts_with(address, $root) THEN substr(address, length($root) + 1) ELSE address END,
        size_bytes, modified_ns, nfc_normalize(category), nfc_normalize(condition), nfc_normalize(split), metadata,
        $given
    FROM shard_rows WHERE failure IS NULL OR failure.stage <> 'scan'
"""

_UNUSED = """
    INSERT INTO scan_failures
    SELECT address, failure.stage, failure.reason, failure.detail FROM shard_rows WHERE failure.stage = 'scan'
"""

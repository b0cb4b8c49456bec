"""From a part of a source to shards: nothing here knows a catalog, so any number of machines may do it at once.

The images of a source have an order, in which part I of N is the I-th of N equal slices; a long one is cut into pieces.
What a piece is made of decides its key, so a part that is encoded twice has the same name, and one that is there
already is not encoded again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

import pyarrow as pa

from shotdex.media.sources import Source
from shotdex.models.protocols import ImageEncoder, batch_size_for
from shotdex.store.connection import Connection
from shotdex.store.encoded_batch import batch_schema
from shotdex.store.progress import Progress

from .failures import decoder_version
from .inventory import Inventory
from .layout import Labelling, choose_labelling
from .pipeline import RESULTS, Pipeline
from .place import Place
from .plan import label
from .run import IndexOptions
from .shard_header import FORMAT, Header, Origin
from .shards import find_shard, write_shard


@dataclass(frozen=True, slots=True)
class Encoded:
    """What came of one part: the names of its shards, how many of them were there before, its images and failures.

    `replaced` are shards of the same part of an earlier state of the source, which were deleted. `failures` are among
    the `images`, where they were encoded just now.
    """

    shards: tuple[str, ...]
    reused: int
    replaced: tuple[str, ...]
    images: int
    failures: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a shard of a source holds, but for which of the images: the same for all parts."""

    origin: Origin
    state: str
    images: int
    encoder: ImageEncoder
    options: IndexOptions

    def header(self, part: int, parts: int, piece: int, pieces: int, work: str) -> Header:
        """Return the header of a piece; `work` is a digest of its images."""
        limits = json.dumps(asdict(self.options.limits), sort_keys=True)
        batch = batch_size_for(self.encoder, self.options.batch_size)
        header = Header(
            key="",
            part=part,
            parts=parts,
            origin=self.origin if part == piece == 0 else replace(self.origin, not_entered=(), notes=(), left_out=()),
            encoder=self.encoder.id,
            piece=piece,
            pieces=pieces,
            images=self.images,
            state=self.state,
            batch=batch,
            limits=limits,
            decoder=decoder_version(self.options.limits),
            versions=versions(),
        )
        named = [FORMAT, self.origin.root, part, parts, piece, pieces, self.state, work, batch, limits]
        key = json.dumps([*named, *self.encoder.id.key()])
        return replace(header, key=hashlib.sha256(key.encode()).hexdigest())


def versions() -> dict[str, str]:
    """Return the versions of what a vector depends on."""
    return {name: version(name) for name in ("shotdex", "torch", "pillow", "simplejpeg")}


def make_recipe(inventory: Inventory, encoder: ImageEncoder, options: IndexOptions) -> Recipe:
    """Label what a scan found, and return what all parts of it have in common."""
    labelling = choose_labelling(options.layout, options.columns, None, inventory, options.reading)
    label(inventory, labelling.layout)
    return recipe_of(inventory, labelling, encoder, options)


def recipe_of(inventory: Inventory, labelling: Labelling, encoder: ImageEncoder, options: IndexOptions) -> Recipe:
    """Return what all parts of a scan that is labelled already have in common."""
    return Recipe(
        _origin(inventory, labelling),
        state_of(inventory.con),
        inventory.candidates,
        encoder,
        replace(options, batch_size=batch_size_for(encoder, options.batch_size)),
    )


def _origin(inventory: Inventory, labelling: Labelling) -> Origin:
    record, source = labelling.record, inventory.source
    return Origin(
        root=source.root,
        kind=source.kind,
        complete=source.complete,
        explicit=labelling.explicit,
        given=inventory.tells_labels(),
        layout=record.layout,
        categories=record.categories,
        category=record.fixed.category,
        condition=record.fixed.condition,
        split=record.fixed.split,
        columns=record.columns,
        reading=record.reading,
        not_entered=tuple(row[0] for row in inventory.con.rows("FROM not_entered")),
        notes=(*labelling.notes, *inventory.notes()),
        left_out=inventory.all_left_out(),
    )


# Texts may hold any character but NUL, so the columns cannot run into each other.
DIGEST = """
    SELECT count(*), coalesce(bit_xor(md5_number(concat_ws(chr(0), {columns}))), 0) FROM {table} WHERE {where}
"""
CANDIDATE = (
    "step, address, size_bytes, modified_ns, coalesce(category, chr(1)), coalesce(condition, chr(1)), "
    "coalesce(split, chr(1)), coalesce(metadata, '')"
)


def state_of(con: Connection) -> str:
    """Return a digest of all that a scan found: images, sizes, times, labels, and what it could not use."""
    found = con.rows(DIGEST.format(columns=CANDIDATE, table="candidates", where="true"))
    failed = con.rows(DIGEST.format(columns="path, stage, reason, detail", table="scan_failures", where="true"))
    return hashlib.sha256(repr((found, failed)).encode()).hexdigest()


def bounds(images: int, part: int, parts: int) -> tuple[int, int]:
    """Return where part `part` of `parts` begins and ends among `images`; the first has some where there are any."""
    return -(-part * images // parts), -(-(part + 1) * images // parts)


def encode_part(
    inventory: Inventory, recipe: Recipe, which: tuple[int, int], place: Place, rows: int, progress: Progress
) -> Encoded:
    """Encode part I of N of what a scan found, `which` is (I, N), to shards of at most `rows` images at a place.

    Raises:
        StoreError: the place cannot be written to.
    """
    first, end = bounds(recipe.images, *which)
    starts = range(first, end, rows)
    progress.start(end - first)
    shards: list[str] = []
    reused, failures = 0, 0
    for piece, start in enumerate(starts):
        stop = min(start + rows, end)
        header = recipe.header(*which, piece, len(starts), _work(inventory, start, stop))
        name = file_name(header)
        shards.append(name)
        if is_there(place, header):
            reused += 1
            progress.advance(stop - start)
            continue
        batch = encode_items(_said(inventory, start, stop), inventory.source, recipe, progress)
        failures += len(batch) - batch.column("failure").null_count
        if which[0] == piece == 0:
            batch = pa.concat_tables([batch, *_scan_failures(inventory, batch.schema)])
        write_shard(place, name, header, batch)
    replaced = _outdated(place, which, recipe, shards)
    for name in replaced:
        place.remove(name)
    return Encoded(tuple(shards), reused, tuple(replaced), end - first, failures)


def file_name(header: Header) -> str:
    """Return the name of a shard: its part, so that a listing tells what is there, and the beginning of its key."""
    return f"part-{header.part:05}-of-{header.parts:05}-{header.piece:04}-{header.key[:20]}.parquet"


def is_there(place: Place, header: Header) -> bool:
    """Tell whether the shard of some work has been written before, as far as its footer tells."""
    found = find_shard(place, file_name(header))
    return found is not None and found.header.key == header.key


def encode_items(said: pa.Table, source: Source, recipe: Recipe, progress: Progress) -> pa.Table:
    """Return the encoded batch of some images of a source, in their order; a copy of an earlier one has no vectors.

    `said` has the columns of the batch that no pixel is needed for.
    """
    encoder, options = recipe.encoder, recipe.options
    schema = batch_schema(encoder.id, decoder_version(options.limits))
    size = batch_size_for(encoder, options.batch_size)
    pipeline = Pipeline(encoder, schema, size, options.commit_rows, lambda _: False)
    found = pa.concat_tables(pipeline.encoded(source, said.column("address").to_pylist(), options.limits, progress))
    columns = [(found if name in RESULTS else said).column(name) for name in schema.names]
    return pa.table(columns, schema=schema)


def _work(inventory: Inventory, start: int, stop: int) -> str:
    where = f"step >= {start} AND step < {stop}"
    return repr(inventory.con.rows(DIGEST.format(columns=CANDIDATE, table="candidates", where=where)))


def _said(inventory: Inventory, start: int, stop: int) -> pa.Table:
    return inventory.con.table(
        "SELECT address, $source AS source, category, condition, split, metadata, size_bytes, modified_ns "
        "FROM candidates WHERE step >= $start AND step < $stop ORDER BY step",
        {"source": inventory.source.root, "start": start, "stop": stop},
    )


def _scan_failures(inventory: Inventory, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield what the scan could not use as rows of a shard; of those with one path the last."""
    rows = inventory.con.rows("SELECT path, stage, reason, detail FROM scan_failures")
    found = [
        {
            "address": path,
            "source": inventory.source.root,
            "size_bytes": 0,
            "modified_ns": 0,
            "failure": {"reason": reason, "stage": stage, "detail": detail},
        }
        for path, stage, reason, detail in {row[0]: row for row in rows}.values()
    ]
    if found:
        yield pa.Table.from_pylist(found, schema)


def _outdated(place: Place, which: tuple[int, int], recipe: Recipe, kept: Sequence[str]) -> list[str]:
    """Return the other shards of the same part, source and encoder, which are of an earlier state of the source."""
    start = f"part-{which[0]:05}-of-{which[1]:05}-"
    found = []
    for name in place.tables():
        if name.startswith(start) and name not in kept and (shard := find_shard(place, name)) is not None:
            header = shard.header
            mine = (header.part, header.parts, header.origin.root, header.encoder.key())
            if mine == (*which, recipe.origin.root, recipe.encoder.id.key()):
                found.append(name)
    return found

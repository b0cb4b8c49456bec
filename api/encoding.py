"""Encoding a part of a source to shards on any machine, without a store, and what `Session.index` does with shards."""

from __future__ import annotations

import os
import re
import shlex
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from shotdex.media.files.places import Exchange
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import EncoderMismatch, OptionError
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, IndexReport

from .index_lines import IndexPreview
from .keywords import SourceKeywords, filled, takes
from .progress import Bar, shown

if TYPE_CHECKING:
    from shotdex.indexer.run import IndexOptions
    from shotdex.indexer.shard_set import ShardSet

    from .indexing import Announce, Job

PART_ROWS = 16_384
"""Images of a shard at most, unless the user says otherwise: 86 MB of vectors of a ViT-B/32."""


@dataclass(frozen=True, slots=True, repr=False)
class EncodeReport:
    """What encoding one part did. `images` of the part are in `shards`, the names of files at `place`.

    `reused` of the shards were there before, and were not encoded again; `failures` are images that could not be used,
    among those that were encoded just now. `replaced` are shards of the same part that an earlier state of the source
    had; they were deleted. `seconds` is wall-clock time.
    """

    source: str
    part: int
    parts: int
    place: str
    shards: tuple[str, ...]
    reused: int
    replaced: tuple[str, ...]
    images: int
    failures: int
    seconds: float
    encoder: EncoderId

    @property
    def counts(self) -> str:
        """What was done, in one line."""
        if not self.shards:
            return f"part {self.part} of {self.parts} has no images"
        said = f"part {self.part} of {self.parts}: {_counted(self.images, 'image')} in "
        said += _counted(len(self.shards), "shard")
        said += f", {self.reused:,} of them there already" if self.reused else ""
        said += f", {self.failures:,} failed" if self.failures else ""
        said += f", {_counted(len(self.replaced), 'outdated shard')} deleted" if self.replaced else ""
        return f"{said}, in {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"<EncodeReport of {self.source!r}: {self.counts}>"


@takes(SourceKeywords)
def encode(
    source: str | os.PathLike[str],
    *,
    part: str | tuple[int, int],
    out: str | os.PathLike[str],
    part_rows: int = PART_ROWS,
    device: str = "auto",
    **options: Unpack[SourceKeywords],
) -> EncodeReport:
    """Encode one part of a source to shards, Parquet files that `Session.index` takes; needs no store.

    Part I of N is the I-th of N equal slices of the source's images, so N calls, on as many machines as there are,
    encode all of it. Call it again after an interruption: existing shards are not encoded again. See docs/shards.md.

    Args:
        source: what `Session.index` takes; every machine must see it under the same path or URL.
        part: which part: "0/8" to "7/8", or (0, 8).
        out: where to write the shards: a folder, created if it does not exist, or an s3:// or gs:// prefix.
        part_rows: maximum number of images in a shard, from 1 to 262,144; a longer part has several shards.
        device: where the model runs: auto, cpu, cuda or mps.
        options: the keywords of `SourceKeywords`.

    Returns:
        A report with the names of the shards.

    Raises:
        OptionError: there is no such part.
        SourceError: there is nothing to index.
        ModelUnavailable: the model cannot be loaded.
        StoreError: the place cannot be written to.

    >>> import tempfile
    >>> shotdex.encode(demo.EVALUATION, part="0/40", out=tempfile.mkdtemp(), model="demo").images
    8
    """
    from .indexing import index_options

    given = filled(encode, options)
    which = parse_part(part)
    if not 1 <= part_rows <= 1 << 18:
        raise OptionError(f"{part_rows:,} images cannot be in a shard", "pass --part-rows from 1 to 262,144")
    if not os.fspath(source):
        raise OptionError("SOURCE is empty", "pass what to encode: shotdex encode photos/ --part 0/8 --out shards/")
    job = _Part(os.fspath(source), which, os.fspath(out), part_rows, device, index_options(given), given)
    with Exchange.of_options(given["web_timeout"], given["web_files"]).in_effect():
        return _encode(job)


@dataclass(frozen=True, slots=True)
class _Part:
    source: str
    which: tuple[int, int]
    out: str
    rows: int
    device: str
    options: IndexOptions
    given: SourceKeywords


def _encode(job: _Part) -> EncodeReport:
    from shotdex.indexer.encode_parts import encode_part, make_recipe
    from shotdex.indexer.inventory import scan_source
    from shotdex.indexer.place import Place
    from shotdex.indexer.trial_images import sample_images
    from shotdex.media.decoding.decode import quiet_pillow
    from shotdex.media.sources import open_known_source
    from shotdex.models.encoder_pool import EncoderPool, ModelOptions

    started, progress, note = time.monotonic(), job.given["progress"], job.given["note"] or (lambda _: None)
    quiet_pillow()
    place = Place(job.out)
    source = open_known_source(job.source, job.options.columns, job.options.reading, None, False)
    with closing(Bar("looking")) as bar:
        bar.start(None if progress is True else 0)
        inventory = scan_source(source, bar.advance, exclude=job.options.reading.get("exclude", ()))
    with inventory, shown(progress, "encoding") as bar:
        place.make()
        pool = EncoderPool(Store(Path(os.devnull) / "no store"), job.device)
        model = job.given["model"]
        if model is not None and not isinstance(model, str):
            model = pool.use(model)
        samples = partial(sample_images, inventory, job.options.limits)
        encoder = pool.for_indexing(ModelOptions(model, job.given["precision"]), note, samples).encoder()
        recipe = make_recipe(inventory, encoder, job.options)
        for line in recipe.origin.notes:
            note(line)
        done = encode_part(inventory, recipe, job.which, place, job.rows, bar)
    return EncodeReport(
        source.root,
        *job.which,
        str(place),
        done.shards,
        done.reused,
        done.replaced,
        done.images,
        done.failures,
        time.monotonic() - started,
        encoder.id,
    )


def parse_part(part: str | tuple[int, int]) -> tuple[int, int]:
    """Return (I, N) of "I/N".

    Raises:
        OptionError: it is not of that form, or there is no such part.
    """
    if isinstance(part, str):
        found = re.fullmatch(r"(\d{1,8})/(\d{1,8})", part.strip())
        if found is None:
            raise OptionError(f"--part {part} is not of the form I/N", "the first of eight parts is 0/8, the last 7/8")
        number, parts = int(found[1]), int(found[2])
    else:
        number, parts = part
    if not 0 <= number < parts <= 1 << 24:
        raise OptionError(
            f"there is no part {number} of {parts}",
            f"parts count from 0: --part 0/{parts} to {parts - 1}/{parts}" if parts > 0 else "for example: --part 0/8",
        )
    return number, parts


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def shards_of(store: Store, job: Job) -> ShardSet | None:
    """Return the shards that the source of a job is, if it is some, after comparing their encoder with the store's.

    Raises:
        SourceError: they are not the parts of one whole.
        OptionError: options were given that the shards have decided already, or vectors are to stay in shards and
            there are none.
        EncoderMismatch: their vectors are not of the encoder that is meant.
    """
    from shotdex.indexer.layout import Layout
    from shotdex.indexer.preflight import check_place
    from shotdex.indexer.shard_set import open_shards
    from shotdex.models.loaders import loader_of

    shards = open_shards(job.source)
    if shards is None:
        if job.options.keep_vectors:
            raise OptionError(
                f"there are no shards at {job.source}, in which vectors could stay",
                f"encode it first: shotdex encode {shlex.quote(job.source)} --part 0/1 --out PLACE   then: shotdex "
                "index PLACE --vectors shards",
            )
        return None
    check_place(store.root)
    options = job.options
    if options.layout != Layout() or options.columns or options.reading or job.model.precision:
        raise OptionError(
            f"{job.source} has shards, whose images have labels and vectors already",
            "pass options for labels and the precision to shotdex encode instead",
        )
    if job.runner.name != "local":
        raise OptionError(f"{job.source} has shards, which are encoded already", "leave out --runner ray")
    encoder, named = shards.header.encoder, job.model.model
    if named is not None and loader_of(named).canonical_name(named) != encoder.name:
        raise EncoderMismatch(
            f"the shards at {shards.place} have vectors of {encoder}, not of {named}", "leave out --model"
        )
    known = _encoders(store)
    if known and named is None and all(one.key() != encoder.key() for one in known.values()):
        raise EncoderMismatch(
            f"the shards at {shards.place} have vectors of {encoder}, the store has those of "
            f"{next(iter(known.values()))}",
            f"to add them alongside the others: --model {encoder.name}",
        )
    return shards


def preview_shards(store: Store, job: Job, shards: ShardSet) -> IndexPreview:
    """Return what committing shards would do."""
    from shotdex.indexer.preview import preview
    from shotdex.indexer.shard_set import scan_shards

    encoder = shards.header.encoder
    number = next((number for number, one in _encoders(store).items() if one.key() == encoder.key()), None)
    with scan_shards(shards) as inventory:
        found = preview(store, inventory, job.options, (number, encoder), shards.labelling())
    return IndexPreview(found, store.root, encoder)


def index_shards(store: Store, job: Job, shards: ShardSet, announce: Announce) -> IndexReport:
    """Commit shards to a store, and return what was done."""
    from shotdex.indexer.shard_commit import ShardIndexing, without_model
    from shotdex.indexer.shard_set import scan_shards

    header = shards.header
    job.note(f"{_counted(len(shards.shards), 'shard')} of {header.origin.root} at {shards.place}")
    with scan_shards(shards) as inventory, shown(job.progress, "committing") as bar:
        bar.start(sum(shard.rows for shard in shards.shards))
        encoder = without_model(header.encoder)
        indexing = ShardIndexing(Store.create(store.root), encoder, job.options, bar, announce)
        return indexing.commit_all(
            inventory, shards.labelling(), header.decoder, lambda _: shards.shards, shards.shards
        )


def _encoders(store: Store) -> dict[int, EncoderId]:
    if not store.catalog_bytes():
        return {}
    with Store.at(store.root).reading() as con:
        return list_encoders(con)

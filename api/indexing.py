"""Indexing a source into a store: from what a user says to the options of the indexer, the model, and the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shotdex.models.encoder_pool import EncoderPool, ModelOptions
from shotdex.store.errors import OptionError, SourceError
from shotdex.store.images import Labels
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.source_records import SourceRecord, source_record
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Limits

if TYPE_CHECKING:
    from shotdex.indexer.layout import Layout
    from shotdex.media.sources import Source

LONGEST = 1e6
"""Seconds for one image above which there is no limit: longer than a system's timers can be set to."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read a source: see `Session.index` for each."""

    layout: str | None = None
    categories: Sequence[str] | None = None
    labels: Labels = field(default_factory=Labels)
    columns: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    batch_size: int | None = None
    max_failures: int | None = None
    prune: bool = False


def index(
    pool: EncoderPool,
    root: Path,
    source: str,
    options: SourceOptions,
    model: ModelOptions,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> IndexReport:
    """Index a source into the store at `root`, which is made if it is not there.

    Raises:
        OptionError, SourceError, StoreError, ModelUnavailable.
    """
    from shotdex.indexer.preflight import check_place
    from shotdex.indexer.run import Indexing, IndexOptions, scan_source
    from shotdex.indexer.trial_images import sample_images

    check_place(root)
    before = last_record(root, source)
    place = open_known_source(
        source, options.columns or (before.columns if before is not None else {}), before, options.prune
    )
    how = IndexOptions(
        layout=layout_of(options.layout, options.categories, options.labels),
        batch_size=options.batch_size,
        limits=options.limits,
        max_failures=options.max_failures,
        columns=options.columns,
    )
    # Problems with the source are reported before a model is loaded.
    with scan_source(place, may_be_empty=before is not None) as inventory:
        encoder = pool.for_indexing(model, note, lambda: sample_images(inventory, how.limits)).encoder()
        report = Indexing(Store.create(root), encoder, how, progress or NoProgress()).run(inventory)
    if not report.interrupted:
        pool.keep_texts(encoder.id)
    return report


def layout_of(pattern: str | None, categories: Sequence[str] | None, fixed: Labels) -> Layout:
    """Return the layout that a pattern, a list of categories and fixed labels mean.

    Raises:
        OptionError: the list is empty, or the pattern is not valid.
    """
    from shotdex.indexer.layout import parse_layout

    listed = [name.strip() for name in categories or ()]
    if categories is not None and not any(listed):
        raise OptionError("--categories is empty", "for example: --categories airplane,car,chair")
    return parse_layout(pattern, listed, fixed)


def limits_of(pixels: int, seconds: float, all_formats: bool = False) -> Limits:
    """Return the limits of one image; 0 lifts a limit, and with the one on pixels the one on a file's bytes.

    Raises:
        OptionError: `seconds` is not a number.
    """
    if math.isnan(seconds):
        raise OptionError("--max-seconds is not a number", "for example: --max-seconds 60, or 0 for no limit")
    lasting = seconds if 0 < seconds <= LONGEST else None
    return Limits(pixels or None, lasting, Limits().bytes if pixels else None, all_formats)


def open_known_source(source: str, columns: Mapping[str, str], before: SourceRecord | None, prune: bool) -> Source:
    """Open a source; one that was indexed and has disappeared can only be pruned.

    Raises:
        SourceError: there is nothing to index.
    """
    from shotdex.media.sources import GoneSource, is_gone, open_source

    if before is None or not is_gone(before.source):
        return open_source(source, columns)
    if not prune:
        raise SourceError(
            f"{source} was indexed before and is not there now",
            "its images stay, as a disk may come back; if they are gone for good, say so: --prune",
        )
    return GoneSource(before.source, before.kind)


def last_record(root: Path, source: str) -> SourceRecord | None:
    """Return how a source was indexed the last time, or None."""
    from shotdex.media.files.places import absolute

    if not Store(root).catalog_bytes():  # killed at its very birth, a catalog has no bytes yet
        return None
    with Store.open(root).reading() as con:
        return source_record(con, absolute(source)) or source_record(con, source)

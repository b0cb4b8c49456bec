"""The part of a session that indexes: a source comes into the store, or a preview says what would happen."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import duckdb

from shotdex.media.files.places import Exchange
from shotdex.store.errors import OptionError, ShotdexError, StoreError
from shotdex.store.progress import Progress
from shotdex.store.relocation import remember_place
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Limits

from .encoding import index_shards, preview_shards, shards_of
from .index_lines import IndexPreview, announce
from .keywords import IndexKeywords, Note, PreviewKeywords, SourceKeywords, filled, takes
from .opened import Opened
from .progress import Bar, shown
from .spreading import Runner, check_runner, index_with_ray

if TYPE_CHECKING:
    from shotdex.indexer.inventory import Inventory
    from shotdex.indexer.layout import Labelling
    from shotdex.indexer.plan import Plan
    from shotdex.indexer.run import IndexOptions
    from shotdex.models.encoder_pool import ModelOptions
    from shotdex.models.late_encoder import IndexEncoder

Announce = Callable[["Plan", "Labelling"], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What to index and how."""

    source: str
    options: IndexOptions
    model: ModelOptions
    prune: bool
    progress: bool | Progress
    note: Note
    web: Exchange
    runner: Runner = field(default_factory=Runner)
    own_model: bool = False


class Indexing(Opened):
    """Mixed into `Session`."""

    @takes(SourceKeywords, PreviewKeywords, IndexKeywords)
    def index(self, source: str | os.PathLike[str], **options: Unpack[IndexKeywords]) -> IndexReport:
        """Index the images of a source and return a report; unchanged files are checked but not read.

        Args:
            source: a folder, archive, manifest, data set or URL; see docs/sources.md. Or the place of shards written by
                `shotdex.encode`, which contain labels and vectors; their images are not read.
            options: the keywords of `IndexKeywords`.

        Raises:
            SourceError: there is nothing to index, or too many images fail.
            OptionError, ModelUnavailable, StoreLocked, StoreError: with the `report` if only the pruning fails.
        """
        given = filled(Indexing.index, options)
        encoder, vectors_from, refresh = given["encoder"], given["vectors_from"], given["refresh"]
        if given["vectors"] not in ("catalog", "shards"):
            raise OptionError(f"vectors cannot be kept in {given['vectors']!r}", "choose one of: catalog, shards")
        if given["vectors"] == "shards" and not (vectors_from is refresh is None and given["runner"] == "local"):
            raise OptionError(
                "--vectors shards only goes with a SOURCE that is a place of shards",
                "leave out --vectors-from, --refresh and --runner; after --runner ray, index its --out PLACE",
            )
        if vectors_from is not None:
            from .interchange import import_vectors

            columns, progress = given["columns"] or {}, given["progress"]
            return import_vectors(self, os.fspath(source), os.fspath(vectors_from), encoder, columns, progress)
        if refresh not in (None, "metadata"):
            raise OptionError(f"{refresh!r} cannot be refreshed", "only metadata can: --refresh metadata")
        if encoder is not None:
            raise OptionError("an encoder was given without its vectors", "say where they are: --vectors-from COLUMN")
        job = self._job(source, given)
        job = replace(job, options=replace(job.options, keep_vectors=given["vectors"] == "shards"))
        place = None if given["out"] is None else os.fspath(given["out"])
        cluster = given["ray_address"], given["workers"], given["gpus_per_worker"], given["cpus_per_worker"]
        job = replace(job, runner=Runner(given["runner"], *cluster, place, given["part_rows"], self._device))
        return self._run(job) if refresh is None else self._refresh(job)

    @takes(SourceKeywords, PreviewKeywords)
    def preview(self, source: str | os.PathLike[str], **options: Unpack[PreviewKeywords]) -> IndexPreview:
        """Return what `index` would do with the same arguments. Nothing is written, and no model is downloaded.

        The images are listed, not read, so failures are known only for images that failed before. `batch_size`,
        `compile`, `max_failures` and `strict` have no effect here.

        Raises:
            SourceError: there is nothing to index.
            OptionError, StoreLocked, StoreError.

        >>> store.preview(demo.EVALUATION).new
        0
        """
        from shotdex.indexer.preview import preview

        job = self._job(source, filled(Indexing.preview, options))
        with job.web.in_effect():
            if (shards := shards_of(self.store, job)) is not None:
                return preview_shards(self.store, job, shards)
            with self._scanned(job) as (inventory, choice, known):
                encoder = choice.identity()
                found = preview(Store(self.path), inventory, known, encoder)
        return IndexPreview(found, self.path, choice.name if encoder is None else encoder[1])

    def _job(self, source: str | os.PathLike[str], given: PreviewKeywords) -> Job:
        """Return what the keywords mean; an encoder object is used wherever its name is needed."""
        from shotdex.models.encoder_pool import ModelOptions

        options = index_options(given)
        most = 0 if given["strict"] else given["max_failures"]
        model, own = given["model"], False
        if model is not None and not isinstance(model, str):
            self.encoders.use(model)
            model, own = model.id if isinstance(model.id, str) else model.id.name, True
        return Job(
            os.fspath(source),
            replace(options, max_failures=most, gone=given["gone"]),
            ModelOptions(model, given["precision"], compile=given["compile"]),
            given["prune"],
            given["progress"],
            given["note"] or (lambda _: None),
            Exchange.of_options(given["web_timeout"], given["web_files"]),
            own_model=own,
        )

    @contextmanager
    def _scanned(self, job: Job) -> Iterator[tuple[Inventory, IndexEncoder, IndexOptions]]:
        """List the images of a source and choose the encoder; what is wrong with the source comes before a model."""
        from shotdex.indexer.trial_images import sample_images

        with self._listed(job) as (inventory, options):
            samples = partial(sample_images, inventory, options.limits)
            yield inventory, self.encoders.for_indexing(job.model, job.note, samples), options

    def _refresh(self, job: Job) -> IndexReport:
        from shotdex.indexer.refresh import refresh_metadata

        bar = shown(job.progress, "reading headers")
        with job.web.in_effect(), self._listed(job) as (inventory, _), bar as progress:
            return refresh_metadata(Store.at(self.path), inventory, progress)

    @contextmanager
    def _listed(self, job: Job) -> Iterator[tuple[Inventory, IndexOptions]]:
        """List the images of a source, read as it was the last time where the options do not say otherwise."""
        from shotdex.indexer.inventory import scan_source
        from shotdex.indexer.preflight import check_place
        from shotdex.media.files.places import absolute
        from shotdex.media.sources import open_known_source
        from shotdex.store.source_records import source_record

        if not job.source:
            raise OptionError("SOURCE is empty", "pass what to index: shotdex index photos/")
        check_place(self.path)
        before = None
        if self.store.catalog_bytes():  # killed at its very birth, a catalog has no bytes yet
            with Store.at(self.path).reading() as con:
                before = source_record(con, absolute(job.source)) or source_record(con, job.source)
        if before is not None:
            known = {**before.reading, **job.options.reading}
            job = replace(job, options=replace(job.options, reading=known))
        source = open_known_source(job.source, job.options.columns, job.options.reading, before, job.options.gone)
        with closing(Bar("looking")) as bar:
            bar.start(None if job.progress is True else 0)
            exclude = job.options.reading.get("exclude", ())
            inventory = scan_source(source, bar.advance, may_be_empty=before is not None, exclude=exclude)
        with inventory:
            yield inventory, job.options

    def _run(self, job: Job) -> IndexReport:
        check_runner(job)
        say = partial(announce, job.note)
        with job.web.in_effect():
            if (shards := shards_of(self.store, job)) is not None:
                report = index_shards(self.store, job, shards, say)
            elif job.runner.name == "ray":
                with self._scanned(job) as scanned:
                    report = index_with_ray(self.store, job, scanned, say)
            else:
                report = self._run_source(job, say)
        remember_place(self.store)
        if report.interrupted or report.encoder is None:
            return report
        try:
            self.encoders.keep_texts(report.encoder)  # so that a search need not load the model
            if job.prune:
                from shotdex.upkeep.prune import prune

                job.note(f"pruned: {prune(self.store, spare=not job.options.gone)}")
        except KeyboardInterrupt:
            return replace(report, interrupted=True)
        except (OSError, duckdb.Error) as error:
            what = f"the images are indexed, but what follows failed: {error}"
            raise StoreError(what, "check the store with: shotdex verify", report) from error
        except ShotdexError as error:
            error.report = report
            raise
        return report

    def _run_source(self, job: Job, say: Announce) -> IndexReport:
        from shotdex.indexer.run import Indexing

        with self._scanned(job) as (inventory, choice, options), shown(job.progress, "indexing") as bar:
            encoder = choice.encoder()  # before there is a store, which a model that is not there must not leave behind
            # One that is there has been read just before.
            store = Store(self.path) if self.store.catalog_bytes() else Store.create(self.path)
            return Indexing(store, encoder, options, bar, say).run(inventory)


def index_options(given: SourceKeywords) -> IndexOptions:
    """Return what the keywords say about reading, labelling and encoding images.

    Raises:
        OptionError: one of them makes no sense.
    """
    from shotdex.indexer.layout import parse_layout
    from shotdex.indexer.run import IndexOptions
    from shotdex.store.images import Labels

    categories = None if given["categories"] is None else [name.strip() for name in given["categories"]]
    if categories is not None and not any(categories):
        raise OptionError("--categories is empty", "for example: --categories airplane,car,chair")
    pixels, seconds, longest = given["max_pixels"], given["max_seconds"], 1e6  # system timers cannot be set to more
    if math.isnan(seconds):
        raise OptionError("--max-seconds is not a number", "for example: --max-seconds 60, or 0 for no limit")
    lasting = seconds if 0 < seconds <= longest else None  # 0 lifts a limit, and that on pixels lifts the one on bytes
    limits = Limits(pixels or None, lasting, Limits().bytes if pixels else None, given["all_formats"])
    fixed = Labels(given["category"], given["condition"], given["split"])
    return IndexOptions(
        parse_layout(given["layout"], categories or [], fixed),
        given["batch_size"],
        limits=limits,
        columns=given["columns"] or {},
        reading=reading_of(given["labels_as_written"], given["all_folders"], given["zip_names"], given["exclude"]),
    )


def reading_of(
    as_written: bool | None,
    all_folders: bool | None,
    zip_names: str | None,
    exclude: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the options that say how a source is read, those that were given.

    Raises:
        OptionError: an encoding is not one of those that zip programs use.
    """
    if zip_names is not None:
        from shotdex.media.archives.zip_names import check_encoding

        zip_names = check_encoding(zip_names)
    patterns = None if exclude is None else [exclude] if isinstance(exclude, str) else list(exclude)
    if patterns is not None:
        from shotdex.media.sources.left_out import excluding

        excluding(patterns)
        patterns = [pattern for pattern in patterns if pattern]
    given = {
        "labels_as_written": as_written,
        "all_folders": all_folders,
        "zip_names": zip_names,
        "exclude": patterns,
    }
    return {name: value for name, value in given.items() if value is not None}

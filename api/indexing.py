"""The part of a session that indexes: a source comes into the store, or a preview says what would happen."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb

from shotdex.media.files.places import Exchange
from shotdex.store.errors import OptionError, ShotdexError, StoreError
from shotdex.store.progress import Progress
from shotdex.store.relocation import remember_place
from shotdex.store.store import Store
from shotdex.store.types import WEB_FILES, WEB_SECONDS, IndexReport, Limits

from .encoding import index_shards, preview_shards, shards_of
from .index_lines import plan_lines
from .opened import Opened
from .progress import Bar, shown
from .results import IndexPreview
from .spreading import Runner, check_runner, index_with_ray

if TYPE_CHECKING:
    from shotdex.indexer.inventory import Inventory
    from shotdex.indexer.layout import Labelling, Layout
    from shotdex.indexer.plan import Plan
    from shotdex.indexer.run import IndexOptions
    from shotdex.models.encoder_pool import IndexEncoder, ModelOptions
    from shotdex.models.own_encoder import OwnModel
    from shotdex.models.protocols import ImageEncoder

Note = Callable[[str], None]
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

    def index(
        self,
        source: str | os.PathLike[str],
        *,
        model: str | OwnModel | ImageEncoder | None = None,
        layout: str | None = None,
        categories: Sequence[str] | None = None,
        category: str | None = None,
        condition: str | None = None,
        split: str | None = None,
        columns: Mapping[str, str] | None = None,
        labels_as_written: bool | None = None,
        all_folders: bool | None = None,
        zip_names: str | None = None,
        exclude: str | Sequence[str] | None = None,
        precision: str | None = None,
        batch_size: int | None = None,
        compile: bool = False,
        max_pixels: int = Limits().pixels or 0,
        max_seconds: float = Limits().seconds or 0,
        max_failures: int | None = None,
        strict: bool = False,
        all_formats: bool = False,
        web_timeout: float = WEB_SECONDS,
        web_files: int = WEB_FILES,
        prune: bool = False,
        gone: bool = False,
        vectors_from: str | os.PathLike[str] | None = None,
        encoder: str | None = None,
        runner: str = "local",
        ray_address: str | None = None,
        workers: int | None = None,
        gpus_per_worker: float | None = None,
        out: str | os.PathLike[str] | None = None,
        part_rows: int | None = None,
        refresh: str | None = None,
        progress: bool | Progress = False,
        note: Note | None = None,
    ) -> IndexReport:
        """Index the images of a source, and return what was done; unchanged images cost only a look at their files.

        Args:
            source: a folder, archive, manifest, data set or URL; see docs/sources.md. Or the place of shards that
                `shotdex.encode` made; their images come with labels and vectors, and are not read.
            model: a hub name, a local folder, "demo", or an object with `id`, `encode_images` and `encode_texts`; the
                store's own where None.
            layout: what path parts mean, such as "{condition}/{category}*".
            categories: the category is the longest of these that a file's name starts with as a word, else the nearest
                folder of that name; with a layout, what its {category} may be.
            category, condition, split: the label of all images.
            columns: which columns of a manifest have which role: {"image": "file", "category": "label"}.
            labels_as_written: keep what stands in cells: nan, NA, N/A, null and None are labels, 3.0 is not 3.
            all_folders: also enter hidden folders and those that NAS, phones and desktops keep for themselves.
            zip_names: the encoding of names in zip files that do not say theirs: "gbk".
            exclude: glob patterns of images to leave out, as in .gitignore: "*.png" and "drafts" fit names anywhere,
                "2021/raw/*" begins at the source, `**` fits slashes, too; "" excludes none. None: these four as last
                time.
            precision: float32, bf16, fp16 or auto; the store's, else float32, where None.
            batch_size: images that go through the model at once; None chooses.
            compile: compile the model first, which pays on a GPU.
            max_pixels: larger images become failures; 0 lifts the limit.
            max_seconds: the time to decode one image; 0 lifts the limit.
            max_failures: stop after more than this many failures; `strict` stops at the first.
            all_formats: read every format that Pillow can open, also those whose damage cannot be detected.
            web_timeout: the seconds in which a web server must begin to answer, and then go on at 10 kB a second; a
                whole answer may take 120 times as long. 0 lifts these limits.
            web_files: the files and folders that a folder on a web server may list, in all; 0 lifts the limit, and
                those on the size of a page, on nested folders and on archives whose size the server does not state.
            prune: afterwards delete what has disappeared from its source.
            gone: accept that the source, or a folder in it, has disappeared or lost most of its images. Without it that
                is an error and nothing changes, since a disk may not be mounted; and `prune` never deletes most of a
                source.
            vectors_from: vectors that were made elsewhere: a column of `source`, which is then a Parquet, CSV or JSONL
                file of images, or a .npy file with a row of numbers for each of its rows; no model is loaded. Of the
                other arguments only `encoder`, `columns` and `progress` count; see docs/exchange.md.
            encoder: whose vectors these are: the name of an encoder of the store, of a model, or any new one.
            runner: who computes: "local" is this process, "ray" the workers of a Ray cluster; see docs/shards.md.
            ray_address: where that cluster is: "127.0.0.1:6379", "auto"; None is one on this machine, for this call.
                An address beyond this machine needs Ray's token authentication (`RAY_AUTH_MODE=token`).
            workers: how many workers at most, from 1; as many as there is room for where None.
            gpus_per_worker: GPUs of each worker, from 0, also a fraction; None is 1 if the cluster has GPUs, else 0.
            out: where workers write shards: a folder that all nodes see, or an s3:// or gs:// prefix; the folder
                `shards` of the store where None.
            part_rows: images that a worker takes at once, from 1 to 262,144; a 64th of the source, from 256 to 16,384,
                where None.
            refresh: "metadata" reads only the headers of files that are indexed already, for what cameras wrote into
                them, and encodes nothing; other options, but for `exclude`, make no difference then.
            progress: True shows a bar; or an object with `start(total)` and `advance(count)`.
            note: called with sentences about the work: which model is loaded, how the first images are labelled.

        Raises:
            SourceError: there is nothing to index, or too many images fail.
            OptionError, ModelUnavailable, StoreLocked, StoreError: with the `report` if only the pruning fails.
        """
        from shotdex.indexer.run import IndexOptions

        if vectors_from is not None:
            from .interchange import import_vectors

            return import_vectors(self, os.fspath(source), os.fspath(vectors_from), encoder, columns or {}, progress)
        if refresh not in (None, "metadata"):
            raise OptionError(f"{refresh!r} cannot be refreshed", "only metadata can: --refresh metadata")
        if encoder is not None:
            raise OptionError("an encoder is named without its vectors", "say where they are: --vectors-from COLUMN")
        options = IndexOptions(
            layout_of(layout, categories, (category, condition, split)),
            batch_size,
            limits=limits_of(max_pixels, max_seconds, all_formats),
            max_failures=0 if strict else max_failures,
            columns=columns or {},
            reading=reading_of(labels_as_written, all_folders, zip_names, exclude),
            gone=gone,
        )
        how = self._model(model, precision, compile)
        web = Exchange.of_options(web_timeout, web_files)
        place = None if out is None else os.fspath(out)
        who = Runner(runner, ray_address, workers, gpus_per_worker, place, part_rows, self._device)
        own = model is not None and not isinstance(model, str)
        said = note or (lambda _: None)
        job = Job(os.fspath(source), options, how, prune, progress, said, web, who, own)
        return self._run(job) if refresh is None else self._refresh(job)

    def preview(
        self,
        source: str | os.PathLike[str],
        *,
        model: str | OwnModel | ImageEncoder | None = None,
        layout: str | None = None,
        categories: Sequence[str] | None = None,
        category: str | None = None,
        condition: str | None = None,
        split: str | None = None,
        columns: Mapping[str, str] | None = None,
        labels_as_written: bool | None = None,
        all_folders: bool | None = None,
        zip_names: str | None = None,
        exclude: str | Sequence[str] | None = None,
        precision: str | None = None,
        batch_size: int | None = None,
        compile: bool = False,
        max_pixels: int = Limits().pixels or 0,
        max_seconds: float = Limits().seconds or 0,
        max_failures: int | None = None,
        strict: bool = False,
        all_formats: bool = False,
        web_timeout: float = WEB_SECONDS,
        web_files: int = WEB_FILES,
        prune: bool = False,
        gone: bool = False,
        refresh: str | None = None,
        progress: bool | Progress = False,
        note: Note | None = None,
    ) -> IndexPreview:
        """Return what `index` would do with the same arguments. Nothing is written, and no model is downloaded.

        The images are listed, not read, so how many of them will fail is known only where they failed before.
        `batch_size`, `compile`, `max_failures` and `strict` make no difference here.

        Raises:
            SourceError: there is nothing to index.
            OptionError, StoreLocked, StoreError.

        >>> store.preview(demo.EVALUATION).new
        0
        """
        from shotdex.indexer.preview import preview
        from shotdex.indexer.run import IndexOptions

        options = IndexOptions(
            layout_of(layout, categories, (category, condition, split)),
            limits=limits_of(max_pixels, max_seconds, all_formats),
            columns=columns or {},
            reading=reading_of(labels_as_written, all_folders, zip_names, exclude),
            gone=gone,
        )
        how = self._model(model, precision)
        web = Exchange.of_options(web_timeout, web_files)
        job = Job(os.fspath(source), options, how, prune, progress, note or (lambda _: None), web)
        with job.web.in_effect():
            if (shards := shards_of(self.store, job)) is not None:
                return preview_shards(self.store, job, shards)
            with self._scanned(job) as (inventory, choice, options):
                encoder = choice.identity()
                found = preview(Store(self.path), inventory, options, encoder)
        return IndexPreview(found, self.path, choice.name if encoder is None else encoder[1])

    def _model(
        self, model: str | OwnModel | ImageEncoder | None, precision: str | None, compile: bool = False
    ) -> ModelOptions:
        """Return which model is meant; an encoder object is used wherever its name is needed."""
        from shotdex.models.encoder_pool import ModelOptions

        if model is not None and not isinstance(model, str):
            self.encoders.use(model)
            model = model.id if isinstance(model.id, str) else model.id.name
        return ModelOptions(model, precision, compile=compile)

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
            return refresh_metadata(Store.open(self.path), inventory, progress)

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
        with Bar("looking") as bar:
            bar.start(None if job.progress is True else 0)
            exclude = job.options.reading.get("exclude", ())
            inventory = scan_source(source, bar.advance, may_be_empty=before is not None, exclude=exclude)
        with inventory:
            yield inventory, job.options

    def _run(self, job: Job) -> IndexReport:
        def announce(plan: Plan, labelling: Labelling) -> None:
            for line in plan_lines(plan, labelling.record.layout):
                job.note(line)

        check_runner(job)
        with job.web.in_effect():
            if (shards := shards_of(self.store, job)) is not None:
                report = index_shards(self.store, job, shards, announce)
            elif job.runner.name == "ray":
                with self._scanned(job) as scanned:
                    report = index_with_ray(self.store, job, scanned, announce)
            else:
                report = self._run_source(job, announce)
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

    def _run_source(self, job: Job, announce: Announce) -> IndexReport:
        from shotdex.indexer.run import Indexing

        with self._scanned(job) as (inventory, choice, options), shown(job.progress, "indexing") as bar:
            encoder = choice.encoder()  # before there is a store, which a model that is not there must not leave behind
            return Indexing(Store.create(self.path), encoder, options, bar, announce).run(inventory)


def layout_of(
    pattern: str | None, categories: Sequence[str] | None, fixed: tuple[str | None, str | None, str | None]
) -> Layout:
    """Return the layout that a pattern, a list of categories and a fixed category, condition and split mean.

    Raises:
        OptionError: the list is empty, or the pattern is not valid.
    """
    from shotdex.indexer.layout import parse_layout
    from shotdex.store.images import Labels

    listed = [name.strip() for name in categories or ()]
    if categories is not None and not any(listed):
        raise OptionError("--categories is empty", "for example: --categories airplane,car,chair")
    return parse_layout(pattern, listed, Labels(*fixed))


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


def limits_of(pixels: int, seconds: float, all_formats: bool = False) -> Limits:
    """Return the limits of one image; 0 lifts a limit, and with the one on pixels the one on a file's bytes.

    Raises:
        OptionError: `seconds` is not a number.
    """
    if math.isnan(seconds):
        raise OptionError("--max-seconds is not a number", "for example: --max-seconds 60, or 0 for no limit")
    longest = 1e6  # above it there is no limit: longer than a system's timers can be set to
    lasting = seconds if 0 < seconds <= longest else None
    return Limits(pixels or None, lasting, Limits().bytes if pixels else None, all_formats)

"""The part of a session that writes what it holds in the forms of other programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

from shotdex.store.errors import OptionError
from shotdex.store.location import user_path
from shotdex.store.progress import Progress
from shotdex.store.types import Space

from .keywords import filled, takes
from .opened import Opened
from .progress import shown
from .result_keywords import ExportKeywords

if TYPE_CHECKING:
    import fiftyone

    from shotdex.exchange.export import Exported
    from shotdex.models.protocols import ImageEncoder
    from shotdex.store.types import EncoderId, IndexReport


class Interchange(Opened):
    """Mixed into `Session`."""

    @takes(ExportKeywords)
    def export(self, format: str, path: str | os.PathLike[str], **options: Unpack[ExportKeywords]) -> Exported:
        """Write images with their labels, vectors and outcomes for another program.

        Args:
            format: parquet, csv, jsonl, numpy, atlas, hf, fiftyone or imagefolder; see docs/exchange.md.
            path: the file, or for numpy, hf, fiftyone and imagefolder the folder, which must be empty or not exist.
            options: the keywords of `ExportKeywords`.

        Returns:
            `path`, `images`, `failed` (path and reason of each image that was left out) and `notes` on how to open it.

        Raises:
            OptionError: no such format, or the place is taken.
            EmptyStore: there is no image to export.
            StoreError: it cannot be written.
            BadSql, EncoderMismatch.

        >>> store.export("parquet", "/tmp/hats.parquet", where="category = 'hat'", overwrite=True).images
        40
        """
        from shotdex.exchange.export import ExportOptions, export
        from shotdex.exchange.selection import Selection

        given = filled(Interchange.export, options)
        if given["space"] not in set(Space):
            raise OptionError(f"there is no space {given['space']!r}", "choose joint or vision")
        encoder, vision = self.encoders.recognised(given["model"]), given["space"] == Space.VISION
        selection = Selection(given["where"], given["run"], encoder, vision, given["with_gps"])
        with shown(given["progress"], "placing", " rounds") as bar:
            how = ExportOptions(given["link"], given["overwrite"], bar)
            return export(self.store, format, user_path(path).absolute(), selection, how)

    def to_fiftyone(self, *, where: str | None = None, run: str | None = None) -> list[fiftyone.Sample]:
        """Return images as samples of FiftyOne: `ground_truth`, and a run's `prediction` with its confidence.

        Nothing is copied: a sample refers to the image file. `fiftyone.Dataset("mine").add_samples(samples)` makes a
        data set of them, for which FiftyOne starts its own database.

        Args:
            where: a SQL condition on the columns of `images`.
            run: the name or number of a run, which becomes `prediction`, `correct` and `true_rank`.

        Raises:
            ShotdexError: FiftyOne is not installed.
            UnreadableImage: none of the images is a local file, for example because all are in archives.
            EmptyStore: there is no image. BadSql.

        >>> samples = store.to_fiftyone(where="category = 'hat'", run="names")  # doctest: +SKIP
        """
        from shotdex.exchange.samples import need_fiftyone, samples
        from shotdex.exchange.selection import Selected, Selection

        need_fiftyone()
        with self.store.reading() as con:
            selected = Selected(con, Selection(where, run), vectors=False)
            return samples(row for table in selected.tables() for row in table.to_pylist())

    def label(
        self,
        file: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        labels_as_written: bool | None = None,
    ) -> IndexReport:
        """Assign the labels in a table to indexed images, and return how many images changed labels; none is read.

        The labels are kept when the images' own source is indexed again. Images that are not indexed are not added.

        Args:
            file: a CSV, Parquet or JSONL file that names images by path, and labels them.
            columns: which columns have which role: {"image": "file", "category": "label"}; usual names are recognised.
            labels_as_written: keep what stands in cells: nan, NA, N/A, null and None are labels, 3.0 is not 3.

        Raises:
            SourceError: it does not list images. EmptyStore: nothing has been indexed yet.
            OptionError, StoreLocked.

        >>> file = store.export("csv", "/tmp/labels.csv", overwrite=True).path
        >>> store.label(file).relabelled
        0
        """
        from shotdex.indexer.inventory import scan_source
        from shotdex.indexer.run import Indexing, IndexOptions
        from shotdex.media.sources import open_known_source
        from shotdex.models.late_encoder import LateEncoder
        from shotdex.store.encoders import list_encoders
        from shotdex.store.errors import EmptyStore, ShotdexError
        from shotdex.store.progress import NoProgress
        from shotdex.store.source_records import source_record

        from .indexing import reading_of

        def never() -> ImageEncoder:
            raise ShotdexError("no image is encoded for its labels")

        place = str(user_path(file).absolute())
        with self.store.reading() as con:
            known = list_encoders(con)
            before = source_record(con, place)
        if not known:
            raise EmptyStore("nothing has been indexed yet", "index images first: shotdex index FOLDER")
        reading = {**(before.reading if before is not None else {}), **reading_of(labels_as_written, None, None)}
        source = open_known_source(place, columns or {}, reading, before, True)
        options = IndexOptions(columns=columns or {}, reading=reading, labels_only=True)
        encoder = LateEncoder(next(iter(known.values())), never)
        with scan_source(source) as inventory:
            return Indexing(self.store, encoder, options, NoProgress()).run(inventory)


def import_vectors(
    session: Opened,
    place: str,
    vectors_from: str,
    encoder: str | None,
    columns: Mapping[str, str],
    progress: bool | Progress,
) -> IndexReport:
    """Do what `Session.index` does with `vectors_from`."""
    from shotdex.exchange.vector_table import VectorTable
    from shotdex.exchange.vectors_in import import_vectors
    from shotdex.models.encoder_pool import ModelOptions
    from shotdex.store.encoders import choose_encoder
    from shotdex.store.errors import EmptyStore, EncoderMismatch
    from shotdex.store.store import Store

    if not encoder:
        what = "it is not said which encoder the vectors are of"
        raise OptionError(what, "name it: --encoder NAME   (any name; texts need a model of that name)")

    def choose(name: str) -> EncoderId | None:
        """Return the store's encoder of that name, else that of a model on this machine."""
        try:
            with store.reading() as con:
                return choose_encoder(con, name)[1]
        except (EmptyStore, EncoderMismatch):
            found = session.encoders.for_indexing(ModelOptions(name), lambda _: None).identity()
        return None if found is None else found[1]

    table = VectorTable(place, vectors_from)
    table.roles(columns)
    store = Store.create(session.path)
    with shown(progress, "reading") as bar:
        report = import_vectors(store, table, encoder, choose, columns, bar)
    if report.encoder is not None:
        session.encoders.keep_texts(report.encoder)
    return report

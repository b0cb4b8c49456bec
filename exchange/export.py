"""One export from beginning to end: written aside, then put in its place, or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shotdex.analysis.maps import MapOptions, coordinates
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import OptionError, StoreError
from shotdex.store.ids import encoded_ids
from shotdex.store.progress import Progress
from shotdex.store.store import Store
from shotdex.store.types import Space
from shotdex.store.vectors import load_vectors

from . import folders, tables
from .selection import Selected, Selection

FORMATS = {
    "parquet": "one row an image with its columns and vectors",
    "csv": "one row an image with its columns",
    "jsonl": "one JSON object an image with its columns",
    "numpy": "a folder with vectors.npy, ids.npy and images.csv",
    "atlas": "Parquet for Embedding Atlas: columns, a map and nearest images",
    "hf": "a folder for Hugging Face datasets: images/ and metadata.parquet",
    "fiftyone": "a folder for FiftyOne: data/ and labels.json",
    "imagefolder": "a folder for torchvision's ImageFolder: category/file",
}
"""Formats, and what each is."""

FOLDERS = ("numpy", "hf", "fiftyone", "imagefolder")


@dataclass(frozen=True, slots=True)
class Exported:
    """How many images were written where; `failed` were left out, with reasons; `notes` say what to do next."""

    path: Path
    format: str
    images: int
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to write: `link` makes links in place of copies, `overwrite` replaces a file; a map shows `progress`."""

    link: bool = False
    overwrite: bool = False
    progress: Progress | None = None


def export(store: Store, form: str, target: Path, selection: Selection, options: ExportOptions) -> Exported:
    """Write the images of a selection in one of `FORMATS`.

    Raises:
        OptionError: no such format, or the place is taken.
        EmptyStore: there is no image to export.
        StoreError: it cannot be written, as where the disk is full.
        BadSql, EncoderMismatch.
    """
    _check(form, target, options)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = _write(store, form, aside, selection, options)
        with suppress(FileNotFoundError):
            if target.is_dir():
                target.rmdir()  # empty, as was checked
        aside.replace(target)
    except OSError as error:
        what = f"cannot write {target}: {error.strerror or error}"
        raise StoreError(what, "make room there, or choose another place") from error
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
    return replace(done, path=target, notes=_notes(form, target))


def _check(form: str, target: Path, options: ExportOptions) -> None:
    if form not in FORMATS:
        raise OptionError(f"there is no format {form!r}", f"choose one of: {', '.join(FORMATS)}")
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir():
        if form not in FOLDERS:
            raise OptionError(
                f"{target} is a folder, and {form} is one file", f"for example: {target / f'images.{form}'}"
            )
        if any(target.iterdir()):
            raise OptionError(f"the folder {target} is not empty", "choose an empty folder or a new one")
    elif form in FOLDERS or not options.overwrite:
        hint = "choose another name" if form in FOLDERS else "choose another name, or replace it: --overwrite"
        raise OptionError(f"{target} exists already", hint)


def _write(store: Store, form: str, aside: Path, selection: Selection, options: ExportOptions) -> Exported:
    if form == "atlas":
        return _write_atlas(store, aside, selection, options.progress)
    failed: folders.Failed = []
    with store.reading() as con:
        selected = Selected(con, selection, vectors=form in ("parquet", "numpy"))
        if form == "numpy":
            selected.ids = encoded_ids(con, selected.encoder_id, selection.where)
        count = len(selected.ids)
        if form in ("hf", "fiftyone", "imagefolder"):
            files = folders.Files(selected, link=options.link, with_gps=selection.with_gps)
            write = {
                "hf": folders.write_hf,
                "fiftyone": folders.write_fiftyone,
                "imagefolder": folders.write_imagefolder,
            }[form]
            count, failed = write(files, aside), files.failed
        else:
            {
                "parquet": tables.write_parquet,
                "csv": tables.write_csv,
                "jsonl": tables.write_jsonl,
                "numpy": tables.write_numpy,
            }[form](selected, aside)
    return Exported(aside, form, count, tuple(failed))


def _write_atlas(store: Store, aside: Path, selection: Selection, progress: Progress | None) -> Exported:
    with store.reading() as con:
        encoder_id, _ = choose_encoder(con, selection.model)
        every = len(encoded_ids(con, encoder_id, selection.where))
    options = MapOptions(where=selection.where, encoder_name=selection.model, limit=max(1, every))
    placed = coordinates(store, options, progress)
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, selection.model)
        ids, vectors = load_vectors(con, encoder_id, encoder, Space.JOINT, placed.ids)
        selected = Selected(con, selection, vectors=False)
        known = np.isin(ids, selected.ids, assume_unique=True)
        selected.ids = ids[known]
        rows = np.searchsorted(placed.ids, selected.ids)
        tables.write_atlas(selected, aside, selected.ids, placed.xy[rows], vectors[known])
    return Exported(aside, "atlas", len(selected.ids))


def _notes(form: str, target: Path) -> tuple[str, ...]:
    shown = shlex.quote(str(target))
    return {
        "atlas": (f"open it: embedding-atlas {shown} --x projection_x --y projection_y --neighbors neighbors",),
        "hf": (f"load it: datasets.load_dataset('imagefolder', data_dir={str(target)!r})",),
        "fiftyone": (
            f"load it: fiftyone.Dataset.from_dir({str(target)!r}, "
            "dataset_type=fiftyone.types.FiftyOneImageClassificationDataset)",
        ),
        "imagefolder": (f"load it: torchvision.datasets.ImageFolder({str(target)!r})",),
    }.get(form, ())

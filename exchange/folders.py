"""Exports that are a folder of image files: for torchvision's ImageFolder, Hugging Face datasets and FiftyOne."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shotdex.media.sources import read_bytes
from shotdex.media.sources.address import split
from shotdex.query.copying import CHANGED, described, has_changed, safe_name
from shotdex.store.file_names import local

from .gps import without_gps
from .selection import Selected

Failed = list[tuple[str, str]]
"""Images that were left out, each with the reason."""


class Files:
    """Writes the files of images; those that cannot be read, or changed since they were indexed, are left out."""

    def __init__(self, selected: Selected, *, link: bool, with_gps: bool) -> None:
        """With `link` there are links to files where that is possible; else copies."""
        self._selected = selected
        self._link = link
        self._with_gps = with_gps
        self.failed: Failed = []

    def written(self, folder_of: Callable[[dict[str, Any]], Path | None]) -> Iterator[tuple[dict[str, Any], Path]]:
        """Yield the rows of images and the files that were written for them, into the folders that are returned."""
        for table in self._selected.tables():
            for row in table.to_pylist():
                folder = folder_of(row)
                if folder is None:
                    self.failed.append((row["path"], "it has no category"))
                    continue
                target = self._write(row, folder)
                if target is not None:
                    yield row, target

    def _write(self, row: dict[str, Any], folder: Path) -> Path | None:
        address = row["path"]
        try:
            data = read_bytes(address)
        except Exception as error:  # whatever is wrong with one image, the others are exported
            self.failed.append((address, described(error)))
            return None
        if has_changed(data, row["content_sha256"]):
            self.failed.append((address, CHANGED))
            return None
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{row['image_id']}_{safe_name(address, data)}"
        cleaned = data if self._with_gps else without_gps(data)
        if self._link and cleaned is data and split(address)[1] is None and Path(local(address)).is_file():
            target.symlink_to(Path(local(address)).absolute())
        else:
            target.write_bytes(cleaned)
        return target


def write_imagefolder(files: Files, target: Path) -> int:
    """Write category/file, as torchvision's ImageFolder reads it; images without a category are left out."""

    def folder_of(row: dict[str, Any]) -> Path | None:
        return None if row["category"] is None else target / _folder_name(row["category"])

    target.mkdir()
    return sum(1 for _ in files.written(folder_of))


def _folder_name(category: str) -> str:
    """Return a category as the name of one folder."""
    name = "".join("_" if char in '<>:"/\\|?*' or ord(char) < 32 else char for char in category)
    return f"_{name.lstrip('.')}" if name.startswith(".") or not name else name


def write_hf(files: Files, target: Path) -> int:
    """Write images/ and metadata.parquet, as `datasets.load_dataset("imagefolder", data_dir=...)` reads it."""
    target.mkdir()
    rows = []
    for row, file in files.written(lambda _: target / "images"):
        kept = {name: value for name, value in row.items() if name not in ("path", "source", "category")}
        rows.append({"file_name": file.relative_to(target).as_posix(), "label": row["category"], **kept})
    if rows:
        pq.write_table(pa.Table.from_pylist(rows), target / "metadata.parquet")
    return len(rows)


def write_fiftyone(files: Files, target: Path) -> int:
    """Write data/ and labels.json, FiftyOne's FiftyOneImageClassificationDataset; a run's in predictions.json."""
    target.mkdir()
    labels: dict[str, Any] = {}
    predictions: dict[str, Any] = {}
    count = 0
    for row, file in files.written(lambda _: target / "data"):
        count += 1
        if row["category"] is not None:
            labels[file.stem] = row["category"]
        if row.get("predicted") is not None:
            predictions[file.stem] = {"label": row["predicted"], "confidence": row["probability"]}
    classes = sorted(set(labels.values()))
    numbered = {name: classes.index(category) for name, category in labels.items()}
    _write_json(target / "labels.json", {"classes": classes, "labels": numbered})
    if predictions:
        known = sorted({one["label"] for one in predictions.values()})
        found = {name: one | {"label": known.index(one["label"])} for name, one in predictions.items()}
        _write_json(target / "predictions.json", {"classes": known, "labels": found})
    return count


def _write_json(target: Path, value: Any) -> None:
    target.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")

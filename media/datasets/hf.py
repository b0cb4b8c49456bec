"""Data sets of the Hugging Face hub, and local folders in its forms, through the `datasets` library.

It keeps them in its own cache, as Arrow files that are mapped into memory, so memory does not grow with them. Nothing
that a data set brings is run: `datasets` from version 4 on cannot, and older ones are not used.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from shotdex.media.files import places
from shotdex.media.files.places import TooManyBytes
from shotdex.store.errors import SourceError

from .dataset_rows import Row, plain

INSTALL = 'pip install "shotdex[hf]"'

CATEGORY_NAMES = ("label", "labels", "category", "class", "fine_label", "target")
"""Columns that are taken for the category, in this order: the one of classes by any name comes after these."""

BATCH = 1000


@dataclass(frozen=True, slots=True)
class HfRows:
    """The splits of a data set, the column of its images, and that of its categories, or None."""

    name: str
    made: Mapping[str, Any]
    image: str
    category: str | None
    roots: Sequence[str]

    @property
    def splits(self) -> Sequence[str]:
        """The names of its splits."""
        return tuple(self.made)

    def rows(self, split: str) -> Iterator[Row]:
        """Give the rows of a split; the images themselves are not read."""
        made = self.made[split]
        mark = int(str(made._fingerprint)[:16] or "0", 16) >> 1
        names = {
            name: feature.names for name, feature in made.features.items() if type(feature).__name__ == "ClassLabel"
        }
        kept = [
            field.name for field in made.features.arrow_schema if field.name != self.image and _is_plain(field.type)
        ]
        position = 0
        for table in made.with_format("arrow").iter(BATCH):
            columns = [_names_of(table[name].to_pylist(), names.get(name)) for name in kept]
            for i, image in enumerate(table[self.image]):
                values = {name: column[i] for name, column in zip(kept, columns, strict=True)}
                yield self._row(split, position, image, values, mark)
                position += 1

    def _row(self, split: str, position: int, image: Any, values: dict[str, Any], mark: int) -> Row:
        category = values.pop(self.category, None) if self.category else None
        size, modified_ns, path = 0, mark, None
        if image.is_valid:
            path = image["path"].as_py()
            if image["bytes"].is_valid:
                size = image["bytes"].as_buffer().size
            elif self._may_read(path) and places.is_file(path):
                facts = places.facts(path)
                size, modified_ns = facts.size_bytes, facts.modified_ns
        if path:
            values.setdefault("file_name", path.replace("\\", "/").rpartition("/")[2])
        return Row(split, position, size, modified_ns, None if category is None else str(category), values or None)

    def file(self, split: str, position: int, limit: int) -> bytes:
        """Return an image's file as it came: out of its row, or the local file that the row names."""
        made = self.made.get(split)
        if made is None or not 0 <= position < len(made):
            raise KeyError(f"{self.name} has no image {position} in {split}")
        image = made.select_columns([self.image]).with_format("arrow")[position][self.image][0]
        if not image.is_valid:
            raise KeyError(f"row {position} of {split} has no image")
        if image["bytes"].is_valid:
            content = image["bytes"].as_buffer()
            if content.size > limit:
                raise TooManyBytes(f"more than {limit:,} bytes")
            return bytes(content)
        path = image["path"].as_py()
        if not self._may_read(path):
            raise KeyError(f"row {position} of {split} has no image")
        return places.read_all(path, limit)

    def _may_read(self, path: str | None) -> bool:
        """Tell whether a path that a row names is the data set's own: a row can name any file of this machine."""
        found = Path(path or "")
        return ".." not in found.parts and any(found.is_relative_to(root) for root in self.roots)


def open_hf(name: str, config: str | None) -> HfRows:
    """Return a data set by its name on the hub, or by the path of a local folder.

    Raises:
        SourceError: `datasets` is not installed, there is no such data set, or it has no images.
    """
    try:
        import datasets
        from huggingface_hub import constants
    except ImportError as error:
        raise SourceError(f"hf:{name} needs {error.name}, which is not installed", INSTALL) from error
    if int(datasets.__version__.partition(".")[0]) < 4:
        raise SourceError(f"datasets {datasets.__version__} may run code from a data set", "pip install 'datasets>=4'")
    datasets.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        made = _load(datasets, name, config)
    except Exception as error:  # the library, the hub's client and the file formats each raise their own
        raise _failed(name, config, error) from error
    splits = made if isinstance(made, dict) else {"train": made}
    if not splits:
        raise SourceError(f"hf:{name} has no splits", "check its contents")
    features = next(iter(splits.values())).features
    images = _of_type(features, "Image")
    if not images:
        raise SourceError(f"hf:{name} has no column of images; it has {', '.join(features)}", "choose one that has")
    caches = [str(datasets.config.HF_CACHE_HOME), str(datasets.config.HF_DATASETS_CACHE), str(constants.HF_HUB_CACHE)]
    roots = [*caches, name] if Path(name).is_absolute() else caches
    return HfRows(name, splits, images[0], _category(features), roots)


def _load(datasets: Any, name: str, config: str | None) -> Any:
    local = Path(name).is_absolute()
    if local and any((Path(name) / mark).is_file() for mark in ("dataset_dict.json", "state.json")):
        return datasets.load_from_disk(name, keep_in_memory=False)
    with contextlib.nullcontext() if not local and _hub_answers() else _offline(datasets):
        return datasets.load_dataset(name, config, keep_in_memory=False)


def _hub_answers() -> bool:
    """Ask once: where nobody answers, the libraries try again for 25 s before they turn to their cache."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # of the HTTP client, whichever it is
        return False
    return True


@contextlib.contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _failed(name: str, config: str | None, error: Exception) -> SourceError:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    said = f"hf:{name}{f':{config}' if config else ''} cannot be loaded: {text}"
    if "onfig" in text and isinstance(error, ValueError):
        return SourceError(said, f"choose one of its configurations: hf:{name}:CONFIG")
    return SourceError(said, "check the name and the connection; for a private one log in with: hf auth login")


def _category(features: Mapping[str, Any]) -> str | None:
    classes = [column for column, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    texts = [
        column for column, feature in features.items() if getattr(feature, "dtype", "") in ("string", "large_string")
    ]
    named = [column for column in CATEGORY_NAMES if column in classes] or (classes if len(classes) == 1 else [])
    numbers = ["cls"] if {"__key__", "cls"} <= features.keys() else []  # the class in a tar of WebDataset
    return next(iter(named or [column for column in CATEGORY_NAMES if column in texts] or numbers), None)


def _of_type(features: Mapping[str, Any], kind: str) -> list[str]:
    return [name for name, feature in features.items() if type(feature).__name__ == kind]


def _names_of(values: list[Any], names: Sequence[str] | None) -> list[Any]:
    """Return values as JSON can hold them; the numbers of classes as their names, and -1, no class, as None."""
    if names is None:
        return [plain(value) for value in values]
    return [names[value] if value is not None and 0 <= value < len(names) else None for value in values]


def _is_plain(kind: pa.DataType) -> bool:
    """Tell whether a column is metadata: no bytes (images, sounds), and no arrays of numbers of a fixed shape."""
    if isinstance(kind, pa.ExtensionType) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return False
    return all(_is_plain(kind.field(i).type) for i in range(kind.num_fields))

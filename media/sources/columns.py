"""What the columns of a table mean: which plays which role, and what stands in the others as metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from shotdex.store.errors import OptionError, SourceError

from .label_cells import BadValue

if TYPE_CHECKING:
    from shotdex.media.tables.table import Column

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (
        "image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_file",
        "image_filename", "image_name", "img", "img_path", "picture", "photo", "jpg", "png", "url", "image_url", "uri",
    ),
    "category": (
        "category", "label", "labels", "class", "class_name", "category_name", "label_name", "classname", "target",
        "class_label", "category_label", "fine_label", "fine_labels", "categories", "classes", "targets", "gt_label",
        "ground_truth",
    ),
    "condition": ("condition",),
    "split": ("split", "subset", "partition", "fold"),
}  # fmt: skip
"""Roles, with the names of columns that are taken for them where the user names none, the likeliest first."""

OPTION = "--columns image=NAME"

_SHOWN = 20
_NO_LETTERS = re.compile(r"[\W_]+")  # `Class Name` and `class-name` are class_name, too

METADATA_LIMIT = 256 * 1024
"""Characters that all further columns of one image may have."""

DEPTH_LIMIT = 33
"""Levels of lists and objects in metadata, itself being the first."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The name of the column for each role; None if no column plays it."""

    image: str
    category: str | None = None
    condition: str | None = None
    split: str | None = None

    def has_labels(self) -> bool:
        """Tell whether any column labels the images."""
        return any((self.category, self.condition, self.split))

    def names(self) -> frozenset[str]:
        """Return the columns that play a role; all others are metadata."""
        return frozenset(name for name in (self.image, self.category, self.condition, self.split) if name)


def parse_columns(text: str) -> Mapping[str, str]:
    """Return role -> column for an option's text, `image=file,category=label`.

    Raises:
        OptionError: an unknown role, a role given twice, or a name missing.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        role, mark, name = (piece.strip() for piece in part.partition("="))
        if not mark or not name or not role:
            raise OptionError(f"{part.strip()!r} is not ROLE=NAME", f"write {OPTION},category=NAME")
        if role not in USUAL_NAMES:
            raise OptionError(f"there is no role {role!r} for a column", f"the roles are {', '.join(USUAL_NAMES)}")
        if role in columns:
            raise OptionError(f"the role {role} is assigned twice", "assign one column to a role")
        columns[role] = name
    return columns


def find_roles(given: Mapping[str, str], columns: Sequence[Column]) -> Roles:
    """Return the column for each role: the one that the user gave, else the first with a usual name.

    Raises:
        SourceError: a given column is not there, or no column can be the image's.
    """
    names = [column.name for column in columns if column.name]
    for role, name in given.items():
        if name not in names:
            near = get_close_matches(name.lower(), [each.lower() for each in names], n=1)
            meant = next((f"; did you mean {each}?" for each in names if [each.lower()] == near), "")
            raise SourceError(f"it has no column {name!r} for the role {role}", _listed(names) + meant)
    taken = frozenset(given.values())
    found = {role: given.get(role) or _usual(role, columns, taken) for role in USUAL_NAMES if role != "category"}
    found["category"] = given.get("category") or _category(columns, {*taken, *found.values()})
    if found["image"] is None:
        raise SourceError("it has no column that names the images", f"say which with {OPTION}; {_listed(names)}")
    return Roles(found["image"], found["category"], found["condition"], found["split"])


def _usual(role: str, columns: Sequence[Column], taken: Collection[str | None]) -> str | None:
    fitting = {
        _without_marks(column.name): column.name
        for column in reversed(columns)
        if (column.images if role == "image" else column.labels) and column.name not in taken
    }
    return next((fitting[name] for name in map(_without_marks, USUAL_NAMES[role]) if name in fitting), None)


def _category(columns: Sequence[Column], taken: Collection[str | None]) -> str | None:
    """Return the one column whose classes the file names, of several the one with a usual name; else by name alone."""
    classes = [column for column in columns if column.names_classes and column.labels and column.name not in taken]
    return classes[0].name if len(classes) == 1 else _usual("category", classes or columns, taken)


def _without_marks(name: str) -> str:
    return _NO_LETTERS.sub("", name.casefold())


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "it has no columns"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"its columns are {', '.join(name[:60] for name in names[:_SHOWN])}{more}"


def csv_value(text: str) -> str | int | float:
    """Return a number where a text is just how a number is written (12, 0.5), else the text (007, 1e3, +1, nan).

    The rule: the number, written again, gives the text.
    """
    if not text[-1:].isdigit() or len(text) > 30:
        return text
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text


def metadata(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return values that JSON has. Numbers stay numbers, dates are in ISO form; null, NaN, "" and bytes are left out.

    Raises:
        BadValue: it is too much, or nested too deeply.
    """
    plain = _Plain().plain(values, 0)
    return {name: value for name, value in plain.items() if name and value is not None and value != ""} or None


class _Plain:
    """Makes values plain while it counts their characters."""

    def __init__(self) -> None:
        self._characters = 0

    def plain(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            self._count(len(value))
            return value
        if isinstance(value, (list, tuple, Mapping)):
            return self._nested(value, depth + 1)
        self._count(8)
        return _scalar(value)

    def _nested(self, value: list[Any] | tuple[Any, ...] | Mapping[str, Any], depth: int) -> Any:
        if depth > DEPTH_LIMIT:
            raise BadValue(f"further columns are nested more than {DEPTH_LIMIT - 1} levels deep")
        self._count(8)
        if not isinstance(value, Mapping):
            return [self.plain(item, depth) for item in value]
        self._count(sum(len(str(name)) for name in value))
        return {str(name): self.plain(item, depth) for name, item in value.items()}

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > METADATA_LIMIT:
            raise BadValue(f"further columns hold more than {METADATA_LIMIT:,} characters")


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() and Decimal(str(float(value))) == value else str(value)
    return str(value)

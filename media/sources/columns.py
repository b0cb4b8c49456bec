"""Which column of a table plays which role: the image, its category, its condition, its split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from shotdex.media.tables.table import Column
from shotdex.store.errors import OptionError, SourceError

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (
        "image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_file",
        "image_filename", "image_name", "img", "img_path", "picture", "photo", "jpg", "png", "url", "image_url", "uri",
    ),
    "category": ("category", "label", "class", "class_name", "category_name", "label_name", "classname", "target"),
    "condition": ("condition",),
    "split": ("split", "subset", "partition", "fold"),
}  # fmt: skip
"""Roles, with the names of columns that are taken for them where the user names none, the likeliest first."""

OPTION = "--columns image=NAME"

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Roles:
    """The name of the column for each role; None where there is none."""

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
            raise OptionError(f"the role {role} is given twice", "give one column a role")
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
    found = {role: given.get(role) or _usual(role, columns, taken) for role in USUAL_NAMES}
    if found["image"] is None:
        raise SourceError("it has no column that names the images", f"say which with {OPTION}; {_listed(names)}")
    return Roles(found["image"], found["category"], found["condition"], found["split"])


def _usual(role: str, columns: Sequence[Column], taken: frozenset[str]) -> str | None:
    fitting = {
        column.name.lower(): column.name
        for column in reversed(columns)
        if (column.images if role == "image" else column.labels) and column.name not in taken
    }
    return next((fitting[name] for name in USUAL_NAMES[role] if name in fitting), None)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "it has no columns"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"its columns are {', '.join(name[:60] for name in names[:_SHOWN])}{more}"

"""What stands in a table's cells as labels, and which columns could label the images where none is known to."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shotdex.media.tables.table import Column

LABEL_LIMIT = 1024
"""Characters that a label may have."""


class BadValue(ValueError):
    """A value that cannot be kept; the message says why. Never leaves shotdex: it becomes a failure."""


@dataclass(slots=True)
class LabelCells:
    """Reads the cells of labels, and counts what it does not take as written, unless `as_written`.

    `empty` counts what was read as no label, by how it was written; `whole` numbers were written as 3.0.
    """

    as_written: bool = False
    empty: Counter[str] = field(default_factory=Counter)
    whole: int = 0

    def label(self, value: Any) -> str | None:
        """Return a label's text without spaces around it: true is "true", 7.0 is "7"; None if there is none.

        Raises:
            BadValue: it is not a single value, or too long.
        """
        text = _label_text(value)
        if self.as_written or (text and text not in NO_LABEL and not _WHOLE.fullmatch(text)):
            return text or None
        if _WHOLE.fullmatch(text):
            self.whole += 1
            return text.partition(".")[0]
        self.empty[text] += 1
        return None

    def add(self, other: LabelCells) -> None:
        """Count what another has counted, too."""
        self.empty.update(other.empty)
        self.whole += other.whole

    def found(self) -> Iterator[LabelCells]:
        """Yield itself where anything was counted, for the end of a scan."""
        if self.empty or self.whole:
            yield self

    def note(self) -> str:
        """Return how many cells were not taken as written, as a sentence; nothing where all were."""
        written = ", ".join(f"{count:,} {text or 'empty'}" for text, count in self.empty.most_common())
        cells = "1 cell is" if self.empty.total() == 1 else f"{self.empty.total():,} cells are"
        parts = [f"{cells} not taken as a label ({written})"] if self.empty else []
        parts += [f"whole numbers written with .0: {self.whole:,} (3.0 is read as 3)"] if self.whole else []
        kept = "" if not self.whole and set(self.empty) <= {""} else "; --labels-as-written keeps what is written"
        return f"labels: {', '.join(parts)}{kept}" if parts else ""


# What pandas reads as missing; written by programs, never by people as the name of a class.
NO_LABEL = frozenset(
    {
        "", "nan", "NaN", "-nan", "-NaN", "NA", "<NA>", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "null", "NULL", "None",
        "1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND",
    }
)  # fmt: skip
_WHOLE = re.compile(r"-?[0-9]+\.0+")


def _label_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = f"{int(value)}.0"
    if isinstance(value, (datetime, date, time)):
        value = value.isoformat()
    if isinstance(value, (Mapping, list, tuple, bytes)):
        raise BadValue(f"a label cannot be a {type(value).__name__}")
    text = str(value).strip()
    if len(text) > LABEL_LIMIT:
        raise BadValue(f"a label has more than {LABEL_LIMIT:,} characters")
    return text


class CouldLabel:
    """Looks, in a table without a column for the category, for columns that could be it."""

    def __init__(self, columns: Sequence[Column], taken: Collection[str]) -> None:
        named = [column for column in columns if column.labels and column.name and column.name not in taken]
        self._values: dict[str, set[str]] = {column.name: set() for column in named}
        self._rows, self._many, self._classes = 0, set[str](), {column.name for column in named if column.names_classes}

    def see(self, values: Mapping[str, Any]) -> None:
        """Take in a row."""
        self._rows += 1
        for name, seen in self._values.items():
            value = values.get(name)
            if name not in self._many and isinstance(value, (str, int)) and value != "":
                seen.add(str(value)[:LABEL_LIMIT])
                if len(seen) > _DISTINCT or len(str(value)) > _LONGEST:  # names of files, captions, numbers of rows
                    self._many.add(name)

    def note(self) -> str:
        """Return which columns could be the category, those with few values first; nothing where none is left."""
        few = [name for name in self._values if name not in self._many and 1 < len(self._values[name]) < self._rows]
        few.sort(key=lambda name: (name not in self._classes, len(self._values[name])))
        found = few or list(self._values)
        if not found:
            return ""
        which = ", ".join(name[:60] for name in found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        return f"no column is known to be the category; it could be {which}: --columns category={found[0]}"


_DISTINCT, _LONGEST, _NAMED = 2000, 100, 5

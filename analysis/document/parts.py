"""What a document is made of, whatever it is written as: sections of paragraphs, tables, figures and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shotdex.store.types import Estimate


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text. A `caveat` is set apart, as something that must be read with the numbers."""

    text: str
    caveat: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Text that is set as it is, such as a command or a prompt file; `what` names it, `language` is the code's."""

    what: str
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """A cell that HTML draws: an estimate in [0, 1] as a dot on its interval, and `marks` of others, such as chance."""

    estimate: Estimate
    marks: tuple[float, ...] = ()


Cell = str | int | Interval


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column names the rows. Columns of an `Interval` stand in HTML only."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def filled(self) -> list[int]:
        """Return the numbers of the columns in which anything is known."""
        return [i for i in range(len(self.columns)) if any(row[i] not in ("", "-") for row in self.rows)]

    def plain(self) -> tuple[list[str], list[list[str]]]:
        """Return columns and rows without empty columns and what only HTML draws, every cell as text."""
        kept = [i for i in self.filled() if not any(isinstance(row[i], Interval) for row in self.rows)]
        rows = [[f"{row[i]:,}" if isinstance(row[i], int) else str(row[i]) for i in kept] for row in self.rows]
        return [self.columns[i] for i in kept], rows


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure as a PNG: `name` is that of its file, `alt` what it shows in words. In HTML a table may say it all."""

    name: str
    png: bytes
    alt: str
    in_html: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """A small image as a JPEG, None where the file is gone or was changed, with what is written below it."""

    name: str
    jpeg: bytes | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small images, in order; `what` says which."""

    what: str
    images: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class ToFill:
    """A question that the reader answers: nothing is written for them."""

    question: str


@dataclass(frozen=True, slots=True)
class Explorable:
    """What the page needs to compute a run again without some of its prompts, classes and conditions.

    `prompts` are the texts of each class; `data` is what the script reads, see `explore.py`.
    """

    run: str
    prompts: Mapping[str, Sequence[str]]
    conditions: tuple[str, ...]
    data: Mapping[str, Any]
    note: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, `key` being its anchor, and what stands below it."""

    key: str
    heading: str
    blocks: tuple[Block, ...]


Block = Paragraph | Bullets | Listing | Table | Chart | Gallery | ToFill | Explorable | Section


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document: title, the sentences that everybody should read, sections; `runs` are named in the title."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    store: str
    runs: tuple[str, ...]
    summary: str

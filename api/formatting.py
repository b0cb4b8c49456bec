"""Values and results as text: aligned tables, estimates with intervals; control characters are escaped."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from shotdex.analysis.stats.proportions import SMALL as SMALL
from shotdex.analysis.stats.proportions import describe as describe
from shotdex.analysis.stats.proportions import small_sample as small_sample
from shotdex.store.file_names import local
from shotdex.store.types import Estimate

ALIGNED = 400
"""Columns of a terminal up to which a table is aligned; what is longer sticks out."""

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Characters that are not shown but do something: control, format (bidirectional overrides, zero width), halves of
surrogate pairs, line and paragraph separators."""


def visible(text: str) -> str:
    """Return a text with control characters escaped: a file's name must not drive the terminal."""
    if text.isprintable():  # as most are; nothing of `UNSEEN` is
        return text
    if (real := local(text)) != text:
        text = real.encode("utf-8", "surrogateescape").decode(errors="backslashreplace")
    return "".join(repr(char)[1:-1] if unicodedata.category(char) in UNSEEN else char for char in text)


def visible_lines(text: str) -> str:
    """Return a text of several lines, each with control characters escaped."""
    return "\n".join(map(visible, text.split("\n")))


def cell(value: Any) -> str:
    """Return one value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 1e6 or 0 < abs(value) < 1e-4 else f"{value:.4f}".rstrip("0").rstrip(".")
    return visible(str(value))


def width(text: str) -> int:
    """Return how many columns a text takes in a terminal: wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(char, after) for char, after in zip(text, [*text[1:], ""], strict=True))


def _columns(char: str, after: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":  # marks, ends of Korean syllables
        return 0
    wide = unicodedata.east_asian_width(char) in "WF" or after == "\ufe0f"  # that one asks for the emoji
    return 2 if wide else 1


def with_content(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return a table without the columns that have neither a name nor anything in them; names are visible."""
    kept = [i for i, name in enumerate(columns) if name or any(row[i] not in ("", None) for row in rows)]
    return [visible(columns[i]) for i in kept], [[row[i] for i in kept] for row in rows]


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], indent: str = "") -> str:
    """Return an aligned table; a column of numbers stands to the right, one with nothing in it is left out."""
    columns, rows = with_content(columns, rows)
    cells = [[cell(value) for value in row] for row in rows]
    right = [
        all(isinstance(row[i], (int, float)) or row[i] is None for row in rows) and bool(rows)
        for i in range(len(columns))
    ]
    # One very long cell must not fill up every other row.
    widths = [
        min(ALIGNED, max(width(text) for text in [columns[i], *(row[i] for row in cells)])) for i in range(len(columns))
    ]
    lines = []
    for row in [columns, *cells]:
        padded = [
            " " * (widths[i] - width(text)) + text if right[i] else text + " " * (widths[i] - width(text))
            for i, text in enumerate(row)
        ]
        lines.append((indent + "  ".join(padded)).rstrip())
    lines.insert(1, (indent + "  ".join("-" * size for size in widths)).rstrip())
    return "\n".join(lines)


LONGEST_BAR = 50
"""Columns of a share of 1 in a wide terminal."""


def bars(shares: Mapping[str, float], columns: int, block: str = "█") -> str:
    """Return shares in [0, 1] by name, each with a bar of that length, in lines of at most `columns`, indented by two.

    Names longer than a third of the line are cut.
    """
    names = {name: cut(visible(name), max(8, columns // 3)) for name in shares}
    longest = max(map(width, names.values()), default=0)
    room = max(1, min(LONGEST_BAR, columns - longest - len("    0.000  ")))
    lines = []
    for name, share in shares.items():
        padding = " " * (longest - width(names[name]))
        lines.append(f"  {names[name]}{padding}  {share:.3f}  {block * round(share * room)}".rstrip())
    return "\n".join(lines)


def cut(text: str, most: int, *, start: bool = False) -> str:
    """Return a text that takes at most so many columns, at least 1; an ellipsis stands where it is cut: its end.

    With `start` its beginning is cut.
    """
    if width(text) <= most:
        return text
    if start:
        text = text[-4 * most :]
        while width(text) > most - 1:
            text = text[1:]
        return "…" + text
    text = text[: 4 * most]
    while width(text) > most - 1:
        text = text[:-1]
    return text + "…"


def plain(value: Any) -> Any:
    """Return a value in the terms of JSON."""
    if value is None or type(value) in (str, int, bool):  # most values by far
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(part) for name, part in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key) if key is not None else "null": plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has neither NaN nor infinity
    if isinstance(value, Decimal):
        return plain(float(value))
    if isinstance(value, bytes):  # as DuckDB writes a BLOB
        return "".join(chr(byte) if 32 <= byte < 127 and byte not in b"\"'\\" else f"\\x{byte:02X}" for byte in value)
    if isinstance(value, (int, float, str)):
        return value
    return str(value)


def estimate_cells(estimate: Estimate) -> tuple[str, str, int]:
    """Return an estimate's value, its 95 % interval, and n, as a table shows them."""
    if math.isnan(estimate.value):
        return "-", "-", estimate.n
    return f"{estimate.value:.3f}", interval_cell(estimate), estimate.n


def interval_cell(estimate: Estimate) -> str:
    """Return an estimate's 95 % interval as a table shows it, "-" where it has none."""
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return "-"
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def compact(estimate: Estimate) -> str:
    """Return a number in [0, 1] and its 95 % interval in little room: `.859 [.781, .938]`."""
    if math.isnan(estimate.value):
        return "-"
    numbers = [f"{number:.3f}".removeprefix("0") for number in (estimate.value, estimate.low, estimate.high)]
    return numbers[0] if math.isnan(estimate.low) else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def signed_cells(difference: Estimate) -> tuple[str, str]:
    """Return a difference and its 95 % interval with their signs."""
    if math.isnan(difference.value):
        return "-", "-"
    bounds = f"{difference.low:+.3f} to {difference.high:+.3f}" if not math.isnan(difference.low) else "-"
    return f"{difference.value:+.3f}", bounds


def z_cell(z: float | None) -> str:
    """Return how many standard deviations above the mean a cosine is, with its sign."""
    return "-" if z is None else f"{z:+.1f}"


def p_value(value: float) -> str:
    """Return a p value to three digits; below one in a million it is no more precise than that."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}" if value >= 1e-6 else "< 1e-6"


def size(count: int) -> str:
    """Return a number of bytes in a handy unit."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def shown_path(path: str) -> str:
    """Return a path as a person would type it here: relative where it lies below the working folder."""
    here = str(Path.cwd()) + "/"
    return path.removeprefix(here)

"""What every kind of data set gives: rows without images, and an image's file by its position."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from PIL import Image

WHOLE = "all"
"""The word in addresses where a data set has no splits."""


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a data set, `position` counted from 0 in its split. `metadata` holds JSON values by name."""

    split: str
    position: int
    size_bytes: int
    modified_ns: int
    category: str | None
    metadata: Mapping[str, Any] | None


class Rows(Protocol):
    """An open data set. Its methods may be called from several threads."""

    @property
    def splits(self) -> Sequence[str]:
        """The names of its splits, or `all` alone."""

    def rows(self, split: str) -> Iterator[Row]:
        """Give the rows of a split, in its order.

        Raises:
            SourceError: the split cannot be loaded.
        """

    def file(self, split: str, position: int, limit: int) -> bytes:
        """Return an image's file.

        Raises:
            KeyError: there is no such row.
            TooManyBytes: it has more than `limit` bytes.
        """


def image_file(image: Image.Image) -> bytes:
    """Return an image that has no file of its own as one: the same bytes for the same pixels, with every Pillow.

    Grey and RGB as raw PGM and PPM, as IDX files are; what these cannot hold as PNG, and what that cannot as TIFF.
    """
    if image.mode in ("L", "RGB"):
        kind = "P5" if image.mode == "L" else "P6"
        return f"{kind} {image.width} {image.height} 255\n".encode("ascii") + image.tobytes()
    data = io.BytesIO()
    image.save(data, "PNG" if image.mode in ("1", "LA", "P", "RGBA", "I;16") else "TIFF")
    return data.getvalue()


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: no NaN, times as text, anything else as its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)

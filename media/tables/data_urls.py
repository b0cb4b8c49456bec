"""An image written as text: `data:image/png;base64,...`."""

from __future__ import annotations

import base64
import re

from shotdex.media.files.places import TooManyBytes

_START = re.compile(r"data:image/[\w.+-]*(;[\w.+=-]*)*;base64,", re.IGNORECASE | re.ASCII)
_START_LIMIT = 200


def is_data_url(text: str) -> bool:
    """Tell whether a text is an image in base64."""
    return _START.match(text[:_START_LIMIT]) is not None


def data_size(text: str) -> int:
    """Return how many bytes a data URL holds, if it is whole, without decoding it."""
    return (len(text) - text.find(",") - 1) * 3 // 4 - text[-2:].count("=")


def data_bytes(text: str, limit: int) -> bytes:
    """Return the bytes of a data URL.

    Raises:
        ValueError: it is none, or broken.
        TooManyBytes: it holds more than `limit` bytes.
    """
    if not is_data_url(text):
        raise ValueError("no image in base64")
    if data_size(text) > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return base64.b64decode(text[text.find(",") + 1 :], validate=True)

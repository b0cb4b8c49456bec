"""What stands in a table's cells, as labels and as metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

LABEL_LIMIT = 1024
"""Characters that a label may have."""

METADATA_LIMIT = 256 * 1024
"""Characters that all further columns of one image may have."""

DEPTH_LIMIT = 33
"""Levels of lists and objects in metadata, itself being the first."""


class BadValue(ValueError):
    """A value that cannot be kept; the message says why. Never leaves shotdex: it becomes a failure."""


def label(value: Any) -> str | None:
    """Return a label's text without spaces around it: 7 and 7.0 are "7", true is "true"; None where there is none.

    Raises:
        BadValue: it is no single value, or too long.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    if isinstance(value, (datetime, date, time)):
        value = value.isoformat()
    if isinstance(value, (Mapping, list, tuple, bytes)):
        raise BadValue(f"a label cannot be a {type(value).__name__}")
    text = "" if value is None else str(value).strip()
    if len(text) > LABEL_LIMIT:
        raise BadValue(f"a label has more than {LABEL_LIMIT:,} characters")
    return text or None


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
    plain = _Counter().plain(values, 0)
    return {name: value for name, value in plain.items() if name and value is not None and value != ""} or None


class _Counter:
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

"""The time, as the catalog writes it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time in UTC without a zone, the form of the catalog's TIMESTAMP columns."""
    return datetime.now(UTC).replace(tzinfo=None)

"""Who a file belongs to: whom to ask where it may not be written."""

from __future__ import annotations

from pathlib import Path


def ownership(path: Path) -> str:
    """Return " (NAME belongs to OWNER)" for a file, or nothing where that cannot be told."""
    owner = _owner(path)
    return f" ({path.name} belongs to {owner})" if owner else ""


def _owner(path: Path) -> str:
    """Return the name of a file's owner, the number where it has no name."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"
    except (OSError, NotImplementedError):
        return ""

"""How a picture that cannot be used is told of, inside shotdex."""

from __future__ import annotations

from shotdex.store.words import Reason


class PictureRefused(Exception):
    """A picture that cannot be used; `reason` is from the fixed list. Never leaves shotdex: it becomes a Rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def truncated(detail: str) -> PictureRefused:
    """Return the refusal of a file that ends too early."""
    return PictureRefused(Reason.TRUNCATED, detail)


def corrupt(detail: str) -> PictureRefused:
    """Return the refusal of a file that contradicts itself."""
    return PictureRefused(Reason.CORRUPT, detail)

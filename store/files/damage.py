"""What is wrong with an archive or another file that holds many pictures."""

from __future__ import annotations

from shotdex.store.words import Reason


class Damaged(Exception):
    """A file whose structure cannot be followed; `reason` is from the fixed list. It becomes a Rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail

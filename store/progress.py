"""How far a long piece of work is, as whoever waits for it sees it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Something that shows how far a long piece of work is; `start` comes once, before the first `advance`."""

    def start(self, total: int) -> None:
        """Say how much there is to do: images, vectors, rounds."""

    def advance(self, count: int) -> None:
        """Say that `count` more are done."""


class NoProgress:
    """Shows nothing."""

    def start(self, total: int) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

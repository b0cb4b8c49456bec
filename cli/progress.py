"""A progress bar on standard error: total, rate and time left; silent where nobody watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Bar:
    """Implements `Progress` with tqdm; use it as a context."""

    def __init__(self, title: str, unit: str = " images") -> None:
        self._title = title
        self._unit = unit
        self._bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, total: int) -> None:
        """Say how much there is to do."""
        if sys.stderr.isatty() and total:
            from tqdm import tqdm

            # A place of its own: UMAP's hidden bar would send it to the second line, where what follows runs into it.
            how: dict[str, Any] = {"file": sys.stderr, "smoothing": 0.1, "position": 0}
            self._bar = tqdm(total=total, desc=self._title, unit=self._unit, **how)

    def count(self, more: int) -> None:
        """Say that some more are done where nobody knows how many there will be."""
        if self._bar is None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc=self._title, unit=self._unit, file=sys.stderr, leave=False)
        self.advance(more)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def advance(self, count: int) -> None:
        """Say that some more are done."""
        if self._bar is not None:
            self._bar.update(count)

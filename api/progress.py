"""A progress bar: on standard error of a terminal, or in a notebook; silent where nobody watches."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from shotdex.store.progress import NoProgress, Progress


class Bar:
    """Implements `Progress` with tqdm; close it. Outside a terminal and a notebook it shows nothing."""

    def __init__(self, title: str, unit: str = " images") -> None:
        self._title = title
        self._unit = unit
        self._bar: Any = None

    def start(self, total: int | None) -> None:
        """Start the bar; `total` is the number of steps. Where nobody knows it, None, the bar disappears at the end."""
        if total == 0 or not _is_watched():
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a notebook without ipywidgets shows the bar as text
            from tqdm.auto import tqdm

        # A place of its own: UMAP's hidden bar would send it to the second line, where what follows runs into it.
        how: dict[str, Any] = {"total": total, "leave": total is not None, "smoothing": 0.1, "position": 0}
        self._bar = tqdm(desc=self._title, unit=self._unit, file=sys.stderr, **how)

    def advance(self, count: int) -> None:
        """Add some finished steps."""
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def shown(progress: bool | Progress, title: str, unit: str = " images") -> Iterator[Progress]:
    """Yield what a method reports to: a bar for True, nothing for False, else the object itself."""
    if progress is True:
        with closing(Bar(title, unit)) as bar:
            yield bar
    else:
        yield progress or NoProgress()


def _is_watched() -> bool:
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    kernel = sys.modules.get("ipykernel.zmqshell")
    ipython = sys.modules.get("IPython")
    return kernel is not None and ipython is not None and ipython.get_ipython() is not None

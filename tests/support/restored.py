"""A folder that each test finds as it was made once, always at the same path: a store knows where its images are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path


class Restored:
    """A folder `here/work` that `make` fills once; `restore` brings it back, whatever a test did to it."""

    def __init__(self, here: Path, make: Callable[[Path], object]) -> None:
        self._work, self._kept = here / "work", here / "kept"
        make(self._work)
        shutil.copytree(self._work, self._kept)

    def restore(self) -> Path:
        shutil.rmtree(self._work, ignore_errors=True)
        return Path(shutil.copytree(self._kept, self._work))

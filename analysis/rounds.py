"""How far a projection has come, read off what the libraries print of it; nothing of that is printed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

Watch = Callable[[int, int], None]
"""Told how many rounds of how many are done, again and again."""

_ROUND = re.compile(r"Iteration (\d+)|(\d+)/(\d+)")


class Rounds(io.TextIOBase):
    """A stream that takes what is printed and tells a watch of the rounds in it, `of` in all where it does not say.

    What has no number is dropped: a line that reads otherwise in another version costs the progress, not the map.
    """

    def __init__(self, watch: Watch, of: int = 0) -> None:
        self._watch = watch
        self._of = of

    def write(self, text: str, /) -> int:
        """Take some text."""
        for alone, done, of in _ROUND.findall(text):
            self._watch(int(alone or done), int(of or self._of))
        return len(text)


def tqdm_settings(watch: Watch) -> dict[str, Any]:
    """Return the settings with which a tqdm bar tells a watch instead of drawing itself."""
    return {"file": Rounds(watch), "disable": False, "bar_format": "{n_fmt}/{total_fmt}", "mininterval": 0.1}

"""What a map may have beside its images: prompts drawn in, and a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import style
from .labels import Points
from .text import label, width_of

Prompt = tuple[str, tuple[float, float]]
"""A text, and its x and y on the map."""

STAR = 12.0
"""Points across the star that marks a prompt."""

SIZE = 8.5
"""Points that a prompt's text is high."""

AIR = 3.0
"""Points left free around a prompt's text."""

MOST_NAMED, MOST_AMONG_THUMBNAILS = 100, 30
"""No more prompts than this have their text written; with 1,000 nobody could read them, or see the thumbnails."""

LONGEST_CAPTION = 600
_SLACK = 1.02  # hinting draws a text up to this much wider than it is measured
_FEW = 30  # prompts, or fewer: there is room for two lines each
_LINE, _LONGEST, _SHORT = 34, 60, 24  # characters of a prompt's line, and in all, and of one among many


@dataclass(frozen=True, slots=True)
class MapExtras:
    """What is drawn into a map and written under it, and how wide it is.

    `prompts` have places in the same projection as the images. `caption` is plain words, such as on the modality gap.
    `width` is that of the map without its legend, in inches; None for the map's own.
    """

    prompts: Sequence[Prompt] = ()
    caption: str = ""
    width: float | None = None

    @property
    def places(self) -> Points:
        """The prompts' places, (P, 2) float64."""
        return np.array([place for _, place in self.prompts], dtype=np.float64).reshape(-1, 2)

    @property
    def texts(self) -> list[str]:
        """The prompts as they are written: safe, shortened, in lines."""
        many = len(self.prompts) > _FEW
        return [label(text, _SHORT, _SHORT) if many else _balanced(text) for text, _ in self.prompts]

    @property
    def legend_text(self) -> str:
        """What the legend says of the stars."""
        return f"prompts ({len(self.prompts):,})"


def _balanced(text: str) -> str:
    """Return a text in lines that are as narrow as their number allows, so that no line has a single word."""
    lines = label(text, _LINE, _LONGEST).count("\n")
    widths = (width for width in range(1, _LINE + 1) if label(text, width, _LONGEST).count("\n") == lines)
    return label(text, next(widths, _LINE), _LONGEST)


def caption_lines(caption: str, width: float) -> str:
    """Return a caption in lines that fit `width` inches."""
    return label(caption, int(width * 72 / style.TICK / 0.56), LONGEST_CAPTION) if caption else ""


def text_sizes(texts: Sequence[str], dpi: float) -> npt.NDArray[np.float64]:
    """Return how much room each text takes at `dpi`, with a little air around it: (P, 2) float64, in pixels."""
    air = AIR * dpi / 72
    sizes = []
    for text in texts:
        lines = text.split("\n")
        widest = max(width_of(line, SIZE, dpi) for line in lines)
        sizes.append((widest * _SLACK + 2 * air, len(lines) * SIZE * 1.25 * dpi / 72 + 2 * air))
    return np.array(sizes, dtype=np.float64).reshape(-1, 2)


def unnamed(count: int, of: int) -> str:
    """Return the words for prompts that have a star but no name."""
    return f"{count:,} of {of:,} prompts have no name here for want of room"

"""Text from outside, made fit to draw: any Unicode, `$` signs, and names longer than their place."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

MISSING = "□"
LONGEST = 60
"""No label is longer than this many characters."""

ONE_LINE = 36
"""Nor longer than this where there is room for one line."""


def safe(text: str) -> str:
    """Return `text` as matplotlib can draw it: literally, on one line, without a warning.

    `$` is escaped, since a pair of them would start a formula. White space becomes a space, invisible format characters
    go, and whatever no font of the system has becomes a box.
    """
    glyphs = _glyphs()
    drawn = []
    for character in text:
        category = unicodedata.category(character)
        if character.isspace():
            drawn.append(" ")
        elif category != "Cf":
            drawn.append(character if category != "Cc" and (ord(character) in glyphs or _found(character)) else MISSING)
    return "".join(drawn).replace("$", r"\$")


def _found(letter: str) -> bool:
    """Tell whether some font of the system has a letter; note it for the figure where none has."""
    from .drawing import now
    from .fonts import family_of

    if family_of(letter) is None:
        now().missing.add(letter)
        return False
    return True


def families(drawn: str) -> list[str]:
    """Return the families of fonts that a text needs beyond the figure's own, in the order of its letters."""
    from .fonts import family_of

    others = [letter for letter in drawn if ord(letter) > 0x2FF and ord(letter) not in _glyphs()]
    return [family for family in dict.fromkeys(map(family_of, others)) if family]


def shorten(text: str, length: int = LONGEST) -> str:
    """Cut `text` down to `length` characters by taking out its middle, where names differ least."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail] + "…" + text[len(text) - tail :]


def label(text: str, width: int = LONGEST, longest: int = LONGEST) -> str:
    """Return `text` safe, cut down to `longest` characters, in lines of at most `width` characters."""
    lines = textwrap.wrap(shorten(" ".join(text.split()), longest), width=max(width, 1)) or [""]
    return "\n".join(safe(line) for line in lines)


def wrap(text: str, width: float, size: float, longest: int = 400) -> str:
    """Return `text` safe, in lines of at most `width` inches at `size` points; a longer word is cut into several."""
    lines = [""]
    for word in shorten(" ".join(text.split()), longest).split(" "):
        while word:
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if across([safe(longer)], size) <= width:
                lines[-1] = longer
                break
            if lines[-1]:
                lines.append("")
                continue
            most = max(int(len(word) * width / across([safe(word)], size)), 1)
            lines[-1:] = [word[:most], ""]
            word = word[most:]
    return "\n".join(safe(line) for line in lines if line)


def across(texts: Iterable[str], size: float) -> float:
    """Return how many inches the widest line among safe texts takes at `size` points, 0 without any."""
    lines = [line for text in texts for line in text.split("\n")]
    # At few dots per inch hinting rounds every letter to whole dots.
    return max((width_of(line, size, 720) for line in lines), default=0) / 720


def fit(text: str, width: float, size: float, dpi: float) -> str:
    """Return `text` safe, its middle taken out as far as it takes to fit `width` pixels at `size` points."""
    if width_of(safe(text), size, dpi) <= width:
        return safe(text)
    low, high = 1, len(text)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if width_of(safe(shorten(text, middle)), size, dpi) <= width else (low, middle)
    return safe(shorten(text, low))


@lru_cache(maxsize=4096)
def width_of(drawn: str, size: float, dpi: float) -> float:
    """Return how wide safe text is in pixels, at `size` points."""
    font = _font()
    font.set_size(size, dpi)
    # A letter of another font counts as wide as an M: this one would warn that it has none.
    known = "".join(letter if ord(letter) in _glyphs() else "M" for letter in drawn.replace(r"\$", "$"))
    font.set_text(known)
    return font.get_width_height()[0] / 64  # FreeType counts in 64ths of a pixel


def _font() -> FT2Font:
    from matplotlib.font_manager import get_font

    return get_font(_path())


@lru_cache(maxsize=1)
def _path() -> str:
    from matplotlib.font_manager import FontProperties, findfont

    return str(findfont(FontProperties()))


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(_font().get_charmap())

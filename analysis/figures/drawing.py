"""How a figure is drawn and whose it is: one value that all parts of a figure read while it is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from shotdex.store.errors import OptionError

DPI = 200
"""Dots per inch by default, and the pixels of an inch on pages that are made of images."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours, and text sizes in points. `paper` is what everything lies on."""

    ink: str = "#222222"
    muted: str = "#6b6b6b"
    grid: str = "#e4e4e4"
    faint: str = "#c4c4c4"
    paper: str = "#ffffff"
    title: float = 12.0
    label: float = 10.0
    tick: float = 9.0
    small: float = 7.5


THEMES = {
    "light": Theme(),
    "dark": Theme("#ececec", "#adb3b9", "#3c4249", "#666d75", "#15181c"),
    "paper": Theme("#000000", "#4d4d4d", "#dedede", "#b5b5b5", "#ffffff", 7.0, 7.0, 7.0, 7.0),
}

COLUMN, PAGE = 89 / 25.4, 183 / 25.4
"""Inches: the widths of one column and of two in journals, which the theme `paper` takes."""

_UNITS = {"mm": 25.4, "cm": 2.54, "in": 1.0, "pt": 72.0}


def parse_size(text: str) -> tuple[float, float | None]:
    """Return the width and, where it is said, the height in inches of `89mm`, `89x60mm`, `3.5in` or `9cm`.

    Raises:
        OptionError: it is none of these, or not 25 to 1,500 mm.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:[x\u00d7]\s*(\d+(?:\.\d+)?)\s*)?(mm|cm|in|pt)\s*", text.lower())
    if found is None:
        raise OptionError(f"{text!r} is not a size", "write a width, or width x height: 89mm, 183x120mm, 3.5in")
    inches = [float(number) / _UNITS[found[3]] for number in found.groups()[:2] if number]
    if not all(25 / 25.4 <= one <= 1500 / 25.4 for one in inches):
        raise OptionError(f"a figure of {text} cannot be drawn", "choose a width and height from 25 to 1500 mm")
    return inches[0], inches[1] if len(inches) > 1 else None


@dataclass(frozen=True, slots=True)
class FigureStyle:
    """What a user chooses for any figure; None leaves the choice to the figure.

    Args:
        title: in place of the figure's own.
        size: width and height in inches; a height of None follows from the contents.
        dpi: dots per inch of a PNG, 50 to 1200.
        theme: one of `THEMES`.
        percent: accuracies and rates as percentages.
        order: names that come first, in this order; the others follow in theirs.

    Raises:
        OptionError: an unknown theme, or another value out of range.
    """

    title: str | None = None
    size: tuple[float, float | None] | None = None
    dpi: int = DPI
    theme: str = "light"
    percent: bool = False
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise OptionError(f"there is no theme {self.theme!r}", f"choose one of: {', '.join(THEMES)}")
        if not 50 <= self.dpi <= 1200:
            raise OptionError(f"{self.dpi} dots per inch are out of range", "choose 50 to 1200")


@dataclass(frozen=True, slots=True)
class About:
    """Whose a figure is: lines for its subtitle, and what its file says under names such as `Runs` and `Model`."""

    lines: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " · ".join(self.lines)

    def and_also(self, *lines: str) -> About:
        """Return the same with more lines at its end; empty ones are left out."""
        return About((*self.lines, *(line for line in lines if line)), self.facts)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The figure in the making: the user's choices, whose it is, letters for which no font was found, and which of the
    choices made a difference: `percent` is in `used` where a rate was written.
    """

    style: FigureStyle = field(default_factory=FigureStyle)
    about: About = field(default_factory=About)
    missing: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)

    @property
    def theme(self) -> Theme:
        """The colours and text sizes."""
        return THEMES[self.style.theme]


_NOW: ContextVar[Drawing] = ContextVar("drawing")


def now() -> Drawing:
    """Return the figure in the making, plain where nobody has said anything about it."""
    return _NOW.get(None) or Drawing()


def theme() -> Theme:
    """Return the colours and text sizes of the figure in the making."""
    return now().theme


@contextmanager
def styled(chosen: FigureStyle) -> Iterator[Drawing]:
    """Draw everything within as the user chose."""
    drawing = Drawing(chosen)
    token = _NOW.set(drawing)
    try:
        yield drawing
    finally:
        _NOW.reset(token)


@contextmanager
def signed(about: About) -> Iterator[None]:
    """Say in the figures made within whose they are."""
    token = _NOW.set(replace(now(), about=about))
    try:
        yield
    finally:
        _NOW.reset(token)


def width(natural: float) -> float:
    """Return the inches across for a figure that would take `natural`: the user's, or a column or page of a journal."""
    chosen = now().style
    if chosen.size is not None:
        return chosen.size[0]
    if chosen.theme == "paper":
        return COLUMN if natural <= PAGE * 0.75 else PAGE
    return natural


def height(natural: float) -> float:
    """Return the inches down for a figure that would take `natural`."""
    size = now().style.size
    return natural if size is None or size[1] is None else size[1]


def ordered(names: Iterable[str]) -> list[str]:
    """Return names with those first that the user named, in the user's order."""
    listed = list(names)
    first = [name for name in now().style.order if name in listed]
    return [*first, *(name for name in listed if name not in first)]


def check_order(*known: Sequence[str]) -> None:
    """Raise an error for a name in the user's order that the figure does not have.

    Raises:
        OptionError: it is in none of the sequences `known`.
    """
    every = dict.fromkeys(name for names in known for name in names)
    for name in now().style.order:
        if name not in every:
            raise OptionError(f"the figure has no {name!r} to order", f"it has: {', '.join(every)}")


def number(value: float, digits: int = 3) -> str:
    """Return an accuracy or a rate in [0, 1] as the user wants it, with as many digits for all: 0.925 or 92.5 %."""
    return f"{100 * value:.{digits - 2}f} %" if percent() else f"{value:.{digits}f}"


def percent() -> bool:
    """Tell whether rates are percentages."""
    now().used.add("percent")
    return now().style.percent

"""How figures are drawn and saved: the choices that all of them have, and what is said about a figure."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shotdex.analysis.figures.drawing import Drawing, FigureStyle


class FigureKeywords(TypedDict, total=False):
    """What every figure takes.

    title: in place of the figure's own.
    size: a width, or width x height, such as "89mm" or "183x120mm".
    dpi: for PNG, 50 to 1200; 200 if not given.
    theme: "light", "dark" or "paper": for print, one or two columns wide (89 or 183 mm), all type 7 points; "light" if
        not given.
    percent: write accuracies and rates as percentages.
    order: names of conditions, categories or classes that come first, in this order; in figures of several curves, of
        runs; any other name is an error.
    note: called with sentences about the figure, such as which run it is of where none was named.
    """

    title: str | None
    size: str | None
    dpi: int
    theme: str
    percent: bool
    order: str | Sequence[str] | None
    note: Callable[[str], None]


def style_of(how: FigureKeywords) -> FigureStyle:
    """Return a user's choices as a value.

    Raises:
        OptionError: one is out of range.
    """
    from shotdex.analysis.figures.drawing import DPI, FigureStyle, parse_size

    order, size = how.get("order") or (), how.get("size")
    names = [name.strip() for name in order.split(",")] if isinstance(order, str) else list(order)
    return FigureStyle(
        how.get("title"),
        parse_size(size) if size else None,
        how.get("dpi", DPI),
        how.get("theme", "light"),
        how.get("percent", False),
        tuple(name for name in dict.fromkeys(names) if name),
    )


def drawn(how: FigureKeywords, draw: Callable[[], Figure]) -> Figure:
    """Return a figure drawn as the user chose.

    Raises:
        TypeError: a keyword that the figure does not take, such as `run` where there can be several `runs`.
    """
    from shotdex.analysis.figures.drawing import styled

    for name in how.keys() - FigureKeywords.__annotations__.keys():
        names = {"run", "runs", "baselines", "where", "by", *FigureKeywords.__annotations__} - {name}
        close = get_close_matches(name, sorted(names), n=1)
        raise TypeError(f"unexpected keyword argument {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    with styled(style_of(how)) as drawing:
        figure = draw()
    tell(drawing, how)
    return figure


def tell(drawing: Drawing, how: FigureKeywords) -> None:
    """Say which letters of the figure no font of this system has, and which choice made no difference."""
    from shotdex.analysis.figures.fonts import missing_letters

    note = how.get("note")
    if sentence := missing_letters(drawing.missing):
        note(sentence) if note else warnings.warn(sentence, stacklevel=4)
    if note and drawing.style.percent and "percent" not in drawing.used:
        note("percent changes nothing: this figure has no accuracies or rates")


def check_target(path: Path) -> None:
    """Raise an error if `save` could not write a figure to `path`, before the figure is drawn.

    Raises:
        OptionError: an extension other than .png, .svg and .pdf, or the folder does not exist.
    """
    from shotdex.analysis.figures.saving import check_target

    check_target(path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the extension; the same figure gives the same bytes.

    Raises:
        OptionError: another extension, or a place that cannot be written to.
    """
    from shotdex.analysis.figures.saving import save

    save(figure, path)

"""What all figures share: sizes, colours, clean axes, and legends next to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

from .drawing import DPI, now, percent, theme, width
from .text import across, wrap

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


LONGEST_TITLE = 160
"""Characters that a title is cut down to."""

# Okabe and Ito (2008), "Color Universal Design": eight colours that colour-blind people tell apart.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
# From Paul Tol's "muted" scheme and its neighbours: twelve more, darker or duller than any of the eight.
_DARKER = ("#882255", "#999933", "#332288", "#44AA99", "#661100", "#AA4499")
_DULLER = ("#117733", "#DDCC77", "#CC6677", "#6A8CAF", "#8C6D31", "#9B8FD0")
PALETTE = OKABE_ITO + _DARKER + _DULLER
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "////", "....", "xxxx", "----", "++++", "||||", "oooo")

_ON_DARK = {
    "#0072B2": "#3D9BD6", "#000000": "#FFFFFF", "#882255": "#C65B8E", "#332288": "#8C7BE0", "#661100": "#B5563F",
    "#117733": "#3FA564",
}  # fmt: skip
"""Lighter twins of the colours that a dark page would swallow."""

_NEUTRAL = ("#d4d4d4", "#ffffff", "#a3a3a3")
_NEUTRAL_HATCHES = ("", "////", "", "....", "xxxx", "----")

CORRECT, WRONG = "#0072B2", "#D55E00"
"""Blue and vermilion: right and wrong wherever they are drawn."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one category is drawn: a colour, and a marker or hatch that sets it apart once the colours repeat."""

    colour: str
    marker: str
    hatch: str


def looks(count: int) -> list[Look]:
    """Return `count` looks: Okabe-Ito for up to 8, 20 colours beyond, then the same colours with other markers.

    They are all different up to 160; beyond that they repeat, and no legend could be read anyway.
    """
    turns = [(index % len(PALETTE), index // len(PALETTE) % len(MARKERS)) for index in range(count)]
    return [Look(colour_of(PALETTE[colour]), MARKERS[turn], HATCHES[turn]) for colour, turn in turns]


def colour_of(colour: str) -> str:
    """Return a colour of the palette as it can be seen on the page."""
    return _ON_DARK.get(colour, colour) if now().style.theme == "dark" else colour


def neutral_looks(count: int) -> list[Look]:
    """Return `count` looks in greys, for what is not measured here; they repeat beyond 6."""
    greys, hatches = len(_NEUTRAL), len(_NEUTRAL_HATCHES)
    return [Look(_NEUTRAL[turn % greys], MARKERS[turn % 8], _NEUTRAL_HATCHES[turn % hatches]) for turn in range(count)]


def readable(shade: Sequence[float]) -> str:
    """Return the colour of text that can be read on a colour, RGB in [0, 1]: black or white, by WCAG's contrast."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in shade[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"


def shades() -> Colormap:
    """Return the colours of rates from 0, the lightest on paper and the darkest on a dark page, to 1."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    if now().style.theme != "dark":
        return matplotlib.colormaps["Blues"].with_extremes(bad="#eeeeee")
    return LinearSegmentedColormap.from_list("dark", ["#1d2329", "#0072B2", "#b9e2ff"]).with_extremes(bad="#33383e")


def fitted(natural: float) -> float:
    """Return the width of a figure that would take `natural` inches."""
    return width(natural)


def share(value: float, digits: int | None = None) -> str:
    """Return a round rate in [0, 1] for an axis: 0.05, with `digits` 0.2, or 5 %."""
    if percent():
        return f"{100 * value:g} %"
    return f"{value:g}" if digits is None else f"{value:.{digits}f}"


def colour_bar(figure: Figure, drawn: ScalarMappable, axes: Sequence[Axes], meaning: str) -> Colorbar:
    """Draw next to axes what their colours mean."""
    bar = figure.colorbar(drawn, ax=list(axes), shrink=0.75, aspect=28, pad=0.02)
    bar.set_label(meaning, size=theme().label, color=theme().ink)
    bar.ax.tick_params(labelsize=theme().tick, length=0, labelcolor=theme().ink)
    bar.outline.set_visible(False)
    return bar


def new_figure(width: float, height: float, fixed_aspect: bool = False, arranged: bool = True) -> Figure:
    """Return an empty figure of `width` by `height` inches that a notebook can show, and that knows whose it is.

    It keeps its parts from overlapping unless `arranged` is false. `fixed_aspect` closes the gaps that axes with square
    cells leave next to them.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from .notebook import NotebookFigure

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, compress=fixed_aspect) if arranged else None
    figure = NotebookFigure(figsize=(width, height), dpi=DPI, facecolor=theme().paper, layout=layout)
    figure.drawing = now()
    return figure


def clean(axes: Axes, grid: str = "y") -> None:
    """Take away what carries no data: two spines, the tick marks; leave a grid along `grid` (x, y, both, none)."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_facecolor(theme().paper)
    axes.spines[["left", "bottom"]].set_color(theme().faint)
    axes.tick_params(length=0, labelsize=theme().tick, labelcolor=theme().ink)
    axes.xaxis.label.set(size=theme().label, color=theme().ink)
    axes.yaxis.label.set(size=theme().label, color=theme().ink)
    axes.set_axisbelow(True)
    axes.grid(visible=False)
    if grid in ("x", "y", "both"):
        axes.grid(axis=grid, color=theme().grid, linewidth=0.8)  # type: ignore[arg-type]


def heading(axes: Axes, title: str, width: float) -> None:
    """Put the title and whose the figure is above the axes, flush left, in as many lines as `width` inches need."""
    colours, drawing = theme(), now()
    bold = colours.title == colours.tick
    below = wrap(str(drawing.about), width, colours.small)
    lines = below.count("\n") + 1 if below else 0
    written = wrap(headline(title), width, colours.title * (1 + 0.12 * bold), LONGEST_TITLE)
    pad = 8 + lines * colours.small * 1.35 + 3 * bool(lines)
    axes.set_title(
        written, loc="left", fontsize=colours.title, color=colours.ink, pad=pad, fontweight="bold" if bold else "normal"
    )
    if below:
        said = axes.annotate(
            below, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", annotation_clip=False,
            ha="left", va="bottom", fontsize=colours.small, color=colours.muted, linespacing=1.25,
        )  # fmt: skip
        said.set_in_layout(False)  # the title's distance from the axes leaves it room


def figure_heading(figure: Figure, title: str, width: float) -> None:
    """Put the title and whose the figure is above all axes."""
    figure.suptitle(_figure_head(title, width), x=0.01, ha="left", fontsize=theme().label, color=theme().ink)


def above(title: str, width: float) -> float:
    """Return the inches that a heading above all axes takes."""
    return 0.15 + (_figure_head(title, width).count("\n") + 1) * theme().label * 1.35 / 72


def _figure_head(title: str, width: float) -> str:
    written = wrap(headline(title), width - 0.2, theme().label, LONGEST_TITLE)
    below = wrap(str(now().about), width - 0.2, theme().label)
    return "\n".join(part for part in (written, below) if part)


def headline(title: str) -> str:
    """Return the user's title, or the figure's own where the user has none."""
    chosen = now().style.title
    return title if chosen is None else chosen


def longest(labels: Sequence[str]) -> int:
    """Return the number of characters in the longest line among `labels`, 0 without any."""
    return max((len(line) for label in labels for line in label.split("\n")), default=0)


@dataclass(frozen=True, slots=True)
class LegendPlan:
    """How a legend is set: `columns`, the text's `size` in points, and the `width` and `height` in inches it takes."""

    columns: int
    size: float
    width: float
    height: float


def plan_legend(labels: Sequence[str], height: float) -> LegendPlan:
    """Return how the labels, safe text already, fit next to axes that are `height` inches high."""
    if not labels:
        return LegendPlan(1, theme().tick, 0.0, 0.0)
    size = theme().tick if len(labels) <= 20 else theme().small
    lines = sum(text.count("\n") + 1 for text in labels)
    return _set_legend(labels, size, ceil(lines * size * _ROW / 72 / height))


_ROW, _HANDLE, _GAP = 1.55, 3.4, 1.2  # measured, times the text's size: a row, a handle with its gap, between columns


def _set_legend(labels: Sequence[str], size: float, columns: int) -> LegendPlan:
    """Return what a legend of so many columns takes; matplotlib fills one column after the other."""
    rows, more = divmod(len(labels), columns)
    ends = [place * rows + min(place, more) for place in range(columns + 1)]
    parts = [labels[start:end] for start, end in pairwise(ends)]
    width = sum(across(part, size) + (_HANDLE + _GAP) * size / 72 for part in parts)
    lines = max(sum(text.count("\n") + 1 + 0.4 * ("\n" in text) for text in part) for part in parts)
    return LegendPlan(columns, size, width + 0.1, (lines + 1) * size * _ROW / 72)


@dataclass(frozen=True, slots=True)
class Frame:
    """How axes and legend share a figure, in inches: its `width`, that of the `axes`, and what the legend takes `below`
    them, in `columns`; 0 where it stands to their right.
    """

    width: float
    axes: float
    below: float = 0.0
    columns: int = 1


_BESIDE = 0.55  # of a figure that the axes keep at least where the legend is next to them


def plan_frame(axes: float, height: float, labels: Sequence[str], left: float = 0.9, beside: bool = True) -> Frame:
    """Return how axes of `axes` by `height` inches and a legend share the width that the user chose.

    `left` is what stands to the left of the axes. A legend that would leave the axes too little goes below them, or any
    that may not stand `beside` them.
    """
    planned = plan_legend(labels, height)
    total = width(axes + planned.width + left)
    rest = total - planned.width - left
    if not labels or (beside and rest >= min(axes * 0.97, _BESIDE * total)):
        return Frame(total, max(rest, 0.6))
    below = [_set_legend(labels, theme().small, columns) for columns in range(1, min(len(labels), 8) + 1)]
    fitting = [one for one in below if one.width <= total - 0.2] or below[:1]
    return Frame(total, max(total - left, 0.6), fitting[-1].height, fitting[-1].columns)


def longest_word(names: Iterable[str]) -> int:
    """Return the letters of the longest word among names, 0 without any."""
    return max((len(word) for name in names for word in name.split()), default=0)


def draw_legend(
    figure: Figure,
    handles: Sequence[Artist],
    labels: Sequence[str],
    height: float,
    title: str = "",
    at: tuple[float, float, int] | Frame | None = None,
) -> None:
    """Put a legend to the right of everything else; nothing is drawn without labels.

    `at` is the place of its upper left corner, as shares of the figure, and its columns (0: as many as it needs), where
    the figure arranges nothing by itself; or the frame, which may put it below.
    """
    if not labels:
        return
    planned = plan_legend(labels, height)
    where: dict[str, Any] = {"loc": "outside right upper"}
    if isinstance(at, tuple):
        where = {"loc": "upper left", "bbox_to_anchor": at[:2]}
        planned = LegendPlan(at[2], theme().small, 0.0, 0.0) if at[2] else planned
    elif at is not None and at.below:
        planned, where = LegendPlan(at.columns, theme().small, 0.0, 0.0), {"loc": "outside lower left"}
    legend = figure.legend(
        list(handles),
        list(labels),
        ncols=planned.columns,
        fontsize=planned.size,
        title=title or None,
        title_fontsize=planned.size,
        frameon=False,
        labelcolor=theme().ink,
        alignment="left",
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.0 if isinstance(at, tuple) else None,
        **where,
    )
    legend.get_title().set_color(theme().ink)

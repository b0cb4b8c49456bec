"""A projection as coloured points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .drawing import height, ordered, percent, theme
from .map_extras import MapExtras, caption_lines, draw_prompts
from .text import LONGEST, label, safe, width_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 7.0
UNLABELLED = "unlabelled"
MOST_LISTED = 160
"""No more labels than this stand in a legend: beyond, looks repeat, and a thousand take ten seconds to draw."""

NARROW_LISTED = 40
"""Nor more than this in one column of a journal."""

CONFIDENCES = ("0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1")
"""Labels of fifths of the confidence, whose colours run from light to dark."""

MOST_NAMED = 30
"""Up to this many labels are also written where most of their points lie."""

CORRECT, WRONG = "correct", "wrong"
"""Labels with colours of their own."""

_GREY, _NOTHING = style.Look("#c9c9c9", "o", ""), style.Look("none", "", "")


def point_map(
    xy: npt.NDArray[np.float64],
    labels: Sequence[str | None],
    title: str = "Map",
    legend_title: str = "",
    extras: MapExtras | None = None,
) -> Figure:
    """Draw N points coloured by their labels, the legend next to them with the number of each.

    Unlabelled points are grey and lie beneath. Labelled ones are drawn in a shuffled (seeded) order, so that no label
    hides another by coming later in the alphabet; but where the labels are `correct` and `wrong`, the wrong lie on top.
    The points are a bitmap inside an SVG: 70,000 vectors would open in no browser. Prompts are stars on top, named or
    numbered.

    Args:
        xy: (N, 2) float, equal scale on both axes.
        labels: N names or None. The legend has them in alphabetical order.
        title: what the figure says at its head.
        legend_title: what the labels are.
        extras: prompts to draw in, and a caption to write beneath.
    """
    extras = extras or MapExtras()
    side = extras.width or SIDE
    shown = looks_of(labels)
    handles, texts = legend_entries(labels, shown, extras)
    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    frame = style.plan_frame(side, side, texts, 0.4)
    side = frame.axes
    caption = caption_lines(extras.caption, side)
    below = (caption.count("\n") + 1) * theme().tick * 1.4 / 72 if caption else 0.0
    span = np.ptp(places, axis=0) if len(places) > 1 else np.ones(2)
    least = 0.55 if len(texts) <= 12 else 1.0  # a long legend needs the height
    tall = side * float(np.clip(span[1] / max(span[0], 1e-9), least, 1.0))
    figure = style.new_figure(frame.width, height(tall + 0.7 + below + frame.below))
    axes = figure.add_subplot()
    _scatter(axes, places, labels, shown)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_facecolor(theme().paper)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(theme().grid)
    style.heading(axes, title, side)
    axes.set_xlabel(caption, loc="left", fontsize=theme().tick, color=theme().muted)
    style.draw_legend(figure, handles, texts, side, safe(legend_title), frame)
    if legend_title in ("category", "predicted") and not extras.prompts and 1 < len(shown) <= MOST_NAMED:
        _name_clusters(axes, places, labels)
    draw_prompts(axes, extras, extras.places)
    return figure


def _name_clusters(axes: Axes, places: npt.NDArray[np.float64], labels: Sequence[str | None]) -> None:
    """Write each label where most of its points lie, the commonest first; one that would lie on another is left out."""
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    box, scale, taken = axes.get_window_extent(), figure.dpi / 72, list[tuple[float, float, float, float]]()
    names = np.array([name or "" for name in labels])
    for name, _ in Counter(name for name in labels if name is not None).most_common():
        own = places[names == name]
        middle = own[np.argmin(np.square(own - np.median(own, axis=0)).sum(axis=1))]
        text, (x, y) = label(name, 24, 24), axes.transData.transform(middle)
        wide, tall = width_of(text, theme().label, figure.dpi) / 2 + 4 * scale, theme().label * 0.8 * scale
        spot = x - wide, x + wide, y - tall, y + tall
        inside = box.x0 < spot[0] and spot[1] < box.x1 and box.y0 < spot[2] and spot[3] < box.y1
        if not inside or any(a < spot[1] and spot[0] < b and c < spot[3] and spot[2] < d for a, b, c, d in taken):
            continue
        taken.append(spot)
        how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": theme().label, "color": theme().ink}
        drawn = axes.text(middle[0], middle[1], text, zorder=4, **how)
        drawn.set_path_effects([withStroke(linewidth=3, foreground=theme().paper)])
        drawn.set_in_layout(False)


def looks_of(labels: Sequence[str | None]) -> dict[str | None, style.Look]:
    """Return how each label is drawn, in the order of their names, so that another sample has the same colours.

    Those of the user's order come first. `correct` and `wrong` have colours of their own; unlabelled, grey, come last.
    """
    names = ordered(sorted({name for name in labels if name is not None}))
    shown: dict[str | None, style.Look] = {}
    if set(names) <= {CORRECT, WRONG}:
        colours = {CORRECT: style.colour_of(style.CORRECT), WRONG: style.colour_of(style.WRONG)}
        shown |= {name: style.Look(colours[name], "o", "") for name in names}
    elif set(names) <= set(CONFIDENCES):
        from matplotlib.colors import to_hex

        shown |= {
            name: style.Look(to_hex(style.shades()(0.2 + CONFIDENCES.index(name) / 5)), "o", "") for name in names
        }
    else:
        shown |= dict(zip(names, style.looks(len(names)), strict=True))
    if None in labels:
        shown[None] = _GREY
    return shown


def _scatter(
    axes: Axes, xy: npt.NDArray[np.float64], labels: Sequence[str | None], shown: dict[str | None, style.Look]
) -> None:
    size = float(np.clip(320 / sqrt(max(len(labels), 1)), 1.2, 36))
    drawing: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.8, "rasterized": True}
    # A scatter has one marker but any number of colours, so it takes one scatter for each marker.
    for layer in _layers(labels, shown):
        colours = [shown[labels[row]].colour for row in layer]
        axes.scatter(xy[layer, 0], xy[layer, 1], c=colours, marker=shown[labels[layer[0]]].marker, **drawing)


def _layers(labels: Sequence[str | None], shown: dict[str | None, style.Look]) -> list[npt.NDArray[np.int64]]:
    """Return which rows are drawn together, in their order, the lowest layer first; no layer is empty."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    layers: dict[tuple[bool, bool, str], list[int]] = {}
    for row in shuffled.tolist():
        name = labels[row]
        layers.setdefault((name is not None, name == WRONG, shown[name].marker), []).append(row)
    return [np.array(layers[key], dtype=np.int64) for key in sorted(layers)]


def legend_entries(
    labels: Sequence[str | None], shown: Mapping[str | None, style.Look], extras: MapExtras
) -> tuple[list[Artist], list[str]]:
    """Return what the legend draws and says: labels with their numbers of images, how many it leaves out, prompts."""
    counts = Counter(labels)
    listed = list(shown.items())[: MOST_LISTED if style.fitted(SIDE) > 5 else NARROW_LISTED]
    longest = 26 if len(listed) > 20 else LONGEST  # a long list has one line for each
    texts = [f"{_called(name, longest)} ({counts[name]:,})" for name, _ in listed]
    handles = [swatch(look) for _, look in listed]
    if len(shown) > len(listed):
        texts, handles = [*texts, f"and {len(shown) - len(listed):,} more"], [*handles, swatch(_NOTHING)]
    stars, prompts = extras.legend()
    return [*handles, *stars], [*texts, *prompts]


def _called(name: str | None, longest: int) -> str:
    if name in CONFIDENCES and percent():
        low = CONFIDENCES.index(name) * 20
        return f"{low} to {low + 20} %"
    return UNLABELLED if name is None else label(name, 26, longest)


def swatch(look: style.Look) -> Artist:
    """Return what stands for a look in a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=6)

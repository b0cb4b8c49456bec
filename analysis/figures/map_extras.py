"""What a map shows in addition to its images: prompts as stars that are numbered or named, and a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .drawing import theme
from .text import label, width_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Points = npt.NDArray[np.float64]

Prompt = tuple[str, tuple[float, float]]
"""A text, and its x and y on the map."""

STAR = 12.0
"""Points across the star that marks a prompt."""

SIZE = 8.5
"""Points that the text next to a star is high."""

MOST_NUMBERED = 60
"""The most prompts that are numbered; no reader would look up more."""

LONGEST_CAPTION = 600
_LINE, _LONGEST = 40, 80  # characters of a line of the list, and of a prompt in it
_AIR = 1.5  # points around a tag
_TAG_LINE = 24  # characters of a line of a tag


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
    def numbered(self) -> bool:
        """Whether there are prompts: numbers on the map, with the texts in a list next to it."""
        return bool(self.prompts)

    def legend(self) -> tuple[list[Artist], list[str]]:
        """Return what the legend draws and says of the prompts, including the numbered list; nothing without any."""
        from matplotlib.lines import Line2D

        if not self.prompts:
            return [], []
        texts = [f"prompts ({len(self.prompts):,})"]
        if self.numbered:
            listed = self.prompts[:MOST_NUMBERED]
            texts += [label(f"{number}: {text}", _LINE, _LONGEST) for number, (text, _) in enumerate(listed, start=1)]
            if len(self.prompts) > len(listed):
                texts.append(f"and {len(self.prompts) - len(listed):,} more, without a number")
        nothing: list[Artist] = [Line2D([], [], linestyle="") for _ in texts[1:]]
        return [Line2D([], [], **_star()), *nothing], texts


def caption_lines(caption: str, width: float) -> str:
    """Return a caption in lines that fit `width` inches."""
    return label(caption, int(width * 72 / theme().tick / 0.56), LONGEST_CAPTION) if caption else ""


def number_ranges(numbers: Sequence[int]) -> str:
    """Return rising numbers with runs of three or more abbreviated, such as `1\u20134, 7, 9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}\u2013{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Tag:
    """The text next to some `stars`, given by their rows: the lower left `corner` and the `size` of its box."""

    stars: tuple[int, ...]
    text: str
    corner: Points
    size: Points


def place_tags(stars: Points, names: Sequence[str] | None, area: tuple[float, float]) -> list[Tag]:
    """Return the tags of some stars, none on another or outside.

    Stars that hide each other share a tag, as do those without room for their own. A tag lies to the right of its
    stars, or to the left, above or below, where it covers the fewest stars.

    Args:
        stars: (P, 2) float, x and y in points from the lower left corner of the area, y up.
        names: P texts; their numbers from 1 where absent.
        area: width and height in points.
    """
    groups = _together(stars)
    while True:
        tags: list[Tag] = []
        for group in groups:
            text = number_ranges([row + 1 for row in group]) if names is None else ", ".join(names[r] for r in group)
            tag = _placed(tuple(group), label(text, _TAG_LINE, 200), stars, area, tags)
            if isinstance(tag, int):  # no side has room: share the tag that lies there
                groups[tag] = sorted(groups[tag] + group)
                groups.remove(group)
                break
            tags.append(tag)
        else:
            return tags


def _together(stars: Points) -> list[list[int]]:
    """Return the rows of stars that hide each other, by the first of each group."""
    groups: list[list[int]] = []
    for row, star in enumerate(stars):
        near = [group for group in groups if np.hypot(*(stars[group[0]] - star)) < STAR / 2]
        if near:
            near[0].append(row)
        else:
            groups.append([row])
    return groups


def _placed(
    group: tuple[int, ...], text: str, stars: Points, area: tuple[float, float], tags: Sequence[Tag]
) -> Tag | int:
    """Return the tag of a group of stars, or the number of the tag that is in its way on every side."""
    own, lines = stars[list(group)], text.split("\n")
    wide = max(width_of(line, SIZE, 72) for line in lines) * 1.04  # hinting draws some texts wider than measured
    size = np.array([wide, len(lines) * SIZE * 1.3]) + 2 * _AIR
    low, high, middle = own.min(axis=0), own.max(axis=0), own.mean(axis=0)
    beyond = STAR / 2
    sides = [
        (high[0] + beyond, middle[1] - size[1] / 2),
        (low[0] - beyond - size[0], middle[1] - size[1] / 2),
        (middle[0] - size[0] / 2, high[1] + beyond),
        (middle[0] - size[0] / 2, low[1] - beyond - size[1]),
    ]
    best: tuple[int, Points] | None = None
    blocking = -1
    for side in sides:
        corner = np.clip(np.array(side), 0, np.maximum(np.array(area) - size, 0))
        hit = [i for i, tag in enumerate(tags) if _overlap(corner, size, tag.corner, tag.size)]
        if hit:
            blocking = hit[0] if blocking < 0 else blocking
            continue
        covered = sum(_overlap(corner, size, star - STAR / 3, np.full(2, STAR * 2 / 3)) for star in stars)
        if best is None or covered < best[0]:
            best = covered, corner
    return blocking if best is None else Tag(group, text, best[1], size)


def _overlap(one: Points, size: Points, other: Points, extent: Points) -> bool:
    return bool((one < other + extent).all() and (other < one + size).all())


def _star() -> dict[str, Any]:
    return {
        "marker": "*", "markersize": STAR, "linestyle": "",
        "color": theme().ink, "markeredgecolor": theme().paper, "markeredgewidth": 0.9,
    }  # fmt: skip


def _behind() -> dict[str, Any]:
    return {"boxstyle": "square,pad=0.05", "facecolor": theme().paper, "alpha": 0.92, "edgecolor": "none"}


def draw_prompts(
    axes: Axes, extras: MapExtras, places: Points, area: tuple[float, float, float, float] | None = None
) -> None:
    """Draw the prompts over everything else: a star at each of the `places`, in data coordinates, and its tag.

    The figure must be complete otherwise: where tags go follows from where the axes end up. `area` is where they may
    lie: left, bottom, width and height in the figure's pixels; by default the axes.
    """
    from matplotlib.patheffects import withStroke

    if not len(places):
        return
    axes.plot(*places.T, zorder=5, clip_on=False, **_star())
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    left, bottom, width, height = area or axes.get_window_extent().bounds
    scale = 72 / figure.dpi
    stars = (axes.transData.transform(places) - (left, bottom)) * scale
    names = None if extras.numbered else [text for text, _ in extras.prompts]
    for tag in place_tags(stars[:MOST_NUMBERED], names, (width * scale, height * scale)):
        first = tag.stars[0]
        drawn = axes.annotate(
            tag.text, places[first].tolist(), (tag.corner + _AIR - stars[first]).tolist(),
            textcoords="offset points", ha="left", va="bottom", fontsize=SIZE, color=theme().ink, linespacing=1.15,
            zorder=6, annotation_clip=False, bbox=_behind(),
        )  # fmt: skip
        drawn.set_path_effects([withStroke(linewidth=1.8, foreground=theme().paper)])
        drawn.set_in_layout(False)

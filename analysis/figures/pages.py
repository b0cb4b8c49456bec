"""Pages of images: contact sheets of hits, and one sample for each category and condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

from shotdex.store.types import Hit

from . import style
from .drawing import DPI, now, theme
from .text import fit, label, safe, width_of, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image


MARGIN = 50
"""Pixels of white around a page."""


def tile(image: Image.Image, side: int, border: str | None = None, thickness: int = 1) -> Image.Image:
    """Return the image in a square of `side` pixels: whole, undistorted, on white, in a frame of `border` colour."""
    from PIL import Image, ImageOps

    inner = max(side - 2 * thickness, 1)
    scale = inner / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    # `reducing_gap` lets Pillow halve a large image before it resamples: same look, a tenth of the time.
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGB", (inner, inner), theme().paper)
    square.paste(small, ((inner - size[0]) // 2, (inner - size[1]) // 2))
    return ImageOps.expand(square, thickness, border or theme().grid)


def page_figure(page: Image.Image) -> tuple[Figure, Axes]:
    """Return a figure that is exactly the page, and its axes: one unit a pixel, y down, nothing else drawn."""
    import numpy as np

    width, height = page.size
    figure = style.new_figure(width / DPI, height / DPI, arranged=False)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.imshow(np.asarray(page), extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    return figure, axes


def pixels(points: float) -> float:
    """Return how many pixels a length in points takes."""
    return points * DPI / 72


def page_head(axes: Axes, title: str, width: float, remark: str = "") -> None:
    """Write a page's title, and beneath it whose the figure is and a remark."""
    colours, about = theme(), str(now().about)
    write(axes, MARGIN, MARGIN, fit(style.headline(title), width, colours.title, DPI), colours.title)
    below = " · ".join(part for part in (about, remark) if part)
    y = MARGIN + pixels(colours.title * 1.5)
    lines = wrap(below, width / DPI, colours.small).split("\n")
    for line in [*lines[:1], *([" ".join(lines[1:])] if lines[1:] else [])]:
        write(axes, MARGIN, y, fit(line, width, colours.small, DPI), colours.small, color=colours.muted)
        y += pixels(colours.small * 1.3)


def write(axes: Axes, x: float, y: float, text: str, size: float | None = None, **how: str) -> None:
    """Write a line of safe text below pixel (x, y), to the right of it; `how` overrides colour and alignment.

    It is the baseline that is placed: the top of a text depends on which letters it has.
    """
    alignment = {"color": theme().ink, "ha": "left", "va": "baseline"} | how
    size = size or theme().small
    baseline = y + pixels(size) if alignment["va"] == "baseline" else y
    axes.text(x, baseline, text, fontsize=size, **alignment)  # type: ignore[arg-type]


TILE = 300
_GAP = 30
_HEADER = 110
_LINE = 30
_NARROWEST = 3  # tiles; so that the title has room above a single hit


def contact_sheet(hits: Sequence[Hit], images: Sequence[Image.Image], query: str, columns: int | None = None) -> Figure:
    """Lay out the hits in reading order: each image whole, beneath it rank, cosine, file name and category.

    Args:
        hits: what was found, best first.
        images: one RGB image for each hit, of any size.
        question: what was asked; the title.
        columns: images in a row; chosen by their number when absent.

    Raises:
        ValueError: not one image for each hit, or no column.
    """
    from PIL import Image

    if len(hits) != len(images):
        raise ValueError(f"{len(images)} images for {len(hits)} hits")
    across = _columns(len(hits)) if columns is None else columns
    if across < 1:
        raise ValueError(f"{across} columns")
    lines = 3 if any(hit.category for hit in hits) else 2
    pitch = TILE + 14 + lines * _LINE + _GAP
    width = 2 * MARGIN + max(across, _NARROWEST) * (TILE + _GAP) - _GAP
    page = Image.new("RGB", (width, 2 * MARGIN + _HEADER + ceil(len(hits) / across) * pitch - _GAP), theme().paper)
    corners = [
        (MARGIN + index % across * (TILE + _GAP), MARGIN + _HEADER + index // across * pitch)
        for index in range(len(hits))
    ]
    for image, corner in zip(images, corners, strict=True):
        page.paste(tile(image, TILE), corner)
    figure, axes = page_figure(page)
    page_head(axes, query, width - 2 * MARGIN, f"{len(hits):,} image{'' if len(hits) == 1 else 's'}, by cosine")
    for hit, (x, y) in zip(hits, corners, strict=True):
        _caption(axes, hit, x, y + TILE + 14)
    return figure


def _columns(count: int) -> int:
    """Five in a row, and more from where the sheet would get more than about twice as long as wide."""
    return min(max(count, 1), 5) if count <= 40 else 8 if count <= 100 else 10


def _caption(axes: Axes, hit: Hit, x: float, y: float) -> None:
    write(axes, x, y, f"{hit.rank}", fontweight="bold")
    write(axes, x + TILE, y, f"{hit.cosine:.3f}", ha="right")
    write(axes, x, y + _LINE, fit(file_name(hit.path), TILE, theme().small, DPI))
    if hit.category:
        write(axes, x, y + 2 * _LINE, fit(hit.category, TILE, theme().small, DPI), color=theme().muted)


def file_name(path: str) -> str:
    """Return the last part of a path or of an archive's member, such as `b.png` of `a.zip!x/b.png`."""
    last = path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return last.rsplit("!", 1)[-1] or last


_SAMPLES_GAP = 16
_SAMPLES_HEADER = 130
_WIDEST_NAME, _WIDEST_CONDITION = 420, 260  # pixels that the rows' and the columns' names take at most


def samples_figure(
    images: Mapping[tuple[str, str], Image.Image],
    categories: Sequence[str],
    conditions: Sequence[str],
    title: str = "Samples",
) -> Figure:
    """Draw a grid, a row for each category and a column for each condition; a combination without an image is empty.

    Args:
        images: (category, condition) -> an RGB image of any size, shown whole.
        categories: the rows, from the top.
        conditions: the columns, from the left.
        title: what the figure says at its head.
    """
    from PIL import Image

    # Ten rows make a page of about 2,000 pixels; with 100 a tile is as small as can be made out.
    side = min(max(2000 // max(len(categories), 1), 64), 220)
    names = [label(name, 22) for name in categories]
    lines = [line for name in names for line in name.split("\n")]
    left = MARGIN + min(_WIDEST_NAME, int(max((_width(line) for line in lines), default=0))) + 24
    top = MARGIN + _SAMPLES_HEADER + int(pixels(theme().tick * 1.8))
    widest = max((_width(safe(condition)) for condition in conditions), default=0)
    pitch = max(side, min(_WIDEST_CONDITION, int(widest) + 1)) + _SAMPLES_GAP
    right = left + max(len(conditions) * pitch, 500)
    page = Image.new("RGB", (right + MARGIN, top + len(categories) * (side + _SAMPLES_GAP) + MARGIN), theme().paper)
    inset = (pitch - _SAMPLES_GAP - side) // 2
    for (row, category), (column, condition) in product(enumerate(categories), enumerate(conditions)):
        image = images.get((category, condition))
        if image is not None:
            page.paste(tile(image, side), (left + column * pitch + inset, top + row * (side + _SAMPLES_GAP)))
    figure, axes = page_figure(page)
    page_head(axes, title, right - MARGIN)
    _name_columns(axes, conditions, left, top, pitch)
    for row, name in enumerate(names):
        write(
            axes,
            left - 24,
            top + row * (side + _SAMPLES_GAP) + side / 2,
            name,
            theme().tick,
            ha="right",
            va="center",
        )
    return figure


def _name_columns(axes: Axes, conditions: Sequence[str], left: int, top: int, pitch: int) -> None:
    for column, condition in enumerate(conditions):
        middle = left + column * pitch + (pitch - _SAMPLES_GAP) / 2
        name = fit(condition, pitch - _SAMPLES_GAP, theme().tick, DPI)
        write(axes, middle, top - 14, name, theme().tick, ha="center", va="bottom")


def _width(line: str) -> float:
    return width_of(line, theme().tick, DPI)


PAIR_TILE = 220
_SEAM, _PAIR_GAP, _PAIR_HEADER = 8, 44, 110  # pixels between two of a pair, between pairs, and above them

_PAIR_WIDTH = 2 * PAIR_TILE + _SEAM
_ABOVE, _BELOW = _LINE + 8, 6  # from a pair's top to its tiles, and from these to their captions


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """What is written below one image of a pair; None where there is nothing to say."""

    path: str
    category: str | None
    place: str | None


@dataclass(frozen=True, slots=True)
class PairLabels:
    """What is written on a pair: its cosine in [-1, 1], or that both are one content, and its two images' labels."""

    cosine: float
    exact: bool
    first: ImageLabels
    second: ImageLabels


def pair_sheet(
    pairs: Sequence[PairLabels], images: Sequence[tuple[Image.Image, Image.Image]], title: str, remark: str = ""
) -> Figure:
    """Lay out pairs in reading order, three in a row: both images whole; above them number and cosine; below each
    its file, category and place. A pair of two categories has its frames and categories in colour.

    Args:
        pairs: what was found, in the order to show.
        images: two RGB images for each pair, of any size.
        title: what the figure says at its head.
        remark: a line below the title.

    Raises:
        ValueError: not two images for each pair.
    """
    from PIL import Image

    if len(pairs) != len(images):
        raise ValueError(f"images for {len(images)} pairs, but {len(pairs)} pairs")
    across = max(min(len(pairs), 3), 2)  # the title needs the room of two
    captions = max((len(_lines(labels)) for pair in pairs for labels in (pair.first, pair.second)), default=0)
    pitch = _ABOVE + PAIR_TILE + _BELOW + captions * _LINE + _PAIR_GAP
    width = 2 * MARGIN + across * (_PAIR_WIDTH + _PAIR_GAP) - _PAIR_GAP
    height = 2 * MARGIN + _PAIR_HEADER + max(ceil(len(pairs) / across) * pitch - _PAIR_GAP, 0)
    page = Image.new("RGB", (width, height), theme().paper)
    corners = [
        (MARGIN + index % across * (_PAIR_WIDTH + _PAIR_GAP), MARGIN + _PAIR_HEADER + index // across * pitch)
        for index in range(len(pairs))
    ]
    for pair, both, (x, y) in zip(pairs, images, corners, strict=True):
        border, thickness = (style.WRONG, 4) if _differ(pair) else (theme().grid, 1)
        for side, image in enumerate(both):
            page.paste(tile(image, PAIR_TILE, border, thickness), (x + side * (PAIR_TILE + _SEAM), y + _ABOVE))
    figure, axes = page_figure(page)
    page_head(axes, title, width - 2 * MARGIN, remark)
    for number, (pair, (x, y)) in enumerate(zip(pairs, corners, strict=True), 1):
        _captions(axes, number, pair, x, y)
    return figure


def _differ(pair: PairLabels) -> bool:
    categories = {pair.first.category, pair.second.category} - {None}
    return len(categories) == 2


def _lines(labels: ImageLabels) -> list[str]:
    """Return what stands below an image: a line that others have keeps its place, one that nobody has is left out."""
    lines = [file_name(labels.path), labels.category or "", labels.place or ""]
    return lines if lines[2] else lines[:2] if lines[1] else lines[:1]


def _captions(axes: Axes, number: int, pair: PairLabels, x: float, y: float) -> None:
    write(axes, x, y, f"{number}", fontweight="bold")
    score = "exact copy" if pair.exact else f"cosine {pair.cosine:.5f}"
    write(axes, x + _PAIR_WIDTH, y, score, ha="right")
    colours = (theme().ink, style.WRONG if _differ(pair) else theme().muted, theme().muted)
    for side, labels in enumerate((pair.first, pair.second)):
        left, top = x + side * (PAIR_TILE + _SEAM), y + _ABOVE + PAIR_TILE + _BELOW
        for row, line in enumerate(_lines(labels)):
            text = fit(line, PAIR_TILE - _SEAM, theme().small, DPI)
            write(axes, left, top + row * _LINE, text, color=colours[row])

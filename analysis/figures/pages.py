"""Pages of images: how one is laid out, contact sheets of hits, and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from shotdex.store.errors import OptionError
from shotdex.store.queries import Hit

from . import style
from .drawing import DPI, now, theme
from .drawing import height as drawn_height
from .text import fit, wrap

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


@dataclass(frozen=True, slots=True)
class Head:
    """A page's title, in one line or two, and the lines beneath it; `height` is the pixels from the margin down."""

    title: str
    lines: tuple[str, ...]
    height: int


def plan_head(title: str, width: int, remark: str = "", caption: str = "") -> Head:
    """Return the title, whose the figure is, a remark and a caption in lines of at most `width` pixels."""
    colours = theme()
    written = wrap(style.headline(title), width / DPI, colours.title * (1 + 0.12 * bold()), style.LONGEST_TITLE)
    if written.count("\n") > 1:
        written = fit(style.headline(title), width, colours.title, DPI)
    below = [" · ".join(part for part in (str(now().about), remark) if part), caption]
    lines = [line for text in below if text for line in wrap(text, width / DPI, colours.small, 1000).split("\n")]
    titles = written.count("\n") + 1
    height = pixels(colours.title * 1.25 * titles + 3 + colours.small * 1.35 * len(lines) + 9)
    return Head(written, tuple(lines), int(height))


def bold() -> bool:
    """Tell whether titles are bold: where they are no larger than the rest."""
    return theme().title == theme().tick


def page_head(axes: Axes, head: Head, margin: int = MARGIN) -> None:
    """Write a page's title and the lines beneath it."""
    colours = theme()
    weight = "bold" if bold() else "normal"
    axes.text(
        margin, margin, head.title, fontsize=colours.title, color=colours.ink, ha="left", va="top", linespacing=1.2,
        fontweight=weight,
    )  # fmt: skip
    y = margin + pixels(colours.title * 1.25 * (head.title.count("\n") + 1) + 3)
    for line in head.lines:
        write(axes, margin, y, line, colours.small, color=colours.muted)
        y += pixels(colours.small * 1.35)


def page_width(natural: int) -> int:
    """Return the pixels across for a page that would take `natural`: the user's, or a column or page of a journal."""
    return int(style.fitted(natural / DPI) * DPI)


def page_height(natural: int) -> int:
    """Return the pixels down for a page that would take `natural`.

    Raises:
        OptionError: the user's height is too small for it.
    """
    chosen = int(drawn_height(natural / DPI) * DPI + 0.5)
    if chosen < natural:
        size = now().style.size
        assert size is not None and size[1] is not None
        raise OptionError(
            f"the images and their names do not fit {size[0] * 25.4:.0f}x{size[1] * 25.4:.0f} mm",
            "choose a larger --size, or a width alone",
        )
    return chosen


_NARROW = 800  # pixels


def margin_of(width: int) -> int:
    """Return the pixels around a page of so many across: fewer where the images need them."""
    return MARGIN if width >= _NARROW else 20


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
_LINE = 30
_NARROWEST = 3  # tiles; so that the title has room above a single hit


def contact_sheet(hits: Sequence[Hit], images: Sequence[Image.Image], query: str, columns: int | None = None) -> Figure:
    """Lay out the hits in reading order: each image whole, beneath it rank, cosine, file name and category.

    Args:
        hits: what was found, best first.
        images: one RGB image for each hit, of any size.
        query: the text of the query; the title.
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
    found = f"{len(hits):,} image{'' if len(hits) == 1 else 's'}, by cosine"
    head = plan_head(query, width - 2 * MARGIN, found)
    page = Image.new("RGB", (width, 2 * MARGIN + head.height + ceil(len(hits) / across) * pitch - _GAP), theme().paper)
    corners = [
        (MARGIN + index % across * (TILE + _GAP), MARGIN + head.height + index // across * pitch)
        for index in range(len(hits))
    ]
    for image, corner in zip(images, corners, strict=True):
        page.paste(tile(image, TILE), corner)
    figure, axes = page_figure(page)
    page_head(axes, head)
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


PAIR_TILE = 220
_SEAM, _PAIR_GAP = 8, 44  # pixels between two of a pair, and between pairs

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
    head = plan_head(title, width - 2 * MARGIN, remark)
    height = 2 * MARGIN + head.height + max(ceil(len(pairs) / across) * pitch - _PAIR_GAP, 0)
    page = Image.new("RGB", (width, height), theme().paper)
    corners = [
        (MARGIN + index % across * (_PAIR_WIDTH + _PAIR_GAP), MARGIN + head.height + index // across * pitch)
        for index in range(len(pairs))
    ]
    for pair, both, (x, y) in zip(pairs, images, corners, strict=True):
        border, thickness = (style.WRONG, 4) if _differ(pair) else (theme().grid, 1)
        for side, image in enumerate(both):
            page.paste(tile(image, PAIR_TILE, border, thickness), (x + side * (PAIR_TILE + _SEAM), y + _ABOVE))
    figure, axes = page_figure(page)
    page_head(axes, head)
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

"""Pages of pictures: pictures pasted on white, pixel for pixel, with text over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

MARGIN = 50
"""Pixels of white around a page."""


def tile(picture: Image.Image, side: int, border: str = style.GRID, thickness: int = 1) -> Image.Image:
    """Return the picture in a square of `side` pixels: whole, undistorted, on white, in a frame of `border` colour."""
    from PIL import Image, ImageOps

    inner = max(side - 2 * thickness, 1)
    scale = inner / max(picture.size)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    # `reducing_gap` lets Pillow halve a large picture before it resamples: same look, a tenth of the time.
    small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGB", (inner, inner), "white")
    square.paste(small, ((inner - size[0]) // 2, (inner - size[1]) // 2))
    return ImageOps.expand(square, thickness, border)


def page_figure(page: Image.Image) -> tuple[Figure, Axes]:
    """Return a figure that is exactly the page, and its axes: one unit a pixel, y down, nothing else drawn."""
    import numpy as np
    from matplotlib.figure import Figure

    width, height = page.size
    figure = Figure(figsize=(width / style.DPI, height / style.DPI), dpi=style.DPI, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.imshow(np.asarray(page), extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    return figure, axes


def pixels(points: float) -> float:
    """Return how many pixels a length in points takes."""
    return points * style.DPI / 72


def write(axes: Axes, x: float, y: float, text: str, size: float = style.SMALL, **how: str) -> None:
    """Write a line of safe text below pixel (x, y), to the right of it; `how` overrides colour and alignment.

    It is the baseline that is placed: the top of a text depends on which letters it has.
    """
    alignment = {"color": style.INK, "ha": "left", "va": "baseline"} | how
    baseline = y + pixels(size) if alignment["va"] == "baseline" else y
    axes.text(x, baseline, text, fontsize=size, **alignment)  # type: ignore[arg-type]

"""What is done to a drawing for each condition of the evaluation pictures: from RGBA to RGB on white.

All work at FOUR times the final size and end with a box reduction, so edges come out smooth. Lengths are stated in
pixels of the final SIZE x SIZE picture.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

SIZE: Final = 128
FOUR: Final = 4
MARGIN: Final = 0.06  # of the picture, on each side; the same as for the geons
BLUR_SIGMA: Final = 7.0
HOLE: Final = 0.004  # of the picture: a smaller hole in a silhouette is a gap in the drawing, not in the thing
PARTS: Final = 5
PART_RADIUS: Final = 16.0  # in the drawing
PART_SHOWN: Final = 21.0  # in the picture
# Width of the band along the outline that no part shows: OpenMoji's black contour is about 4, the others have none.
CONTOUR: Final = {"noto": 2, "twemoji": 2, "openmoji": 5}
# Where parts go, in the order they are found: like the five on a die.
PLACES: Final = ((64, 64), (25, 25), (103, 103), (103, 25), (25, 103))


def fitted(art: Image.Image, mirrored: bool = False, degrees: float = 0.0) -> Image.Image:
    """Return the drawing as RGBA at FOUR * SIZE, centred, its longer side filling the picture up to MARGIN.

    Before that it may be mirrored left to right and turned counter-clockwise by some degrees.
    """
    if mirrored:
        art = ImageOps.mirror(art)
    if degrees:
        # In premultiplied colours, or the transparent ground would bleed into the edges.
        art = art.convert("RGBa").rotate(degrees, Image.Resampling.BICUBIC, expand=True).convert("RGBA")
    art = art.crop(art.getchannel("A").point([0] * 16 + [255] * 240).getbbox())
    side = FOUR * SIZE
    scale = side * (1 - 2 * MARGIN) / max(art.size)
    width, height = round(art.width * scale), round(art.height * scale)
    ground = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    ground.paste(art.resize((width, height), Image.Resampling.LANCZOS), ((side - width) // 2, (side - height) // 2))
    return ground


def realistic(art: Image.Image) -> Image.Image:
    """The drawing itself."""
    return _on_white(art).reduce(FOUR)


def blurred(art: Image.Image) -> Image.Image:
    """The drawing after a Gaussian of BLUR_SIGMA pixels."""
    return _on_white(art).filter(ImageFilter.GaussianBlur(BLUR_SIGMA * FOUR)).reduce(FOUR)


def silhouettes(art: Image.Image) -> Image.Image:
    """The drawing's filled outline, black on white; holes from HOLE of the picture up stay open (a cup's handle)."""
    filled = ImageOps.invert(_without_small_holes(_solid(art)))
    return filled.reduce(FOUR).convert("RGB")


def features(art: Image.Image, style: str) -> Image.Image:
    """Up to PARTS round windows on the places with most inner detail, moved to fixed PLACES; the outline is cut away.

    Each window shows PART_RADIUS pixels of the drawing around its centre, enlarged to PART_SHOWN. A band along the
    outline, CONTOUR pixels wide, is white in all of them; moving them apart leaves nothing of the overall shape.
    """
    inner = _solid(art).reduce(FOUR).filter(ImageFilter.MinFilter(2 * CONTOUR[style] + 1))
    inside = inner.resize(art.size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(FOUR / 2))
    shown = Image.composite(_on_white(art), Image.new("RGB", art.size, "white"), inside)
    canvas = Image.new("RGB", art.size, "white")
    reach, radius = FOUR * PART_RADIUS, round(FOUR * PART_SHOWN)
    window = Image.new("L", (2 * radius, 2 * radius), 0)
    ImageDraw.Draw(window).ellipse((0, 0, 2 * radius - 1, 2 * radius - 1), fill=255)
    for (x, y), (to_x, to_y) in zip(_detailed_places(art, inner), PLACES, strict=False):
        frame = (FOUR * x - reach, FOUR * y - reach, FOUR * x + reach, FOUR * y + reach)
        part = shown.resize(window.size, Image.Resampling.BICUBIC, box=_within(frame, art.width))
        canvas.paste(part, (FOUR * to_x - radius, FOUR * to_y - radius), window)
    return canvas.reduce(FOUR)


def _on_white(art: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", art.size, "white"), art).convert("RGB")


def _solid(art: Image.Image) -> Image.Image:
    """255 where the drawing covers at least half, else 0."""
    return art.getchannel("A").point([0] * 128 + [255] * 128)


def _without_small_holes(mask: Image.Image) -> Image.Image:
    """Fill every region of ground that the border of the picture does not reach and that is smaller than HOLE."""
    mask = mask.copy()
    ImageDraw.floodfill(mask, (0, 0), 64)
    smallest = HOLE * mask.width * mask.height
    while (holes := np.argwhere(np.asarray(mask) == 0)).size:
        y, x = (int(value) for value in holes[0])
        ImageDraw.floodfill(mask, (x, y), 96)
        is_gap = np.count_nonzero(np.asarray(mask) == 96) < smallest
        ImageDraw.floodfill(mask, (x, y), 255 if is_gap else 64)
    return mask.point([255 if value == 255 else 0 for value in range(256)])


def _detailed_places(art: Image.Image, inner: Image.Image) -> list[tuple[int, int]]:
    """Centres (x, y) of the PARTS windows with most contrast inside the outline, best first, hardly overlapping."""
    spread = ImageFilter.GaussianBlur(PART_RADIUS / 2.5)
    detail = np.asarray(Image.fromarray(_inner_contrast(art, inner)).filter(spread), dtype=np.float64)
    # Weighted by how much of the window lies inside, or the windows would line up along the outline.
    energy = detail * np.asarray(inner.filter(spread), dtype=np.float64) * (np.asarray(inner) >= 128)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    least = 0.05 * energy.max()
    places: list[tuple[int, int]] = []
    while len(places) < PARTS and energy.max() > least:
        y, x = divmod(int(energy.argmax()), SIZE)
        places.append((x, y))
        energy[(rows - y) ** 2 + (columns - x) ** 2 < (1.35 * PART_RADIUS) ** 2] = 0
    return places


def _inner_contrast(art: Image.Image, inner: Image.Image) -> NDArray[np.uint8]:
    """Strength of the colour gradient (SIZE, SIZE), zero outside the inner part."""
    colours = np.asarray(_on_white(art).reduce(FOUR), dtype=np.float64)
    steps = np.gradient(colours, axis=(0, 1))
    strength = np.sqrt(sum((step**2).sum(axis=2) for step in steps))
    strength *= np.asarray(inner) >= 128
    levels: NDArray[np.uint8] = np.rint(np.clip(strength, 0, 255)).astype(np.uint8)
    return levels


def _within(frame: tuple[float, float, float, float], side: int) -> tuple[float, float, float, float]:
    """The frame moved into the picture where it sticks out."""
    left, top, right, bottom = frame
    x = max(0.0, -left) - max(0.0, right - side)
    y = max(0.0, -top) - max(0.0, bottom - side)
    return left + x, top + y, right + x, bottom + y

"""Images in a terminal: as half-blocks, which any terminal with colours draws, or by the protocol of kitty or iTerm2.

The protocols: https://sw.kovidgoyal.net/kitty/graphics-protocol/ and https://iterm2.com/documentation-images.html.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from .formatting import cut, visible, width

if TYPE_CHECKING:
    from PIL import Image

CELL = 20
"""Columns for an image with the gap after it, at least."""

PIXELS = (10, 20)
"""Width and height, in pixels, that an image gets for each column and row where a terminal draws pixels."""

CHUNK = 4096
"""Characters of an image that kitty takes in one escape sequence."""

RESET = "\x1b[0m"


class Protocol(StrEnum):
    """How a terminal takes images; `blocks-256` is for one that has 256 colours."""

    BLOCKS = "blocks"
    BLOCKS_256 = "blocks-256"
    KITTY = "kitty"
    ITERM = "iterm"


def protocol_of(environ: Mapping[str, str]) -> Protocol | None:
    """Return how the terminal of these environment variables takes images; None where it has no colours.

    A multiplexer keeps the sequences of kitty and iTerm2 from the terminal, and knows colours.
    """
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if environ.get("NO_COLOR") or term in ("", "dumb"):
        return None
    if environ.get("TMUX") or environ.get("STY"):
        return Protocol.BLOCKS
    if environ.get("KITTY_WINDOW_ID") or term == "xterm-kitty" or program == "ghostty":
        return Protocol.KITTY
    if program in ("iTerm.app", "WezTerm"):
        return Protocol.ITERM
    exact = environ.get("COLORTERM", "") in ("truecolor", "24bit") or term.endswith("-direct")
    return Protocol.BLOCKS if exact else Protocol.BLOCKS_256


def drawn(images: Sequence[Image.Image | None], captions: Sequence[str], columns: int, protocol: Protocol) -> str:
    """Return lines of images side by side, each with its caption below, in at most `columns` columns.

    An image that is None, as it cannot be read, is an empty place.
    """
    across = max(1, columns // CELL)
    side = max(1, min(columns // across, 2 * CELL) - 1)
    lines = []
    for start in range(0, len(images), across):
        some = images[start : start + across]
        lines.append(_blocks(some, side, protocol) if "blocks" in protocol else _pixels(some, side, protocol))
        cells = [cut(visible(caption), side) for caption in captions[start : start + across]]
        lines.append(" ".join(cell + " " * (side - width(cell)) for cell in cells).rstrip())
    return "\n".join(lines)


def _canvas(images: Sequence[Image.Image | None], box: tuple[int, int], gap: int) -> Image.Image:
    """Return images side by side on a transparent canvas, each scaled to fit into its box and centred there."""
    from PIL import Image

    wide, high = box
    canvas = Image.new("RGBA", (len(images) * (wide + gap) - gap, high))
    for i, image in enumerate(images):
        if image is not None:
            scale = min(wide / image.width, high / image.height)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            at = (i * (wide + gap) + (wide - size[0]) // 2, (high - size[1]) // 2)
            canvas.paste(image.convert("RGB").resize(size, Image.Resampling.BOX), at)
    return canvas


def _blocks(images: Sequence[Image.Image | None], side: int, protocol: Protocol) -> str:
    """Return images in half-blocks: each character is two pixels, one above the other."""
    high = side + side % 2
    canvas = _canvas(images, (side, high), 1)
    lines = []
    for y in range(0, high, 2):
        line, style = "", ""
        for x in range(canvas.width):
            over, under = canvas.getpixel((x, y)), canvas.getpixel((x, y + 1))
            character, wanted = _block(over, under, protocol)  # type: ignore[arg-type]
            line += (RESET if style and not wanted else "") + (wanted if wanted != style else "") + character
            style = wanted
        lines.append((line + (RESET if style else "")).rstrip(" "))
    return "\n".join(lines)


def _block(over: tuple[int, ...], under: tuple[int, ...], protocol: Protocol) -> tuple[str, str]:
    """Return the character for two pixels (RGBA), and its style."""
    if not over[3] and not under[3]:
        return " ", ""
    if not under[3]:
        return "▀", f"\x1b[0;38;{_colour(over, protocol)}m"
    if not over[3]:
        return "▄", f"\x1b[0;38;{_colour(under, protocol)}m"
    return "▀", f"\x1b[38;{_colour(over, protocol)};48;{_colour(under, protocol)}m"


def _colour(pixel: tuple[int, ...], protocol: Protocol) -> str:
    red, green, blue = pixel[:3]
    if protocol is Protocol.BLOCKS:
        return f"2;{red};{green};{blue}"
    levels = [0 if one < 48 else 1 if one < 115 else (one - 35) // 40 for one in (red, green, blue)]
    return f"5;{16 + 36 * levels[0] + 6 * levels[1] + levels[2]}"


def _pixels(images: Sequence[Image.Image | None], side: int, protocol: Protocol) -> str:
    """Return one PNG of all the images, which takes so many columns and rows."""
    rows = (side + 1) // 2
    canvas = _canvas(images, (side * PIXELS[0], rows * PIXELS[1]), PIXELS[0])
    data = io.BytesIO()
    canvas.save(data, "PNG")
    columns = len(images) * (side + 1) - 1
    escape = _kitty if protocol is Protocol.KITTY else _iterm
    return escape(data.getvalue(), columns, rows)


def _kitty(png: bytes, columns: int, rows: int) -> str:
    """Transmit and display (a=T) a PNG (f=100) in chunks; q=2: the terminal does not answer."""
    text = base64.b64encode(png).decode()
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    control = f"a=T,f=100,q=2,c={columns},r={rows},"
    return "".join(
        f"\x1b_G{control if i == 0 else ''}m={int(i < len(chunks) - 1)};{chunk}\x1b\\" for i, chunk in enumerate(chunks)
    )


def _iterm(png: bytes, columns: int, rows: int) -> str:
    text = base64.b64encode(png).decode()
    return f"\x1b]1337;File=inline=1;size={len(png)};width={columns};height={rows};preserveAspectRatio=0:{text}\x07"

"""Whole JPEG images by libjpeg-turbo: what its decoder warns about is a failure, not a grey corner.

libjpeg fills in what is missing and only warns. `simplejpeg` in its strict mode turns each warning into an error. It
also warns about bytes that no pixel depends on (a damaged ICC profile, stray bytes between two segments), so a file
that it refuses is decoded once more from the segments that pixels are made of. Marker names are those of ITU-T T.81.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, JpegImagePlugin

from shotdex.store.errors import ImageFailure, corrupt, truncated
from shotdex.store.types import Reason

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _HUFFMAN = 0xC2, frozenset({0xC0, 0xC1, 0xC2})
_SOS, _END, _JFIF, _ADOBE = 0xDA, 0xD9, 0xE0, 0xEE
_TABLES = frozenset({0xC4, 0xDB, 0xDD})  # DHT, DQT, DRI
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_PLAIN_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"

# The next marker in coded data: not a stuffed zero, not a restart, not a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_STRAY = re.compile(r"(\d+) extraneous bytes before marker 0xd9")

_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def load_jpeg(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> Image.Image:
    """Decode the first image of a JPEG file; the pixels are those that Pillow gives for a whole file.

    Args:
        data: the file. What follows the first image's end marker does not matter.
        check_size: called with (width, height) in pixels before anything is decoded; raises to stop.

    Returns:
        An image of mode L, RGB or CMYK with the file's EXIF and XMP in `info`, not yet turned upright.

    Raises:
        ImageFailure: part of the image is missing, or its coding is not supported.
        Exception: of any type, from the decoders.
    """
    # Not by Image.open, which would look for further images in the file.
    opened = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    check_size(opened.size)
    try:
        _check_scans(data)
    except (IndexError, KeyError) as error:
        raise corrupt(f"a marker makes no sense: {type(error).__name__} {error}") from error
    try:
        pixels = _decode(data, opened)
    except ValueError as error:
        if "remature end" in str(error):  # which nothing but missing data causes
            raise
        pixels = _decode_needed(data, opened)
    image = Image.frombytes(opened.mode, opened.size, pixels)
    image.info = opened.info
    return image


def _decode(data: bytes | bytearray, opened: Image.Image) -> np.ndarray:
    """Return the pixels, (H, W, bands) of uint8; raise ValueError for whatever the decoder warns about."""
    import simplejpeg

    height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    if (width, height) != opened.size:
        raise corrupt(f"it has two sizes: {width} x {height} and {opened.width} x {opened.height} pixels")
    pixels: np.ndarray = simplejpeg.decode_jpeg(data, _COLOURS[opened.mode], strict=True)
    # Pillow takes every CMYK JPEG as Adobe's, which are inverted.
    return np.invert(pixels) if opened.mode == "CMYK" else pixels


def _decode_needed(data: bytes, opened: Image.Image) -> np.ndarray:
    """Decode from the segments that pixels depend on, without stray bytes between them or at the end of a scan.

    Set right after a scan, an end marker makes the decoder tell how many bytes the scan has too many.
    """
    kept = bytearray(_SOI)
    pixels = None
    for segment in _needed(data):
        kept += segment
        while segment[1] == _SOS:
            try:
                pixels = _decode(kept + _EOI, opened)
                break
            except ValueError as error:
                if (stray := _STRAY.search(str(error))) is None:
                    raise
                del kept[-int(stray[1]) :]
                while kept.endswith(b"\xff"):
                    del kept[-1]
    if pixels is None:
        raise truncated("no coded data")
    return pixels


def _needed(data: bytes) -> Iterator[bytes]:
    """Yield the segments that decide on pixels: tables, frame, scans, and what tells the colour space."""
    for marker, body, start, end in _segments(data):
        if marker == _END:
            return
        if marker == _SOS:
            yield data[start : _coded_end(data, end)]
        elif marker in _TABLES or marker in _SOF or (marker == _ADOBE and body.startswith(b"Adobe")):
            yield data[start:end]
        elif marker == _JFIF and len(body) >= 12 and body.startswith(b"JFIF\0"):
            yield _PLAIN_JFIF
    raise truncated("the end marker is missing")


def _check_scans(data: bytes) -> None:
    """Check that every coefficient comes with all its bits, where several scans bring them (T.81, annex G).

    The decoder does not count scans. A single one of all components it checks by itself.

    Raises:
        ImageFailure: a scan is missing, or the coding is not supported.
    """
    progressive, bits = False, dict[int, list[int]]()
    for marker, body, _, _ in _segments(data):
        if marker in _SOF:
            if marker not in _HUFFMAN:
                raise ImageFailure(Reason.UNSUPPORTED, "JPEG that is lossless, hierarchical or arithmetic-coded")
            progressive = marker == _PROGRESSIVE
            # For each coefficient the number of low bits that are still to come; 99 is not begun.
            bits = {body[i]: [99] * 64 for i in range(6, 6 + 3 * body[5], 3)}
        elif marker == _SOS:
            count = body[0]
            if not progressive and count == len(bits):
                return
            first, last, low = (*body[1 + 2 * count : 3 + 2 * count], body[3 + 2 * count] & 15)
            for component in body[1 : 1 + 2 * count : 2]:
                one = slice(first, last + 1) if progressive else slice(0, 64)
                bits[component][one] = [low if progressive else 0] * len(bits[component][one])
    if not bits or any(low for lows in bits.values() for low in lows):
        raise truncated("not all scans are there")


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield (marker, body, start, end) of each segment of the first image, the end marker last if it is there."""
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker, position = data[found.start() + 1], found.end()
        if marker == _END:
            yield marker, b"", found.start(), position
            return
        if marker in _BARE:
            continue
        position += int.from_bytes(data[found.end() : found.end() + 2], "big")
        if position < found.end() + 2 or position > len(data):
            raise truncated("a segment is cut off")
        yield marker, data[found.end() + 2 : position], found.start(), position


def _coded_end(data: bytes, start: int) -> int:
    found = _MARKER.search(data, start)
    return len(data) if found is None else found.start()

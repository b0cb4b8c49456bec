"""Images with EXIF blocks of known values, as cameras, phones and editors write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from .images import encoded, noise

MAKE, MODEL, CHANGED = 0x010F, 0x0110, 0x0132
TAKEN, DIGITIZED, ZONE, LENS, F_NUMBER, COMMENT = 0x9003, 0x9004, 0x9011, 0xA434, 0x829D, 0x9286
FORMATS = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "HEIF": ".heic"}
Tags = Mapping[int, Any]
NOTHING: Tags = {}


def exif(main: Tags = NOTHING, inner: Tags = NOTHING, gps: Tags = NOTHING) -> bytes:
    """Return an EXIF block, written by Pillow."""
    made = Image.Exif()
    made.update(main)
    made.get_ifd(0x8769).update(inner)
    made.get_ifd(0x8825).update(gps)
    return made.tobytes()


def position(latitude: float, longitude: float) -> dict[int, Any]:
    """Return a position as cameras write it: degrees, minutes and seconds, and letters for the sides."""

    def parts(value: float) -> tuple[float, float, float]:
        minutes = abs(value) * 60
        return float(int(minutes // 60)), float(int(minutes % 60)), round((minutes % 1) * 60, 4)

    sides = "S" if latitude < 0 else "N", "W" if longitude < 0 else "E"
    return {1: sides[0], 2: parts(latitude), 3: sides[1], 4: parts(longitude)}


def photo(form: str, block: bytes | None, seed: int = 0) -> bytes:
    """Return a small image in a format by Pillow's name, with an EXIF block or without."""
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    return encoded(noise(seed, 48, 32), form, **({} if block is None else {"exif": block}))

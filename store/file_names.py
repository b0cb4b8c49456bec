"""File names that are not UTF-8: how the catalog, whose texts are, keeps their bytes.

Linux has names of any bytes. Each byte that is not UTF-8 is stored as the character U+10FE00 + byte, which no text uses
(the last private use plane); a name that has such characters itself is kept by its bytes, so that `local` always gives
back the name that the file has.
"""

from __future__ import annotations

import re

FIRST = 0x10FE00
"""The character of byte 0; only those of bytes from 0x80 on are used."""

ODD = re.compile(f"[{chr(FIRST + 0x80)}-{chr(FIRST + 0xFF)}]")
"""What stands for a byte."""

_BARE = re.compile("[\udc80-\udcff]")


def stored(path: str) -> str:
    """Return a path as the catalog keeps it; most stay as they are."""
    if path.isascii():
        return path
    path = ODD.sub(lambda found: "".join(chr(FIRST + byte) for byte in found.group().encode()), path)
    return _BARE.sub(lambda found: chr(FIRST + ord(found.group()) - 0xDC00), path)


def local(path: str) -> str:
    """Return a stored path as Python opens it: with bytes that are not UTF-8 as halves of surrogate pairs (PEP 383)."""
    if path.isascii() or ODD.search(path) is None:
        return path
    bare = ODD.sub(lambda found: chr(0xDC00 + ord(found.group()) - FIRST), path)
    return bare.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")

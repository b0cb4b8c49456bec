"""From the words of a command line to the parts of a query: `horse + stripes - "a zoo"`, `2:dog`, `#12`, `pool.jpg`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from shotdex.store.errors import EmptyQuery, OptionError
from shotdex.store.location import user_path
from shotdex.store.queries import Part, PartKind
from shotdex.store.selections import NAME

SIGNS = {"+": 1.0, "-": -1.0, "\u2212": -1.0, "\u2013": -1.0}
"""Words that stand between two parts; word processors make a minus sign or a dash of the hyphen."""

_WEIGHT = re.compile(r"([-+\u2212]?(?:\d+(?:\.\d*)?|\.\d+)):\s*(?=[^\s\d])(.+)", re.DOTALL)
"""A number, a colon and what it counts for. After the colon no digit: `16:9 photo` and `10:30 train` are texts."""

_ID = re.compile(r"#(\d{1,18})")
_SELECTION = re.compile(f"@({NAME})")
_URL = re.compile(r"(https?|s3|gs|file)://\S", re.IGNORECASE)
_IMAGE_FILE = re.compile(r"\.(jpe?g|png|gif|webp|bmp|tiff?|heic|heif|avif|ppm|pgm|ico|jp2)", re.IGNORECASE)


def parse(words: Sequence[str]) -> list[Part]:
    """Return the parts that the words of a command line stand for.

    `+` and `-` as words of their own stand before a part that is added or subtracted. Words between two of them are
    one text. A number with a colon before a part is its weight; `#12` is the indexed image with that id and
    `@name` a saved selection; a URL, and the path of an image, is that image.

    Raises:
        EmptyQuery: nothing follows a sign.
        OptionError: a weight is 0 or too large.
    """
    parts: list[Part] = []
    sign, texts, pending = 1.0, list[str](), ""

    def end_text() -> None:
        if texts:
            weight, text = _weighed(" ".join(texts))
            parts.append(Part(text, PartKind.TEXT, sign * weight))
            texts.clear()

    for word in words:
        if word.strip() in SIGNS:
            if pending:
                raise EmptyQuery(f"there is nothing between {pending} and {word}", "write a part between two signs")
            end_text()
            sign, pending = SIGNS[word.strip()], word.strip()
            continue
        if not word.strip():
            continue
        pending = ""
        if (image := _image(word, sign)) is not None:
            end_text()
            parts.append(image)
        else:
            texts.append(word)
    if pending:
        raise EmptyQuery(
            f"nothing follows the {pending}", f'write a part after it: shotdex search dog {pending} "grass"'
        )
    end_text()
    return parts


def signs_inside(texts: Iterable[str]) -> tuple[str, ...]:
    """Say of texts that look like sums of parts that each is one text, and how to add or subtract instead."""
    notes = []
    for text in texts:
        if found := re.search(r"\S\s+([-+])\s+\S", text):
            words = shlex.join(re.split(r"\s+([-+])\s+", text.strip()))
            verb = "subtract" if found.group(1) == "-" else "add"
            notes.append(f"{text!r} was searched for as one text; to {verb}, leave the sign outside quotes: {words}")
    return tuple(notes)


def _image(word: str, sign: float) -> Part | None:
    """Return the part that a word is if it is not a text: an indexed image, a selection, a URL, or an image's path."""
    weight, bare = _weighed(word)
    weight *= sign
    if found := _ID.fullmatch(bare.strip()):
        return Part(int(found.group(1)), PartKind.LIKE, weight)
    if found := _SELECTION.fullmatch(bare.strip()):
        return Part(found.group(1), PartKind.SELECTION, weight)
    return Part(bare, PartKind.IMAGE, weight) if is_image(bare) else None


def is_image(word: str) -> bool:
    """Tell whether a word names an image: a URL, an image file, or what could only be the path of one."""
    if _URL.match(word):
        return True
    if not _IMAGE_FILE.fullmatch(Path(word).suffix):
        return False
    if not re.search(r"\s", word):  # a file that is not there is an error, not a text
        return True
    try:
        return user_path(word).is_file()
    except (OSError, ValueError, OptionError):
        return False


def _weighed(text: str) -> tuple[float, str]:
    found = _WEIGHT.fullmatch(text)
    if not found:
        return 1.0, text
    return float(found.group(1).replace("\u2212", "-")), found.group(2)

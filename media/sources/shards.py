"""Several tar archives by one name: a pattern such as set-{000000..000012}.tar, or a folder of them."""

from __future__ import annotations

import os
import re
from itertools import islice, product
from math import prod

from shotdex.media.archives.names import TAR_ENDINGS, path_of
from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.errors import OptionError

from .kinds import IDX_ENDINGS

SHARDS_LIMIT = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,12})\.\.(\d{1,12})")


def find_shards(place: str) -> list[str]:
    """Return the archives that a pattern stands for, or that a folder has; none where it is no set of archives.

    A folder counts where it has tar archives, and neither images nor folders nor IDX files beside them.

    Raises:
        OptionError: a pattern stands for too many.
        OSError: the folder cannot be listed.
    """
    if path_of(place).endswith(TAR_ENDINGS) and _BRACES.search(place) and not _is_there(place):
        return expand(place)
    if places.is_url(place) or not places.is_folder(place):
        return []
    found = []
    with os.scandir(place) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if looks_like_image(name) or name.endswith(IDX_ENDINGS) or entry.is_dir():
                return []
            if name.lower().endswith(TAR_ENDINGS) and entry.is_file():
                found.append(entry.path)
    return sorted(found)


def _is_there(place: str) -> bool:
    return not places.is_url(place) and places.is_file(place)


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern with braces stands for, as in a shell: `{00..12}` and `{train,test}`.

    Raises:
        OptionError: there are more than 100,000.
    """
    parts = _BRACES.split(pattern)
    choices = [_choices(part) if i % 2 else [part] for i, part in enumerate(parts)]
    if prod(map(len, choices)) > SHARDS_LIMIT:
        raise OptionError(f"{pattern} stands for more than {SHARDS_LIMIT:,} archives", "check the numbers in braces")
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(text: str) -> list[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        return text.split(",") if "," in text else [f"{{{text}}}"]
    first, last = (int(number) for number in match.groups())
    # Where one begins with a zero, all get as many digits.
    padded = any(len(number) > 1 and number.startswith("0") for number in match.groups())
    width = max(map(len, match.groups())) if padded else 0
    step = 1 if first <= last else -1
    # One more than allowed is enough to be refused, and not a billion of them.
    numbers = islice(range(first, last + step, step), SHARDS_LIMIT + 1)
    return [f"{number:0{width}}" for number in numbers]

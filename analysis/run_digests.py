"""What a run depends on, for its record: digests of the data behind it, and the versions of the packages."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from platform import python_version

import numpy as np
import numpy.typing as npt

from shotdex.store.arrow import to_codes, to_numpy
from shotdex.store.connection import Connection
from shotdex.store.types import Ids

version = cache(metadata.version)

READ, SORTED = 32_768, 16_384
"""Images read at a time, and about how many contents are sorted at a time, of up to 64 times as many."""


def data_digests(con: Connection, ids: Ids) -> tuple[str, str]:
    """Return digests over the contents of some images, and over their contents with their categories.

    The first is over the content hashes, the second over `hash TAB category`, nothing after the tab if it has
    none. An image that is there twice counts twice; paths and ids do not count, so a copy of the data elsewhere has
    the same digests.
    """
    parts, names = _contents(con, np.sort(ids))
    ranks = np.argsort(np.argsort(np.array([name.encode() for name in names], dtype=object), kind="stable"))
    sums = hashlib.sha256(), hashlib.sha256()
    for part in filter(None, parts):
        words, codes = (np.concatenate(pieces) for pieces in zip(*part, strict=True))
        part.clear()
        # No content has a character below a tab in it, so this is the order of either kind of line.
        rows = np.lexsort((ranks[codes], *words.T[::-1]))
        text = words[rows].astype(">u8").tobytes().hex()
        hashes = [text[at : at + 64] for at in range(0, len(text), 64)]
        sums[0].update("".join(f"{one}\n" for one in hashes).encode())
        lines = (f"{one}\t{names[code]}\n" for one, code in zip(hashes, codes[rows].tolist(), strict=True))
        sums[1].update("".join(lines).encode())
    return sums[0].hexdigest(), sums[1].hexdigest()


Contents = list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]]
"""SHA-256 as four numbers (N, 4), a quarter of the room of texts, and the categories' numbers (N,); in pieces."""


def _contents(con: Connection, ids: Ids) -> tuple[list[Contents], list[str]]:
    """Return the contents of images, rising, in parts by their first bits, and the names of the categories.

    Contents are spread evenly, so that a part at a time is all that has to be sorted.
    """
    words = ", ".join(f"('0x' || content_sha256[{at}:{at + 15}])::UBIGINT" for at in (1, 17, 33, 49))
    parts: list[Contents] = [[] for _ in range(max(1, min(64, len(ids) // SORTED)))]
    names: dict[str, int] = {"": 0}
    for start in range(0, len(ids), READ):
        some = ids[start : start + READ]
        with con.holding("digested", {"image_id": some}):
            found = con.table(
                f"SELECT {words}, category FROM stored_images SEMI JOIN digested USING (image_id) "
                "WHERE image_id BETWEEN $low AND $high AND content_sha256 IS NOT NULL",
                {"low": int(some[0]), "high": int(some[-1])},
            )
        contents = np.stack([to_numpy(column) for column in found.columns[:4]], axis=1)
        own, values = to_codes(found.column(4))
        codes = np.array([*(names.setdefault(value, len(names)) for value in values), 0], np.int32)[own]
        of_part = (contents[:, 0] >> np.uint64(58)).astype(np.int16) * len(parts) // 64
        for number, part in enumerate(parts):
            part.append((contents[of_part == number], codes[of_part == number]))
    return parts, list(names)


PACKAGES = ("shotdex", "torch", "transformers", "faiss-cpu", "duckdb", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Return the versions of what a number depends on."""
    found = {"python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found

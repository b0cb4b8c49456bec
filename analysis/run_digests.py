"""What a run depends on, for its record: digests of the data behind it, and the versions of the packages."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from platform import python_version

import pyarrow as pa

from shotdex.store.arrow import joined, to_arrow
from shotdex.store.connection import Connection
from shotdex.store.types import Ids

version = cache(metadata.version)

SORTED = 65_536
"""About how many contents are sorted at a time, of up to sixteen times as many."""


def data_digests(con: Connection, ids: Ids) -> tuple[str, str]:
    """Return digests over the contents of some images, and over their contents with their categories.

    The first is over the content hashes, the second over `hash TAB category`, nothing after the tab if it has
    none. An image that is there twice counts twice; paths and ids do not count, so a copy of the data elsewhere has
    the same digests.
    """
    # No content has a character below a tab in it, so this is the order of either kind of line. Contents are spread
    # evenly, so that a part at a time, by their first digit, is all that has to be sorted.
    parts = max(1, min(16, len(ids) // SORTED))
    bounds = ["", *(f"{16 * part // parts:x}" for part in range(1, parts))]
    query = (
        "SELECT content_sha256 || chr(10), content_sha256 || chr(9) || coalesce(category, '') || chr(10) "
        "FROM stored_images SEMI JOIN digested USING (image_id) WHERE content_sha256 >= $low "
        "AND ($high = '' OR content_sha256 < $high) ORDER BY content_sha256, coalesce(category, '')"
    )
    sums = hashlib.sha256(), hashlib.sha256()
    with con.holding("digested", pa.table({"image_id": to_arrow(ids)})):
        for low, high in zip(bounds, [*bounds[1:], ""], strict=True):
            for part in con.batches(query, {"low": low, "high": high}):
                for summed, column in zip(sums, part.columns, strict=True):
                    summed.update(joined(column))
    return sums[0].hexdigest(), sums[1].hexdigest()


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

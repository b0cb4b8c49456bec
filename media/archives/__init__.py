"""Zip and tar archives, read in place as streams; nothing is ever unpacked to disk. Here: their names."""

from __future__ import annotations

from urllib.parse import urlsplit

from shotdex.media.files import places

ZIP_ENDINGS = (".zip", ".cbz")
TAR_ENDINGS = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".cbt",
)  # fmt: skip


def path_of(place: str) -> str:
    """Return a place's path in lower case, without a URL's query, to look at its ending."""
    try:
        return (urlsplit(place).path if places.is_url(place) else place).lower()
    except ValueError:  # what stands between the slashes is not a host
        return place.lower()

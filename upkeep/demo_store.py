"""The store and the figures of a demo: replaced if an earlier demo made them, and never otherwise."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from shotdex.store.errors import OptionError, SchemaTooNew, StoreCorrupt
from shotdex.store.location import CATALOG, PLACE
from shotdex.store.store import Store

MARKER = "made-by-shotdex-demo"
"""A file in the store that holds the catalog's identity: a copy of it next to another catalog says nothing."""

_FILES = re.compile(rf"{re.escape(CATALOG)}(\.wal)?|catalog\.part(\.wal)?|(indexing|turnstile)\.lock|{PLACE}|{MARKER}")

_FOLDERS = {
    "index": re.compile(
        r"encoder-\d+-[0-9a-f]+(\.\d+)?\.(faiss|cells|validated|part)"
        r"|text-[0-9a-f]+(\.\d+)?\.(safetensors|part)|tower-[0-9a-f]+(\.\d+)?\.(checked|part)"
    ),
    f"{CATALOG}.tmp": re.compile(r"duckdb_temp_.*"),
}
"""The folders that a store can have, and what can be in them."""


def make_store(place: Path, figures: Sequence[Path] = ()) -> Store:
    """Return a new store at `place`, where nothing is or what an earlier demo left, and make room for its figures.

    Raises:
        OptionError: something else is there, or in the place of a figure; nothing was changed.
        StoreLocked: another process is indexing into it, or holds its catalog.
    """
    from shotdex.analysis.figures.saving import check_target

    older = [path for path in figures if _is_file(place / MARKER) and _is_unmarked_figure(path)]
    for path in figures:
        if path.exists() and path not in older:
            check_target(path)
    if place.is_symlink() or place.exists():
        _clear(place)
    for path in older:
        path.unlink(missing_ok=True)
    store = Store.create(place)
    marker = place / MARKER
    marker.unlink(missing_ok=True)
    with marker.open("x", encoding="ascii") as file:
        file.write(store.identity + "\n")
    return store


def _is_unmarked_figure(path: Path) -> bool:
    """Tell whether a file is a PNG file of matplotlib's, as demos drew them before figures were marked."""
    if not _is_file(path):
        return False
    with path.open("rb") as file:
        head = file.read(1024)
    return head.startswith(b"\x89PNG") and b"Matplotlib version" in head


def _clear(place: Path) -> None:
    """Take away what a demo made, file by file: what was not looked at stays. The lock and the marker stay, too."""
    if place.is_symlink():
        raise _failed(place, "is a link")
    if not place.is_dir() or not _is_file(place / MARKER):
        raise _failed(place, "was not made by a demo")
    list(_files(place))  # before anything is opened
    with Store(place).indexing():
        _check_marker(place)
        for path in list(_files(place)):
            if path.name not in (MARKER, "indexing.lock", "turnstile.lock"):
                path.unlink()


def _files(place: Path) -> Iterator[Path]:
    """Yield the files of a store; raise an error if anything else lies next to them."""
    for path in sorted(place.iterdir()):
        within = _FOLDERS.get(path.name)
        if within is not None and stat.S_ISDIR(path.lstat().st_mode):
            for inner in sorted(path.iterdir()):
                yield _known(place, inner, within)
        else:
            yield _known(place, path, _FILES)


def _known(place: Path, path: Path, names: re.Pattern[str]) -> Path:
    if not names.fullmatch(path.name) or not _is_file(path):
        raise _failed(place, f"holds {path.relative_to(place)}, which no demo made")
    return path


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _check_marker(place: Path) -> None:
    if not (place / CATALOG).exists():  # a demo was killed while it replaced this
        return
    marked = (place / MARKER).read_text(encoding="ascii", errors="replace").strip()
    try:
        found = Store.at(place).identity
    except (StoreCorrupt, SchemaTooNew) as error:
        raise _failed(place, f"cannot be recognised as a demo's store ({error})") from error
    if marked != found:
        raise _failed(place, f"has another catalog than the demo made ({MARKER} names another)")


def _failed(place: Path, why: str) -> OptionError:
    return OptionError(
        f"{place} {why}, so it was not changed", "choose another folder: --out DIR; or remove it yourself"
    )

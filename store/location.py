"""Where the store is: named, in the environment, or the nearest one upward, as git finds its repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .errors import OptionError, StoreNotFound

FOLDER = ".shotdex"
VARIABLE = "SHOTDEX_STORE"
CATALOG = "catalog.duckdb"

PLACE = "place"
"""The file in a store that holds the absolute path of the store's folder."""


def user_path(text: str | os.PathLike[str]) -> Path:
    """Return a path that a user wrote: `~` at its beginning is the home folder, also where no shell expanded it.

    A file whose name begins with `~` is written as `./~name`.

    Raises:
        OptionError: there is no such home folder.
    """
    written = os.fspath(text)
    path = Path(written)
    if not written.startswith("~"):
        return Path.cwd() / path if str(path).startswith("~") else path
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise OptionError(
            f"there is no home folder for {path.parts[0]}", f"write ./{written} for a file of that name"
        ) from error


def recorded_place(root: Path) -> str | None:
    """Return where a store was when the paths in its catalog were right, or None if that is not known."""
    path = root / PLACE
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape") if not path.is_symlink() else None
    except OSError:
        return None


def named_store(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the store that the user named by option or environment variable, or None."""
    if explicit is not None:
        return explicit
    return user_path(environ[VARIABLE]) if environ.get(VARIABLE) else None


def nearest_store(start: Path) -> Path | None:
    """Return the nearest `.shotdex` with a catalog in `start` or a folder above it, or None."""
    for folder in (start, *start.parents):
        if (folder / FOLDER / CATALOG).is_file():
            return folder / FOLDER
    return None


def find_store(explicit: Path | None, environ: Mapping[str, str], start: Path) -> Path:
    """Return the folder of an existing store.

    Raises:
        StoreNotFound: there is none; the message says where was looked.
    """
    named = named_store(explicit, environ)
    found = named if named is not None else nearest_store(start)
    if found is None:
        raise StoreNotFound(
            f"there is no store in {start} or above it",
            "make one with: shotdex index FOLDER   (or choose one: --store DIR)",
        )
    if not (found / CATALOG).is_file():
        raise StoreNotFound(f"there is no store at {found}", f"make one with: shotdex index FOLDER --store {found}")
    return found


def store_to_write(explicit: Path | None, environ: Mapping[str, str], start: Path) -> Path:
    """Return the folder to write to: the named one, else the nearest existing one, else `.shotdex` in `start`."""
    return named_store(explicit, environ) or nearest_store(start) or start / FOLDER

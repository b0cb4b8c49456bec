"""Copies of images in a folder: from files, archives, URLs, IDX files and manifests alike."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile

from shotdex.media.decoding.formats import extensions, is_heif
from shotdex.media.sources import read_bytes
from shotdex.media.sources.address import split
from shotdex.store.errors import OptionError, StoreError
from shotdex.store.file_names import ODD, local

CHARACTERS = 100
"""How long a copy's name may be, its rank and extension included."""

BYTES = 240
"""The same in UTF-8: file systems allow 255, and a number may be appended."""

_MARKS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"P5", ".pgm"),
    (b"P6", ".ppm"),
    (b"\0\0\0\x0cjP  ", ".jp2"),
)
_WITHIN = ((b"WEBP", ".webp"), (b"avif", ".avif"), (b"avis", ".avif"))
"""What stands at byte 8 of a file."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied where; `failed` are the addresses that could not be read, each with the reason."""

    folder: Path
    paths: tuple[Path, ...]
    failed: tuple[tuple[str, str], ...]


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be one, before any work is done for it.

    Raises:
        OptionError: there is a file of that name.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is not a folder", "choose another: --copy-to DIR")


CHANGED = "changed since it was indexed"


def has_changed(data: bytes, sha256: str | None) -> bool:
    """Tell whether an image's file is another than the one that was indexed with this hash; None: not known."""
    return sha256 is not None and hashlib.sha256(data).hexdigest() != sha256


def copy_images(found: Sequence[str], folder: Path, contents: Mapping[str, str] | None = None) -> Copied:
    """Copy the images at some addresses into a folder, as `01_name.jpg` in their order; nothing is overwritten.

    `contents` are the SHA-256 that some of them were indexed with: an image with another content is not copied.

    Raises:
        OptionError: there is a file of the folder's name.
        StoreError: the folder cannot be written to, as where the disk is full. What is there then is whole.
    """
    check_folder(folder)
    paths: list[Path] = []
    failed: list[tuple[str, str]] = []
    digits = max(2, len(str(len(found))))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rank, address in enumerate(found, start=1):
            try:
                data = read_bytes(address)
            except Exception as error:  # whatever is wrong with one image, the others are copied
                failed.append((address, described(error)))
                continue
            if has_changed(data, (contents or {}).get(address)):
                failed.append((address, CHANGED))
                continue
            paths.append(_save(data, folder, f"{rank:0{digits}}_", safe_name(address, data)))
    except OSError as error:
        raise StoreError(
            f"cannot copy to {folder}: {error.strerror or error}; {len(paths):,} of {len(found):,} images are there",
            "make room there, or choose another folder: --copy-to DIR",
        ) from error
    return Copied(folder, tuple(paths), tuple(failed))


def described(error: Exception) -> str:
    """Return why an image cannot be read, without its path, which the reader has already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return f"{type(error).__name__}: {error}"


def _not_as_indexed(address: str, content: str | None) -> str | None:
    """Return why a file is not known to be the one with this content, if a content is known at all."""
    if content is None:
        return None
    try:
        return CHANGED if has_changed(read_bytes(address), content) else None
    except Exception as error:  # whatever is wrong with one image, the others are linked
        return described(error)


def link_images(found: Sequence[str], folder: Path, contents: Mapping[str, str] | None = None) -> Copied:
    """Make symbolic links to the files at some addresses in a folder, named as `copy_images` names copies.

    Images inside archives and on the web are not files, so they get no link; nor do those that changed (`contents`).

    Raises:
        OptionError: there is a file of the folder's name.
        StoreError: the folder cannot be written to, or this system has no such links.
    """
    check_folder(folder)
    paths: list[Path] = []
    failed: list[tuple[str, str]] = []
    digits = max(2, len(str(len(found))))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rank, address in enumerate(found, start=1):
            if not Path(local(address)).is_file():
                failed.append((address, "not a file here; --copy-to also copies out of archives and from the web"))
                continue
            if (reason := _not_as_indexed(address, (contents or {}).get(address))) is not None:
                failed.append((address, reason))
                continue
            target = _free(folder, f"{rank:0{digits}}_", safe_name(address, b""))
            aside = target.with_name(f".linking-{os.getpid()}-{rank}")
            try:
                aside.symlink_to(Path(local(address)).absolute())
                aside.replace(target)
            except BaseException:
                aside.unlink(missing_ok=True)
                target.unlink(missing_ok=True)
                raise
            paths.append(target)
    except (OSError, NotImplementedError) as error:
        raise StoreError(
            f"cannot make links in {folder}: {getattr(error, 'strerror', None) or error}",
            "choose another folder, or copy the images: --copy-to DIR",
        ) from error
    return Copied(folder, tuple(paths), tuple(failed))


def _save(data: bytes, folder: Path, rank: str, name: str) -> Path:
    """Write aside, then take a name that is free."""
    with NamedTemporaryFile(dir=folder, prefix=".copying-", delete=False) as file:
        aside = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            aside.unlink(missing_ok=True)
            raise
    target = None
    try:
        target = _free(folder, rank, name)
        aside.chmod(target.stat().st_mode)  # as files are made here, where temporary ones are for their owner alone
        return aside.replace(target)
    except BaseException:
        if target is not None:
            target.unlink(missing_ok=True)
        raise
    finally:
        aside.unlink(missing_ok=True)


def _free(folder: Path, rank: str, name: str) -> Path:
    """Make an empty file under a name that no file has, a link neither, and return its path."""
    stem, extension = Path(name).stem, Path(name).suffix
    for number in count(1):
        more = f"_{number}" if number > 1 else ""
        target = folder / (_short(rank + stem, len(extension) + len(more)) + more + extension)
        try:
            target.open("xb").close()
        except FileExistsError:
            continue
        return target
    raise AssertionError("never reached")


def _short(text: str, beside: int) -> str:
    text = text[: CHARACTERS - beside]
    while len(text.encode()) > BYTES - beside:
        text = text[:-1]
    return text


def safe_name(address: str, data: bytes) -> str:
    """Return a file name for the image at an address: its own without what no file name should hold.

    Its extension stays where it is one of an image's; else it is found from the content.
    """
    place, member = split(address)
    name = _last_part(place if member is None else member)
    if member is not None and _extension(name) is None:  # a row's or a position's number says little by itself
        name = f"{_last_part(place)}_{name}"
    extension = _extension(name)
    stem = name[: -len(extension)] if extension is not None else name
    return (_safe(stem) or "image") + (extension if extension is not None else _found_extension(data))


def _last_part(path: str) -> str:
    bare = path.partition("?")[0].partition("#")[0] if "://" in path else path
    return re.split(r"[/\\]", bare.rstrip("/\\"))[-1]


def _extension(name: str) -> str | None:
    extension = Path(name).suffix
    return extension if extension.lower() in extensions() else None


def _safe(stem: str) -> str:
    stem = ODD.sub("_", stem)
    kept = "".join(char for char in stem if unicodedata.category(char)[0] != "C" and char not in "\u2028\u2029")
    # The rank before it makes even the names that Windows keeps for itself, such as con, harmless.
    return re.sub(r'[<>:"/\\|?*]', "_", kept).strip(". ")


def _found_extension(data: bytes) -> str:
    if is_heif(data):
        return ".heic"
    marks = [extension for mark, extension in _MARKS if data.startswith(mark)]
    within = [extension for mark, extension in _WITHIN if data[8:12] == mark]
    return (marks + within + [""])[0]

"""From an image's name in a list to where the image is.

A name is a path, a URL, or an archive's member (`set.zip!a/b.jpg`). For a URL no request is made: its size and time are
0, so its address alone decides whether it is known.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shotdex.media.files.places import as_spelled
from shotdex.media.files.urls import checked, is_url, path_of, scheme_of
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.file_names import local
from shotdex.store.types import Failure, Reason

from . import facts
from .address import SEPARATOR, join, split
from .base import Candidate

NAME_LIMIT = 16 * 1024
"""Characters that a name may have; signed URLs have some thousand."""

_MOST_SEPARATORS = 64  # each place where a name may be cut costs a look at the disk

_ON_THIS_MACHINE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


def locate(name: str, base: str) -> Candidate | Failure:
    """Return the image that a name means, or why there is none.

    Args:
        name: a path, a URL or an address of an archive's member.
        base: the absolute path or the URL of the folder that relative names start from.
    """
    if len(name) > NAME_LIMIT:
        return name_failure(f"{name[:100]}...", f"the name has more than {NAME_LIMIT:,} characters")
    scheme, remote = scheme_of(name), is_url(base)
    if remote and (_ON_THIS_MACHINE.match(name) or scheme == "file"):
        return name_failure(name, "a remote list cannot name files of this machine")
    if scheme == "file":
        return _file_url(name, base)
    if scheme:
        return _url(name)
    return _url(_joined(base, name)) if remote else _local(name, base)


def name_failure(path: str, detail: str, reason: Reason = Reason.UNREADABLE) -> Failure:
    """Return the failure of an image in the scan."""
    return Failure(path.encode("utf-8", "backslashreplace").decode(), "scan", reason, detail)


def plain_path(name: str) -> str:
    """Return a path as layouts speak of it: from its first folder on, `.` and `..` resolved where they can be."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _url(written: str) -> Candidate | Failure:
    try:
        url = checked(written)
    except SourceError as error:
        return name_failure(written, str(error), Reason.UNREADABLE if is_url(written) else Reason.UNSUPPORTED)
    member = split(url)[1] if _may_have_member(url) else None
    return Candidate(url, plain_path(member or path_of(url)), 0, 0)


def _may_have_member(name: str) -> bool:
    return 0 < name.count(SEPARATOR) <= _MOST_SEPARATORS


def _joined(base: str, name: str) -> str:
    """Join as URLs do, except that `?` and `#` stay what they are; never above the host or bucket."""
    scheme, _, rest = base.partition("://")
    host, _, folder = rest.partition("/")
    return f"{scheme}://{host}/{plain_path(f'{folder}/{name}')}"


def _file_url(url: str, base: str) -> Candidate | Failure:
    try:
        parts = urlsplit(url)
        path = url2pathname(parts.path)
    except (ValueError, OSError) as error:
        return name_failure(url, f"not a valid URL: {error}")
    if parts.netloc not in ("", "localhost"):
        return name_failure(url, "it names another machine")
    return _local(path, base)


def _local(name: str, base: str) -> Candidate | Failure:
    """Look for a name as it is written, then without spaces around it, then with `/` for the `\\` of Windows, then with
    accents as one character each or as two: some file systems tell these apart, and programs that write lists convert.
    """
    on_disk = str(as_spelled(str(_absolute(name, base))))
    composed = (normalize(form, name) for form in ("NFC", "NFD"))  # of archives' members, too
    spellings = (name, name.strip(), name.replace("\\", "/"), *composed, *([on_disk] if not name.isascii() else []))
    for spelled in dict.fromkeys(spellings):
        found = next(_looked_up(spelled, base), None)
        if found is not None:
            return found
    return name_failure(str(_absolute(name, base)), "no such file")


def _looked_up(name: str, base: str) -> Iterator[Candidate | Failure]:
    address = str(_absolute(name, base))
    try:
        found = Path(local(address)).stat()
    except (FileNotFoundError, NotADirectoryError):
        if _may_have_member(name):
            yield from _member(address)
    except OSError as error:
        if _may_have_member(name):  # too long for one name, perhaps, but not for an archive's and its member's
            yield from _member(address)
        yield name_failure(address, error.strerror or str(error))
    except ValueError:
        yield name_failure(address, "no file can have such a name")
    else:
        if stat.S_ISDIR(found.st_mode):
            yield name_failure(address, "a folder, not an image; index the folder itself")
        elif not stat.S_ISREG(found.st_mode):
            yield name_failure(address, "not a file but a pipe, a socket or a device")
        else:
            yield Candidate(address, _relative(name, base), found.st_size, found.st_mtime_ns)


def _member(address: str) -> Iterator[Candidate | Failure]:
    place, member = split(address)
    if not member:
        return
    try:
        known = facts(address)
        when = Path(local(place)).stat().st_mtime_ns if known is None else known.modified_ns
    except OSError:  # it has the name of an archive, but there is none
        return
    except Exception as error:  # broken archives raise a dozen types
        yield name_failure(
            address, str(error) if isinstance(error, ContainerFailure) else "the archive has no such member"
        )
        return
    yield Candidate(join(place, member), plain_path(member), 0 if known is None else known.size_bytes, when)


def _absolute(name: str, base: str) -> Path:
    path = Path(base, name)
    if ".." not in path.parts:
        return path
    try:
        return path.parent.resolve() / path.name
    except (OSError, ValueError, RuntimeError):  # names that no file can have, and links that go round
        return path


def _relative(name: str, base: str) -> str:
    within = name.replace(os.sep, "/")
    return plain_path(within.removeprefix(f"{base}/"))

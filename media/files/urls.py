"""What a URL may be, how it is shown, and what it is called. Nothing here opens one.

A URL with a name or password before its host is refused: the catalog would keep it in plain text, and every scheme has
a better place (`~/.netrc`, the AWS and Google settings). A signature in the query is kept, since nothing else opens the
address; messages show it as `***`. Who may read the catalog may read it there.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from shotdex.store.errors import SourceError

SCHEMES = ("http", "https", "s3", "gs", "memory")
"""`memory` is fsspec's own, for tests; it is empty in a process that just began."""

WEB = ("http", "https")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_USER = re.compile(r"(?<=://)[^/?#]*@")
_SECRET = re.compile(r"sig|token|key|secret|pass|credential|auth|policy|session|jwt|code", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONG = 32


def scheme_of(place: str) -> str:
    """Return the scheme in lower case, of whatever kind, or an empty string for a path."""
    found = _SCHEME.match(place)
    return found[1].lower() if found else ""


def is_url(place: str) -> bool:
    """Tell whether a place is a URL of a kind that can be read."""
    return scheme_of(place) in SCHEMES


def checked(url: str) -> str:
    """Return a URL that may be opened, with its scheme in lower case and else as it is.

    Raises:
        SourceError: another scheme, no host, a password, or several URLs chained by `::`.
    """
    scheme = scheme_of(url)
    if scheme not in SCHEMES:
        raise SourceError(
            f"{shown(url)} has a scheme that is not supported", "pass an http, https, s3 or gs URL, or a path"
        )
    rest = url[len(scheme) + 3 :]
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, userinfo = parts.hostname, "@" in parts.netloc
    except ValueError as error:
        raise SourceError(f"{shown(url)} is not a valid URL: {error}", "check its spelling") from error
    if userinfo:
        better = "~/.netrc" if scheme in WEB else "the settings of your AWS or Google account"
        raise SourceError(
            f"{shown(url)} has a name or password in it", f"put it in {better} and remove it from the URL"
        )
    if (host is None and scheme != "memory") or _CONTROL.search(url):
        raise SourceError(f"{shown(url)!r} is not a valid URL", "check its spelling")
    # fsspec's chains (`zip://x::https://y`) would reach other schemes; `http://[::1]/` is only a host.
    if "::" in rest[len(parts.netloc) :]:
        raise SourceError(f"{shown(url)} has :: in it, which chains URLs", "pass one plain URL")
    return f"{scheme}://{rest}"


def missing(scheme: str, error: ImportError) -> SourceError:
    """Return the error for a library that opens such URLs and is not installed."""
    hint = 'pip install "shotdex[remote]"'
    return SourceError(f"reading {scheme} URLs needs {error.name or 'a library'}, which is not installed", hint)


def shown(place: str) -> str:
    """Return a place as messages may show it: `***` for a user's name and password, and for secrets in the query."""
    if not _SCHEME.match(place):
        return place
    start, mark, query = _USER.sub("***@", place, count=1).partition("?")
    return start + mark + "&".join(map(_masked, query.split("&"))) if mark else start


def _masked(parameter: str) -> str:
    name, mark, value = parameter.partition("=")
    return f"{name}=***" if mark and (_SECRET.search(name) or len(value) >= _LONG) else parameter


def path_of(url: str) -> str:
    """Return the part after the host, unquoted for http and https, as it is for others; it begins with `/`."""
    if scheme_of(url) in WEB:
        return unquote(urlsplit(url).path) or "/"
    rest = url.partition("://")[2]
    return "/" + rest if scheme_of(url) == "memory" else "/" + rest.partition("/")[2]


def name_of(url: str) -> str:
    """Return the last part of a URL's path, as a file is called."""
    return path_of(url).rstrip("/").rpartition("/")[2]


def relative_to(url: str, folder: str) -> str:
    """Return the path of `url` within `folder`, which it is below, unquoted."""
    return path_of(url)[len(path_of(folder).rstrip("/")) :].lstrip("/")

"""Files in S3 and Google Cloud Storage, through fsspec (s3fs, gcsfs), and in fsspec's memory, for tests.

Requests carry the user's own credentials, as the AWS and Google tools find them. Without any, S3 is read anonymously,
which is enough for public buckets; gcsfs does the same by itself. Where credentials are refused, nothing is tried
without them: the error is what the user has to know.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any, BinaryIO, TypeVar, cast

from shotdex.store.types import WEB_SECONDS

from .places import Facts, Listed, NotListed, TooManyBytes, number_of
from .urls import missing, scheme_of, shown

BLOCK = 4 << 20
KEPT = 8
"""Bytes of one request when reading in parts, and how many such parts are kept."""

_T = TypeVar("_T")


@cache
def _filesystem(scheme: str, named: bool) -> Any:
    import fsspec

    settings: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        limits = {"connect_timeout": WEB_SECONDS, "read_timeout": WEB_SECONDS, "retries": {"max_attempts": 2}}
        settings |= {"anon": not named, "config_kwargs": limits}
    if scheme == "gs":  # warns at each request that it has no credentials, which public buckets do without
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    try:
        return fsspec.filesystem(scheme, **settings)
    except ImportError as error:
        raise missing(scheme, ImportError(name={"s3": "s3fs", "gs": "gcsfs"}.get(scheme))) from error


def _ask(url: str, work: Callable[[Any], _T]) -> _T:
    """Do something with the file system of a URL; whatever it raises becomes an OSError."""
    scheme = scheme_of(url)
    try:
        try:
            return work(_filesystem(scheme, True))
        except Exception as error:
            if scheme != "s3" or type(error).__name__ != "NoCredentialsError":
                raise
        return work(_filesystem(scheme, False))
    except FileNotFoundError:
        raise FileNotFoundError(f"{shown(url)} is not there") from None
    except PermissionError as error:
        raise PermissionError(f"{shown(url)} may not be read: {error}") from error
    except OSError as error:
        raise OSError(f"{shown(url)} cannot be read: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("shotdex."):
            raise
        raise OSError(f"{shown(url)} cannot be read: {type(error).__name__}: {error}") from error


def facts(url: str) -> Facts:
    """Return size and time of a file."""
    info = _ask(url, lambda files: files.info(_path(url)))
    if info.get("type") == "directory":
        raise IsADirectoryError(f"{shown(url)} is a folder")
    return _facts(info)


def _facts(info: dict[str, Any]) -> Facts:
    # By their names in S3, Google's JSON, gcsfs and fsspec's memory.
    for name in ("LastModified", "updated", "mtime", "created"):
        found = info.get(name)
        if isinstance(found, str):
            found = datetime.fromisoformat(found)
        if isinstance(found, datetime):
            return Facts(int(info["size"]), int(found.timestamp() * 1_000_000) * 1000)
    return Facts(int(info["size"]), number_of(str(info.get("ETag") or info.get("etag") or "")))


def is_folder(url: str) -> bool:
    """Tell whether anything is below a URL."""
    return bool(_ask(url, lambda files: files.isdir(_path(url).rstrip("/"))))


def open_binary(url: str) -> BinaryIO:
    """Open a file; it can seek, and keeps at most 32 MiB in memory."""
    if scheme_of(url) == "memory":  # fsspec hands out one object, with one position, to all who open it
        return io.BytesIO(_ask(url, lambda files: bytes(files.cat_file(_path(url)))))
    settings = {"block_size": BLOCK, "cache_type": "blockcache", "cache_options": {"maxblocks": KEPT}}
    return cast(BinaryIO, _ask(url, lambda files: files.open(_path(url), "rb", **settings)))


def read_all(url: str, limit: int) -> bytes:
    """Return a file in one request.

    Raises:
        TooManyBytes: it is more than `limit` bytes.
    """
    data = _ask(url, lambda files: _start_of(files, _path(url), limit + 1))
    if len(data) > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return data


def _start_of(files: Any, path: str, most: int) -> bytes:
    try:
        return bytes(files.cat_file(path, start=0, end=most))
    except FileNotFoundError:
        raise
    except Exception:
        if files.info(path).get("size") == 0:  # no range lies within an empty object
            return b""
        raise


def walk(url: str) -> Iterator[Listed | NotListed]:
    """Find every file below a URL. S3 and Google list by name, a thousand at a time.

    Raises:
        OSError: the listing cannot be read.
    """
    pages = {"s3": _s3_pages, "gs": _gs_pages, "memory": _memory_pages}[scheme_of(url)]
    bucket, _, prefix = _path(url).partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    mark: str | None = ""
    found_any = False
    while mark is not None:
        try:
            infos, mark = _ask(url, lambda files, mark=mark: pages(files, bucket, prefix, mark))  # type: ignore[misc]
        except OSError as error:
            if not found_any:
                raise
            yield NotListed(url, str(error))
            return
        found_any = True
        for key, info in infos:
            if not key.endswith("/"):
                yield Listed(f"{scheme_of(url)}://{bucket}/{key}", _facts(info))


def unfinished_uploads(url: str) -> list[tuple[str, str, datetime]]:
    """Return the uploads below an S3 URL that were begun and not finished: key, id and time of each."""
    bucket, _, prefix = _path(url).partition("/")
    found: list[tuple[str, str, datetime]] = []
    more: dict[str, str] = {}
    while True:
        where = {"Bucket": bucket, "Prefix": prefix, **more}
        page = _ask(url, lambda files, where=where: files.call_s3("list_multipart_uploads", **where))  # type: ignore[misc]
        found += [(one["Key"], one["UploadId"], one["Initiated"]) for one in page.get("Uploads", [])]
        if not page.get("IsTruncated"):
            return found
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def abort_upload(url: str, upload: str) -> None:
    """Delete what was sent of an upload that was not finished; nothing happens where it is gone."""
    bucket, _, key = _path(url).partition("/")
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    with suppress(FileNotFoundError):
        _ask(url, lambda files: files.call_s3("abort_multipart_upload", **where))


def _path(url: str) -> str:
    return url.partition("://")[2].lstrip("/")


Page = tuple[list[tuple[str, dict[str, Any]]], str | None]


def _s3_pages(files: Any, bucket: str, prefix: str, mark: str) -> Page:
    more = {"ContinuationToken": mark} if mark else {}
    page = files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
    infos = [(info["Key"], {**info, "size": info["Size"]}) for info in page.get("Contents", [])]
    return infos, page.get("NextContinuationToken") if page.get("IsTruncated") else None


def _gs_pages(files: Any, bucket: str, prefix: str, mark: str) -> Page:
    more = {"pageToken": mark} if mark else {}
    page = files.call("GET", "b/{}/o", bucket, prefix=prefix, json_out=True, **more)
    return [(info["name"], info) for info in page.get("items", [])], page.get("nextPageToken")


def _memory_pages(files: Any, bucket: str, prefix: str, mark: str) -> Page:
    paths = files.find(f"/{bucket}/{prefix}")
    return [(path.removeprefix(f"/{bucket}/"), files.info(path)) for path in sorted(paths)], None

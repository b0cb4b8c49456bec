"""Files of S3 and Google Cloud Storage, and of this machine, through `pyarrow.fs`.

Credentials are the user's own, as the AWS and Google tools find them; an S3 server of one's own is named by the
environment variable `AWS_ENDPOINT_URL`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any

GOOGLE_SECONDS = 30.0
"""Seconds for which a request to Google Cloud Storage is repeated."""


def in_bucket(place: str) -> bool:
    """Tell whether a place is the URL of a prefix, not the absolute path of a folder."""
    return "://" in place


def file_system(place: str) -> tuple[Any, str]:
    """Return the file system of a URL or an absolute path, and the path in it.

    Raises:
        OSError: that of a bucket cannot be found out.
    """
    from pyarrow import fs

    scheme, _, path = place.partition("://")
    if not in_bucket(place):
        return fs.LocalFileSystem(), place
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return _of_bucket(scheme, path.partition("/")[0], server, region), path


@lru_cache(maxsize=16)
def _of_bucket(scheme: str, bucket: str, server: str, region: str) -> Any:
    from pyarrow import fs

    if server and scheme == "s3":  # which botocore reads by itself, and pyarrow does not
        protocol, _, host = server.rpartition("://")
        return fs.S3FileSystem(endpoint_override=host.rstrip("/"), scheme=protocol or "https", region=region)
    if scheme == "gs":
        # Google's library tries for a quarter of an hour unless it is limited, without credentials too.
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=GOOGLE_SECONDS))
    return fs.FileSystem.from_uri(f"{scheme}://{bucket}")[0]

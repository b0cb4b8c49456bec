"""The options of a server, and what one request may cost."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from socket import gethostname

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve a store. `allow_hosts` are further names under which a browser may reach the server.

    On another `host` than this computer itself every request needs the `token`. With `read_only` no run can be saved.
    `fetch_remote` lets it show images that are at http and s3 addresses. `root_path` is what a proxy puts before every
    path. `body_bytes` and `upload_bytes` limit what a request sends, `body_seconds` how long that may take; `requests`
    and `uploads` are how many are answered at a time.
    """

    host: str = "127.0.0.1"
    allow_hosts: tuple[str, ...] = ()
    read_only: bool = False
    fetch_remote: bool = False
    root_path: str = ""
    token: str = field(default_factory=_token)
    body_bytes: int = 256 * 1024
    upload_bytes: int = 20 * 1024 * 1024
    body_seconds: float = 10.0
    requests: int = 64
    uploads: int = 8

    @property
    def needs_token(self) -> bool:
        """Whether others than this computer can reach the server."""
        return self.host not in LOOPBACK

    @property
    def everywhere(self) -> bool:
        """Whether the server listens at all addresses of this computer; then it answers to each of them."""
        return self.host in ("", "0.0.0.0", "::")

    @property
    def names(self) -> frozenset[str]:
        """The host names that requests may be for."""
        own = (gethostname(),) if self.everywhere else (self.host,)
        return frozenset(name.lower().strip("[]") for name in (*LOOPBACK, *own, *self.allow_hosts))

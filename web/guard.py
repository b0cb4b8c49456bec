"""Who may ask, and how much: what every request passes before the app sees it. Plain ASGI, without a framework.

Any page that a browser shows can send requests to a server on the same computer, and, with a name that it lets resolve
to 127.0.0.1, read the answers (DNS rebinding). So the name in Host must be one of ours, and a browser must say that the
request comes from this page itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .options import ServeOptions
from .problems import MEDIA_TYPE, Problem, problem_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "shotdex-token"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""On every answer."""

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?")
_BODIES = ("application/json", "multipart/form-data", "application/vnd.apache.arrow.stream")


class Guard:
    """Refuses what is not for this server, not from its own page, or too much; adds the headers of safety."""

    def __init__(self, app: App, options: ServeOptions) -> None:
        self._app = app
        self._options = options
        self._running = self._uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        request = _Request(scope, self._options.root_path)
        send = _with_headers(send, request)
        try:
            if (link := self._check(request)) is not None:
                return await _redirect(send, link, self._options.token)
            await self._answer(request, receive, send)
        except Problem as problem:
            await _refuse(send, problem)
        return None

    def _check(self, request: _Request) -> str | None:
        """Return where to go if the request is the link with the token in it.

        Raises:
            Problem: it may not be answered.
        """
        if request.method not in ("GET", "HEAD", "POST"):
            raise Problem(405, f"{request.method} is not allowed", "", {"Allow": "GET, HEAD, POST"})
        if not request.path.startswith("/"):
            raise Problem(400, "the request line must contain a path")
        _check_host(request, self._options)
        _check_origin(request)
        if request.method == "POST":
            _check_body_type(request)
        return self._check_token(request) if self._options.needs_token else None

    def _check_token(self, request: _Request) -> str | None:
        token = self._options.token.encode()
        given = request.header("authorization").removeprefix("Bearer ") or request.cookie(COOKIE)
        if given and compare_digest(given.encode(), token):
            return None
        query = dict(parse_qsl(request.query))
        linked = query.pop("token", "")
        if linked and request.method == "GET" and compare_digest(linked.encode(), token):
            return f"{request.path}{'?' if query else ''}{urlencode(query)}"
        raise Problem(401, "this server needs its token", "open the link that shotdex serve printed")

    async def _answer(self, request: _Request, receive: Receive, send: Send) -> None:
        upload = request.method == "POST" and not request.header("content-type").startswith("application/json")
        if self._running >= self._options.requests or (upload and self._uploading >= self._options.uploads):
            raise Problem(503, "too many requests at a time", "try again in a second", {"Retry-After": "1"})
        self._running += 1
        self._uploading += upload
        try:
            if request.method == "POST":
                receive = await self._whole_body(request, receive, upload)
            await self._app(request.as_get(), receive, send)
        finally:
            self._running -= 1
            self._uploading -= upload

    async def _whole_body(self, request: _Request, receive: Receive, upload: bool) -> Receive:
        """Read the body of a request, so that no slow or endless one reaches the app."""
        most = self._options.upload_bytes if upload else self._options.body_bytes
        if request.header("content-length").isdigit() and int(request.header("content-length")) > most:
            raise Problem(413, f"the request has more than {most:,} bytes")
        try:
            async with asyncio.timeout(self._options.body_seconds):
                body = await _read(receive, most)
        except TimeoutError:
            raise Problem(408, f"the request took longer than {self._options.body_seconds:g} s to arrive") from None
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay


class _Request:
    """What the guard reads of a request."""

    def __init__(self, scope: Scope, root_path: str = "") -> None:
        self.scope = scope
        self.method = str(scope["method"])
        self.path = str(scope["path"])
        inside = root_path and self.path.startswith(f"{root_path}/")  # a proxy may take it away or leave it
        self._address = self.path.removeprefix(root_path) if inside else self.path
        self._root_path = root_path
        self.query = bytes(scope.get("query_string", b"")).decode("latin-1")

    def headers(self, name: str) -> list[str]:
        return [
            value.decode("latin-1") for key, value in self.scope["headers"] if key.decode("latin-1").lower() == name
        ]

    def header(self, name: str) -> str:
        return next(iter(self.headers(name)), "")

    def cookie(self, name: str) -> str:
        try:
            found = SimpleCookie(self.header("cookie")).get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value

    @property
    def is_api(self) -> bool:
        return self._address == "/api" or self._address.startswith("/api/")

    def as_get(self) -> Scope:
        """Return the scope for the app: a HEAD is answered as a GET whose body is left away."""
        method = "GET" if self.method == "HEAD" else self.method
        path = f"{self._root_path}{self._address}"
        return {**self.scope, "method": method, "path": path, "root_path": self._root_path}


def _check_host(request: _Request, options: ServeOptions) -> None:
    hosts = request.headers("host")
    if len(hosts) > 1:
        raise Problem(400, "the request has two Host headers")
    found = _HOST.fullmatch(hosts[0].lower()) if hosts else None
    # The port is not compared: tunnels of SSH and editors change it.
    name = "" if found is None else found.group(1).strip("[]")
    if name not in options.names and not (options.everywhere and _is_address(name)):
        raise Problem(421, "this server does not accept that host name", "allow it: shotdex serve --allow-host NAME")


def _is_address(name: str) -> bool:
    """Tell whether a host is an address and not a name, which alone could be made to lead here (DNS rebinding)."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _check_origin(request: _Request) -> None:
    site = request.header("sec-fetch-site")
    if site not in ("", "same-origin", "none"):
        navigates = request.method in ("GET", "HEAD") and request.header("sec-fetch-mode") == "navigate"
        if not navigates or request.is_api or request.header("sec-fetch-dest") not in ("", "document"):
            raise Problem(403, "the request comes from another page")
    origins = request.headers("origin")
    own = request.header("host").lower()
    if any(origin.lower() not in (f"http://{own}", f"https://{own}") for origin in origins):
        raise Problem(403, "the request comes from another origin")


def _check_body_type(request: _Request) -> None:
    kind = request.header("content-type").split(";")[0].strip().lower()
    if kind not in _BODIES:
        raise Problem(415, f"the body must be one of: {', '.join(_BODIES)}")
    # No form can send a header of its own, so no other page can send one of these without asking the server first.
    if kind != "application/json" and request.header("x-shotdex") != "1":
        raise Problem(403, "an upload needs the header X-Shotdex: 1")


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the client disconnected")
        body += message.get("body", b"")
        if len(body) > most:
            raise Problem(413, f"the request has more than {most:,} bytes")
        if not message.get("more_body"):
            return bytes(body)


def _with_headers(send: Send, request: _Request) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(key.lower(), value) for key, value in message.get("headers", [])]
            own = HEADERS | ({"cache-control": "no-store"} if request.is_api else {"cache-control": "no-cache"})
            names = {key.decode("latin-1") for key, _ in given}
            added = [(key.encode(), value.encode()) for key, value in own.items() if key not in names]
            message = {**message, "headers": [*given, *added]}
        elif request.method == "HEAD":
            message = {**message, "body": b""}
        await send(message)

    return sending


async def _refuse(send: Send, problem: Problem) -> None:
    body = problem_body(problem.status, problem.detail, problem.hint)
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close", **problem.headers}
    coded = [(key.lower().encode(), value.encode("latin-1")) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": coded})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, link: str, token: str) -> None:
    """Keep the token in a cookie, and take it out of the address."""
    cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
    target = "/" + link.lstrip("/\\")  # never //elsewhere
    headers = [
        (b"location", target.encode("latin-1", "replace")),
        (b"set-cookie", cookie.encode()),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})

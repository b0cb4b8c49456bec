"""A web server on this machine: pages by path, with or without ranges, and with the troubles of real ones."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What is served at a path. `before` are statuses that are answered first, one a request; 0 cuts the connection.

    `slow` are seconds before the body, `lie` bytes that a range has more than was asked for.
    """

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True
    before: list[int] = field(default_factory=list)
    slow: float = 0.0
    lie: int = 0


@dataclass
class Web:
    """A running server. `asked` are the paths and ranges of all requests."""

    url: str
    pages: dict[str, Page]
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers from the pages of its server."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        web = self.server.web
        web.asked.append((self.path, self.headers.get("Range")))
        page = web.pages.get(self.path)
        if page is None:
            self._send(404, {}, b"nothing here")
        elif page.before:
            self._trouble(page.before.pop(0), page)
        else:
            self._serve(page)

    def _trouble(self, status: int, page: Page) -> None:
        if status == 0:
            self.close_connection = True
        else:
            self._send(status, page.headers if 300 <= status < 400 else {}, b"trouble")

    def _serve(self, page: Page) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        size = len(page.content)
        if not (wanted and page.ranges):
            self._send(200, page.headers, page.content, page)
        elif int(wanted[1]) >= size:
            self._send(416, {"Content-Range": f"bytes */{size}"}, b"")
        else:
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, size)
            given = {"Content-Range": f"bytes {start}-{end - 1}/{size}", **page.headers}
            self._send(206, given, page.content[start:end] + bytes(page.lie), page)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, page: Page | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if page is None or page.length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        with contextlib.suppress(ConnectionError):  # whoever asks may not want the rest
            self.end_headers()
            if page is not None and page.slow:
                self.wfile.flush()
                time.sleep(page.slow)
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that knows its pages."""

    daemon_threads = True
    web: Web

    def handle_error(self, *arguments: object) -> None:
        """Say nothing: a reader that hangs up is no trouble."""


@contextlib.contextmanager
def served(pages: Mapping[str, Page]) -> Iterator[Web]:
    """Serve pages until the end of the block."""
    server = Server(("127.0.0.1", 0), Handler)
    server.web = Web(f"http://127.0.0.1:{server.server_port}", dict(pages))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def listing(*links: str) -> Page:
    """A page as web servers make of a folder."""
    anchors = "\n".join(f'<a href="{link}">{link}</a>' for link in links)
    return Page(f"<html><body><pre>{anchors}</pre></body></html>".encode(), {"Content-Type": "text/html"})


@contextlib.contextmanager
def dripping(piece: bytes, every_s: float) -> Iterator[str]:
    """Answer each request with the start of an answer and then the same piece, again and again."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n")
                    while not ended.wait(every_s):
                        connection.sendall(piece)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()

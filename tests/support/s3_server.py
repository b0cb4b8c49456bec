"""A little S3 server: objects in a dictionary, read whole or in ranges, over HTTP; `read` has what was asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape


class Objects(ThreadingHTTPServer):
    """`kept` has objects by bucket/key; `read` the key and range of bytes of each request for content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept: dict[str, bytes] = {}
        self.read: list[tuple[str, int, int]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Objects
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Keep what is asked for out of the tests' output."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        path = unquote(split.path).strip("/")
        if "list-type" in split.query:
            self._list(path, unquote(split.query))
        elif path not in self.server.kept:
            self._send(404, b"")
        else:
            data = self.server.kept[path]
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, end = (
                (int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)) if asked else (0, len(data) - 1)
            )
            if self.command == "GET":
                self.server.read.append((path, start, end + 1))
            about = {"Content-Range": f"bytes {start}-{end}/{len(data)}"} if asked else {}
            self._send(206 if asked else 200, data[start : end + 1], about)

    def _list(self, bucket: str, query: str) -> None:
        prefix = "".join(re.findall("prefix=([^&]*)", query)[:1])
        found = [
            f"<Contents><Key>{escape(path[len(bucket) + 1 :])}</Key><Size>{len(data)}</Size></Contents>"
            for path, data in sorted(self.server.kept.items())
            if path.startswith(f"{bucket}/{prefix}")
        ]
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(found)}</ListBucketResult>"
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def objects() -> Iterator[Objects]:
    server = Objects()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

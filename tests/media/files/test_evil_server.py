"""Web servers that never come to an end, or lose a request now and then; each on this machine, with short limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import shotdex
from shotdex.media.files import places, web, web_session
from shotdex.media.files.places import Exchange
from shotdex.store.errors import OptionError, SourceError
from tests.support.images import encoded, noise
from tests.support.web import Page, dripping, listing, served

IMAGE = encoded(noise(1), "PNG")
Answer = Callable[[socket.socket, str], None]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(web_session, "WAIT_S", 0.01)


@contextlib.contextmanager
def evil(answer: Answer) -> Iterator[str]:
    """Serve each request by `answer`, which is given the connection and the path; the connection then ends."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, IndexError):
            answer(connection, connection.recv(1 << 16).split()[1].decode())

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def page(*links: str) -> bytes:
    body = "".join(f"<a href={link}>x</a>" for link in links).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def drip(connection: socket.socket, what: bytes = b"X-Slow: ") -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for byte in itertools.cycle(what):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def index(tmp_path: Path, url: str, **options: float) -> shotdex.IndexReport:
    return shotdex.open(tmp_path / "store", create=True).index(url, model="demo", **options)  # type: ignore[arg-type]


def test_headers_one_byte_at_a_time(tmp_path: Path) -> None:
    with evil(lambda connection, _: drip(connection)) as url:
        for source in ("/", "/a.png", "/set.zip", "/list.csv", "/set-{00..05}.tar"):
            began = time.monotonic()
            with pytest.raises(SourceError, match=r"did not answer in 0\.4 s; --web-timeout 0 lifts the limit"):
                index(tmp_path, url + source, web_timeout=0.4)
            assert time.monotonic() - began < 5, source


def test_a_folder_of_images_whose_headers_drip_is_given_up(tmp_path: Path) -> None:
    """Not one timeout for each of a thousand images."""
    names = [f"{i}.png" for i in range(1000)]
    asked: list[str] = []

    def answer(connection: socket.socket, path: str) -> None:
        asked.append(path)
        if path == "/":
            connection.sendall(page(*names))
        else:
            drip(connection)

    began = time.monotonic()
    with evil(answer) as url, pytest.raises(SourceError, match=r"did not answer in 0\.4 s; --web-timeout"):
        index(tmp_path, url + "/", web_timeout=0.4)
    assert time.monotonic() - began < 20
    assert len(asked) < 40


def test_one_slow_image_among_others_costs_only_itself(tmp_path: Path) -> None:
    pages = {"/": listing(*(f"{i}.png" for i in range(12)))}
    pages |= {f"/{i}.png": Page(encoded(noise(i), "PNG"), slow=60.0 if i == 5 else 0.0) for i in range(12)}
    with served(pages) as site:
        report = index(tmp_path, site.url + "/", web_timeout=4)
    assert (report.added, report.failed) == (11, 1)
    assert "--web-timeout 0 lifts the limit" in report.failures[0].detail


@pytest.mark.parametrize("links", [("a/",), ("a/", "b/", "c/"), ("a/", "x.png")])
def test_folders_without_end(links: tuple[str, ...], tmp_path: Path) -> None:
    def answer(connection: socket.socket, path: str) -> None:
        connection.sendall(page(*links) if path.endswith("/") else b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE)

    with evil(answer) as url:
        if "x.png" in links:
            report = index(tmp_path, url + "/", web_files=500)
            assert (report.added, report.unchanged + report.failed) == (32, 1)
            assert "more than 32 folders within each other; --web-files 0 lifts" in report.failures[0].detail
        else:
            why = "more than 32 folders" if len(links) == 1 else "over 500 files and folders"
            with pytest.raises(SourceError, match=f"{why}.*--web-files 0 lifts the limit"):
                index(tmp_path, url + "/", web_files=500)


def test_a_page_of_a_million_links(tmp_path: Path) -> None:
    answer = page(*(f"{i}.png" for i in range(1_000_000)))
    with evil(lambda connection, _: connection.sendall(answer)) as url:
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"too much.*--web-files 0 lifts the limit"):
            index(tmp_path, url + "/")
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("length", [b"", b"Content-Length: 99999999999\r\n"])
def test_a_body_without_end(length: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image, a page and an archive that never end; in memory there is never much of them."""
    monkeypatch.setattr(web, "UNSIZED_LIMIT", 50_000_000)

    def answer(connection: socket.socket, path: str) -> None:
        kind = b"text/html" if path.endswith("/") else b"image/png"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n" + length + b"\r\n")
        while True:
            connection.sendall(bytes(1 << 16))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with evil(answer) as url:
        for source in ("/", "/a.zip"):
            with pytest.raises(SourceError, match=r"more than .*|only whole.*|--web-files 0 lifts the limit"):
                index(tmp_path, url + source, web_timeout=5.0, web_files=100)
        with pytest.raises(places.TooManyBytes):
            places.read_all(url + "/a.png", 50_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_a_body_that_drips() -> None:
    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with (
        evil(answer) as url,
        Exchange(0.4, named=True).in_effect(),
        pytest.raises(TimeoutError, match="10 kB a second; --web-timeout 0"),
    ):
        places.read_all(url + "/a.png", 9999)


def test_a_whole_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_session, "WHOLE", 2)

    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(10_000))
            time.sleep(0.02)

    with (
        evil(answer) as url,
        Exchange(0.3, named=True).in_effect(),
        pytest.raises(TimeoutError, match=r"within 0\.6 s; --web-timeout 0"),
    ):
        places.read_all(url + "/a.png", 1 << 40)


def test_the_first_ctrl_c_ends_it(tmp_path: Path) -> None:
    """While images are read ahead by threads, too."""
    names = [f"{i}.png" for i in range(200)]
    reading = threading.Event()

    def answer(connection: socket.socket, path: str) -> None:
        if path == "/":
            connection.sendall(page(*names))
        elif not reading.is_set():
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n")
            seen.append(path)
            if len(set(seen)) == len(names):
                reading.set()
        else:
            seen.append("read " + path)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nxx" if len(path) % 2 else b"")
            time.sleep(60)

    seen: list[str] = []
    command = [sys.executable, "-m", "shotdex.cli", "index", "--model", "demo", "--store", str(tmp_path / "store")]
    pipe = subprocess.PIPE
    with evil(answer) as url, subprocess.Popen([*command, url + "/"], stderr=pipe, stdout=pipe) as process:
        until = time.monotonic() + 60
        while not any(path.startswith("read") for path in seen) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=50)[1].decode()
    assert time.monotonic() - began < 10, said
    assert process.returncode == 130
    assert "interrupted; everything done so far is kept" in said
    assert "Traceback" not in said


def test_what_passes_is_tried_again() -> None:
    """Every other connection for one image in four is reset; threads share one session and lose no image."""
    asked: Counter[str] = Counter()

    def answer(connection: socket.socket, request: str) -> None:
        asked[request] += 1
        if int(re.findall(r"(\d+)\.png", request)[0]) % 4 == 0 and asked[request] % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no end
            return
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(IMAGE), IMAGE)
        )

    with evil(answer) as url, ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            got = list(pool.map(lambda i: places.read_all(f"{url}/{i}.png", 1 << 20), range(40)))
            assert got == [IMAGE] * 40
    assert asked.total() == 5 * (40 + 10)


def test_a_session_that_was_closed_is_made_again() -> None:
    async def close() -> None:
        await web_session._shared_session().close()

    with served({"/a.png": Page(IMAGE)}) as site:
        for _ in range(3):
            web_session.wait(close())
            assert places.read_all(site.url + "/a.png", 1 << 20) == IMAGE
        with ThreadPoolExecutor(8) as pool:
            work = [pool.submit(places.read_all, site.url + "/a.png", 1 << 20) for _ in range(40)]
            for _ in range(3):
                web_session.wait(close())
            assert [one.result() for one in work] == [IMAGE] * 40


class _Silent:
    """The body of a reply whose session was closed under it: sometimes aiohttp never says so."""

    async def read(self, _: int) -> bytes:
        await asyncio.Event().wait()
        return b""


@pytest.mark.parametrize("closed", [True, False])
def test_a_body_that_never_comes(monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    check, seen = web_session._check, []

    def silenced(url: str, reply: web_session.Reply, *, ranged: bool) -> None:
        check(url, reply, ranged=ranged)
        if not seen:
            object.__setattr__(reply, "content", _Silent())
            if closed:
                asyncio.get_running_loop().create_task(web_session._shared_session().close())
        seen.append(url)

    monkeypatch.setattr(web_session, "_check", silenced)
    with served({"/a.png": Page(IMAGE)}) as site, Exchange(0.5).in_effect():
        if closed:
            assert places.read_all(site.url + "/a.png", 1 << 20) == IMAGE
        else:
            with pytest.raises(TimeoutError, match="did not answer"):
                places.read_all(site.url + "/a.png", 1 << 20)


@pytest.mark.parametrize(("seconds", "files"), [(float("nan"), 1), (-1.0, 1), (1.0, -1)])
def test_limits_that_are_no_numbers(seconds: float, files: int) -> None:
    with pytest.raises(OptionError, match="--web-timeout"):
        Exchange.of_options(seconds, files)


def test_zero_lifts_the_limits() -> None:
    lifted = Exchange.of_options(0, 0)
    assert (lifted.seconds, lifted.files) == (None, None)
    with served({"/": listing("a.png"), "/a.png": Page(IMAGE, slow=0.2)}) as site, lifted.in_effect():
        assert [one.url for one in places.walk(site.url + "/")] == [site.url + "/a.png"]
        assert places.read_all(site.url + "/a.png", 1 << 20) == IMAGE
    with dripping(b"X", 0.05) as url, Exchange.of_options(0.2, 1).in_effect(), pytest.raises(TimeoutError):
        places.read_all(url + "/a.png", 9)

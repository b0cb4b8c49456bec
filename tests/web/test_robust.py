"""Hostile uploads, slow clients, a store that is written to or gone meanwhile, and what a start costs."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import shotdex
from shotdex.store.store import Store
from shotdex.web import serve as serving
from shotdex.web.options import ServeOptions
from shotdex.web.served import Served
from tests.support.evaluated import change, save_images
from tests.support.hostile import BOMB, HUGE, bmp, png, whole_files

Serve = Callable[..., tuple[TestClient, Served]]

UPLOAD = {"x-shotdex": "1"}

POST = b"POST /api/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HOSTILE = {
    "nothing": b"",
    "text": b"hello",
    "svg": SVG,
    "huge": HUGE,
    "bomb": png(size=(30_000, 30_000), rows=BOMB),
    "cut": next(iter(whole_files().values()))[:60],
    "bmp": bmp(-5, 2**31 - 1),
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_upload_is_an_error_in_words(client: TestClient, name: str) -> None:
    answer = client.post("/api/search", files={"image": ("../../x.jpg", HOSTILE[name])}, headers=UPLOAD)
    assert answer.status_code == 422 and answer.json()["detail"], answer.text
    assert "Traceback" not in answer.text


def test_an_upload_without_a_file(client: TestClient) -> None:
    headers = UPLOAD | {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/api/search", content=b"--x--", headers=headers).status_code in (400, 422)
    whole = next(iter(whole_files().values()))
    assert client.post("/api/search", files={"image": whole}, headers=UPLOAD).status_code == 200


def test_a_large_upload(serve: Serve, own: Store) -> None:
    client, _ = serve(own, upload_bytes=10_000)
    assert client.post("/api/search", files={"image": b"x" * 20_000}, headers=UPLOAD).status_code == 413


def test_what_is_shown_is_never_the_file(serve: Serve, own: Store, tmp_path: Path) -> None:
    client, served = serve(own)
    first = client.get("/api/search", params={"k": 1}).json()["hits"][0]
    answer = client.get(f"/api/images/{first['image_id']}/picture", params={"side": 96})
    assert (answer.headers["content-type"], answer.content[8:12]) == ("image/webp", b"WEBP")
    svg, gone = tmp_path / "x.svg", tmp_path / "gone.png"
    svg.write_bytes(SVG)
    for path in (svg, gone, Path("http://127.0.0.1:9/x.png")):
        change(own, f"UPDATE stored_images SET path = '{path}' WHERE image_id = {first['image_id']}")
        change(own, "UPDATE meta SET value = uuid()::VARCHAR WHERE key = 'images_generation'")
        served.follower._ended.wait(0.05)
        served.follower.look()
        answer = client.get(f"/api/images/{first['image_id']}/picture")
        assert answer.status_code == 404 and answer.json()["detail"], path
    assert client.get("/api/images/1/picture", params={"side": 97}).status_code == 422


@pytest.fixture(scope="module")
def port(evaluated: Store, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[int]:
    """A server behind a socket, which waits for nobody."""
    monkeypatch_module.setattr(serving, "HEADER_SECONDS", 0.3)
    listening = serving.bound_socket("127.0.0.1", 18_317)
    ready, servers = threading.Event(), []
    real = serving._Server.startup

    async def startup(self: Any, sockets: Any = None) -> None:
        servers.append(self)
        await real(self, sockets)

    monkeypatch_module.setattr(serving._Server, "startup", startup)
    options = ServeOptions(body_seconds=0.3)
    thread = threading.Thread(
        target=serving.serve, args=(shotdex.open(evaluated.root), options, listening, lambda _: ready.set())
    )
    thread.start()
    assert ready.wait(30)
    yield listening.getsockname()[1]
    servers[0].should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def said(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(request)
        found = b""
        while arrived := one.recv(65_536):
            found += arrived
            if b"\r\n\r\n" in found and b"connection: close" not in found.lower():
                break
        return found


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /api/store HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 200 "),
        (b"GET /api/store HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b" 400 "),
        (b"GET /api/store HTTP/1.1\r\n\r\n", b" 400 "),
        (b"GET /api/store HTTP/1.0\r\n\r\n", b" 421 "),
        (b"GET /api/store HTTP/1.0\r\nHost: localhost\r\n\r\n", b" 200 "),
        (b"GET http://evil.example/api/store HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 40"),
        (b"GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 404 "),
        (b"GET /api/images/../../app.py HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 404 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b" 400 "),
        (POST + b"Content-Length: 50\r\n\r\n{", b" 408 "),
    ],
)
def test_requests_as_they_are_on_the_wire(port: int, request_: bytes, status: bytes) -> None:
    first = said(port, request_).split(b"\r\n")[0]
    assert status in first, first


def test_a_client_that_says_nothing_is_let_go(port: int) -> None:
    assert said(port, b"GET /api/store HTTP/1.1\r\nHo") == b""


def test_a_port_that_is_taken_is_passed_over(port: int) -> None:
    with serving.bound_socket("127.0.0.1", port) as other:
        assert other.getsockname()[1] > port


INDEXER = """
import sys
from pathlib import Path
from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import open_source
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder
index_source(Store.open(Path(sys.argv[1])), open_source(sys.argv[2]), FakeEncoder(), IndexOptions(commit_rows=8))
"""


def test_twenty_users_while_images_are_indexed(serve: Serve, own: Store, tmp_path: Path, opened: list[str]) -> None:
    client, served = serve(own)
    folder = save_images(tmp_path / "more")
    before = len(served.snapshot.images.ids)
    generations = {served.snapshot.images.generation}
    client.get("/api/search", params={"text": "red"})
    indexing = subprocess.Popen([sys.executable, "-c", INDEXER, str(own.root), str(folder)])
    opened.clear()
    pause = threading.Event()

    def use(user: int) -> list[int]:
        statuses = []
        while indexing.poll() is None:
            for asked in (
                {"text": "red", "category": "red"},
                {"run": "names", "outcome": "wrong"},
                {"image_id": user + 1},
            ):
                statuses.append(client.get("/api/search", params=asked).status_code)
            generations.add(served.snapshot.images.generation)
            pause.wait(0.1)
        return statuses

    with ThreadPoolExecutor(20) as pool:
        statuses = [status for found in pool.map(use, range(20)) for status in found]
    assert indexing.returncode == 0
    assert set(statuses) == {200}
    served.follower._ended.wait(0.05)
    served.follower.look()
    assert len(client.get("/api/search", params={"k": 1}).json()["hits"]) == 1
    assert client.get("/api/store").json()["images"] == before + 75
    generations.add(served.snapshot.images.generation)
    assert len(generations) > 1
    # An indexing also changes what is no image, such as its record of the source.
    assert len(opened) <= 3 * len(generations) + 3
    assert served.batcher.products <= served.batcher.searches


def test_an_indexer_that_is_killed_leaves_the_page_as_it_was(serve: Serve, own: Store, tmp_path: Path) -> None:
    client, served = serve(own)
    folder = save_images(tmp_path / "more")
    before, first = len(served.snapshot.images.ids), served.snapshot.images.generation
    command = [sys.executable, "-c", INDEXER, str(own.root), str(folder)]
    indexing = subprocess.Popen(command)
    while served.snapshot.images.generation == first and indexing.poll() is None:
        assert client.get("/api/search", params={"text": "red"}).status_code == 200
    indexing.kill()
    indexing.wait()
    assert client.post("/api/sql", json={"statement": "SELECT count(*) FROM images"}).status_code == 200
    assert subprocess.run(command, check=False).returncode == 0
    served.follower.look()
    assert client.get("/api/store").json()["images"] == before + 75
    assert client.get("/api/store").json()["notice"] is None


def test_following_begins_with_what_is_there_now(own: Store) -> None:
    session = shotdex.open(own.root)
    session.snapshot()
    change(own, "UPDATE runs SET name = 'newer' WHERE name = 'third'")
    with session.following():
        assert session.snapshot().runs[-1].record.name == "newer"


def test_one_opening_a_generation(serve: Serve, own: Store, opened: list[str]) -> None:
    client, served = serve(own)
    served.follower.stop()
    client.get("/api/search", params={"text": "red"})
    change(own, "UPDATE stored_images SET category = 'blue' WHERE image_id = 1")
    change(own, "UPDATE meta SET value = uuid()::VARCHAR WHERE key = 'images_generation'")
    served.follower._ended.clear()
    threading.Event().wait(0.05)
    opened.clear()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: client.get("/api/search", params={"text": "red", "run": "names"}), range(40)))
        assert opened == []  # nobody waits for a change
        list(pool.map(lambda _: served.follower.look(), range(20)))
        assert opened == ["to_read"]
        found = list(pool.map(lambda _: client.get("/api/images/1/neighbours").json()["generation"], range(20)))
    assert set(found) == {served.snapshot.generation}
    assert served.snapshot.images.records(served.snapshot.images.ids[:1])[0]["category"] == "blue"
    assert opened == ["to_read"]


def test_a_store_that_is_gone_is_said_and_goes_on(serve: Serve, own: Store) -> None:
    client, served = serve(own)
    away = own.root.with_name("away")
    shutil.move(own.root, away)
    served.follower.look()
    answer = client.get("/api/store")
    assert "gone" in answer.json()["notice"]
    assert client.get("/api/search", params={"category": "red"}).status_code == 200
    assert client.post("/api/sql", json={"statement": "FROM images"}).status_code == 503
    shutil.move(away, own.root)
    served.follower.look()
    assert client.get("/api/store").json()["notice"] is None


READY = """
import sys
import shotdex
from starlette.testclient import TestClient
from shotdex.web.app import create_app
from shotdex.web.options import ServeOptions
from shotdex.web.served import Served
session = shotdex.open(sys.argv[1])
with session.following() as follower:
    served = Served(session, ServeOptions(), follower)
    client = TestClient(create_app(served), "http://localhost")
    assert client.get("/api/store").status_code == 200
    answer = client.get("/api/search", params={"text": "red", "k": 3})
    assert len(answer.json()["hits"]) == 3, answer.text
    served.close()
print(*[name for name in ("torch", "transformers", "matplotlib", "umap", "sklearn", "pandas") if name in sys.modules])
"""


def test_it_is_ready_and_searches_known_texts_without_a_model(own: Store) -> None:
    ran = subprocess.run([sys.executable, "-c", READY, str(own.root)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == ""

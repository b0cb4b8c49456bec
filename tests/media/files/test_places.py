"""Places: paths, and URLs over a real server on this machine."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.media.files import places, web, web_pages, web_session
from shotdex.media.files.places import Exchange, Facts, Listed, NotListed, TooManyBytes
from shotdex.media.files.web import BLOCK
from shotdex.store.errors import SourceError
from tests.support.web import Page, Web, dripping, listing, served

RANDOM = os.urandom(3 * BLOCK + 12_345)
DATED = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT", "ETag": '"a1"'}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(web_session, "WAIT_S", 0.01)


@pytest.fixture(scope="module")
def site() -> Iterator[Web]:
    packed = {"Content-Encoding": "gzip"}
    pages = {
        "/a.png": Page(b"picture", DATED),
        "/tagged.png": Page(b"picture", {"ETag": '"b2"'}),
        "/plain.png": Page(b"picture"),
        "/empty.png": Page(b"", DATED),
        "/whole.png": Page(b"picture", DATED, ranges=False),
        "/no-length.png": Page(b"picture", DATED, ranges=False, length=False),
        "/big.bin": Page(RANDOM, DATED),
        "/big-whole.bin": Page(RANDOM, DATED, ranges=False),
        "/packed.png": Page(gzip.compress(b"picture"), packed, ranges=False),
        "/bomb.png": Page(gzip.compress(bytes(10_000_000)), packed, ranges=False),
        "/odd.png": Page(b"x", {"Content-Encoding": "br"}, ranges=False),
        "/secret.png": Page(before=[403] * 100),
        "/teapot.png": Page(before=[418] * 100),
        "/to-file": Page(before=[302] * 100, headers={"Location": "file:///etc/hostname"}),
        "/to-a": Page(before=[302] * 100, headers={"Location": "/a.png"}),
        "/round": Page(before=[302] * 100, headers={"Location": "/round"}),
        "/a%20b%C3%BC.png": Page(b"named", DATED),
        "/signed.png?Signature=a%2Fb%2Bc&n=1": Page(b"signed", DATED),
    }
    with served(pages) as running:
        yield running


class TestPaths:
    """Paths on this machine."""

    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"picture")
        os.utime(path, ns=(1, 1_700_000_000_123_456_789))
        assert places.facts(str(path)) == Facts(7, 1_700_000_000_123_456_789)
        assert places.read_all(str(path), 7) == b"picture"
        assert (places.is_file(str(path)), places.is_folder(str(path))) == (True, False)
        assert places.is_folder(str(tmp_path))
        with places.open_binary(str(path)) as file:
            file.seek(3)
            assert file.read() == b"ture"
        with pytest.raises(TooManyBytes, match="more than 6 bytes"):
            places.read_all(str(path), 6)
        assert places.absolute(f"{tmp_path}/x/../a.png") == str(path)

    def test_what_is_no_file_does_not_hold_anyone_up(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        for place in (str(tmp_path / "pipe.png"), str(tmp_path), "/dev/zero"):
            with pytest.raises(OSError):
                places.open_binary(place)
        with pytest.raises(FileNotFoundError):
            places.open_binary(str(tmp_path / "gone.png"))
        assert not places.is_file("x" * 5000)

    def test_paths_load_no_fsspec(self, tmp_path: Path) -> None:
        code = (
            "import sys; from shotdex.media.files import places; places.read_all(sys.argv[1], 9); "
            "assert not {'fsspec', 'aiohttp'} & set(sys.modules)"
        )
        (tmp_path / "a").write_bytes(b"x")
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)


class TestUrls:
    """What may be opened, and how it is shown."""

    @pytest.mark.parametrize(
        ("url", "match"),
        [
            ("file:///etc/passwd", "scheme"),
            ("zip://a.png::http://host/x.zip", "scheme"),
            ("ftp://host/a.png", "scheme"),
            ("http://host/x.zip::file:///etc/passwd", "chains URLs"),
            ("https://host/filecache::http://other/x", "chains URLs"),
            ("https://me:geheim@host/a.png", "name or password"),
            ("https://geheim@host/a.png", "name or password"),
            ("s3://key:geheim@bucket/a.png", "name or password"),
            ("http:///a.png", "not a valid URL"),
            ("http://[::1/a.png", "not a valid URL"),
            ("http://host/a\n.png", "not a valid URL"),
        ],
    )
    def test_refused(self, url: str, match: str) -> None:
        for opening in (places.absolute, places.open_binary, places.facts, lambda u: places.read_all(u, 9)):
            if not places.is_url(url) and opening is not places.absolute:
                continue  # to these it is a path, which is not there
            with pytest.raises(SourceError, match=match) as caught:
                opening(url)
            assert caught.value.hint
            assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize("url", ["https://host/a b/ü.png?x=1", "http://[::1]:80/a.png", "s3://bucket/a#b?.png"])
    def test_taken(self, url: str) -> None:
        assert places.absolute(url) == url
        assert places.absolute(url.replace("http", "HTTP", 1)) == url

    def test_secrets_are_not_shown(self) -> None:
        assert places.shown("https://host/a.png?width=3&X-Amz-Signature=ab&sig=cd&v=" + "e" * 32) == (
            "https://host/a.png?width=3&X-Amz-Signature=***&sig=***&v=***"
        )
        assert places.shown("https://me:pass@host/a@b.png") == "https://***@host/a@b.png"
        assert places.shown("/home/me/odd?key=1.png") == "/home/me/odd?key=1.png"

    @given(secret=st.text("abcXYZ0189-_.~%", min_size=4, max_size=40))
    def test_no_secret_is_shown_whatever_it_is(self, secret: str) -> None:
        for url in (f"https://u:{secret}@h/x", f"http://h/x?Signature={secret}&a=1", f"s3://{secret}@b/x?Key={secret}"):
            assert secret not in places.shown(url).replace("Signature", "").replace("Key", "")

    def test_names(self) -> None:
        assert places.name_of("https://host/a/my%20set.zip?sig=x/y#z") == "my set.zip"
        assert places.relative_to("https://host/a%20b/c/%C3%BC.png", "https://host/a b/") == "c/ü.png"
        assert places.relative_to("s3://bucket/pics/c/a%20.png", "s3://bucket/pics") == "c/a%20.png"
        assert places.relative_to("memory://pics/c/a.png", "memory://pics/") == "c/a.png"


class TestWeb:
    """http, by a real server."""

    def test_facts(self, site: Web) -> None:
        dated = Facts(7, 1_445_412_480_000_000_000)
        assert places.facts(site.url + "/a.png") == places.facts(site.url + "/whole.png") == dated
        assert places.facts(site.url + "/empty.png") == Facts(0, dated.modified_ns)
        tagged = places.facts(site.url + "/tagged.png")
        assert tagged == places.facts(site.url + "/tagged.png") != dated
        assert 0 <= tagged.modified_ns < 2**63
        assert places.facts(site.url + "/plain.png") != places.facts(site.url + "/plain.png"), "it may have changed"

    def test_a_whole_file_is_one_request(self, site: Web) -> None:
        for name in ("a", "whole", "no-length", "packed"):
            before = len(site.asked)
            assert places.read_all(f"{site.url}/{name}.png", 100) == b"picture"
            assert site.asked[before:] == [(f"/{name}.png", None)]
        assert places.read_all(site.url + "/empty.png", 100) == b""
        assert places.read_all(site.url + "/to-a", 100) == b"picture"
        assert places.read_all(site.url + "/a bü.png", 100) == b"named"
        assert places.read_all(site.url + "/signed.png?Signature=a%2Fb%2Bc&n=1", 100) == b"signed"

    @pytest.mark.parametrize("name", ["big.bin", "no-length.png", "bomb.png", "packed.png", "a.png"])
    def test_a_limit(self, site: Web, name: str) -> None:
        with pytest.raises(TooManyBytes):
            places.read_all(f"{site.url}/{name}", 6)

    @pytest.mark.parametrize(
        ("name", "error", "match"),
        [
            ("gone.png?token=geheim", FileNotFoundError, "not there"),
            ("secret.png", PermissionError, "may not be read"),
            ("teapot.png", OSError, "418"),
            ("odd.png", OSError, "compressed"),
            ("to-file", OSError, "cannot be read"),
            ("round", OSError, "TooManyRedirects"),
        ],
    )
    def test_errors(self, site: Web, name: str, error: type[OSError], match: str) -> None:
        for opening in (places.open_binary, lambda u: places.read_all(u, 99)):
            with pytest.raises(error, match=match) as caught:
                opening(f"{site.url}/{name}")
            assert "geheim" not in str(caught.value)
        assert not places.is_folder(f"{site.url}/{name}")
        assert places.is_file(f"{site.url}/{name}") is (name == "odd.png")

    def test_nobody_answers(self) -> None:
        with pytest.raises(OSError, match=r"cannot be reached") as caught:
            places.read_all("http://127.0.0.1:9/a.png?key=geheim", 9)
        assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize("status", [0, 429, 500, 503])
    def test_trouble_that_passes(self, site: Web, status: int) -> None:
        site.pages["/later.png"] = Page(b"picture", DATED, before=[status])
        assert places.read_all(site.url + "/later.png", 9) == b"picture"
        site.pages["/later.png"].before = [status]
        assert places.facts(site.url + "/later.png").size_bytes == 7
        site.pages["/later.png"].before = [status]
        assert places.open_binary(site.url + "/later.png").read() == b"picture"
        site.pages["/later.png"].before = [status] * 9
        with pytest.raises(ConnectionError):
            places.read_all(site.url + "/later.png", 9)
        # The client itself asks again where a connection that it had kept turns out to be closed.
        assert len(site.pages["/later.png"].before) == 6 or (status == 0 and site.pages["/later.png"].before)

    def test_a_server_that_is_slow(self) -> None:
        slow = Page(b"picture", slow=0.6)
        why = pytest.raises(TimeoutError, match=r"did not answer in 0\.2 s$")
        with served({"/slow.png": slow}) as site, Exchange(0.2).in_effect(), why:
            places.read_all(site.url + "/slow.png", 9)

    @pytest.mark.parametrize("end", [b"", b"x" * 1000])
    def test_headers_that_never_end(self, end: bytes) -> None:
        with dripping(b"X-More: 1" + end + b"\r\n", 0.05 if not end else 0.0) as url, Exchange(0.3).in_effect():
            began = time.monotonic()
            with pytest.raises(OSError, match=r"did not answer|cannot be read|lost"):
                places.read_all(url + "/a.png?token=geheim", 9)
            assert time.monotonic() - began < 5

    def test_large_bodies_come_one_after_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Several at once, some over the limit, and each is read whole or given up."""
        monkeypatch.setattr(web_session, "LARGE", 1000)
        pages = {f"/{i}.png": Page(bytes([i]) * (3_000_000 if i % 2 else 500_000), length=False) for i in range(6)}

        def read(name: str) -> int:
            try:
                return len(places.read_all(site.url + name, 1_000_000))
            except places.TooManyBytes:
                return -1

        with served(pages) as site, ThreadPoolExecutor(6) as pool:
            assert list(pool.map(read, pages)) == [500_000, -1] * 3

    def test_ctrl_c_ends_a_scan_at_once(self) -> None:
        pages = {"/": listing(*(f"{i}.png" for i in range(40)))}
        pages |= {f"/{i}.png": Page(b"x", slow=20) for i in range(40)}
        code = "import sys; from shotdex.media.sources.remote import RemoteFolderSource as R; print('on', flush=True); "
        with served(pages) as site:
            command = [sys.executable, "-c", code + "list(R(sys.argv[1]).scan())", site.url + "/"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                assert process.stdout is not None and process.stderr is not None
                process.stdout.readline()
                while len(site.asked) < 8 and process.poll() is None:
                    time.sleep(0.01)
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                said = process.stderr.read()
                process.wait()
            assert time.monotonic() - began < 5
            assert b"KeyboardInterrupt" in said and b"Unclosed" not in said

    def test_threads_that_begin_at_the_same_time_share_one_session(self, tmp_path: Path) -> None:
        code = (
            "import sys, threading; from shotdex.media.files import places\n"
            "start, got = threading.Barrier(16), []\n"
            "def work():\n    start.wait(); got.append(places.read_all(sys.argv[1], 9))\n"
            "threads = [threading.Thread(target=work) for _ in range(16)]\n"
            "for each in threads: each.start()\n"
            "for each in threads: each.join()\n"
            "assert got == [b'picture'] * 16, got\n"
        )
        with served({"/a.png": Page(b"picture")}) as site:
            for _ in range(3):
                ran = subprocess.run(
                    [sys.executable, "-c", code, site.url + "/a.png"], capture_output=True, text=True, check=False
                )
                assert (ran.returncode, ran.stderr) == (0, "")

    @pytest.mark.parametrize("name", ["big.bin", "big-whole.bin"])
    def test_a_file_that_seeks(self, site: Web, name: str) -> None:
        with places.open_binary(f"{site.url}/{name}") as file:
            assert file.seek(0, io.SEEK_END) == len(RANDOM)
            file.seek(-100, io.SEEK_END)
            assert file.read() == RANDOM[-100:]
            file.seek(BLOCK - 10)
            assert file.read(20) == RANDOM[BLOCK - 10 : BLOCK + 10]
            file.seek(0)
            assert file.read() == RANDOM
            assert file.read() == b""

    def test_reading_in_parts_fetches_parts(self, site: Web) -> None:
        before = len(site.asked)
        with places.open_binary(site.url + "/big.bin") as file:
            file.seek(2 * BLOCK + 5)
            file.read(10)
            file.seek(20)
            file.read(10)
        assert [asked[1] for asked in site.asked[before:]] == [
            f"bytes=0-{BLOCK - 1}",
            f"bytes={2 * BLOCK}-{3 * BLOCK - 1}",
        ]

    def test_a_zip_in_place(self, site: Web) -> None:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("big.bin", os.urandom(5 * BLOCK))
            archive.writestr("a.png", b"picture")
        site.pages["/set.zip"] = Page(data.getvalue())
        before = len(site.asked)
        with zipfile.ZipFile(places.open_binary(site.url + "/set.zip")) as archive:
            assert archive.read("a.png") == b"picture"
        assert len(site.asked) - before <= 3

    def test_a_file_that_changes_under_the_reader(self, site: Web) -> None:
        site.pages["/changing.bin"] = Page(RANDOM, {"ETag": '"1"'})
        file = places.open_binary(site.url + "/changing.bin")
        site.pages["/changing.bin"].headers = {"ETag": '"2"'}
        file.seek(2 * BLOCK)
        with pytest.raises(OSError, match="changed while it was read"):
            file.read(1)

    def test_a_server_that_sends_more_than_asked(self, site: Web) -> None:
        site.pages["/lying.bin"] = Page(RANDOM, DATED)
        file = places.open_binary(site.url + "/lying.bin")
        site.pages["/lying.bin"].lie = 1000
        file.seek(2 * BLOCK)
        with pytest.raises(OSError, match="more than was requested"):
            file.read(1)

    def test_a_spool_is_bounded(self, site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "SPOOL_LIMIT", 5)
        for name in ("whole.png", "no-length.png"):
            with pytest.raises(OSError, match="only whole"):
                places.open_binary(f"{site.url}/{name}")

    def test_many_threads(self, site: Web) -> None:
        got: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: got.append(places.read_all(site.url + "/big.bin", 1 << 23)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [RANDOM] * 8


@given(reads=st.lists(st.tuples(st.integers(0, 5 * BLOCK), st.integers(0, 2 * BLOCK)), max_size=4))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_in_parts_is_the_file(site: Web, reads: list[tuple[int, int]]) -> None:
    with places.open_binary(site.url + "/big.bin") as file:
        for at, most in reads:
            file.seek(at)
            assert file.read(most) == RANDOM[at : at + most]


class TestFolders:
    """Walks over pages of links, and over what fsspec lists."""

    def found(self, url: str) -> list[str]:
        return [found.url for found in places.walk(url) if isinstance(found, Listed)]

    def test_pages_of_links(self) -> None:
        here = "b.png a%20b.png ./c.png b.png#part sub/ /pics/d.png gone/ caf%C3%A9.png"
        elsewhere = (
            "../ / ?C=N;O=D sub/deep.png https://elsewhere.example/e.png //elsewhere.example/f.png /other/g.png "
            "../h.png %2e%2e/ . javascript:alert(1) mailto:x@y http://[bad i.png?size=1 %2e%2e%2fj.png"
        )
        pages = {
            "/pics/": listing(*f"{here} {elsewhere}".split()),
            "/pics/sub/": listing("../", "x&amp;y.png", "/pics/"),
            "/": listing("pics/"),
        }
        with served(pages) as site:
            found = list(places.walk(site.url + "/pics/"))
            base = site.url + "/pics/"
            assert [item.url.removeprefix(base) for item in found if isinstance(item, Listed)] == [
                "a%20b.png", "b.png", "c.png", "caf%C3%A9.png", "d.png", "sub/x&y.png",
            ]  # fmt: skip
            missed = [item for item in found if isinstance(item, NotListed)]
            assert [item.url for item in missed] == [base + "gone/"]
            assert "not there" in missed[0].why
            assert {path for path, _ in site.asked} == {"/pics/", "/pics/sub/", "/pics/gone/"}
            assert all(item.facts is None for item in found if isinstance(item, Listed))

    def test_what_is_a_folder(self) -> None:
        moved = Page(before=[301] * 9, headers={"Location": "/pics/"})
        away = Page(before=[302] * 9, headers={"Location": "/"})
        pages = {"/pics/": listing("a.png"), "/pics": moved, "/login/": away, "/page.html": listing("a.png")}
        with served({**pages, "/": listing("pics/", "secret.png"), "/a.png": Page(b"x")}) as site:
            assert places.is_folder(site.url + "/pics/")
            assert places.is_folder(site.url + "/pics")
            assert places.is_folder(site.url)
            for name in ("/page.html", "/a.png", "/gone/", "/login/x"):
                assert not places.is_folder(site.url + name)
            assert self.found(site.url + "/pics") == [site.url + "/pics/a.png"]
            with pytest.raises(OSError, match="leads to"):
                self.found(site.url + "/login/")
            with pytest.raises(OSError, match="not a page with links"):
                self.found(site.url + "/a.png")
            with pytest.raises(FileNotFoundError):
                self.found(site.url + "/gone/")

    def test_a_server_that_makes_up_folders_comes_to_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web_pages, "DEPTH", 4)
        pages = {"/" + "a/" * depth: listing("a/", "x.png") for depth in range(9)}
        with served(pages) as site:
            found = list(places.walk(site.url + "/"))
            assert [type(item) for item in found] == [NotListed] + [Listed] * 4
            with Exchange(files=7).in_effect(), pytest.raises(OSError, match="over 7 files and folders"):
                list(places.walk(site.url + "/"))
            with Exchange(files=1).in_effect(), pytest.raises(OSError, match="more than 160 bytes"):
                site.pages["/"].content += b" " * 160
                list(places.walk(site.url + "/"))
            with Exchange(files=None).in_effect():
                found = list(places.walk(site.url + "/"))
            assert [type(item) for item in found] == [NotListed] + [Listed] * 9

    def test_memory(self) -> None:
        memory = fsspec.filesystem("memory")
        for name in ("b.png", "a/2.png", "a/1 ü#?.png", "a/empty.png"):
            memory.pipe_file(f"/places-test/{name}", name.encode() if "empty" not in name else b"")
        memory.pipe_file("/places-test-other/c.png", b"x")
        found = [item for item in places.walk("memory://places-test/") if isinstance(item, Listed)]
        names = ["a/1 ü#?.png", "a/2.png", "a/empty.png", "b.png"]
        assert [places.relative_to(item.url, "memory://places-test") for item in found] == names
        for item, name in zip(found, names, strict=True):
            expected = name.encode() if "empty" not in name else b""
            assert places.read_all(item.url, 99) == expected
            assert places.facts(item.url) == item.facts
            assert item.facts is not None
            assert item.facts.size_bytes == len(expected)
        with places.open_binary(found[1].url) as one, places.open_binary(found[1].url) as other:
            assert (one.read(3), other.read(3)) == (b"a/2", b"a/2"), "each has its own position"
        assert (places.is_folder("memory://places-test/a"), places.is_file(found[0].url)) == (True, True)
        with pytest.raises(TooManyBytes):
            places.read_all(found[1].url, 3)
        with pytest.raises(FileNotFoundError):
            places.read_all("memory://places-test/gone.png", 3)
        with pytest.raises(FileNotFoundError):
            places.facts("memory://places-test/gone.png")


@pytest.mark.parametrize(("scheme", "library"), [("s3", "s3fs"), ("gs", "gcsfs"), ("https", "aiohttp")])
def test_a_library_that_is_not_installed(scheme: str, library: str, tmp_path: Path) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError('no', name='{library}')")
    code = (
        "import sys; from shotdex.media.files import places; from shotdex.store.errors import SourceError\n"
        "for work in (places.open_binary, places.facts, lambda url: list(places.walk(url))):\n"
        "    try: work(sys.argv[1])\n"
        "    except SourceError as error: assert sys.argv[2] in str(error), error; print(error.hint)"
    )
    given = [f"{scheme}://host/pictures/", library]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code, *given], env=environ, capture_output=True, text=True, check=True)
    assert ran.stdout == 'pip install "shotdex[remote]"\n' * 3

"""Images behind URLs, over a real server on this machine."""

from __future__ import annotations

import fsspec
import pytest

from shotdex.media.files.places import Exchange, TooManyBytes
from shotdex.media.sources.base import Candidate, FailedFolder, Ignored, Reading, Source
from shotdex.media.sources.remote import RemoteFolderSource, SingleImageSource, open_source
from shotdex.store.errors import SourceError
from shotdex.store.types import Failure, Reason
from tests.support.images import encoded, noise
from tests.support.web import Page, listing, served

DATED = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
TIME_NS = 1_445_412_480_000_000_000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_folder_on_the_web() -> None:
    image = encoded(noise(1), "PNG")
    pages = {
        "/my%20pics/": listing("../", "b.png", "cat/", "notes.txt", ".hidden.png", ".git/", "gone.png", "lost/"),
        "/my%20pics/cat/": listing("a%20b.JPG"),
        "/my%20pics/b.png": Page(image, DATED),
        "/my%20pics/cat/a%20b.JPG": Page(b"12345", DATED),
    }
    with served(pages) as site:
        source = open_source(site.url + "/my%20pics/", Reading())
        root = site.url + "/my%20pics/"
        found = list(source.scan())
        assert (source.root, source.kind) == (root, "remote folder")
        assert found[:2] == [
            Candidate(root + "b.png", "b.png", len(image), TIME_NS),
            Candidate(root + "cat/a%20b.JPG", "cat/a b.JPG", 5, TIME_NS),
        ]
        gone, lost, notes = found[2:]
        assert isinstance(gone, Failure)
        assert (gone.path, gone.stage, gone.reason) == (root + "gone.png", "scan", Reason.UNREADABLE)
        assert isinstance(lost, FailedFolder)
        assert (lost.path, lost.failure.path) == (root + "lost/", root + "lost/")
        assert notes == Ignored(root + "notes.txt")
        assert source.read(root + "b.png", 10_000) == image
        with pytest.raises(TooManyBytes):
            source.read(root + "b.png", 10)
        assert not [path for path, _ in site.asked if ".git" in path or "hidden" in path]
        assert list(source.scan()) == found, "each call starts anew"


def test_a_folder_in_a_bucket_costs_no_request_for_each_image() -> None:
    memory = fsspec.filesystem("memory")
    for i in range(150):
        memory.pipe_file(f"/remote-test/pics/{i:03}.png", b"x" * i)
    memory.pipe_file("/remote-test/pics/notes.txt", b"")
    source: Source = open_source("memory://remote-test/pics", Reading())
    assert isinstance(source, RemoteFolderSource)
    found = list(source.scan())
    assert found.pop() == Ignored("memory://remote-test/pics/notes.txt")
    assert [(c.address, c.relative, c.size_bytes) for c in found if isinstance(c, Candidate)] == [
        (f"memory://remote-test/pics/{i:03}.png", f"{i:03}.png", i) for i in range(150)
    ]
    assert source.read("memory://remote-test/pics/007.png", 9) == b"x" * 7


def test_one_image() -> None:
    with served({"/a%20b.png": Page(b"picture", DATED)}) as site:
        source: Source = open_source(site.url + "/a%20b.png", Reading())
        assert isinstance(source, SingleImageSource)
        assert list(source.scan()) == [Candidate(site.url + "/a%20b.png", "a b.png", 7, TIME_NS)]
        assert source.read(source.root, 7) == b"picture"


@pytest.mark.parametrize("kind", [RemoteFolderSource, SingleImageSource])
def test_what_cannot_be_reached(kind: type[RemoteFolderSource | SingleImageSource]) -> None:
    with served({"/": Page(b"", before=[403] * 9)}) as site:
        for url in ("http://127.0.0.1:9/pics/", site.url + "/gone/?sig=geheim", site.url + "/"):
            with pytest.raises(SourceError) as caught:
                list(kind(url).scan())
            assert "check the URL" in caught.value.hint
            assert "geheim" not in str(caught.value)


def test_a_server_that_stops_answering_half_way() -> None:
    pages = {"/": listing("a.png", "sub/"), "/a.png": Page(b"x", slow=0.5), "/sub/": listing("b.png")}
    pages["/sub/"].slow = 0.5
    with served(pages) as site, Exchange(0.2).in_effect():
        found = list(open_source(site.url + "/", Reading()).scan())
    assert [type(one) for one in found] == [Failure, FailedFolder]
    assert all("did not answer" in str(one) for one in found)

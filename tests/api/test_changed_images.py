"""Images that changed after they were indexed are not handed out as what was found, unless one insists."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from matplotlib.text import Text

import shotdex
from shotdex.errors import UnreadableImage
from tests.support.evaluated import save_noisy_colour
from tests.support.fakes import FakeEncoder


@pytest.fixture
def found(tmp_path: Path) -> shotdex.SearchResult:
    """Two hits, of which the second changed since."""
    for number in range(2):
        save_noisy_colour(tmp_path / "p" / f"{number}.png", "red", 0.2, number)
    store = shotdex.open(tmp_path / "store", create=True)
    store.index(tmp_path / "p", model=FakeEncoder())
    hits = store.search("red", k=2)
    second = Path(hits[1].path)
    save_noisy_colour(second, "blue", 0.2, 9)
    return hits


def test_copies(found: shotdex.SearchResult, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"copied 1 of 2 images.*changed since it was indexed"):
        found.copy_to(tmp_path / "copies")
    assert [path.name[:3] for path in (tmp_path / "copies").iterdir()] == ["01_"]
    assert len(found.copy_to(tmp_path / "all", changed=True)) == 2


def test_links(found: shotdex.SearchResult, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"linked 1 of 2 images.*changed since it was indexed"):
        found.link_to(tmp_path / "links")
    assert [path.name[:3] for path in (tmp_path / "links").iterdir()] == ["01_"]
    assert len(found.link_to(tmp_path / "all", changed=True)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="what opens files is called xdg-open there")
def test_viewers(found: shotdex.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xdg-open").write_text("#!/bin/sh\n")
    (tmp_path / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert found.open() == [found[0].path]
    assert found.open(changed=True) == [hit.path for hit in found]


def test_terminals(found: shotdex.SearchResult) -> None:
    assert found.terminal(200).count("(changed)") == 1


def test_sheets(found: shotdex.SearchResult) -> None:
    assert found.changed() == [found[1]]
    said = [
        " ".join(text.get_text() for text in found.sheet(changed=changed).findobj(Text)) for changed in (False, True)
    ]
    assert len(said[0]) < len(said[1])

"""Excluding images, and reading again what cameras wrote, through the door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shotdex
from shotdex.errors import OptionError, SourceError
from tests.support.fakes import FakeEncoder
from tests.support.photos import MODEL, exif, photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        (tmp_path / "p" / f"day{i % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / f"day{i % 2}" / f"{i}.jpg").write_bytes(photo("JPEG", exif({MODEL: f"X{i}"}), i))
    return tmp_path / "p"


def cameras(session: shotdex.Session) -> list[Any]:
    return [row[0] for row in session.sql("SELECT camera FROM images ORDER BY path")]


def test_refreshing_reads_headers_and_encodes_nothing(tmp_path: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    session = shotdex.open(tmp_path / "store", create=True, model=encoder)
    session.index(folder, model=encoder)
    assert cameras(session) == ["X0", "X2", "X1", "X3"]
    with session.store.writing() as con:  # as a version that did not read EXIF left it
        con.run("UPDATE stored_images SET camera = NULL, exif = NULL")
    (folder / "day0" / "2.jpg").unlink()
    (folder / "new.jpg").write_bytes(photo("JPEG", None, 9))
    before = session.sql("SELECT image_id, joint FROM vectors_1 ORDER BY 1").to_dicts()
    report = session.index(folder, refresh="metadata")
    assert (report.unchanged, report.added) == (3, 0)
    assert report.notes[0] == "the metadata of 3 images was read again; 3 changed"
    assert "1 image is not indexed yet" in report.notes[1]
    assert cameras(session) == ["X0", None, "X1", "X3"]
    assert session.sql("SELECT image_id, joint FROM vectors_1 ORDER BY 1").to_dicts() == before
    assert "0 changed" in session.index(folder, refresh="metadata").notes[0]
    with pytest.raises(OptionError, match="cannot be refreshed"):
        session.index(folder, refresh="vectors")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.jpg").write_bytes(photo("JPEG", None, 10))
    with pytest.raises(SourceError, match="is in the store"):
        session.index(tmp_path / "other", refresh="metadata")


def test_what_is_excluded_stays_out_until_nothing_is(tmp_path: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    session = shotdex.open(tmp_path / "store", create=True, model=encoder)
    assert session.index(folder, model=encoder).added == 4
    report = session.index(folder, model=encoder, exclude="day1")
    assert (report.removed, report.left_out[0].kind, report.left_out[0].count) == (2, "excluded images", 2)
    assert session.index(folder, model=encoder).unchanged == 2
    assert session.index(folder, model=encoder, exclude="").unchanged == 4
    other = shotdex.open(tmp_path / "other", create=True, model=encoder)
    with pytest.raises(SourceError, match=r"all 4 images in .* are excluded"):
        other.index(folder, model=encoder, exclude=["*.jpg"])

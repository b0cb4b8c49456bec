"""Indexing through the door: what a preview says and that it writes nothing, and what is said on the way."""

from __future__ import annotations

import inspect
from pathlib import Path

import duckdb
import pytest

import shotdex
from shotdex.store.errors import SourceError, StoreError
from shotdex.store.store import Store
from tests.support.images import save_noise


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i in range(4):
        save_noise(tmp_path / "photos" / f"kind{i % 2}" / f"{i}.png", seed=i)
    return tmp_path / "photos"


def test_a_preview_takes_what_index_takes() -> None:
    spread = {"vectors_from", "vectors", "encoder", "runner", "ray_address", "workers", "out", "part_rows"}
    spread |= {"gpus_per_worker", "cpus_per_worker"}
    taken = [one for one in inspect.signature(shotdex.Session.index).parameters if one not in spread]
    assert [*inspect.signature(shotdex.Session.preview).parameters] == taken


def test_a_preview_shows_itself_and_writes_nothing(photos: Path, tmp_path: Path) -> None:
    session = shotdex.Session(Store(tmp_path / "none"))
    found = session.preview(photos, model="demo", category="a<b>")
    assert isinstance(found, shotdex.IndexPreview)
    assert (found.new, found.unlabelled, found.kind, len(found)) == (4, 0, "folder", 1)
    assert found.to_dicts() == [{"images": 4, "what": "new"}]
    assert found.to_arrow().num_rows == 1
    assert "        4 new\n  model: demo (" in repr(found)
    assert "    kind0/0.png: category a<b>" in repr(found)
    assert "category a&lt;b&gt;" in found._repr_html_()
    assert not (tmp_path / "none").exists()
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = found.nothing_of_the_kind


def test_a_preview_of_what_is_indexed(photos: Path, tmp_path: Path) -> None:
    session = shotdex.open(tmp_path / "store", create=True)
    said: list[str] = []
    report = session.index(photos, model="demo", note=said.append)
    assert (report.added, report.kind, report.source, str(report.encoder)[:4]) == (4, "folder", str(photos), "demo")
    assert said == [
        "loading demo",
        "4 images to read; labels, read as {category}/*, the first:",
        *(f"  kind{i % 2}/{i}.png: category kind{i % 2}" for i in (0, 2, 1, 3)),
        "2 classes",
    ]
    said.clear()
    assert shotdex.open(tmp_path / "store").index(photos, model="demo", note=said.append).unchanged == 4
    assert said == ["2 classes"], "no model is loaded where nothing is new"
    (photos / "kind0" / "0.png").unlink()
    save_noise(photos / "kind1" / "9.png", seed=9)
    found = session.preview(photos)
    assert (found.new, found.unchanged, found.gone) == (1, 3, 1)
    assert len(session) == 4
    said.clear()
    assert session.index(photos, prune=True, note=said.append).removed == 1
    assert said[-1].startswith("pruned: 1 images and 1 vectors were removed")


def test_a_prune_that_fails_or_is_interrupted_does_not_lose_the_report(photos: Path, tmp_path: Path) -> None:
    session = shotdex.open(tmp_path / "store", create=True)
    session.index(photos, model="demo")

    def interrupt(line: str) -> None:
        if line.startswith("pruned"):
            raise KeyboardInterrupt

    report = session.index(photos, prune=True, note=interrupt)
    assert (report.interrupted, report.unchanged) == (True, 4)
    with duckdb.connect(str(session.path / "catalog.duckdb")) as con:
        con.execute("DROP TABLE projection_points")
    save_noise(photos / "kind1" / "9.png", seed=9)
    with pytest.raises(StoreError, match="the images are indexed, but what follows failed") as error:
        session.index(photos, prune=True)
    assert error.value.report is not None and "projection_points" in str(error.value)
    assert (error.value.report.added, error.value.report.unchanged) == (1, 4)
    assert "verify" in error.value.hint


def test_a_source_that_is_not_there_makes_no_store(tmp_path: Path) -> None:
    session = shotdex.Session(Store(tmp_path / "none"))
    with pytest.raises(SourceError, match="nowhere"):
        session.index(tmp_path / "nowhere", model="demo")
    assert not (tmp_path / "none").exists()


def test_a_report_shows_its_counts(photos: Path, tmp_path: Path) -> None:
    report = shotdex.Session(Store(tmp_path / "store")).index(photos, model="demo")
    assert repr(report).startswith(f"<IndexReport of {str(photos)!r}: 4 added, 0 unchanged in ")


def test_parts_leave_out_what_is_excluded(photos: Path, tmp_path: Path) -> None:
    done = shotdex.encode(photos, part="0/1", out=tmp_path / "shards", model="demo", exclude=["kind0", "3.*"])
    assert done.images == 1
    store = shotdex.open(tmp_path / "store", create=True)
    assert store.index(tmp_path / "shards").added == 1
    (path,) = store.sql("SELECT path FROM images")[0]
    assert path == str(photos / "kind1" / "1.png")

"""Labels afterwards: a table labels images that are indexed, and adds none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import shotdex
from shotdex.errors import EmptyStore
from tests.cli.checks import failed
from tests.support.fakes import FakeEncoder


def test_labels_come_from_a_table_and_stay(tmp_path: Path, colours: Path, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue("shotdex")
    place = ("--store", tmp_path / "store")
    table = tmp_path / "labels.csv"
    first, second, *_ = sorted(colours.rglob("*.png"))
    table.write_text(f"file,label,split\n{first},first,test\n{second},,train\n{tmp_path / 'new.png'},new,\n")
    (tmp_path / "new.png").write_bytes(first.read_bytes())
    with pytest.raises(EmptyStore):
        shotdex.open(tmp_path / "store", create=True).label(table)
    store = shotdex.open(tmp_path / "store")
    store.index(colours, model=FakeEncoder(), layout="{condition}/{category}*", categories=["red", "green"])
    ran = run("label", table, *place)
    assert (ran.status, ran.out) == (0, "2 with other labels, 0 unchanged\n"), ran
    assert "1 image in it is not indexed yet" in ran.err
    found = {row[0]: row[1:] for row in store.sql("SELECT path, category, split FROM images")}
    assert len(found) == 10
    assert found[str(first)] == ("first", "test")
    assert found[str(second)][1] == "train"
    store.index(colours, model=FakeEncoder())
    assert store.sql("SELECT category FROM images WHERE split = 'test'")[0] == ("first",)
    again = json.loads(run("label", table, *place, "--json").out)
    assert again == {"relabelled": 0, "unchanged": 2, "failed": 0}
    failed(run("label", tmp_path / "gone.csv", *place), 1, "gone.csv")
    assert store.verify().details.whole

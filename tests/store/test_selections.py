"""Named selections: saved, used in filters and as queries, and forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import shotdex
from shotdex.store import schema
from shotdex.store.create import bring_up
from shotdex.store.errors import OptionError, QueryError
from shotdex.store.selections import with_selections
from shotdex.store.store import Store
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    folder = tmp_path_factory.mktemp("selections")
    for i in range(12):
        save_noise(folder / "images" / f"{i:02}.png", seed=i)
    index(Store.create(folder / "store"), folder / "images", FakeEncoder(), "*")
    return shotdex.open(folder / "store")


def test_a_selection_in_filters_and_as_a_query(session: shotdex.Session) -> None:
    found = session.search(like=1, k=4)
    found.save("near-one.1")
    ids = [hit.image_id for hit in found]
    assert [(one.name, one.images, one.query) for one in session.selections()] == [("near-one.1", 4, "#1")]
    assert list(session.sql("SELECT rank, image_id FROM selection_images ORDER BY rank")) == list(enumerate(ids, 1))
    for where, want in (
        ("@near-one.1", set(ids)),
        (
            f"image_id > 3 AND NOT @near-one.1 OR image_id = {ids[0]}",
            {i for i in range(4, 13) if i not in ids} | {ids[0]},
        ),
        ("@width > 1 AND path <> '@near-one.1'", set(range(2, 13))),
    ):
        assert {hit.image_id for hit in session.search(like=1, where=where, k=12)} == want - {1}
    kept, vectors = session.vectors(where="@near-one.1")
    assert kept.tolist() == sorted(ids)
    mean = vectors.astype(np.float64).mean(axis=0)
    hits = session.search(like="near-one.1", k=12)
    assert {hit.image_id for hit in hits} == set(range(1, 13)) - set(ids)
    every, all_vectors = session.vectors()
    scores = dict(zip(every.tolist(), all_vectors @ (mean / np.linalg.norm(mean)), strict=True))
    assert [hit.cosine for hit in hits] == pytest.approx([scores[hit.image_id] for hit in hits], abs=1e-6)
    again = session.search(*shotdex.parse_query("@near-one.1"), k=12)
    assert again[:] == hits[:]
    with pytest.raises(OptionError, match="already"):
        found.save("near-one.1")
    session.remove_selection("near-one.1")
    assert len(session.selections()) == 0
    assert session.sql("SELECT count(*) FROM selection_images")[0] == (0,)
    with pytest.raises(OptionError, match="no selection"):
        session.search(like=1, where="@near-one.1")


def test_names_that_are_not_there_or_cannot_be(session: shotdex.Session) -> None:
    found = session.search(like=1, k=2)
    for name in ("", "a b", "a'b", "-a", "x" * 101, "a;b"):
        with pytest.raises(OptionError, match="cannot be the name"):
            found.save(name)
    with pytest.raises(OptionError, match="no images"):
        session.search(like=1, min_score=2.0).save("none")
    found.save("dogs")
    try:
        with pytest.raises(OptionError) as caught:
            session.search(like="dgos")
        assert "did you mean @dogs?" in caught.value.hint
        with session.store.reading() as con:
            assert (
                with_selections(con, "path = '@dogs' AND \"@dogs\" IS NULL") == "path = '@dogs' AND \"@dogs\" IS NULL"
            )
    finally:
        session.remove_selection("dogs")
    with pytest.raises(QueryError):
        session.search(like=99)


def test_images_that_are_gone_leave_a_selection(tmp_path: Path) -> None:
    for i in range(3):
        save_noise(tmp_path / "images" / f"{i}.png", seed=i)
    index(Store.create(tmp_path / "store"), tmp_path / "images", FakeEncoder(), "*")
    session = shotdex.open(tmp_path / "store")
    session.search(like=1, k=3, with_itself=True).save("all")
    (tmp_path / "images" / "0.png").unlink()
    index(session.store, tmp_path / "images", FakeEncoder(), "*")
    assert session.selections()[0].images == 2
    assert len(session.search(like=2, where="@all")) == 1


def test_a_catalog_without_the_tables_gets_them(tmp_path: Path) -> None:
    version = next(i for i, text in enumerate(schema.MIGRATIONS) if "CREATE TABLE selections" in text)
    store = Store.create(tmp_path / "store")
    with store.writing() as con:
        con.run("DROP TABLE selections; DROP TABLE selection_images")
        con.run("UPDATE meta SET value = $version WHERE key = 'schema_version'", {"version": str(version)})
        if version + 1 == schema.VERSION:
            bring_up(con, version)
            assert con.rows("SELECT * FROM selections") == []

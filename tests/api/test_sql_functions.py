"""similarity, search and nearest in SQL: what they return is what a search returns, wherever they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import shotdex
from shotdex.store.errors import BadSql, ModelUnavailable
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder


def test_search_is_the_search(session: shotdex.Session) -> None:
    hits = session.search("a duck", k=7)
    rows = session.sql("FROM search('a duck', 7)").to_dicts()
    assert [row["image_id"] for row in rows] == [hit.image_id for hit in hits]
    assert [row["cosine"] for row in rows] == pytest.approx([hit.cosine for hit in hits], abs=1e-6)
    assert list(rows[0]) == ["image_id", "path", "category", "condition", "split", "cosine"]
    assert len(session.sql("FROM search('a duck')")) == 10
    assert session.sql("FROM search($text, $n)", text="a duck", n="3").to_dicts() == rows[:3]


def test_similarity_is_the_cosine_wherever_it_stands(session: shotdex.Session) -> None:
    cosines = {hit.image_id: hit.cosine for hit in session.search("a duck", k=1000)}
    for statement in (
        "SELECT image_id, similarity(image_id, 'a duck') FROM images",
        "SELECT asked_id, similarity(asked_id, 'a duck') FROM (SELECT image_id AS asked_id FROM images)",
        "SELECT image_id, similarity(image_id, 'a duck') FROM images WHERE similarity(image_id, 'a duck') > -2",
        "SELECT stored_id, similarity(stored_id, 'a duck') FROM (SELECT image_id AS stored_id FROM images)",
        "SELECT i.image_id, similarity(i.image_id, 'a ' || 'duck') FROM images i JOIN vectors USING (image_id)",
        "WITH t AS (SELECT 'a duck' AS joint) SELECT image_id, similarity(image_id, joint) FROM images, t",
    ):
        found = dict(session.sql(statement))
        assert found == pytest.approx(cosines, abs=1e-6), statement
    by_name = session.sql("SELECT category, similarity(image_id, category) FROM images WHERE category = 'duck' LIMIT 1")
    assert by_name[0][1] is not None
    assert session.sql("SELECT similarity(1, NULL), similarity(-1, 'a duck')")[0] == (None, None)


def test_nearest_leaves_out_the_image_itself_and_its_copies(session: shotdex.Session) -> None:
    ids, vectors = session.vectors()
    contents = dict(session.sql("SELECT image_id, content_sha256 FROM images"))
    cosines = vectors.astype(np.float64) @ vectors[4].astype(np.float64)
    others = [i for i in np.lexsort((ids, -cosines)).tolist() if contents[int(ids[i])] != contents[int(ids[4])]]
    rows = session.sql("FROM nearest($id, n := 5)", id=int(ids[4])).to_dicts()
    assert [row["cosine"] for row in rows] == pytest.approx([cosines[i] for i in others[:5]], abs=1e-6)
    query = "SELECT i.image_id, n.image_id FROM images i, nearest({id}, 1) n WHERE i.image_id < 4 ORDER BY 1"
    found = list(session.sql(query.format(id="i.image_id")))
    assert [row[0] for row in found] == [1, 2, 3]
    assert found[0][1] == session.sql("FROM nearest(1, 1)")[0][0]


def test_a_new_text_is_remembered_and_one_in_a_join_works(session: shotdex.Session) -> None:
    session.sql("SELECT max(similarity(image_id, 'a text of its own')) FROM images")
    assert session.sql("SELECT count(*) FROM text_vectors_1 WHERE text = 'a text of its own'")[0] == (1,)
    wrong = session.sql(
        "SELECT s.path FROM search('a bird', n := 50) s JOIN outcomes o USING (image_id) WHERE o.run = 'names'"
    )
    assert len(wrong) == 50
    pivot = session.sql("PIVOT (FROM search('a pivot', 9)) ON condition USING count(*) GROUP BY split")
    assert sum(pivot[0][1:]) == 9


def test_every_example_runs(session: shotdex.Session) -> None:
    text = shotdex.examples()
    results = session.sql(text).results
    assert len(results) == text.count("\n-- ") + 1 == 10
    assert [len(result) for result in results[3:6]] == [5, len(results[4]), 5]


def test_each_of_several_encoders_has_its_own(tmp_path: Path, colours: Path) -> None:
    store = shotdex.open(tmp_path / "store", create=True)
    with pytest.raises(BadSql) as caught:
        store.sql("FROM search('red')")
    assert "nothing has been indexed" in caught.value.hint
    store.index(colours, model=FakeEncoder())
    assert len(store.sql("FROM search('red', 3)")) == 3
    store.index(colours, model="demo")
    for statement in ("FROM search('red')", "SELECT similarity(1, 'red')", "FROM vectors"):
        with pytest.raises(BadSql) as caught:
            store.sql(statement)
        assert "_1" in caught.value.hint
    both = store.sql("SELECT similarity_1(1, 'red'), similarity_2(1, 'red')")[0]
    assert both[0] != both[1]
    with pytest.raises(ModelUnavailable):  # where nobody has the encoder
        shotdex.open(tmp_path / "store").sql("FROM search_1('never met')")


def test_usual_mistakes_are_explained(evaluated: Store) -> None:
    store = shotdex.open(evaluated.root)
    with pytest.raises(BadSql) as caught:
        store.sql('FROM images WHERE condition = "it\'s"')
    assert "single quotes: 'it''s'" in caught.value.hint
    names = [str(row[0]) for row in store.sql("SELECT name FROM runs ORDER BY run_id")]
    (note,) = store.sql("SELECT count(*) FROM outcomes WHERE correct").notes
    assert f"{len(names)} runs are counted together" in note
    assert f"run = '{names[-1]}'" in note
    for statement in (
        "SELECT count(*) FROM outcomes WHERE run = $run",
        "SELECT run, count(*) FROM outcomes GROUP BY ALL",
        "FROM outcomes",
        "SELECT count(*) FROM images",
        "FROM accuracy",
    ):
        values = {"run": names[0]} if "$" in statement else {}
        assert store.sql(statement, values).notes == (), statement
    (note,) = store.sql("SELECT count(*) FROM outcomes WHERE run = 'gone'").notes
    assert "no run `gone`" in note
    assert store.sql("FROM outcomes WHERE run = 'gone'").near

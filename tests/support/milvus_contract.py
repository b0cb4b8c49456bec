"""What holds of Milvus as an engine, for a server and for Lite alike: a mixin of tests that need a fixture `uri`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.query.ranking import Ranking, Through
from shotdex.query.search import search
from shotdex.store.engines.milvus import MilvusEngine
from shotdex.store.engines.milvus_collection import Collection
from shotdex.store.engines.milvus_connection import TOKEN, disconnect
from shotdex.store.engines.milvus_rows import MilvusRecord, read_record, write_record
from shotdex.store.engines.milvus_upload import add_milvus, bring_up, remove_milvus
from shotdex.store.engines.writing import write_index
from shotdex.store.errors import EngineUnavailable, OptionError
from shotdex.store.ids import renew_images_generation
from shotdex.store.images import mark_removed
from shotdex.store.queries import Query
from shotdex.store.vectors import remember_texts
from shotdex.upkeep.check import Check
from shotdex.upkeep.engines import collections, engine_statuses, repair_collections

from .rows import ImageRow, add_images, add_vectors
from .same_answers import Filled, ImageVectors, always_asked, check_same_answers, filled, missed, unit

DIM = 8
SECRET = "correct-horse-battery"


def no_model(_: object) -> Any:
    raise AssertionError("the text is remembered")


class MilvusContract:
    """Every test leaves the store and its collection whole."""

    @pytest.fixture(scope="class")
    @classmethod
    def many(cls, uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
        made = filled(tmp_path_factory.mktemp("kept") / "store", 200, DIM, 30)
        add_milvus(made.store, 1, made.encoder, uri, "FLAT")
        with made.store.writing() as con:
            remember_texts(con, 1, ["text"], made.vectors[:1])
        yield made
        remove_milvus(made.store, 1)
        assert Collection(uri, record_name(made), "FLAT").look() is None
        disconnect()

    @pytest.fixture(autouse=True)
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with always_asked(monkeypatch):
            yield

    def test_same_answers(self, many: Filled) -> None:
        index = many.open_milvus()
        check_same_answers(many, index, 3)
        assert missed(index) == 0
        assert record(many).rows == many.contents
        [one] = engine_statuses(many.store)
        assert (one.ready, one.images, one.lacking, one.kind) == (True, len(many.ids), 0, "FLAT")
        assert ask(many, "milvus").engine == "milvus"
        assert ask(many, "faiss").hits == ask(many, "milvus").hits == ask(many, "auto").hits

    def test_new_images_are_found_before_they_are_sent_and_after(self, many: Filled) -> None:
        new = int(many.ids.max()) + 1
        query = unit(np.random.default_rng(8).normal(size=(1, DIM)))
        with many.store.writing() as con:
            add_images(con, [ImageRow(new, "/p/new.png", "/p", "new", None, None, "f" * 64)])
            add_vectors(con, 1, [new], ImageVectors(query, np.zeros((1, 2), np.float32)))
        assert many.open_milvus().search(query[0], 3)[0][0] == new
        write_index(many.store, 1, many.encoder)
        index = many.open_milvus()
        assert index.search(query[0], 3)[0][0] == new
        assert index.search(query[0], 3, many.filter("category = 'new'"))[0].tolist() == [new]
        assert lacks(index) == 0
        with many.store.writing() as con:
            con.run(f"DELETE FROM stored_images WHERE image_id = {new}; DELETE FROM vectors_1 WHERE image_id = {new}")
            renew_images_generation(con)
        write_index(many.store, 1, many.encoder)
        assert record(many).rows == many.contents
        assert failing(many) == []

    def test_removed_images_are_never_shown(self, many: Filled) -> None:
        gone = many.ids[:150]
        with many.store.writing() as con:
            mark_removed(con, gone.tolist())
        try:
            for again in (False, True):  # before Milvus hears of it, and after
                if again:
                    bring_up(many.store, 1, many.encoder)
                index, exact = many.open_milvus(), many.open()
                for query in many.queries(4):
                    for where in (None, "condition = 'blurred'"):
                        kept = many.filter(where)
                        ids, cosines = index.search(query, 90, kept)
                        flat = exact.search(query, 90, kept, exact=True)
                        assert not np.isin(ids, gone).any()
                        assert (ids.tolist(), cosines.tolist()) == (flat[0].tolist(), flat[1].tolist())
        finally:
            with many.store.writing() as con:
                con.run("UPDATE stored_images SET removed_at = NULL")
                renew_images_generation(con)
            bring_up(many.store, 1, many.encoder)
        check_same_answers(many, many.open_milvus(), 1)

    def test_labels_that_changed(self, many: Filled) -> None:
        """They are left to Milvus only once it has them."""
        some = "image_id IN (SELECT image_id FROM stored_images ORDER BY image_id LIMIT 60)"
        change = f"UPDATE stored_images SET category = 'changed', split = 'train' WHERE {some}"
        with many.store.reading() as con:
            before = con.rows(f"SELECT image_id, category FROM stored_images WHERE {some}")
        with many.store.writing() as con:
            con.run(change)
            renew_images_generation(con)
        kept = many.filter("category = 'changed' AND split IN ('train', 'test')")
        assert kept.ids is not None
        for again in (False, True):
            if again:
                bring_up(many.store, 1, many.encoder)
            index = many.open_milvus()
            engine = index.engine()
            assert isinstance(engine, MilvusEngine)
            assert bool(engine.expression(kept)) == again
            assert sorted(index.search(many.vectors[0], 60, kept)[0].tolist()) == kept.ids.tolist()
        with many.store.writing() as con:
            for image_id, category in before:
                values = {"id": image_id, "category": category}
                con.run("UPDATE stored_images SET category = $category, split = NULL WHERE image_id = $id", values)
            renew_images_generation(con)
        bring_up(many.store, 1, many.encoder)
        assert failing(many) == []

    @pytest.mark.parametrize("damage", ["dropped", "half filled", "foreign rows", "altered", "somebody else's"])
    def test_damage_is_named_never_searched_and_repaired(self, many: Filled, damage: str) -> None:
        uri, name = record(many).uri, record(many).collection
        collection = Collection(uri, name, "FLAT")
        owner = int(collection.ids()[3])
        if damage == "dropped":
            collection.drop()
        elif damage == "half filled":
            collection.forget(collection.ids()[::2])
        elif damage == "foreign rows":
            far = 10**9 + np.arange(5)
            collection.put(far, unit(np.ones((5, DIM))), [[[]] * 5] * 3)
        elif damage == "altered":
            collection.put(np.array([owner]), many.vectors[:1], [[[1]], [[2]], [[3]]])
        else:
            collection.set_state("another")
        settle(collection, many, damage)
        if damage == "altered":  # it is met where it is proposed
            with pytest.raises(EngineUnavailable, match="a different vector for image"):
                for _ in range(100):  # a server may answer from before for a moment
                    many.open_milvus().search(many.vectors[0], 200)
                    time.sleep(0.1)
        else:
            with pytest.raises(EngineUnavailable, match="not ready"):
                ask(many, "milvus")
            found = ask(many, "auto")
            assert found.hits == ask(many, "faiss").hits
            assert found.engine == "faiss"
            assert "FAISS answered instead" in found.notes[0]
        [check] = failing(many)
        assert "verify --repair" in check.hint
        with many.store.indexing():
            [done] = repair_collections(many.store, {1: many.encoder})
        assert done.startswith("brought the Milvus collection of encoder 1 up to the catalog")
        assert failing(many) == []
        check_same_answers(many, many.open_milvus(), 1)
        if damage == "somebody else's":
            assert record(many).collection != name
            assert collection.drop()
        else:
            assert (record(many).collection == name) == (damage != "dropped")

    def test_an_interrupted_upload_is_not_searched_and_then_finished(self, many: Filled) -> None:
        before = record(many)
        with many.store.writing() as con:
            write_record(con, 1, MilvusRecord(before.uri, before.kind, before.collection, before.states, before.rows))
        with pytest.raises(EngineUnavailable, match="interrupted"):
            ask(many, "milvus")
        assert ask(many, "auto").engine == "faiss"
        add_milvus(many.store, 1, many.encoder, before.uri, "flat")
        assert ask(many, "milvus").engine == "milvus"
        assert failing(many) == []

    def test_no_token_anywhere(
        self, many: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        disconnect()
        monkeypatch.setenv(TOKEN, f"root:{SECRET}")
        uri = record(many).uri
        with caplog.at_level("DEBUG"):
            add_milvus(many.store, 1, many.encoder, uri, "FLAT")
            ask(many, "milvus")
            said = [repr(engine_statuses(many.store)), *(check.text for check in checks(many))]
            with pytest.raises(EngineUnavailable) as down:
                add_milvus(many.store, 1, many.encoder, "http://127.0.0.1:9", "FLAT")
            with pytest.raises(OptionError) as refused:
                add_milvus(many.store, 1, many.encoder, f"http://root:{SECRET}@127.0.0.1:9", "FLAT")
        disconnect()
        said += [caplog.text, str(down.value), down.value.hint, str(refused.value), refused.value.hint]
        assert not any(SECRET in text for text in said)
        files = [path for path in many.store.root.rglob("*") if path.is_file()]
        assert files
        assert not any(SECRET.encode() in path.read_bytes() for path in files)
        processes = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
        assert not any(SECRET.encode() in line for line in processes)


def record(many: Filled) -> MilvusRecord:
    with many.store.reading() as con:
        found = read_record(con, 1)
    assert found is not None
    return found


def record_name(many: Filled) -> str:
    with many.store.reading() as con:
        assert read_record(con, 1) is None
        assert not con.value("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'engine_rows_1'")
    return f"shotdex_{many.store.identity[:12]}_1_gone"


def ask(many: Filled, engine: str) -> Ranking:
    return search(many.store, Query(("text",), k=20), no_model, through=Through(engine))


def checks(many: Filled) -> list[Check]:
    with many.store.reading() as con:
        return collections(many.store, con)


def failing(many: Filled) -> list[Check]:
    return [check for check in checks(many) if not check.ok]


def lacks(index: Any) -> int:
    return len(index.engine().lacks)


def settle(collection: Collection, many: Filled, damage: str) -> None:
    """Wait until the server shows what was done to it: what was deleted a moment ago may still be in sight."""
    rows = {"half filled": many.contents // 2, "foreign rows": many.contents + 5}.get(damage)
    while rows is not None and ((found := collection.look()) is None or found.rows != rows):
        time.sleep(0.1)

"""Building an approximate index: its figures are those of searches really made, and it says when it is no use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.query import approximate
from shotdex.query.approximate import QUERIES, build, drop, truths
from shotdex.query.ranking import Through
from shotdex.query.search import search
from shotdex.store.engines.flat import Rows
from shotdex.store.engines.ivf import inverted_file_path
from shotdex.store.engines.vector_index import open_index
from shotdex.store.errors import OptionError
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.store.vectors import remember_texts
from shotdex.upkeep.repair import repair_store
from shotdex.upkeep.status import status
from shotdex.upkeep.verify import check_store
from tests.store.engines.test_vector_index import fill, unit
from tests.support.fakes import fake_id

COUNT = 1500


class Quiet:
    def start(self, total: int) -> None:
        self.left = total

    def advance(self, count: int) -> None:
        self.left -= count


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Any]:
    """A store of clustered vectors that remembers 20 texts, with its inverted file."""
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(40, 16)))
    store = Store.create(tmp_path_factory.mktemp("approximate"))
    vectors = unit(centres[rng.integers(40, size=COUNT)] + 0.1 * rng.normal(size=(COUNT, 16)))
    fill(store, fake_id(dim=16, vision_dim=2), list(range(1, COUNT + 1)), vectors)
    with store.writing() as con:
        texts = unit(centres[:20] + 0.3 * rng.normal(size=(20, 16)))
        remember_texts(con, 1, [f"text {i}" for i in range(20)], texts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(approximate, "LEAST", 1000)
        watcher = Quiet()
        figures = build(store, None, 0.95, watcher)
    assert watcher.left == 0
    return store, figures


def no_model(_: object) -> Any:
    raise AssertionError("the model was asked for")


def test_the_measured_recall_is_that_of_searches(built: tuple[Store, Any]) -> None:
    """Of the texts: each asked twice, exactly and through the inverted file."""
    store, figures = built
    found = 0
    with store.reading():  # once for all: to open the catalog takes longer than a search
        for i in range(20):
            exact = search(store, Query((f"text {i}",)), no_model, through=Through(exact=True))
            through = search(store, Query((f"text {i}",)), no_model)
            assert (exact.approximate, through.approximate) == (None, figures)
            found += len({hit.image_id for hit in exact.hits} & {hit.image_id for hit in through.hits})
    assert figures.texts.value == pytest.approx(found / 200)
    assert min(figures.texts.value, figures.images.value) >= 0.95
    assert figures.texts.questions == 20
    assert figures.images.questions == QUERIES
    assert figures.images.looked_at < 0.2
    assert figures.runs == ()


def test_the_true_nearest_are_those_of_a_plain_product() -> None:
    rng = np.random.default_rng(1)
    vectors, texts = unit(rng.normal(size=(300, 8))), unit(rng.normal(size=(4, 8)))
    held_out = np.array([5, 120, 299])
    present = np.arange(300) != 7
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(approximate, "CHUNK", 64)
        images, asked = truths(Rows(np.arange(300), vectors), present, texts, held_out, lambda _: None)
    for found, queries, own in ((images, vectors[held_out], held_out.tolist()), (asked, texts, [7] * 4)):
        for row, query, itself in zip(found.rows, queries, own, strict=True):
            scores = vectors.astype(float) @ query
            scores[[7, itself]] = -9
            assert set(row.tolist()) == set(np.argsort(-scores)[:10].tolist())


def test_status_shows_it_and_verify_knows_it(built: tuple[Store, Any]) -> None:
    store, figures = built
    assert status(store).encoders[0].approximate == figures
    checks = {check.name: check for check in check_store(store)}
    assert all(check.ok for name, check in checks.items() if "index" in name)
    assert checks["approximate index of encoder 1"].text == (
        f"{figures.cells} centroids, each of 1,500 vectors in the list of one"
    )
    whole = inverted_file_path(store, 1).read_bytes()
    inverted_file_path(store, 1).write_bytes(whole[:-1])
    broken = [check for check in check_store(store) if not check.ok and "index" in check.name]
    assert [check.name for check in broken] == ["approximate index of encoder 1"]
    assert "verify --repair" in broken[0].hint
    assert f"removed {inverted_file_path(store, 1).name}; build it again: shotdex approximate" in repair_store(store)
    assert not inverted_file_path(store, 1).exists()
    inverted_file_path(store, 1).write_bytes(whole)


def test_too_few_images_and_too_much_asked(built: tuple[Store, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    store, figures = built
    with pytest.raises(OptionError, match="1,500 images"):
        build(store, None, 0.95, Quiet())
    monkeypatch.setattr(approximate, "LEAST", 1000)
    monkeypatch.setattr(approximate, "CEILING", 0.001)
    with pytest.raises(OptionError, match="must be compared") as caught:
        build(store, None, 0.999, Quiet())
    assert "choose a lower recall" in caught.value.hint
    assert status(store).encoders[0].approximate == figures, "the one there was stays"


def test_taken_away(built: tuple[Store, Any], tmp_path: Path) -> None:
    store, _ = built
    whole = inverted_file_path(store, 1).read_bytes()
    assert drop(store, None)
    assert not drop(store, None)
    with store.reading() as con:
        assert open_index(store, con, 1, fake_id(dim=16, vision_dim=2)).figures is None
    inverted_file_path(store, 1).write_bytes(whole)


def test_the_command(built: tuple[Store, Any], shotdex: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, figures = built
    shown = shotdex("status", "--store", store.root).out
    assert f"{figures.cells} centroids over 1,500 images, nprobe {figures.probes}" in shown
    assert "recall@10 of texts" in shown
    ran = shotdex("approximate", "--store", store.root)
    assert (ran.status, "takes a few milliseconds" in ran.err) == (2, True)
    monkeypatch.setattr(approximate, "LEAST", 1000)
    ran = shotdex("approximate", "--recall", "0.9", "--json", "--store", store.root)
    assert json.loads(ran.out)["images"]["value"] >= 0.9
    monkeypatch.setattr("shotdex.query.search.SLOW", 0.0)
    monkeypatch.setattr("shotdex.query.search.LEAST", 1000)
    assert "shotdex approximate" not in shotdex("search", "text 1", "--store", store.root).err
    ran = shotdex("approximate", "--drop", "--store", store.root)
    assert "deleted the approximate index" in ran.err
    assert "faster: shotdex approximate" in shotdex("search", "text 1", "--store", store.root).err

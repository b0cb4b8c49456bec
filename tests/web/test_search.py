"""Searches over HTTP find what a session finds, alone and together."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from shotdex.store.engines.many import Request
from shotdex.store.engines.vector_index import VectorIndex
from shotdex.store.store import Store
from shotdex.web import served as served_module
from shotdex.web import sql_api
from shotdex.web.batching import Batcher
from shotdex.web.served import Served
from tests.conftest import index as index_images
from tests.query.test_sql_safety import ENDLESS, REFUSED
from tests.query.test_sql_safety import FILTERS as WHERES
from tests.support.evaluated import save_noisy_colour
from tests.support.fakes import FakeEncoder

COLOURS = ("red", "green", "blue", "yellow", "tomato", "olive", "purple", "navy", "orange", "teal", "gold", "snow")
FILTERS: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({}, None),
    ({"condition": "plain"}, "condition = 'plain'"),
    ({"condition": ""}, "condition IS NULL"),
    ({"category": ["red", "blue"], "split": "test"}, "category IN ('red', 'blue') AND split = 'test'"),
    ({"where": "width > 8"}, "width > 8"),
    ({"category": "yellow", "where": "image_id % 7 = 1"}, "category = 'yellow' AND image_id % 7 = 1"),
)


def listed(answer: Any) -> list[tuple[int, float]]:
    assert answer.status_code == 200, answer.text
    return [(hit["image_id"], hit["cosine"]) for hit in answer.json()["hits"]]


def test_it_finds_what_a_session_finds(client: TestClient, served: Served) -> None:
    rng = np.random.default_rng(5)
    queries = []
    for _ in range(200):
        texts = rng.choice(COLOURS, rng.integers(1, 3), replace=False).tolist()
        said, where = FILTERS[rng.integers(len(FILTERS))]
        queries.append(({"text": texts, "k": int(rng.integers(1, 90)), **said}, texts, where))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda query: client.get("/api/search", params=query[0]), queries))
    for (asked, texts, where), answer in zip(queries, answers, strict=True):
        expected = served.session.search(*texts, where=where, k=asked["k"])
        found = listed(answer)
        assert [one for one, _ in found] == [hit.image_id for hit in expected], asked
        assert np.allclose([cosine for _, cosine in found], [hit.cosine for hit in expected], atol=1e-6)


def test_pages_follow_each_other(client: TestClient) -> None:
    whole = listed(client.get("/api/search", params={"text": "red", "k": 75}))
    found, cursor = [], ""
    while cursor is not None:
        answer = client.get("/api/search", params={"text": "red", "k": 20, "cursor": cursor})
        found += listed(answer)
        cursor = answer.json()["cursor"]
    assert found == whole
    assert list(range(1, 76)) == [hit["rank"] for hit in client.get("/api/search", params={"k": 500}).json()["hits"]]


def test_parts_are_added_and_subtracted(client: TestClient, served: Served) -> None:
    fake = FakeEncoder().encode_texts(["red", "blue", "yellow"]).astype(float)
    vector = 2 * fake[0] + fake[1] - fake[2]
    rows = served.session.index_of().rows()
    cosines = rows.vectors @ (vector / np.linalg.norm(vector))
    asked = {"text": ["red", "blue"], "weight": [2], "minus": "yellow", "k": 75, "min_score": 0.1}
    found = listed(client.get("/api/search", params=asked))
    assert np.allclose([cosine for _, cosine in found], np.sort(cosines[cosines >= 0.1])[::-1], atol=1e-6)


def test_an_image_leaves_itself_out(client: TestClient) -> None:
    found = listed(client.get("/api/images/3/neighbours", params={"k": 5}))
    assert len(found) == 5 and 3 not in [one for one, _ in found]
    assert found == listed(client.get("/api/search", params={"image_id": 3, "k": 5}))
    near = listed(client.get("/api/images/3/neighbours", params={"k": 74, "space": "vision"}))
    assert len(near) == 74 and 3 not in [one for one, _ in near]


def test_an_upload_that_is_stored_is_left_out_with_its_copies(
    serve: Callable[..., tuple[TestClient, Served]], tmp_path: Path
) -> None:
    for seed in range(4):
        save_noisy_colour(tmp_path / "images" / f"{seed}.png", "red", 0.4, seed)
    shutil.copy(tmp_path / "images/1.png", tmp_path / "images/copy.png")
    store = Store.create(tmp_path / "store")
    index_images(store, tmp_path / "images", FakeEncoder())
    client, served = serve(store)
    file = tmp_path / "images/1.png"
    paths = {one["path"]: one["image_id"] for one in client.get("/api/search").json()["hits"]}
    expected = [(hit.image_id, hit.cosine) for hit in served.session.search(image=file)]
    assert len(expected) == 3
    upload = {"files": {"image": file.read_bytes()}, "headers": {"x-shotdex": "1"}}
    for answer in (
        client.post("/api/search", **upload),
        client.get(f"/api/images/{paths[str(file)]}/neighbours"),
        client.get("/api/search", params={"image_id": paths[str(tmp_path / "images/copy.png")]}),
    ):
        assert [one for one, _ in listed(answer)] == [one for one, _ in expected]
        assert np.allclose([cosine for _, cosine in listed(answer)], [score for _, score in expected], atol=1e-6)
        assert (answer.json()["total"], answer.json()["cursor"]) == (3, None)
    near = client.post("/api/search?space=vision", **upload)
    assert len(listed(near)) == 3, "what is stored has a place in the vision space, too"
    save_noisy_colour(tmp_path / "other.png", "blue", 0.4, 9)
    upload["files"] = {"image": (tmp_path / "other.png").read_bytes()}
    assert len(listed(client.post("/api/search", **upload))) == 5


def test_waiting_searches_share_a_product(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    index, batcher = served.session.index_of(), Batcher()
    first, entered, counted = threading.Event(), threading.Event(), []
    real = VectorIndex.search_many

    def slow(self: VectorIndex, requests: Any) -> Any:
        counted.append(len(requests))
        entered.set()
        first.wait(10)
        return real(self, requests)

    monkeypatch.setattr(VectorIndex, "search_many", slow)
    vectors = FakeEncoder().encode_texts(COLOURS)
    with ThreadPoolExecutor(len(vectors)) as pool:
        one = pool.submit(batcher.search, index, Request(vectors[0], 5))
        assert entered.wait(10)
        others = [pool.submit(batcher.search, index, Request(vector, 5)) for vector in vectors[1:]]
        while batcher._waiting.qsize() < len(others):
            pass
        first.set()
        found = [future.result(10) for future in (one, *others)]
    batcher.close()
    assert counted == [1, len(others)]
    for vector, (ids, cosines) in zip(vectors, found, strict=True):
        expected = index.search(vector, 5, exact=True)
        assert ids.tolist() == expected[0].tolist() and cosines.tolist() == expected[1].tolist()


@pytest.mark.parametrize(
    "asked",
    [
        {"text": "red", "minus": "red"},
        {"where": "nope"},
        {"where": "1); DROP TABLE images; --"},
        {"outcome": "right"},
        {"run": "names", "true": "nope"},
        {"run": "names", "flip": "gained"},
        {"text": "x" * 501},
        {"k": 501},
        {"cursor": "abc"},
        {"nonsense": 1},
        {"space": "vision", "text": "red"},
        {"image_id": 10**9},
    ],
)
def test_what_cannot_be_is_said(client: TestClient, asked: dict[str, Any]) -> None:
    answer = client.get("/api/search", params=asked)
    assert answer.status_code == 422 and answer.json()["detail"]


def test_sql_and_conditions_only_ask_and_end(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(served_module, "WHERE_SECONDS", 0.5)
    monkeypatch.setattr(sql_api, "LIMITS", replace(sql_api.LIMITS, seconds=0.5))
    (tmp_path / "f.csv").write_text("a,b\n1,2\n")
    before = hashlib.sha256(served.session.store.catalog.read_bytes()).hexdigest()
    for where in [*WHERES, f"EXISTS ({ENDLESS})"]:
        asked = {"where": where.format(root=served.session.path, here=tmp_path)}
        answer = client.get("/api/search", params=asked)
        assert answer.status_code == 422, (where, answer.text)
    for statement in [*REFUSED, ENDLESS]:
        body = {"statement": statement.format(root=served.session.path, here=tmp_path)}
        answer = client.post("/api/sql", json=body)
        assert answer.status_code == 422, (statement, answer.text)
    assert hashlib.sha256(served.session.store.catalog.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.csv"]


def test_cells_are_the_images_behind_them(client: TestClient) -> None:
    for run, against in (("names", "words"), ("words", "third")):
        matrix = client.get(f"/api/runs/{run}/confusion", params={"against": against}).json()
        for truth, *rows in zip(matrix["truths"], matrix["cells"], matrix["against"]["cells"], strict=True):
            for at, predicted in enumerate(matrix["classes"]):
                cell = {"run": run, "true": truth, "predicted": predicted, "k": 1}
                statement = "SELECT count(*) FROM outcomes WHERE run = $run AND category = $true AND predicted = $to"
                body = {"statement": statement, "parameters": {"run": run, "true": truth, "to": predicted}}
                if rows[0][at]:
                    assert client.get("/api/search", params=cell).json()["total"] == rows[0][at]
                    assert client.post("/api/sql", json=body).json()["rows"] == [[rows[0][at]]]
                    left = client.get("/api/search", params=cell | {"against": against, "flip": "left"}).json()["total"]
                    came = client.get("/api/search", params=cell | {"against": against, "flip": "came"}).json()["total"]
                    assert rows[0][at] - left + came == rows[1][at]


def test_nothing_changed_is_a_304(client: TestClient) -> None:
    first = client.get("/api/store")
    again = client.get("/api/store", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/api/nothing", headers={"if-none-match": first.headers["etag"]}).status_code == 404


def test_a_report_is_one_file_to_save(client: TestClient) -> None:
    answer = client.get("/api/runs/names/document", params={"images": 0, "against": "words"})
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''report%20of%20names.html"
    assert answer.text.startswith("<!DOCTYPE html>") and "words" in answer.text
    assert client.get("/api/runs/nope/document").status_code == 404


def test_reliability_counts_every_image_once(client: TestClient) -> None:
    found = client.get("/api/runs/names").json()
    bins = found["reliability"]
    assert sum(one["accuracy"]["n"] for one in bins) == found["overall"]["accuracy"]["n"]
    assert all(one["low"] <= one["confidence"] <= one["high"] for one in bins)

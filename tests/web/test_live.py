"""Prompts that are tried have the numbers of `classify`, for every image, and nothing of them stays in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from shotdex.analysis.classify import Classification, answer
from shotdex.analysis.live import LiveClassifier, LiveImages, Looks, exploring_half
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.scorer import CHUNK
from shotdex.analysis.scoring import ClassTexts
from shotdex.analysis.stats.paired import holm
from shotdex.store.store import Store
from shotdex.store.types import Combine
from shotdex.web.served import Served
from tests.support.evaluated import SNOWY, WORDS, rows
from tests.support.fakes import FakeEncoder

TEXTS = (
    "red",
    "tomato",
    "green",
    "olive",
    "blue",
    "navy",
    "purple",
    "yellow",
    "gold",
    "orange",
    "white",
    "RED",
    "Blue",
)
CLASSES = ("red", "green", "blue", "yellow", "white", "crimson")


@st.composite
def prompt_sets(draw: Any) -> Any:
    names = draw(st.lists(st.sampled_from(CLASSES), min_size=2, max_size=6, unique=True))
    texts = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)
    return make_prompt_set("x", {name: tuple(draw(texts)) for name in names}, combine=draw(st.sampled_from(Combine)))


@settings(max_examples=15)
@given(sets=st.lists(prompt_sets(), min_size=1, max_size=3))
def test_the_predictions_are_those_of_classify_ties_included(served: Served, sets: list[Any]) -> None:
    live = served.session._live(None)[1]
    for prompts in sets:
        expected = answer(served.session.store, Classification(prompts, k=1, partial=True), lambda _: FakeEncoder())
        texts = served.session.text_vectors([text for own in prompts.classes.values() for text in own])
        found = live.classify(prompts, texts)
        predictions = expected.spooled.table("predictions")
        assert found.ids.tolist() == predictions.column("image_id").to_pylist()
        named = [found.classes[code] for code in found.predicted.tolist()]
        assert named == predictions.column("category").to_pylist()
        assert (found.correct & found.known).tolist() == (expected.ranks == 1).tolist()


def random_images(count: int, dim: int, seed: int) -> LiveImages:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return LiveImages(np.arange(count), vectors, rng.integers(-1, 3, count), ("a", "b", "c"))


@pytest.mark.parametrize("combine", list(Combine))
def test_only_what_changed_is_computed(combine: Combine) -> None:
    images = random_images(500, 16, 1)
    texts = dict(zip("pqrstu", random_images(6, 16, 2).vectors, strict=True))
    live = LiveClassifier(images)
    live.classify(make_prompt_set("x", {"a": ("p", "q"), "b": ("r",), "c": ("s", "t")}, combine=combine), texts)
    first = live.products
    found = live.classify(make_prompt_set("x", {"a": ("p", "q"), "b": ("u",), "c": ("s", "t")}, combine=combine), texts)
    assert live.products == first + 1
    assert found.truth.tolist() == images.codes.tolist()


@pytest.mark.parametrize("combine", list(Combine))
def test_where_rounding_decides_it_decides_as_in_classify(combine: Combine) -> None:
    images = random_images(20_000, 32, 8)
    near = images.vectors[:6] + np.random.default_rng(9).normal(scale=2e-5, size=(6, 32)).astype(np.float32)
    texts = dict(zip("pqrstu", near / np.linalg.norm(near, axis=1, keepdims=True), strict=True))
    texts |= {name.upper(): vector for name, vector in zip("pqrstu", images.vectors[:6], strict=True)}
    prompts = make_prompt_set(
        "x", {"a": ("p", "Q"), "b": ("P", "q"), "c": ("r", "S"), "d": ("R", "s")}, combine=combine
    )
    matrix = np.stack([texts[text] for own in prompts.classes.values() for text in own])
    classes = ClassTexts(matrix, [2] * 4, combine)
    parts = [images.vectors[start : start + CHUNK] for start in range(0, 20_000, CHUNK)]
    expected = np.concatenate([classes.scores(part)[0].argmax(axis=1) for part in parts])
    assert LiveClassifier(images).classify(prompts, texts).predicted.tolist() == expected.tolist()


def test_columns_are_dropped_where_there_is_no_room() -> None:
    images = random_images(200, 8, 3)
    texts = dict(zip("pqr", random_images(3, 8, 4).vectors, strict=True))
    prompts = make_prompt_set("x", {"a": ("p",), "b": ("q",), "c": ("r",)})
    small, large = LiveClassifier(images, 4 * 200), LiveClassifier(images)
    assert small.classify(prompts, texts).predicted.tolist() == large.classify(prompts, texts).predicted.tolist()


def test_the_gap_is_that_of_the_cosines() -> None:
    images = random_images(300, 8, 5)
    texts = dict(zip("pqrs", random_images(4, 8, 6).vectors, strict=True))
    found = LiveClassifier(images).classify(
        make_prompt_set("x", {"a": ("p", "q"), "b": ("r",), "c": ("s",)}, combine=Combine.MAX), texts
    )
    cosines = images.vectors @ np.stack([texts[name] for name in "pqrs"]).T
    scores = np.column_stack([cosines[:, :2].max(axis=1), cosines[:, 2:]])
    known = images.codes >= 0
    own = np.take_along_axis(scores, np.maximum(images.codes, 0)[:, None], axis=1)[:, 0]
    assert np.allclose(found.gap[known], (scores.max(axis=1) - own)[known], atol=1e-6)
    assert np.isnan(found.gap[~known]).all()


def test_the_halves_part_each_category_and_do_not_depend_on_prompts() -> None:
    images = random_images(1001, 4, 7)
    half = exploring_half(images)
    for code in range(3):
        own = images.codes == code
        assert (half & own).sum() == (own.sum() + 1) // 2
    assert not half[images.codes < 0].any()
    assert (half == exploring_half(images)).all()


def test_looks_and_confirmations_are_counted_once() -> None:
    looks = Looks()
    assert [looks.look(name) for name in ("a", "b", "a")] == [1, 2, 2]
    assert looks.confirm("a", 0.04) == 0.04
    assert looks.confirm("b", 0.01) == pytest.approx(holm([0.04, 0.01])[1])
    assert looks.confirm("a", 0.5) == pytest.approx(holm([0.04, 0.01])[0])


def body(classes: dict[str, tuple[str, ...]], **more: Any) -> dict[str, Any]:
    return {"classes": {name: list(texts) for name, texts in classes.items()}, **more}


def test_the_whole_set_has_the_numbers_of_the_saved_run(client: TestClient, served: Served) -> None:
    found = client.post("/api/live", json=body(WORDS, half="all", against="names")).json()
    run = served.session.run("words")
    assert found["accuracy"] == served.plain(run.accuracy())
    by_condition = run.accuracy(by="condition")
    named = dict(zip(by_condition.groups, by_condition, strict=True))
    assert {one["name"]: one["accuracy"]["value"] for one in found["groups"]} == {
        name: one.value for name, one in named.items() if name != "unlabelled"
    }
    compared = served.session.compare("names", "words").details.comparisons[0]
    assert found["against"]["p_value"] == compared.p_value
    assert (found["against"]["lost"], found["against"]["gained"]) == (compared.only_a, compared.only_b)
    matrix = client.get("/api/runs/words/confusion").json()
    assert {name: found["confusion"][name] for name in ("truths", "classes", "cells")} == {
        name: matrix[name] for name in ("truths", "classes", "cells")
    }


def test_the_halves_add_up_and_p_is_adjusted(client: TestClient) -> None:
    parts = {
        half: client.post("/api/live", json=body(SNOWY, half=half)).json() for half in ("explore", "confirm", "all")
    }
    assert parts["all"]["accuracy"]["n"] == parts["explore"]["accuracy"]["n"] + parts["confirm"]["accuracy"]["n"]
    assert client.post("/api/live", json=body(SNOWY, half="confirm", against="names")).json()["against"]["adjusted"]
    assert client.post("/api/live", json=body(SNOWY, against="names")).json()["against"]["adjusted"] is None


def test_each_prompt_is_left_out(client: TestClient) -> None:
    found = client.post("/api/live", json=body(WORDS, half="all", leave_one_out="blue")).json()
    assert [one["prompt"] for one in found["leave_one_out"]] == ["purple", "navy"]
    for one, rest in zip(found["leave_one_out"], ("navy", "purple"), strict=True):
        alone = client.post("/api/live", json=body(WORDS | {"blue": (rest,)}, half="all")).json()
        assert one["accuracy"] == alone["accuracy"]


def test_predictions_and_places(client: TestClient, served: Served) -> None:
    numbers = np.frombuffer(client.post("/api/live/predictions", json=body(WORDS)).content, "<u2")
    outcomes = served.snapshot.run("words")
    assert numbers.tolist() == [list(WORDS).index(outcomes.classes[code]) for code in outcomes.predicted.tolist()]
    assert client.post("/api/live/places", json={"projection_id": 7, "texts": ["red"]}).status_code == 422


def test_a_saved_set_is_a_run_that_rerun_confirms(serve: Callable[..., tuple[TestClient, Served]], own: Store) -> None:
    client, served = serve(own)
    before = rows(own, "SELECT text FROM text_vectors_1 ORDER BY 1")
    tried = body(WORDS | {"red": ("a letter", "a letter more")})
    for count in range(1, 9):
        client.post("/api/live", json=body(WORDS | {"red": ("a letter"[:count].strip(), "a letter more")}))
    found = client.post("/api/live", json=tried | {"half": "all"}).json()
    assert rows(own, "SELECT text FROM text_vectors_1 ORDER BY 1") == before
    saved = client.post("/api/runs", json=tried | {"name": "tried", "looks": 3})
    assert (saved.status_code, saved.json()["accuracy"]) == (201, found["accuracy"])
    assert served.session.rerun("tried").identical
    assert served.session.run("tried").record.settings["looks"] == 7  # "a" and "a " are one
    assert [run["name"] for run in client.get("/api/store").json()["runs"]][-1] == "tried"
    texts = {row[0] for row in rows(own, "SELECT text FROM text_vectors_1")}
    assert texts - {row[0] for row in before} == {"a letter", "a letter more"}
    assert client.post("/api/runs", json=tried | {"name": "tried"}).status_code == 422


def test_a_read_only_server_saves_nothing(serve: Callable[..., tuple[TestClient, Served]], own: Store) -> None:
    client, _ = serve(own, read_only=True)
    assert client.post("/api/runs", json=body(WORDS, name="tried")).status_code == 403
    assert client.get("/api/store").json()["read_only"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": {"red": ["red"]}},
        {"classes": {"red": ["red"], "blue": [""]}},
        {"classes": {"red": ["red"], "": ["blue"]}},
        {"classes": {"red": ["red"], "blue": []}},
        {"classes": {"red": ["red"], "blue": ["x" * 501]}},
        {"classes": {"red": ["red"], "blue": ["blue"]}, "aliases": {"green": ["x"]}},
        {"classes": {"red": ["red"], "blue": ["blue"]}, "half": "third"},
        {"classes": {"red": ["red"], "blue": ["blue"]}, "against": "nope"},
        {"classes": {"red": ["red"], "blue": ["blue"]}, "leave_one_out": "nope"},
        {"classes": {"red": ["red"] * 5001, "blue": ["blue"]}},
    ],
)
def test_what_is_wrong_is_said(client: TestClient, wrong: dict[str, Any]) -> None:
    answer = client.post("/api/live", json=wrong)
    assert answer.status_code == 422 and answer.json()["detail"]


def test_a_selection_has_a_verdict(client: TestClient, served: Served) -> None:
    run = served.snapshot.run("names")
    ids = run.ids[:30]
    found = client.post("/api/selection", json={"ids": ids.tolist(), "run": "names"}).json()
    inside = np.isin(run.ids, ids) & run.known
    assert found["inside"]["n"] == int(inside.sum())
    assert found["inside"]["value"] == pytest.approx(run.correct[inside].mean())
    assert found["outside"]["value"] == pytest.approx(run.correct[run.known & ~inside].mean())
    deltas = [int(ids[0]), *np.diff(ids).tolist()]
    assert client.post("/api/selection", json={"deltas": deltas, "run": "names"}).json() == found
    import pyarrow as pa

    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, pa.schema([("image_id", pa.int32())])) as writer:
        writer.write_table(pa.table({"image_id": pa.array(ids, pa.int32())}))
    headers = {"content-type": "application/vnd.apache.arrow.stream", "x-shotdex": "1"}
    content = out.getvalue().to_pybytes()
    assert client.post("/api/selection", params={"run": "names"}, content=content, headers=headers).json() == found
    assert client.post("/api/selection", content=b"no", headers=headers).status_code == 422

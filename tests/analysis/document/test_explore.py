"""What a reader may leave out: exact, or absent with the reason; and the notes that a run calls for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import shotdex
from shotdex.analysis.document import explore
from shotdex.analysis.document.explore import Cosines, cosines, text_order
from shotdex.analysis.results import outcomes
from shotdex.query.text_lookup import text_vectors
from shotdex.store.types import Combine, PromptSet


def page(session: shotdex.Session, name: str) -> Cosines | str:
    run = session.run(name)
    with session.store.reading() as con:
        found = outcomes(con, run.record)
    texts = text_vectors(session.store, 1, run.encoder, text_order(run.prompts), session.encoders)
    return cosines(session.store, run.record, run.prompts, found, run.encoder, texts)


@pytest.fixture
def own(session: shotdex.Session, tmp_path: Path) -> shotdex.Session:
    """A copy of the store, to be changed."""
    shutil.copytree(session.path, tmp_path / "store")
    return shotdex.open(tmp_path / "store")


@pytest.mark.parametrize("name", ["words", "several"])
def test_a_prompt_less_is_the_run_without_that_prompt(own: shotdex.Session, name: str) -> None:
    whole, prompts = page(own, name), own.run(name).prompts
    assert isinstance(whole, Cosines)
    ticked = np.ones(len(whole.owner), dtype=bool)
    ticked[[1, 4, 5]] = False
    fewer, place = {}, 0
    for category, texts in prompts.classes.items():
        fewer[category] = tuple(text for i, text in enumerate(texts, start=place) if ticked[i])
        place += len(texts)
    own.classify(prompts=PromptSet("fewer", fewer, Combine(prompts.combine)), name="fewer")
    predicted = [row["predicted"] for row in own.run("fewer").outcomes().to_dicts()]
    found = whole.predicted(ticked, np.ones(len(whole.classes), dtype=bool))
    assert [whole.classes[code] for code in found] == predicted
    assert predicted != [row["predicted"] for row in own.run(name).outcomes().to_dicts()]


def test_a_class_less_is_the_run_among_the_others(own: shotdex.Session) -> None:
    whole = page(own, "names")
    assert isinstance(whole, Cosines)
    classes = np.array([name not in ("cup", "dog") for name in whole.classes])
    own.classify([name for name in whole.classes if name not in ("cup", "dog")], name="six", partial=True)
    predicted = [row["predicted"] for row in own.run("six").outcomes().to_dicts()]
    found = whole.predicted(np.ones(len(whole.owner), dtype=bool), classes)
    assert [whole.classes[code] for code in found] == predicted


def test_equal_prompts_break_ties_as_the_run_does(own: shotdex.Session) -> None:
    classes = {"duck": ("a duck", "a bird"), "hat": ("a bird", "a duck"), "dog": ("a dog",)}
    for combine in Combine:
        own.classify(prompts=PromptSet("twins", classes, combine), name=combine.value, partial=True)
        whole = page(own, combine.value)
        assert isinstance(whole, Cosines)
        assert set(whole.stored.tolist()) == {0, 2}


def test_what_does_not_give_the_stored_run_is_left_out(own: shotdex.Session, tmp_path: Path) -> None:
    with own.store.writing() as con:
        con.run("UPDATE predictions SET category = 'hat' WHERE run_id = 1 AND rank = 1 AND image_id = 2")
    found = own.report("words", out=tmp_path / "report.html", resamples=100)
    said = "would be classified differently from the stored run"
    assert said in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert any(said in note for note in found.written.notes)
    assert "<script" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_of_many_images_a_sample_is_kept(session: shotdex.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "BYTES", 17_000)
    sampled = page(session, "words")
    assert isinstance(sampled, Cosines)
    assert sampled.of == 320
    assert 100 <= len(sampled.truth) < 200
    counts = np.bincount(sampled.truth)
    assert counts.max() - counts.min() <= 1
    monkeypatch.setattr(explore, "BYTES", 5_000)
    assert "prompts would need more than" in str(page(session, "words"))


def test_a_removed_image_leaves_nothing_to_explore(own: shotdex.Session) -> None:
    with own.store.writing() as con:
        con.run("DELETE FROM vectors_1 WHERE image_id = 5")
    assert page(own, "words") == "images of the run are no longer in the store"


def test_the_report_has_the_notes_of_the_run_and_the_map(own: shotdex.Session, tmp_path: Path) -> None:
    long = "a " * 200 + "{}"
    own.classify(["duck", "Duck"], templates=[long], name="odd", partial=True)
    own.plot.map(method="tsne")
    own.report("odd", out=tmp_path / "report.html", resamples=100)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for said in (
        "Every number is about 1 of 8 categories",
        "Images of these categories have no class: airplane (40)",
        "No image is of these classes: Duck.",
        "The model reads only ",
        "The model cannot tell these 2 classes apart, and the first of them wins",
        "Map of 320 images in the joint space",
        "t-SNE with perplexity 30, euclidean distance, seed 0.",
    ):
        assert said in text, said
    assert "min_dist" not in text  # which says nothing about a t-SNE

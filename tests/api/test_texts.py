"""Texts that are longer than the model reads, and classes that it cannot tell apart: said, and ties stay ties."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest

import shotdex as door
from shotdex.analysis.scoring import same_vectors
from shotdex.store.store import Store
from tests.conftest import Ran

LONG = "a picture that was taken outdoors on a sunny day by somebody who likes to take pictures of animals " * 2
SHARED = "the model cannot tell these"


@pytest.fixture
def copied(session: door.Session, tmp_path: Path) -> Path:
    shutil.copytree(session.path, tmp_path / "store")
    return tmp_path / "store"


def spelled(word: str, count: int) -> list[str]:
    """A word in ways that differ only in their capitals."""
    return ["".join(letters) for letters in islice(product(*zip(word, word.upper(), strict=True)), count)]


def test_a_search_says_that_its_text_was_cut(shotdex: Callable[..., Ran], copied: Path) -> None:
    for _ in range(2):  # new, and remembered
        [note] = door.open(copied).search(LONG + "dog").notes
        assert note.startswith("the model reads only 32 of the ")
        assert "a picture that was taken" in note and "dog" in note
        assert note in shotdex("search", LONG + "dog", "--store", copied).err
    session = door.open(copied)
    assert session.search("a dog that is not cut by anybody").notes == ()
    for length in range(1, 60):
        text = " ".join(["dog"] * length)
        assert bool(session.search(text, k=1).notes) == (length + 2 > 32), length


def test_a_classification_and_a_sweep_say_it(shotdex: Callable[..., Ran], copied: Path) -> None:
    session = door.open(copied)
    sets = {name: tuple(f"{LONG} {n} {name}" for n in range(2)) for name in ("duck", "hat", "car")}
    run = session.classify(prompts=door.PromptSet("long", sets), partial=True)
    assert len([note for note in run.notes if "reads only 32 of" in note]) == 3
    assert any("only the beginning of 3 more texts" in note for note in run.notes)
    assert run.notes[-1] == f"{SHARED} 3 classes apart, and the first of them wins: 'duck', 'hat', 'car'"
    assert session.sql("SELECT DISTINCT predicted FROM outcomes WHERE run = $run", run=run.name).to_dicts() == [
        {"predicted": "duck"}
    ]
    swept = session.sweep_prompts([LONG + "{}", "{}"], classes=["duck", "hat"]).details
    assert len(swept.notes) == 2, "together the templates do tell the classes apart"
    ran = shotdex(
        "prompts", "sweep", "--template", LONG + "{}", "--template", "{}", "--classes", "duck,hat", "--store", copied
    )
    assert ran.out.count("the model reads only 32 of") == 2


@pytest.mark.parametrize("templates", [(), ("a photo of a {}.", "{} in the snow")])
@pytest.mark.parametrize("stirred", [False, True])
def test_classes_that_differ_in_case_only(
    shotdex: Callable[..., Ran], copied: Path, templates: tuple[str, ...], stirred: bool
) -> None:
    """The first of 80 wins every tie, also where the last bits of the vectors differ as from batch to batch."""
    names = [*spelled("rubberduck", 80), "hat"]
    session = door.open(copied)
    run = session.classify(names, templates=templates, partial=True)
    if stirred:
        rng = np.random.default_rng(7)
        with Store(copied).writing() as con:
            for text, vector in con.rows("SELECT text, vector FROM text_vectors_1"):
                moved = (np.array(vector, np.float32) * (1 + 3e-7 * rng.normal(size=len(vector)))).tolist()
                con.run("UPDATE text_vectors_1 SET vector = $v WHERE text = $t", {"v": moved, "t": text})
        run = session.classify(names, templates=templates, partial=True)
    found = session.sql("SELECT DISTINCT predicted FROM outcomes WHERE run = $run ORDER BY 1", run=run.name).to_dicts()
    assert found == [{"predicted": "hat"}, {"predicted": "rubberduck"}]
    [note] = run.notes
    assert note.startswith(f"{SHARED} 80 classes apart, and the first of them wins: 'rubberduck', 'rubberducK', ")
    assert note.endswith(" and 74 more")
    options = [part for template in templates for part in ("--template", template)]
    ran = shotdex("classify", "--classes", ",".join(names), *options, "--partial", "--store", copied)
    assert f"  {note}\n" in ran.out
    ran = shotdex("classify", "--classes", "duck,Duck,hat,HAT", *options, "--partial", "--store", copied, "--json")
    assert [said[: len(SHARED) + 2] for said in json.loads(ran.out)["notes"]] == [f"{SHARED} 2"] * 2


@pytest.mark.parametrize("count", [1, 2, 50, 700])
def test_vectors_that_are_the_same_but_for_rounding(count: int) -> None:
    rng = np.random.default_rng(count)
    far = rng.normal(size=(count, 40)).astype(np.float32)
    far /= np.linalg.norm(far, axis=1, keepdims=True)
    which = rng.integers(count, size=3 * count)
    vectors = far[which] + rng.uniform(-2e-6, 2e-6, size=(3 * count, 40)).astype(np.float32)
    first = {number: int(np.flatnonzero(which == number)[0]) for number in set(which.tolist())}
    assert same_vectors(vectors).tolist() == [first[number] for number in which.tolist()]
    assert same_vectors(far).tolist() == list(range(count))

"""Prompt sets from names, templates and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotdex import demo
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.prompts.files import read_prompt_file
from shotdex.store.errors import SettingsError
from shotdex.store.prompt_sets import load_prompt_set, save_prompt_set
from shotdex.store.store import Store
from shotdex.store.words import Combine


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    return tmp_path / "p.toml"


def test_bare_names() -> None:
    prompts = from_names(["dog", "cat", "dog"])
    assert prompts.classes == {"dog": ("dog",), "cat": ("cat",)}
    assert (prompts.name, prompts.combine, prompts.templates) == ("bare names", Combine.MEAN, ())


def test_templates() -> None:
    prompts = from_names(["dog", "a {} b"], ["a photo of a {}.", "{}"])
    assert prompts.classes == {"dog": ("a photo of a dog.", "dog"), "a {} b": ("a photo of a a {} b.", "a {} b")}
    assert prompts.templates == ("a photo of a {}.", "{}")


def test_the_digest_is_over_what_decides_the_numbers() -> None:
    base = make_prompt_set("x", {"a": ["a", "b"], "c": ["c"]})
    assert make_prompt_set("y", {"a": ["a", "b"], "c": ["c"]}, source="elsewhere").sha256 == base.sha256
    for other in (
        make_prompt_set("x", {"a": ["b", "a"], "c": ["c"]}),
        make_prompt_set("x", {"c": ["c"], "a": ["a", "b"]}),
        make_prompt_set("x", {"a": ["a"], "b": ["b"], "c": ["c"]}),
        make_prompt_set("x", {"a": ["a", "b"], "c": ["c"]}, combine=Combine.MAX),
    ):
        assert other.sha256 != base.sha256


def test_a_whole_file(tmp_path: Path, store: Store) -> None:
    prompts = read_prompt_file(
        write(
            tmp_path,
            'name = "ünï"\ncombine = "max"\nsource = "a paper"\ntemplates = ["a {}", "the {}"]\n'
            '[classes]\ncup = ["cup", "mug"]\n"big dog" = "dog"\n',
        )
    )
    assert (prompts.name, prompts.combine, prompts.source) == ("ünï", Combine.MAX, "a paper")
    assert prompts.classes == {"cup": ("a cup", "a mug", "the cup", "the mug"), "big dog": ("a dog", "the dog")}
    with store.writing() as con:
        number = save_prompt_set(con, prompts)
        assert load_prompt_set(con, number) == prompts


def test_a_list_of_classes(tmp_path: Path) -> None:
    prompts = read_prompt_file(write(tmp_path, 'classes = ["b", "a"]'))
    assert prompts.classes == {"b": ("b",), "a": ("a",)}
    assert prompts.name == "p"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("classes = [", "cannot be read"),
        ("", "no `classes`"),
        ('classes = ["a", "b"]\nclases = 1', "'clases'"),
        ('classes = "a"', "neither a list nor a table"),
        ('classes = ["a", 1]', "`classes` is not a text"),
        ("[classes]\na = 1\nb = 'b'", "`classes.a` is not a text"),
        ("[classes]\na = []\nb = 'b'", "'a' has an empty"),
        ("[classes]\na = ''\nb = 'b'", "'a' has an empty"),
        ('classes = ["a", " "]', "empty name"),
        ('classes = ["a"]', "1 class"),
        ("classes = []", "0 class"),
        ('templates = ["no hole"]\nclasses = ["a", "b"]', "needs one {}"),
        ('templates = ["{} {}"]\nclasses = ["a", "b"]', "needs one {}"),
        ("templates = 3\nclasses = ['a', 'b']", "`templates`"),
        ('combine = "sum"\nclasses = ["a", "b"]', "'sum'"),
        ('combine = ["max"]\nclasses = ["a", "b"]', "`combine`"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_prompt_file(write(tmp_path, text))
    assert what in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_status == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'classes = ["caf\xe9", "b"]')
    for name in ("latin.toml", "gone.toml", "."):
        with pytest.raises(SettingsError, match="cannot be read"):
            read_prompt_file(tmp_path / name)


def test_the_shipped_files_name_the_shipped_categories() -> None:
    for name in ("names", "sentences"):
        prompts = read_prompt_file(demo.PROMPTS / f"{name}.toml")
        assert (prompts.name, tuple(prompts.classes)) == (name, demo.CATEGORIES)

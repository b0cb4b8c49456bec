"""Prompt sets as TOML files, and what else a text may name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.prompts.files import read_prompt_file, read_prompts
from shotdex.store.errors import OptionError
from shotdex.store.prompt_sets import load_prompt_set, save_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import Combine


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    return tmp_path / "p.toml"


def test_a_whole_file(tmp_path: Path, store: Store) -> None:
    prompts = read_prompt_file(
        write(
            tmp_path,
            'name = "ünï"\ncombine = "max"\nsource = "a paper"\ntemplates = ["a {}", "the {}"]\n'
            '[classes]\ncup = ["cup", "mug"]\n"big dog" = "dog"\n'
            '[aliases]\ncup = ["Cup (coffee)", "tasse"]\n"big dog" = "hund"\n',
        )
    )
    assert (prompts.name, prompts.combine, prompts.source) == ("ünï", Combine.MAX, "a paper")
    assert prompts.classes == {"cup": ("a cup", "a mug", "the cup", "the mug"), "big dog": ("a dog", "the dog")}
    assert prompts.aliases == {"cup": ("Cup (coffee)", "tasse"), "big dog": ("hund",)}
    with store.writing() as con:
        number = save_prompt_set(con, prompts)
        assert load_prompt_set(con, number) == prompts


def test_a_list_of_classes(tmp_path: Path) -> None:
    prompts = read_prompt_file(write(tmp_path, 'classes = ["b", "a"]'))
    assert prompts.classes == {"b": ("b",), "a": ("a",)}
    assert (prompts.name, prompts.source) == ("p", str(tmp_path / "p.toml"))


def test_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors on Windows put one in front."""
    (tmp_path / "p.toml").write_bytes(b"\xef\xbb\xbf" + b'classes = ["a", "b"]\r\ncombine = "max"\r\n')
    assert read_prompt_file(tmp_path / "p.toml").combine is Combine.MAX


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("classes = [", "cannot be read"),
        ("", "no `classes`"),
        ('classes = ["a", "b"]\nclases = 1', "'clases'"),
        ('classes = "a"', "neither a list nor a table"),
        ('classes = ["a", 1]', "`classes` is not a text"),
        ('classes = [["a"], ["b"]]', "`classes` is not a text"),
        ("[classes]\na = 1\nb = 'b'", "`classes.a` is not a text"),
        ("[classes]\na = {b = 'c'}\nb = 'b'", "`classes.a` is not a text"),
        ("[classes]\na = []\nb = 'b'", "'a' has an empty"),
        ("[classes]\na = ''\nb = 'b'", "'a' has an empty"),
        ('classes = ["a", " "]', "empty name"),
        ('classes = ["a"]', "1 class"),
        ("classes = []", "0 class"),
        ('templates = ["no hole"]\nclasses = ["a", "b"]', "needs one {}"),
        ('templates = ["{} {}"]\nclasses = ["a", "b"]', "needs one {}"),
        ('templates = ["a photo of a {c}."]\nclasses = ["a", "b"]', "needs one {}"),
        ("templates = 3\nclasses = ['a', 'b']", "`templates`"),
        ('combine = "sum"\nclasses = ["a", "b"]', "'sum'"),
        ('combine = ["max"]\nclasses = ["a", "b"]', "`combine`"),
        ('aliases = ["x"]\nclasses = ["a", "b"]', "`aliases` is not a table"),
        ('classes = ["a", "b"]\n[aliases]\na = 1', "`aliases.a` is not a text"),
        ('classes = ["a", "b"]\n[aliases]\nc = "x"', "'c', which is not a class"),
        ('classes = ["a", "b"]\n[aliases]\na = "b"', "'b' would mean both"),
        ('classes = ["a", "b"]\n[aliases]\na = "x"\nb = ["y", "x"]', "'x' would mean both"),
        ('classes = "gone.json#x"', "gone.json cannot be read"),
        ('classes = ["a", "b"]\ntemplates = "gone.txt"', "gone.txt cannot be read"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_prompt_file(write(tmp_path, text))
    assert what in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_status == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'classes = ["caf\xe9", "b"]')
    for name in ("latin.toml", "gone.toml", "."):
        with pytest.raises(OptionError, match="cannot be read"):
            read_prompt_file(tmp_path / name)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with published files, and a TOML file that names them by name alone."""
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / "names.json").write_text(json.dumps({"pets": ["cat", "dog"], "birds": ["duck", "owl"]}))
    (folder / "templates.json").write_text(json.dumps({"pets": ["a {c}, a pet.", "my {c}"]}))
    (folder / "pets.toml").write_text('classes = "names.json#pets"\ntemplates = "templates.json#pets"\n')
    return folder


def test_published_files_are_looked_for_beside_the_file_that_names_them(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps({"pets": ["wrong", "place"]}))
    prompts = read_prompts("sets/pets.toml")
    assert prompts.classes == {"cat": ("a cat, a pet.", "my cat"), "dog": ("a dog, a pet.", "my dog")}
    assert prompts.templates == ("a {}, a pet.", "my {}")
    (published / "names.json").unlink()
    assert list(read_prompts("sets/pets.toml").classes) == ["wrong", "place"], "else in the working folder"


def test_a_published_file_is_a_set_by_itself(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(published)
    birds = read_prompts("names.json#birds")
    assert birds.classes == {"duck": ("duck",), "owl": ("owl",)}
    assert (birds.name, birds.source) == ("names.json#birds", "names.json#birds")
    assert birds.sha256 == make_prompt_set("x", {"duck": ["duck"], "owl": ["owl"]}).sha256
    assert read_prompts(f"{published}/names.json#birds").name == "names.json#birds"


def test_a_file_comes_before_the_shipped_set_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = read_prompts("names")
    assert len(shipped.classes) == 8
    (tmp_path / "names").write_text('classes = ["mine", "yours"]')
    assert list(read_prompts("names").classes) == ["mine", "yours"]
    assert read_prompts("words").combine is Combine.MAX
    (tmp_path / "words").mkdir()
    assert read_prompts("words").combine is Combine.MAX, "a folder is no file"


def test_what_names_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="no prompt file fashion-mnist-discribed") as caught:
        read_prompts("fashion-mnist-discribed")
    assert "fashion-mnist-described" in caught.value.hint
    with pytest.raises(OptionError, match="no prompt file zzz") as caught:
        read_prompts("zzz")
    assert "sentences" in caught.value.hint


def test_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, 'classes = ["a", "b"]')
    assert list(read_prompts("~/p.toml").classes) == ["a", "b"]

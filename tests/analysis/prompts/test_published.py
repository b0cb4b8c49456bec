"""Class names and templates in the forms in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.prompts.files import is_reference, published_classes, published_templates
from shotdex.store.errors import OptionError

# The first lines of CLIP_benchmark's files, in their form: https://github.com/LAION-AI/CLIP_benchmark (MIT).
TEMPLATES = {
    "cifar10": ["a photo of a {c}.", "a blurry photo of a {c}.", "a black and white photo of the {c}."],
    "mnist": ['a photo of the number: "{c}".'],
}
NAMES = {
    "mnist": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    "pcam": ["lymph node", "lymph node containing metastatic tumor tissue"],
}
PROMPTS = {
    "imagenet1k": {
        "tench": ["A tench is a freshwater fish of the carp family.", "A tench is a freshwater fish."],
        "goldfish": ["A goldfish in a {bowl} {}."],
    }
}


def save(folder: Path, name: str, content: Any, encoding: str = "utf-8") -> str:
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    return str(folder / name)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("en_classnames.json#cifar10", True),
        ("sets/en_classnames.json#vtab/caltech101", True),
        ("C:/my sets/names.JSON", True),
        ("names.json", True),
        ("classnames.txt", True),
        ("p.toml", False),
        ("cat,dog", False),
        ("a photo of a {}.", False),
        ("a {} in names.json", False),
        ("{c}.json#x", False),
        ("names.json#", False),
        ("names.jsonl", False),
        ("names.txt#x", False),
        ("", False),
    ],
)
def test_what_is_a_reference(text: str, is_one: bool) -> None:
    assert is_reference(text) is is_one


def test_templates_as_published(tmp_path: Path) -> None:
    place = save(tmp_path, "t.json", TEMPLATES)
    assert published_templates(f"{place}#cifar10") == (
        "a photo of a {}.",
        "a blurry photo of a {}.",
        "a black and white photo of the {}.",
    )
    assert published_templates(f"{place}#mnist") == ('a photo of the number: "{}".',)
    assert published_templates(save(tmp_path, "own.json", ["a {}", "the {c}"])) == ("a {}", "the {}")


def test_names_and_templates_go_together(tmp_path: Path) -> None:
    names = published_classes(save(tmp_path, "n.json", NAMES) + "#mnist")
    templates = published_templates(save(tmp_path, "t.json", TEMPLATES) + "#mnist")
    prompts = make_prompt_set("x", names, templates)
    assert list(prompts.classes) == list("0123456789")
    assert prompts.classes["7"] == ('a photo of the number: "7".',)


def test_prompts_class_by_class(tmp_path: Path) -> None:
    """Texts that are spelled out stay as they are, braces and all."""
    place = save(tmp_path, "p.json", PROMPTS)
    want = {"tench": tuple(PROMPTS["imagenet1k"]["tench"]), "goldfish": ("A goldfish in a {bowl} {}.",)}
    assert published_classes(f"{place}#imagenet1k") == want
    assert published_classes(place) == want, "it holds one set, so it need not be named"
    assert make_prompt_set("x", published_classes(place)).classes == want


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "classnames.txt").write_bytes("\ufeffT - shirt / top\r\n  Trouser \r\n\r\nÄrmel".encode())
    assert published_classes(f"{tmp_path}/classnames.txt") == {
        "T - shirt / top": ("T - shirt / top",),
        "Trouser": ("Trouser",),
        "Ärmel": ("Ärmel",),
    }
    (tmp_path / "templates.TXT").write_text("a photo of a {c}.\na photo of the {c}.\n")
    assert published_templates(f"{tmp_path}/templates.TXT") == ("a photo of a {}.", "a photo of the {}.")


def test_a_byte_order_mark_and_other_scripts(tmp_path: Path) -> None:
    place = save(tmp_path, "n.json", {"日本": ["猫", "犬"]}, "utf-8-sig")
    assert published_classes(f"{place}#日本") == {"猫": ("猫",), "犬": ("犬",)}


@pytest.mark.parametrize(
    ("content", "name", "what", "hint"),
    [
        (NAMES, "#cifar10", "no set 'cifar10'", "mnist, pcam"),
        (NAMES, "", "holds 2 sets", "mnist, pcam"),
        (["cat", "dog"], "#pets", "not 'pets'", "leave out the name"),
        ({"pets": [["cat"], ["dog"]]}, "#pets", "no class names", "list of names"),
        ({"pets": ["cat", 3]}, "#pets", "no class names", "list of names"),
        ({"pets": []}, "#pets", "no class names", "list of names"),
        ({"pets": {"cat": "a cat", "dog": ["a dog"]}}, "#pets", "no class names", "list of names"),
        ({"pets": {"cat": []}}, "#pets", "no class names", "list of names"),
        ({"pets": "cat"}, "#pets", "no class names", "list of names"),
        ({"EN": [[0, 1], ["tench"]]}, "#EN", "no class names", "list of names"),
        ("cat", "", "no class names", "list of names"),
    ],
)
def test_what_holds_no_class_names(tmp_path: Path, content: Any, name: str, what: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        published_classes(save(tmp_path, "n.json", content) + name)
    assert what in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("content", [{"x": {"cat": ["a cat"]}}, {"x": ["a {c}", 1]}, {"x": []}, {"x": "a {c}"}])
def test_what_holds_no_templates(tmp_path: Path, content: Any) -> None:
    with pytest.raises(OptionError, match="holds no templates"):
        published_templates(save(tmp_path, "t.json", content) + "#x")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"a": [')
    (tmp_path / "latin.json").write_bytes(b'{"a": ["caf\xe9"]}')
    (tmp_path / "folder.txt").mkdir()
    for name in ("broken.json#a", "latin.json#a", "gone.json#a", "gone.txt", "folder.txt"):
        for read in (published_classes, published_templates):
            with pytest.raises(OptionError, match="cannot be read") as raised:
                read(str(tmp_path / name))
            assert str(raised.value).count(str(tmp_path)) == 1
            assert "text file with one text a line" in str(raised.value.hint)


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


@given(st.dictionaries(names, st.lists(names, min_size=1, unique=True), min_size=1), st.data())
def test_every_set_comes_back(
    tmp_path_factory: pytest.TempPathFactory, sets: dict[str, list[str]], data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(sorted(sets)))
    place = save(tmp_path_factory.mktemp("published"), "n.json", sets)
    assert published_classes(f"{place}#{chosen}") == {name: (name,) for name in sets[chosen]}


def test_names_that_a_published_list_has_twice_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text(json.dumps({"in": ["missile", "crane", "missile", "missile (2)", "crane"]}))
    assert published_classes(f"{tmp_path}/n.json#in") == {
        "missile": ("missile",),
        "crane": ("crane",),
        "missile (2)": ("missile",),
        "missile (2) (2)": ("missile (2)",),
        "crane (2)": ("crane",),
    }


def test_babel_imagenet_s_form(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps({"DE": [[0, 7], ["Schleie", "Hahn"]], "FR": [[1], ["coq"]]}))
    assert published_classes(f"{tmp_path}/b.json#DE") == {"Schleie": ("Schleie",), "Hahn": ("Hahn",)}

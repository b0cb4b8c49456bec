"""Prompt sets from names, texts, templates and aliases, and what their digest is over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.prompts.build import class_of_label, digest, from_names, make_prompt_set, only_templates
from shotdex.store.errors import OptionError
from shotdex.store.prompt_sets import find_prompt_set, list_prompt_sets, load_prompt_set, save_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import Combine

CLOTHES = {"shirt": ["a shirt"], "top": ["a T-shirt", "a top"]}


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
        make_prompt_set("x", {"a": ["a", "b"], "c": ["c"]}, aliases={"a": ["A"]}),
    ):
        assert other.sha256 != base.sha256


def test_the_digest_of_a_set_without_aliases_is_the_one_it_always_had() -> None:
    """Spelled out by hand: stores older than aliases hold such digests."""
    spelled = b'["mean", [["a", ["a", "b"]], ["c", ["\xc3\xa7"]]]]'
    assert make_prompt_set("x", {"a": ["a", "b"], "c": ["ç"]}).sha256 == hashlib.sha256(spelled).hexdigest()


class TestAliases:
    """Further labels of a class."""

    def test_labels_mean_classes(self) -> None:
        prompts = make_prompt_set("x", CLOTHES, aliases={"top": ["T-shirt/top", "tee"], "shirt": []})
        assert class_of_label(prompts) == {"shirt": "shirt", "top": "top", "T-shirt/top": "top", "tee": "top"}
        assert prompts.aliases == {"top": ("T-shirt/top", "tee")}
        assert prompts.classes["top"] == ("a T-shirt", "a top"), "an alias is a label, never a prompt"

    def test_the_digest_is_over_which_labels_mean_what_not_over_their_order(self) -> None:
        def made(aliases: Mapping[str, Sequence[str]] | None) -> str:
            return make_prompt_set("x", CLOTHES, aliases=aliases).sha256

        base = made({"top": ["b", "c"], "shirt": ["d"]})
        assert made({"shirt": ["d"], "top": ["c", "b"]}) == base
        others = [made(None), made({"top": ["b", "c"]}), made({"top": ["b", "d"], "shirt": ["c"]})]
        assert len({base, *others}) == 4
        assert made({"top": []}) == made(None)

    @pytest.mark.parametrize(
        ("aliases", "what"),
        [
            ({"hat": ["cap"]}, "'hat', which is not a class"),
            ({"top": ["x"], "shirt": ["x"]}, "'x' would mean both 'top' and 'shirt'"),
            ({"top": ["shirt"]}, "'shirt' would mean both 'shirt' and 'top'"),
        ],
    )
    def test_a_label_belongs_to_exactly_one_class(self, aliases: Mapping[str, Sequence[str]], what: str) -> None:
        with pytest.raises(OptionError) as caught:
            make_prompt_set("x", CLOTHES, aliases=aliases)
        assert what in str(caught.value)
        assert caught.value.hint

    def test_they_are_kept_with_the_set(self, store: Store) -> None:
        plain = make_prompt_set("x", CLOTHES)
        named = make_prompt_set("x", CLOTHES, aliases={"top": ["ünï", 'a "b"']})
        with store.writing() as con:
            numbers = [save_prompt_set(con, prompts) for prompts in (plain, named, plain, named)]
            assert numbers == [1, 2, 1, 2]
            assert [load_prompt_set(con, number) for number in (1, 2)] == [plain, named]
            assert list_prompt_sets(con) == [plain, named]
            assert find_prompt_set(con, "x") == named, "the newest of that name"
            assert find_prompt_set(con, plain.sha256[:6]) == plain
            assert find_prompt_set(con, plain.sha256[:5]) is None
            assert find_prompt_set(con, "y") is None
            assert digest(load_prompt_set(con, 2)) == named.sha256


texts = st.text("ab {}", min_size=1).filter(str.strip)
templates = st.lists(st.tuples(st.text("xy "), st.text("xy ")).map("{}".join), min_size=1, max_size=5)


@given(
    st.dictionaries(st.text("pqr", min_size=1), st.lists(texts, min_size=1, max_size=3), min_size=2, max_size=4),
    templates,
    st.data(),
)
def test_some_of_the_templates(classes: dict[str, list[str]], given_templates: list[str], data: st.DataObject) -> None:
    """The same texts as a set made of only those templates from the start."""
    prompts = make_prompt_set("x", classes, given_templates, Combine.MAX, aliases={next(iter(classes)): ["Z"]})
    numbers = range(len(given_templates))
    kept = data.draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=len(numbers), unique=True))
    found = only_templates(prompts, kept)
    want = make_prompt_set(
        "x", classes, [given_templates[n] for n in kept], Combine.MAX, aliases={next(iter(classes)): ["Z"]}
    )
    assert (found.classes, found.templates, found.aliases) == (want.classes, want.templates, want.aliases)
    assert (found.sha256, found.combine) == (want.sha256, Combine.MAX)


@pytest.mark.parametrize("kept", [[], [2], [-1], [0, 5]])
def test_templates_that_are_not_there(kept: list[int]) -> None:
    with pytest.raises(ValueError, match="of 2"):
        only_templates(from_names(["a", "b"], ["{}", "x {}"]), kept)


def test_the_digest_does_not_confuse_where_one_text_ends() -> None:
    """What joined texts would make equal stays apart."""
    sets = [{"a": ["b", "c"], "d": ["e"]}, {"a": ["b"], "c": ["d"], "e": ["f"]}, {"a": ["b,c"], "d": ["e"]}]
    assert len({make_prompt_set("x", classes).sha256 for classes in sets}) == 3

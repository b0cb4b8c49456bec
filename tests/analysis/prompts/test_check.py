"""What is said about a prompt set before a number is made of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.prompts.check import Finding, Weight, check_prompts
from shotdex.models.model_files import token_reader
from shotdex.store.types import Combine

PROBLEM, NOTE = Weight.PROBLEM, Weight.NOTE


def words(text: str) -> tuple[int, tuple[int, ...]]:
    """A model that reads four words, in lower case."""
    return len(text.split()), tuple(hash(word) for word in text.lower().split()[:4])


def test_nothing_to_say() -> None:
    prompts = make_prompt_set("x", {"cat": ["a cat", "a kitten"], "dog": ["a dog", "a puppy"]}, combine=Combine.MAX)
    assert check_prompts(prompts) == []
    assert check_prompts(prompts, {"cat": 3, "dog": 1}, words) == []


@pytest.mark.parametrize("near", ["T-Shirt / Top", "tshirt top", "t_shirt_top", "TSHIRTTOP"])
def test_a_category_that_is_spelled_otherwise(near: str) -> None:
    prompts = make_prompt_set("x", {"T-shirt/top": ["a shirt"], "Bag": ["a bag"]})
    found = check_prompts(prompts, {near: 1200, "Bag": 2, "hat": 7})
    assert found[:2] == [
        Finding(PROBLEM, f"1,200 images of {near!r} match no class; if it means 'T-shirt/top', add it under [aliases]"),
        Finding(PROBLEM, "7 images of 'hat' match no class"),
    ]
    assert found[2:] == [Finding(NOTE, "no image has the class 'T-shirt/top'")]


def test_an_alias_settles_it() -> None:
    prompts = make_prompt_set("x", {"top": ["a top"], "bag": ["a bag"]}, aliases={"top": ["T-shirt/top", "tee"]})
    assert check_prompts(prompts, {"T-shirt/top": 5, "tee": 2, "bag": 1}) == []
    found = check_prompts(prompts, {"Tee": 5, "bag": 1})
    assert found == [
        Finding(PROBLEM, "5 images of 'Tee' match no class; if it means 'tee', add it under [aliases]"),
        Finding(NOTE, "no image has the class 'top'"),
    ]


def test_classes_without_images() -> None:
    prompts = make_prompt_set("x", {"a": ["1"], "b": ["2"], "c": ["3"]})
    assert check_prompts(prompts, {"b": 1}) == [
        Finding(NOTE, "no image has the class 'a'"),
        Finding(NOTE, "no image has the class 'c'"),
    ]
    assert len(check_prompts(prompts, {})) == 3
    assert check_prompts(prompts, None) == []


def test_one_prompt_for_several_classes() -> None:
    prompts = make_prompt_set("x", {"shoe": ["a boot", "a shoe"], "boot": ["a boot"], "bag": ["a bag"]})
    assert check_prompts(prompts) == [Finding(PROBLEM, "the prompt 'a boot' stands for several classes: boot, shoe")]


def test_a_prompt_said_twice() -> None:
    prompts = make_prompt_set("x", {"a": ["1", "1", "1"], "b": ["2", "3", "4"]}, combine=Combine.MAX)
    assert check_prompts(prompts) == [Finding(NOTE, "'a' has the prompt '1' 3 times")]


def test_unequal_numbers_of_prompts_matter_only_for_the_best_one() -> None:
    classes = {"a": ["1"], "b": ["2", "3", "4"]}
    assert check_prompts(make_prompt_set("x", classes, combine=Combine.MEAN)) == []
    (found,) = check_prompts(make_prompt_set("x", classes, combine=Combine.MAX))
    assert found.weight is NOTE
    assert "between 1 and 3" in found.text


def test_prompts_that_are_too_long_are_said_once_each() -> None:
    prompts = make_prompt_set("x", {"a": ["one two three four", "a b c d e"], "b": ["a b c d e", "short"]})
    problems = [finding.text for finding in check_prompts(prompts, None, words) if "tokens" in finding.text]
    assert problems == ["the model reads 4 of the 5 tokens of 'a b c d e'"]


def test_classes_whose_texts_are_the_same_tokens() -> None:
    """Names that differ in case only, and prompts that differ after the place where the model cuts them."""
    classes = {"Dog": ["a Dog"], "cat": ["a cat"], "dog": ["a dog"], "x": ["a b c d x"], "y": ["a b c d y"]}
    found = check_prompts(make_prompt_set("x", classes), None, words)
    apart = [finding.text for finding in found if "tell" in finding.text]
    assert apart == [
        "the model cannot tell these classes apart: 'Dog', 'dog'",
        "the model cannot tell these classes apart: 'x', 'y'",
    ]
    (demo,) = check_prompts(make_prompt_set("x", {"Dog": ["Dog"], "dog": ["dog"]}), None, token_reader("demo"))
    assert demo == Finding(PROBLEM, "the model cannot tell these classes apart: 'Dog', 'dog'")


def test_what_the_demo_model_does_not_read() -> None:
    """30 words of one token each fit between begin and end; the 31st does not."""
    fits, over = " ".join(["dog"] * 30), " ".join(["dog"] * 31)
    prompts = make_prompt_set("x", {"a": [fits], "b": [over]})
    assert check_prompts(prompts, None, token_reader("demo")) == [
        Finding(PROBLEM, f"the model reads 32 of the 33 tokens of {over!r}"),
        Finding(PROBLEM, "the model cannot tell these classes apart: 'a', 'b'"),
    ]


labels = st.sampled_from(["cat", "Cat", "c-a-t", "dog", "owl", "x", "y"])


@given(st.lists(labels, min_size=2, max_size=4, unique=True), st.dictionaries(labels, st.integers(1, 9)), st.booleans())
def test_every_unmatched_category_and_every_empty_class_is_named(
    classes: list[str], categories: Mapping[str, int], aliased: bool
) -> None:
    aliases = {classes[0]: ["x"]} if aliased and "x" not in classes else {}
    prompts = make_prompt_set("x", {name: [f"a {name}"] for name in classes}, aliases=aliases)
    found = check_prompts(prompts, categories)
    unmatched = {name for name in categories if name not in classes and not (name == "x" and aliases)}
    empty = {name for name in classes if name not in categories and not (name in aliases and "x" in categories)}
    assert {f.text.split(" images of ")[1].split("'")[1] for f in found if f.weight is PROBLEM} == unmatched
    assert {f.text.split("'")[1] for f in found if f.weight is NOTE} == empty
    assert [f.weight for f in found] == [PROBLEM] * len(unmatched) + [NOTE] * len(empty)

"""What is wrong, or odd, about a prompt set, before a number is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from shotdex.store.types import Combine, PromptSet

from .build import class_of_label, plain_name

ReadTokens = Callable[[str], tuple[int, tuple[int, ...]]]
"""Returns how many tokens a text has, and the ids of those that the model reads."""


class Weight(StrEnum):
    """A `problem` makes numbers wrong or meaningless; a `note` is worth knowing."""

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a prompt set, in plain words."""

    weight: Weight
    text: str


def check_prompts(
    prompts: PromptSet,
    categories: Mapping[str, int] | None = None,
    read_tokens: ReadTokens | None = None,
) -> list[Finding]:
    """Return what is wrong or odd about a prompt set, problems first.

    Args:
        prompts: the set.
        categories: the images' categories with how many images have each, where there are images.
        read_tokens: the model's tokenizer; finds prompts that the model would cut short, and classes whose prompts
            are the same tokens to it.
    """
    found = _texts(prompts)
    if categories is not None:
        found += _categories(prompts, categories)
    if read_tokens is not None:
        read = {text: read_tokens(text) for text in dict.fromkeys(chain.from_iterable(prompts.classes.values()))}
        found += _lengths(read) + _same_tokens(prompts, read)
    return sorted(found, key=lambda finding: finding.weight is Weight.NOTE)


def _texts(prompts: PromptSet) -> list[Finding]:
    found = []
    owners: dict[str, set[str]] = {}
    for category, texts in prompts.classes.items():
        for text, times in Counter(texts).items():
            owners.setdefault(text, set()).add(category)
            if times > 1:
                found.append(Finding(Weight.NOTE, f"{category!r} has the prompt {text!r} {times} times"))
    for text, categories in owners.items():
        if len(categories) > 1:
            shared = ", ".join(sorted(categories))
            found.append(Finding(Weight.PROBLEM, f"the prompt {text!r} stands for several classes: {shared}"))
    sizes = {len(texts) for texts in prompts.classes.values()}
    if len(sizes) > 1 and prompts.combine is Combine.MAX:
        spread = f"between {min(sizes)} and {max(sizes)}"
        found.append(Finding(Weight.NOTE, f"with max, classes with more prompts win more often; here it is {spread}"))
    return found


def _categories(prompts: PromptSet, categories: Mapping[str, int]) -> list[Finding]:
    meant = class_of_label(prompts)
    found = []
    spelled = {plain_name(label): label for label in meant}
    for category, images in categories.items():
        if category not in meant:
            near = spelled.get(plain_name(category))
            hint = f"; if it means {near!r}, add it under [aliases]" if near else ""
            found.append(Finding(Weight.PROBLEM, f"{images:,} images of {category!r} match no class{hint}"))
    present = {meant[category] for category in categories if category in meant}
    found += [
        Finding(Weight.NOTE, f"no image has the class {name!r}") for name in prompts.classes if name not in present
    ]
    return found


def _lengths(read: Mapping[str, tuple[int, tuple[int, ...]]]) -> list[Finding]:
    return [
        Finding(Weight.PROBLEM, f"the model reads {len(ids)} of the {tokens} tokens of {text!r}")
        for text, (tokens, ids) in read.items()
        if tokens > len(ids)
    ]


def _same_tokens(prompts: PromptSet, read: Mapping[str, tuple[int, tuple[int, ...]]]) -> list[Finding]:
    """Classes whose different texts are the same tokens to the model, cut short or differing in case only."""
    alike: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for category, texts in prompts.classes.items():
        alike.setdefault(tuple(sorted(read[text][1] for text in texts)), []).append(category)
    return [
        Finding(Weight.PROBLEM, f"the model cannot tell these classes apart: {', '.join(map(repr, group))}")
        for group in alike.values()
        if len({tuple(sorted(prompts.classes[category])) for category in group}) > 1
    ]

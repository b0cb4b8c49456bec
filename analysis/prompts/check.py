"""What is wrong, or odd, about a prompt set, before a number is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shotdex.store.types import Combine, PromptSet

from .build import class_of_label, plain_name

CountTokens = Callable[[str], tuple[int, int]]
"""Returns how many tokens a text has, and how many the model reads."""


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
    prompts: PromptSet, categories: Mapping[str, int] | None = None, count_tokens: CountTokens | None = None
) -> list[Finding]:
    """Return what is wrong or odd about a prompt set, problems first.

    Args:
        prompts: the set.
        categories: the images' categories with how many images have each, where there are images.
        count_tokens: the model's tokenizer, where there is one; finds prompts that the model would cut short.
    """
    found = _texts(prompts)
    if categories is not None:
        found += _categories(prompts, categories)
    if count_tokens is not None:
        found += _lengths(prompts, count_tokens)
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


def _lengths(prompts: PromptSet, count_tokens: CountTokens) -> list[Finding]:
    found = []
    for text in dict.fromkeys(text for texts in prompts.classes.values() for text in texts):
        tokens, read = count_tokens(text)
        if tokens > read:
            found.append(Finding(Weight.PROBLEM, f"the model reads {read} of the {tokens} tokens of {text!r}"))
    return found

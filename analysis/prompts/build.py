"""Prompt sets from class names, texts and templates. Nothing is added that the user did not write."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shotdex.store.errors import OptionError
from shotdex.store.images import one_form
from shotdex.store.types import Combine, PromptSet


def make_prompt_set(
    name: str,
    classes: Mapping[str, Sequence[str]],
    templates: Sequence[str] = (),
    combine: Combine = Combine.MEAN,
    source: str = "",
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> PromptSet:
    """Return a prompt set in which every text of a class is put into every template; without templates, as it is.

    Args:
        name: what the set is called in tables and figures.
        classes: class -> its texts, in order; a class is spelled as the images' category is.
        templates: texts with one `{}` each.
        combine: how several prompts of a class become one score.
        source: where it comes from.
        aliases: class -> further labels under which images have it.

    Raises:
        OptionError: fewer than two classes, a class without text, a template without `{}`, or an alias that does not
            belong to exactly one class.
    """
    for template in templates:
        if template.count("{}") != 1:
            raise OptionError(f"the template {template!r} needs one {{}}", "for example: 'a photo of a {}.'")
    classes = {one_form(category): tuple(map(one_form, texts)) for category, texts in classes.items()}
    if len(classes) < 2:
        raise OptionError(f"there is only {len(classes)} class", "pass at least two classes")
    spelled = {
        category: tuple(template.replace("{}", text) for template in (templates or ("{}",)) for text in texts)
        for category, texts in classes.items()
    }
    for category, texts in spelled.items():
        if not texts or not category.strip() or not all(text.strip() for text in texts):
            raise OptionError(f"the class {category!r} has an empty name or prompt", "write a text for each class")
    known_as = {one_form(name): tuple(map(one_form, labels)) for name, labels in (aliases or {}).items() if labels}
    if known_as:
        _check_aliases(spelled, known_as)
    prompts = PromptSet(name, spelled, combine, tuple(templates), source, aliases=known_as)
    return replace(prompts, sha256=digest(prompts))


def digest(prompts: PromptSet) -> str:
    """Return the SHA-256 over what decides the numbers, in order: classes, prompts, how they combine, and aliases."""
    content: list[Any] = [
        prompts.combine.value,
        [[category, list(texts)] for category, texts in prompts.classes.items()],
    ]
    if prompts.aliases:
        content.append(sorted([category, sorted(labels)] for category, labels in prompts.aliases.items()))
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def from_names(names: Sequence[str], templates: Sequence[str] = ()) -> PromptSet:
    """Return the set of bare class names, or of the names in the given templates.

    Raises:
        OptionError: see `make_prompt_set`.
    """
    bare = not templates or tuple(templates) == ("{}",)
    title = "bare names" if bare else " | ".join(templates)
    return make_prompt_set(title, {name: (name,) for name in dict.fromkeys(names)}, templates, source="command line")


def class_of_label(prompts: PromptSet) -> dict[str, str]:
    """Return for each label that an image may have the class it means: classes by their own name, and by aliases."""
    own = {category: category for category in prompts.classes}
    return own | {label: category for category, labels in prompts.aliases.items() for label in labels}


def plain_name(name: str) -> str:
    """Return a name without case, spaces and punctuation, for a guess at what is meant; never used to score."""
    return re.sub(r"[\W_]+", "", name.casefold())


def only_templates(prompts: PromptSet, kept: Sequence[int]) -> PromptSet:
    """Return the set with only the templates of these numbers, from 0.

    Raises:
        ValueError: the set has no template of such a number, or none is kept.
    """
    count = len(prompts.templates)
    if not kept or not all(0 <= number < count for number in kept):
        raise ValueError(f"templates {list(kept)} of {count}")
    # `make_prompt_set` puts the prompts of one template together, so each template owns one stretch of every class.
    spelled = {}
    for category, texts in prompts.classes.items():
        each = len(texts) // count
        spelled[category] = tuple(text for number in kept for text in texts[number * each : (number + 1) * each])
    chosen = tuple(prompts.templates[number] for number in kept)
    made = replace(prompts, name=" | ".join(chosen), classes=spelled, templates=chosen, sha256="")
    return replace(made, sha256=digest(made))


def _check_aliases(classes: Mapping[str, Any], aliases: Mapping[str, Sequence[str]]) -> None:
    owner: dict[str, str] = {category: category for category in classes}
    for category, labels in aliases.items():
        if category not in classes:
            raise OptionError(f"there are aliases for {category!r}, which is not a class", "use a name from `classes`")
        for label in labels:
            if owner.setdefault(label, category) != category:
                raise OptionError(
                    f"the label {label!r} would mean both {owner[label]!r} and {category!r}", "keep it under one class"
                )

"""Prompt sets: from class names and templates, or from a TOML file. Nothing is added that the user did not write.

A file has `classes`, a list of names or a table from a name to its text or texts, and may have `name`, `templates`
(each with `{}`, filled with every text of every class) and `combine` ("mean" or "max"):

    name = "photo"
    templates = ["a photo of a {}.", "a drawing of a {}."]
    combine = "mean"
    [classes]
    airplane = "airplane"
    cup = ["cup", "mug"]
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shotdex.store.errors import SettingsError
from shotdex.store.words import Combine, PromptSet

KEYS = ("name", "classes", "templates", "combine", "source")


def make_prompt_set(
    name: str,
    classes: Mapping[str, Sequence[str]],
    templates: Sequence[str] = (),
    combine: Combine = Combine.MEAN,
    source: str = "",
) -> PromptSet:
    """Return a prompt set in which every text of a class is put into every template; without templates, as it is.

    Raises:
        SettingsError: fewer than two classes, a class without text, or a template without `{}`.
    """
    for template in templates:
        if template.count("{}") != 1:
            raise SettingsError(f"the template {template!r} needs one {{}}", "for example: 'a photo of a {}.'")
    if len(classes) < 2:
        raise SettingsError(f"{len(classes)} class cannot be told from another", "give at least two classes")
    spelled = {
        category: tuple(template.replace("{}", text) for template in (templates or ("{}",)) for text in texts)
        for category, texts in classes.items()
    }
    for category, texts in spelled.items():
        if not texts or not category.strip() or not all(text.strip() for text in texts):
            raise SettingsError(f"the class {category!r} has an empty name or prompt", "give each class a text")
    prompts = PromptSet(name, spelled, combine, tuple(templates), source)
    return replace(prompts, sha256=digest(prompts))


def digest(prompts: PromptSet) -> str:
    """Return the SHA-256 over classes, prompts and the way to combine them: what decides the numbers, in order."""
    content = [prompts.combine.value, [[category, list(texts)] for category, texts in prompts.classes.items()]]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def from_names(names: Sequence[str], templates: Sequence[str] = ()) -> PromptSet:
    """Return the set of bare class names, or of the names in the given templates.

    Raises:
        SettingsError: see `make_prompt_set`.
    """
    bare = not templates or tuple(templates) == ("{}",)
    title = "bare names" if bare else " | ".join(templates)
    return make_prompt_set(title, {name: (name,) for name in dict.fromkeys(names)}, templates, source="command line")


def read_prompt_file(path: Path) -> PromptSet:
    """Return the prompt set in a TOML file.

    Raises:
        SettingsError: it cannot be read, or is not of the form above.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"the prompt file {path} cannot be read: {error}", "it is a TOML file with `classes`"
        ) from error
    unknown = [key for key in content if key not in KEYS]
    if unknown or "classes" not in content:
        what = f"has {unknown[0]!r}" if unknown else "has no `classes`"
        raise SettingsError(f"the prompt file {path} {what}", f"it may have: {', '.join(KEYS)}")
    return make_prompt_set(
        str(content.get("name") or path.stem),
        _classes(path, content["classes"]),
        _texts(path, "templates", content.get("templates", [])),
        _combine(path, content.get("combine", "mean")),
        str(content.get("source") or path),
    )


def _classes(path: Path, value: Any) -> dict[str, tuple[str, ...]]:
    if isinstance(value, list):
        return {name: (name,) for name in _texts(path, "classes", value)}
    if isinstance(value, dict):
        return {name: _texts(path, f"classes.{name}", texts) for name, texts in value.items()}
    raise SettingsError(f"in {path}, `classes` is neither a list nor a table", 'for example: classes = ["cat", "dog"]')


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise SettingsError(
            f"in {path}, `{key}` is not a text or a list of texts", 'for example: ["a cat", "a kitten"]'
        )
    return tuple(texts)


def _combine(path: Path, value: Any) -> Combine:
    if value not in tuple(Combine):
        raise SettingsError(f"in {path}, `combine` is {value!r}", 'it is "mean" or "max"')
    return Combine(value)

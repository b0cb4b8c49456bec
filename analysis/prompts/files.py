"""Prompt sets as TOML files.

A file has `classes`: a list of names, or a table from a name to its text or texts. It may have `name`, `templates`
(each with `{}`, filled with every text of every class), `combine` ("mean" or "max"), `source`, and `aliases` (a table
from a class to the further labels under which images have it):

    name = "photo"
    templates = ["a photo of a {}.", "a drawing of a {}."]
    combine = "mean"
    [classes]
    airplane = "airplane"
    cup = ["cup", "mug"]
    [aliases]
    cup = ["Cup (coffee)"]

`classes` and `templates` may instead name a published file, such as `"en_classnames.json#cifar10"`: see `published.py`.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shotdex import demo
from shotdex.store.errors import OptionError
from shotdex.store.location import user_path
from shotdex.store.types import Combine, PromptSet

from .build import make_prompt_set


def shipped_files() -> dict[str, Path]:
    """Return the shipped prompt files by name, in alphabetical order."""
    return {path.stem: path for path in sorted(demo.PROMPTS.glob("*.toml"))}


def find_prompt_file(wanted: str) -> Path:
    """Return the prompt file at a path, or else the shipped one of that name.

    Raises:
        OptionError: there is neither.
    """
    path, shipped = user_path(wanted), shipped_files()
    if path.is_file():
        return path
    if wanted in shipped:
        return shipped[wanted]
    near = difflib.get_close_matches(wanted, shipped, n=1)
    hint = (
        f"did you mean the shipped {near[0]}?" if near else f"pass a TOML file, or a shipped set: {', '.join(shipped)}"
    )
    raise OptionError(f"there is no prompt file {wanted}", hint)


KEYS = ("name", "classes", "templates", "combine", "source", "aliases")


def read_prompts(wanted: str) -> PromptSet:
    """Return the prompt set that a text names: a TOML file, a published JSON file, or the name of a shipped set.

    Raises:
        OptionError: there is no such file or set, or it is not of the form above.
    """
    if is_reference(wanted):
        return make_prompt_set(Path(wanted).name, published_classes(wanted), source=wanted)
    return read_prompt_file(find_prompt_file(wanted))


def read_prompt_file(path: Path) -> PromptSet:
    """Return the prompt set in a TOML file.

    Raises:
        OptionError: it cannot be read, or is not of the form above.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(
            f"the prompt file {path} cannot be read: {error}", "it must be a TOML file with `classes`"
        ) from error
    unknown = [key for key in content if key not in KEYS]
    if unknown or "classes" not in content:
        what = f"has {unknown[0]!r}" if unknown else "has no `classes`"
        raise OptionError(f"the prompt file {path} {what}", f"it may have: {', '.join(KEYS)}")
    return make_prompt_set(
        str(content.get("name") or path.stem),
        _classes(path, content["classes"]),
        _templates(path, content.get("templates", [])),
        _combine(path, content.get("combine", "mean")),
        str(content.get("source") or path),
        _aliases(path, content.get("aliases", {})),
    )


def _classes(path: Path, value: Any) -> dict[str, tuple[str, ...]]:
    if isinstance(value, str) and is_reference(value):
        return published_classes(value, path.parent)
    if isinstance(value, list):
        names = _texts(path, "classes", value)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise OptionError(f"in {path}, `classes` names {twice!r} twice", "name each class once")
        return {name: (name,) for name in names}
    if isinstance(value, dict):
        return {name: _texts(path, f"classes.{name}", texts) for name, texts in value.items()}
    raise OptionError(f"in {path}, `classes` is neither a list nor a table", 'for example: classes = ["cat", "dog"]')


def _templates(path: Path, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and is_reference(value):
        return published_templates(value, path.parent)
    return _texts(path, "templates", value)


def _aliases(path: Path, value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise OptionError(f"in {path}, `aliases` is not a table", 'for example: [aliases]\n"T-shirt" = ["tee"]')
    return {category: _texts(path, f"aliases.{category}", labels) for category, labels in value.items()}


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise OptionError(f"in {path}, `{key}` is not a text or a list of texts", 'for example: ["a cat", "a kitten"]')
    return tuple(texts)


def _combine(path: Path, value: Any) -> Combine:
    if value not in tuple(Combine):
        raise OptionError(f"in {path}, `combine` is {value!r}", 'use "mean" or "max"')
    return Combine(value)


_REFERENCE = re.compile(r"[^{}]+\.(json(#.+)?|txt)", re.IGNORECASE)


def is_reference(text: str) -> bool:
    """Tell whether a text names a published file rather than being a template or a list of names."""
    return _REFERENCE.fullmatch(text) is not None


def published_templates(reference: str, beside: Path | None = None) -> tuple[str, ...]:
    """Return the templates that a reference names, with `{}` where the file has `{c}`.

    A path that is not absolute is looked for next to the file that names it, else in the working folder.

    Raises:
        OptionError: the file cannot be read, has no such set, or the set is not a list of texts.
    """
    content = _load(reference, beside)
    if not _is_texts(content):
        raise OptionError(f"{reference} holds no templates", "it must be a list of texts with {c} or {}")
    return tuple(text.replace("{c}", "{}") for text in content)


def published_classes(reference: str, beside: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Return the classes that a reference names, each with its own name or with the prompts listed for it.

    Published lists name some classes alike (ImageNet has two "missile"): the second is the class `missile (2)`, with
    the same text. A model cannot tell them apart, but every label of the list has its class.

    Raises:
        OptionError: the file cannot be read, has no such set, or the set has no classes in it.
    """
    content = _load(reference, beside)
    if _is_texts(content):
        return _numbered(content)
    if _is_indexed(content):
        return _numbered(content[1])
    if isinstance(content, dict) and all(_is_texts(texts) for texts in content.values()):
        return {name: tuple(texts) for name, texts in content.items()}
    raise OptionError(f"{reference} holds no class names", "it must be a list of names, or map names to prompts")


def _load(reference: str, beside: Path | None) -> Any:
    name, _, chosen = reference.partition("#")
    path = user_path(name)
    if beside is not None and not path.is_absolute() and (beside / path).is_file():
        path = beside / path
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".txt":
            return [line.strip() for line in text.splitlines() if line.strip()]
        content = json.loads(text)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        hint = "pass a text file with one text a line, or a JSON file: FILE.json#DATASET"
        raise OptionError(f"{path} cannot be read: {why}", hint) from error
    return _one_set(path, content, chosen)


def _one_set(path: Path, content: Any, chosen: str) -> Any:
    if not isinstance(content, dict):
        if chosen:
            raise OptionError(f"{path} holds one set, not {chosen!r}", f"leave out the name: {path}")
        return content
    if chosen in content:
        return content[chosen]
    sets = [name for name, value in content.items() if isinstance(value, (list, dict))]
    if not chosen and len(sets) == 1:
        return content[sets[0]]
    some = ", ".join(sets[:8]) + (", ..." if len(sets) > 8 else "")
    said = f"has no set {chosen!r}" if chosen else f"holds {len(sets)} sets"
    raise OptionError(f"{path} {said}", f"choose one: {path}#NAME, with NAME one of {some}")


def _numbered(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    classes: dict[str, tuple[str, ...]] = {}
    for name in names:
        free = (f"{name} ({n})" for n in itertools.count(2))
        classes[name if name not in classes else next(one for one in free if one not in classes)] = (name,)
    return classes


def _is_indexed(value: Any) -> bool:
    """Tell whether this is Babel-ImageNet's form: the numbers of some classes, then their names."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], list) and _is_texts(value[1])):
        return False
    return len(value[0]) == len(value[1]) and all(isinstance(number, int) for number in value[0])


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)

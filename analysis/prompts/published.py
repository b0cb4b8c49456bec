"""Published class names and templates, used as they are.

CLIP_benchmark (LAION) keeps them as JSON, a data set's name to its texts, with `{c}` where the class goes:

    {"cifar10": ["a photo of a {c}.", "a blurry photo of a {c}."]}       templates
    {"cifar10": ["airplane", "automobile"]}                              class names, in the order of the labels
    {"imagenet1k": {"tench": ["A tench is a freshwater fish."]}}         prompts class by class
    {"DE": [[0, 1], ["Schleie", "Goldfisch"]]}                           some classes' numbers and names

and beside its web data sets as text files, one to a line. A reference is `FILE.json#NAME`, `FILE.json` where the file
holds one set, or `FILE.txt`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shotdex.store.errors import OptionError

_REFERENCE = re.compile(r"[^{}]+\.(json(#.+)?|txt)", re.IGNORECASE)


def is_reference(text: str) -> bool:
    """Tell whether a text names a published file rather than being a template or a list of names."""
    return _REFERENCE.fullmatch(text) is not None


def published_templates(reference: str, beside: Path | None = None) -> tuple[str, ...]:
    """Return the templates that a reference names, with `{}` where the file has `{c}`.

    A path that is not absolute is looked for beside the file that names it, else in the working folder.

    Raises:
        OptionError: the file cannot be read, has no such set, or the set is not a list of texts.
    """
    content = _load(reference, beside)
    if not _is_texts(content):
        raise OptionError(f"{reference} holds no templates", "they are a list of texts with {c} or {}")
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
    raise OptionError(f"{reference} holds no class names", "they are a list of names, or a name -> its prompts")


def _load(reference: str, beside: Path | None) -> Any:
    name, _, chosen = reference.partition("#")
    path = Path(name)
    if beside is not None and not path.is_absolute() and (beside / path).is_file():
        path = beside / path
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".txt":
            return [line.strip() for line in text.splitlines() if line.strip()]
        content = json.loads(text)
    except (OSError, ValueError) as error:
        raise OptionError(f"{path} cannot be read: {error}", "name a JSON file: FILE.json#DATASET") from error
    return _one_set(path, content, chosen)


def _one_set(path: Path, content: Any, chosen: str) -> Any:
    if not isinstance(content, dict):
        if chosen:
            raise OptionError(f"{path} holds one set, and no {chosen!r}", f"leave out the name: {path}")
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

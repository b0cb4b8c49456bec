"""Which prompt set a classification takes: one by name or file, or classes and templates spelled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from shotdex.analysis.classify import indexed_categories
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.prompts.files import is_reference, published_classes, published_templates, read_prompts
from shotdex.store.errors import OptionError
from shotdex.store.prompt_sets import find_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import PromptSet


def choose_prompts(store: Store, prompts: str | None, templates: Sequence[str], classes: str | None) -> PromptSet:
    """Return the prompt set that the options mean.

    Raises:
        OptionError: options that do not go together; MissingLabels: no categories to take as classes.
    """
    if prompts is not None:
        if templates or classes is not None:
            raise OptionError("--prompts already says classes and templates", "leave out --template and --classes")
        return find_prompts(prompts, lambda: store)
    spelled = [text for given in templates for text in (published_templates(given) if is_reference(given) else [given])]
    published = [given for given in (classes or "", *templates) if is_reference(given)]
    title, source = ", ".join(Path(given).name for given in published), ", ".join(published)
    if classes is not None and is_reference(classes):
        return make_prompt_set(title, published_classes(classes), spelled, source=source)
    bare = from_names(split_names(classes) if classes is not None else indexed_categories(store), spelled)
    return replace(bare, name=title, source=source) if published else bare


def prompt_set(
    store: Store,
    prompts: str | PromptSet | None,
    templates: Sequence[str],
    classes: Sequence[str] | None,
) -> PromptSet:
    """Return the prompt set that `Session.classify` means; see `choose_prompts`."""
    if isinstance(prompts, PromptSet):
        return make_prompt_set(prompts.name, prompts.classes, (), source=prompts.source)
    listed = ",".join(classes) if classes is not None else None
    return choose_prompts(store, prompts, templates, listed)


def find_prompts(wanted: str, opened: Callable[[], Store | None]) -> PromptSet:
    """Return the set of a file or shipped, else the one that the store, opened only then, keeps under that name.

    Raises:
        OptionError: there is none.
    """
    try:
        return read_prompts(wanted)
    except OptionError:
        store = None if Path(wanted).is_file() else opened()
        if store is None:
            raise
        with store.reading() as con:
            kept = find_prompt_set(con, wanted)
        if kept is None:
            raise
        return kept


def split_names(listed: str) -> list[str]:
    """Return the names in a comma-separated list.

    Raises:
        OptionError: there are none.
    """
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:
        raise OptionError("--classes is empty", "for example: --classes cat,dog")
    return names

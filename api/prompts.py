"""Which prompt set a classification takes: one by name or file, or classes and templates spelled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shotdex.analysis.classify import FromCatalog, indexed_categories
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.prompts.files import is_reference, published_classes, published_templates, read_prompts
from shotdex.store.connection import Connection
from shotdex.store.errors import OptionError
from shotdex.store.location import user_path
from shotdex.store.prompt_sets import find_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import PromptSet


def choose_prompts(
    prompts: str | PromptSet | None, templates: Sequence[str], classes: Sequence[str] | str | None
) -> PromptSet | FromCatalog:
    """Return the prompt set that the options mean, or what makes it of a catalog, where its parts are on record there.

    `classes` are names, or in one text a comma-separated list of them or a published FILE.json#NAME.

    Raises:
        OptionError: options that do not go together.
    """
    if prompts is not None:
        if templates or classes is not None:
            raise OptionError("--prompts already says classes and templates", "leave out --template and --classes")
        if isinstance(prompts, PromptSet):
            own = prompts
            made = make_prompt_set(own.name, own.classes, (), own.combine, own.source, own.aliases)
            return replace(made, templates=own.templates)
        try:
            return read_prompts(prompts)
        except OptionError as error:
            if user_path(prompts).is_file():
                raise
            return partial(_recorded, prompts, error)
    spelled = [text for given in templates for text in (published_templates(given) if is_reference(given) else [given])]
    whole = classes if isinstance(classes, str) else ""
    published = [given for given in (whole, *templates) if is_reference(given)]
    title, source = ", ".join(Path(given).name for given in published), ", ".join(published)
    if is_reference(whole):
        return make_prompt_set(title, published_classes(whole), spelled, source=source)

    def named(names: Sequence[str]) -> PromptSet:
        bare = from_names(names, spelled)
        return replace(bare, name=title, source=source) if published else bare

    if classes is None:
        return lambda con: named(indexed_categories(con))
    return named(split_names(classes) if isinstance(classes, str) else classes)


def _recorded(name: str, error: OptionError, con: Connection) -> PromptSet:
    """Return the prompt set that a run used; `error` says why it is none that ships and no file."""
    kept = find_prompt_set(con, name)
    if kept is None:
        raise error
    return kept


def prompt_set(
    store: Store,
    prompts: str | PromptSet | None,
    templates: Sequence[str],
    classes: Sequence[str] | str | None,
) -> PromptSet:
    """Return the prompt set that the options mean; see `choose_prompts`.

    Raises:
        OptionError: options that do not go together; MissingLabels: no categories to take as classes.
    """
    chosen = choose_prompts(prompts, templates, classes)
    if isinstance(chosen, PromptSet):
        return chosen
    with store.reading() as con:
        return chosen(con)


def find_prompts(wanted: str, opened: Callable[[], Store | None]) -> PromptSet:
    """Return the set of a file or shipped, else the one that the store, opened only then, keeps under that name.

    Raises:
        OptionError: there is none.
    """
    try:
        return read_prompts(wanted)
    except OptionError:
        store = None if user_path(wanted).is_file() else opened()
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

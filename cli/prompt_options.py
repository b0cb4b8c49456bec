"""The options that say which prompts, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence

import click

from shotdex.analysis.classify import indexed_categories
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.prompts.files import read_prompts
from shotdex.analysis.prompts.published import is_reference, published_classes, published_templates
from shotdex.store.errors import SettingsError
from shotdex.store.store import Store
from shotdex.store.words import PromptSet

prompts_option = click.option(
    "--prompts", metavar="SET", help="A prompt set: a TOML file, or a name from `shotdex prompts list`."
)
template_option = click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="Such as 'a photo of a {}.', or a published FILE.json#NAME; repeatable.",
)
classes_option = click.option(
    "--classes",
    metavar="A,B,C",
    help="The classes, or a published FILE.json#NAME. [default: the categories of the indexed images]",
)


def choose_prompts(
    store: Store, prompts: str | None, templates: Sequence[str], classes: str | None, where: str | None
) -> PromptSet:
    """Return the prompt set that the options mean.

    Raises:
        SettingsError: options that do not go together; MissingLabels: no categories to take as classes.
    """
    if prompts is not None:
        if templates or classes is not None:
            raise SettingsError("--prompts already says classes and templates", "leave out --template and --classes")
        return read_prompts(prompts)
    spelled = [text for given in templates for text in (published_templates(given) if is_reference(given) else [given])]
    if classes is not None and is_reference(classes):
        source = ", ".join([classes, *filter(is_reference, templates)])
        return make_prompt_set(source, published_classes(classes), spelled, source=source)
    names = split_names(classes) if classes is not None else indexed_categories(store, where)
    return from_names(names, spelled)


def split_names(listed: str) -> list[str]:
    """Return the names in a comma-separated list.

    Raises:
        SettingsError: there are none.
    """
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:
        raise SettingsError("--classes is empty", "for example: --classes cat,dog")
    return names

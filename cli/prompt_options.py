"""The options that say which prompts, and what they mean."""

from __future__ import annotations

import click

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
    help="The classes; or FILE.txt with one class a line, or a published FILE.json#NAME. "
    "[default: the categories of all indexed images]",
)

"""Writes the generated pages of docs/: cli.md from the help of every command, api.md from docstrings.

Run it after a change: python -m making.reference
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import shotdex
from shotdex.cli import COMMANDS, group

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 100
CLASSES = (
    "Session",
    "Run",
    "Runs",
    "SearchResult",
    "SqlResult",
    "Estimates",
    "Findings",
    "IndexPreview",
    "ClassifiedImages",
)


def cli_page() -> str:
    """Return the help of every command as one page."""
    parts = [
        "# Command line\n",
        "The help of every command, as `shotdex COMMAND --help` prints it. `-q` and `-v` go with each of them.\n",
    ]
    for words, command in _commands():
        context = click.Context(command, info_name=" ".join(["shotdex", *words]), max_content_width=80)
        context.help_option_names = ["-h", "--help"]
        context.terminal_width = 80
        parts.append(f"## {' '.join(['shotdex', *words])}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands() -> Iterator[tuple[list[str], click.Command]]:
    yield [], group
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield [name], command
        if isinstance(command, click.Group):
            for part in command.list_commands(click.Context(command)):
                below = command.get_command(click.Context(command), part)
                assert below is not None
                yield [name, part], below


def api_page() -> str:
    """Return every public function and class of `import shotdex` with its docstring."""
    parts = ["# Python API\n", "What `import shotdex` offers. [python.md](python.md) introduces it.\n"]
    for name in shotdex.__all__:
        value = getattr(shotdex, name)
        if inspect.isfunction(value):
            parts.append(_entry(f"shotdex.{name}", value, "##"))
    for name in CLASSES:
        value = getattr(shotdex, name)
        parts.append(f"## {name}\n\n{_docstring(value)}")
        members = [(one, getattr(value, one)) for one in dir(value) if not one.startswith("_")]
        for one, member in members:
            found = inspect.getattr_static(value, one)
            if isinstance(found, property) and found.fget is not None:
                parts.append(f"### {name}.{one}\n\n{_docstring(found.fget)}")
            elif inspect.isfunction(member):
                parts.append(_entry(f"{name}.{one}", member, "###"))
    return "\n".join(parts)


def _entry(name: str, value: Any, heading: str) -> str:
    signature = str(inspect.signature(value)).replace("(self, ", "(").replace("(self)", "()").replace("'", "")
    code = f"{name}{signature}"
    if len(code) > WIDTH:
        arguments = [str(one).replace("'", "") for one in inspect.signature(value).parameters.values()]
        returned = signature.rpartition(") -> ")[2]
        code = f"{name}({', '.join(one for one in arguments if one != 'self')}) -> {returned}"
        code = "\n".join(textwrap.wrap(code, WIDTH, subsequent_indent="    ", break_long_words=False))
    return f"{heading} {name}\n\n```text\n{code}\n```\n\n{_docstring(value)}"


def _docstring(value: Any) -> str:
    return f"```text\n{inspect.getdoc(value) or ''}\n```\n"


def main() -> None:
    """Write both pages."""
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
    (DOCS / "api.md").write_text(api_page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""A command whose options are shown in sections, for the one command that has many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedCommand(click.Command):
    """Shows its options under headings: `sections` maps a heading to the names of options; the rest come last."""

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section as click writes its one."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        sectioned = {name for names in self._sections.values() for name in names}
        rest = [name for name in records if name not in sectioned]
        for heading, names in (*self._sections.items(), ("Other options", rest)):
            rows = [record for name in names if (record := records[name]) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

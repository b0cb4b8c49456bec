"""The prompt of `shotdex sql`: statements up to a semicolon, with history and completion.

The catalog is open while a statement runs and not between two, so an indexer is not kept waiting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shotdex
from shotdex.store.errors import ShotdexError

from .render import note, out
from .rows import FORMATS

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

    from shotdex import Session, SqlResult

Show = Callable[["list[SqlResult]", str, bool], None]

HELP = """A statement ends with ; and may take several lines. Tab completes, the arrow keys bring back earlier ones.
Ctrl-C drops a line or ends a statement that runs, Ctrl-D leaves.

  .schema [TABLE]   describe the tables, views and functions
  .examples         SQL that answers usual questions
  .format NAME      table, csv, tsv, json, jsonl or markdown
  .wide             show whole values, or cut them to the terminal again
  .help, .quit"""

WORDS = """SELECT FROM WHERE GROUP BY ORDER LIMIT JOIN LEFT USING ON AND OR NOT NULL IS IN LIKE ILIKE HAVING WITH AS
DISTINCT COUNT SUM AVG MIN MAX CASE WHEN THEN ELSE END DESC ASC SUMMARIZE DESCRIBE SHOW TABLES PIVOT EXPLAIN UNION ALL
BETWEEN QUALIFY EXCLUDE similarity search nearest"""
COMMANDS = (".schema", ".examples", ".format", ".wide", ".help", ".quit")


def run_prompt(session: Session, show: Show, form: str, wide: bool, run: Callable[[str], list[SqlResult]]) -> None:
    """Read statements and show what they return, until Ctrl-D."""
    prompt = _prompt(session)
    note(f"{session!r}\n.help lists the commands, Ctrl-D exits")
    while True:
        try:
            text = prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.rstrip("; ") in (".quit", ".exit", "exit", "quit"):
            return
        try:
            if text.startswith("."):
                form, wide = _command(text.rstrip("; ").split(), form, wide)
            elif text.strip("; \n"):
                show(run(text), form, wide)
        except KeyboardInterrupt:
            note("interrupted")
        except ShotdexError as error:
            note(f"error: {error}")
            if error.hint:
                note(f"  try: {error.hint}")


def _command(words: list[str], form: str, wide: bool) -> tuple[str, bool]:
    """Do what a line that begins with a dot says, and return the format and whether values are whole."""
    name, rest = words[0], words[1:]
    if name == ".schema":
        out(shotdex.schema(rest[0] if rest else None))
    elif name == ".examples":
        out(shotdex.examples())
    elif name == ".wide":
        wide = not wide
        note("values are shown whole" if wide else "values are cut to the terminal")
    elif name == ".format" and rest and rest[0] in FORMATS:
        form = rest[0]
    elif name == ".format":
        note(f"choose one of: {', '.join(FORMATS)}")
    else:
        out(HELP)
    return form, wide


def _prompt(session: Session) -> Callable[[], str]:
    """Return what reads one statement."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.sql import SqlLexer

    names = sorted({*_names(session), *WORDS.split()}, key=str.lower)

    class Names(Completer):
        """Completes commands at the beginning of a line, and names and words of SQL elsewhere."""

        def get_completions(self, document: Document, complete_event: Any) -> Iterable[Completion]:
            word = document.get_word_before_cursor(WORD=True) if document.text.startswith(".") else ""
            begun = word or document.get_word_before_cursor()
            for name in COMMANDS if begun.startswith(".") else names:
                if begun and name.lower().startswith(begun.lower()):
                    yield Completion(name, start_position=-len(begun))

    reader: PromptSession[str] = PromptSession(
        message="sql> ",
        multiline=True,
        prompt_continuation="...> ",
        history=_history(),
        lexer=PygmentsLexer(SqlLexer),
        completer=Names(),
        complete_while_typing=False,
        key_bindings=_keys(),
    )
    return reader.prompt


def _names(session: Session) -> Iterator[str]:
    """Yield the names of tables, views and columns; none where the catalog cannot be read now."""
    with suppress(ShotdexError):
        for row in session.sql("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"):
            yield from map(str, row)


def _keys() -> KeyBindings:
    """Return what Enter does: it ends a statement with a semicolon or a command, and else begins a new line."""
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        text = event.current_buffer.text.strip()
        if not text or text.endswith(";") or text.startswith(".") or text in ("exit", "quit"):
            event.current_buffer.validate_and_handle()
        else:
            event.current_buffer.insert_text("\n")

    return keys


def _history() -> History:
    """Return the history in the user's state folder, for the user alone; of this session where there is no place."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        folder = _state_folder() / "shotdex"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / "sql_history"
        file.touch(mode=0o600)
        return FileHistory(str(file))
    except (OSError, RuntimeError):
        return InMemoryHistory()


def _state_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")

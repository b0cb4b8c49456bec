"""Results as text: aligned tables, CSV, JSON. The only place that writes to standard output."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from shotdex.formatting import UNSEEN, plain, visible_lines, width
from shotdex.store.errors import ShotdexError
from shotdex.store.file_names import local

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""


def out(text: str = "", *, exact: bool = False) -> None:
    """Write a line of the result; where the reader, `head` say, has seen enough, end the command without complaint.

    What could drive a terminal is escaped, but for line breaks. With `exact`, as for CSV, that is done only where the
    result goes to a terminal: in a file or a pipe the data stay as they are.

    Raises:
        ShotdexError: standard output is closed, or its disk is full.
    """
    out_styled(text if exact and not sys.stdout.isatty() else visible_lines(text))


def wrapped(text: str, stream: TextIO | None = None) -> str:
    """Return a text whose lines, if they go to a terminal, break between words; tables already fit it.

    Commands, quotations and paths stay whole, so that they can be copied: a longer one gets a line of its own.
    """
    stream = stream or sys.stdout
    if not stream.isatty():
        return text
    most = _columns(stream)
    return "\n".join(_filled(line, most) if width(line) > most else line for line in text.split("\n"))


def _columns(stream: TextIO) -> int:
    """Return the width of a terminal; standard output, which `shutil` asks, may be a file while this one is not."""
    with suppress(OSError, ValueError):
        if not os.environ.get("COLUMNS", "").isdecimal():
            return os.get_terminal_size(stream.fileno()).columns or 80
    return shutil.get_terminal_size().columns


_QUOTED = r"(?:'[^']*'|\"[^\"]*\")"
_WHOLE = re.compile(
    r"(?:(?<=: )|(?<=   )|(?<=`)|^\s*)(?:(?:shotdex|hf|pip|rm|chmod|cat) |HF_HOME=)"
    rf"(?:{_QUOTED}|(?!   | \(|; |, then|`).)+|(?<![^\s(]){_QUOTED}(?=[\s.,:;)]|$)"
)
"""What a line does not break in: a command and its arguments, and what stands in quotation marks."""


def _filled(line: str, most: int) -> str:
    kept = re.sub(r"\S*/\S*(?: \S+)+", _existing_path, _WHOLE.sub(lambda found: found[0].replace(" ", "\0"), line))
    indent = line[: len(line) - len(line.lstrip())] + "  "
    lines, now = [], ""
    for gap, word in re.findall(r"(\s*)(\S+)", kept):
        if now.strip() and width(now + gap + word) > most:
            lines.append(now)
            now, gap = indent, ""
        now += gap + word
    return "\n".join([*lines, now]).replace("\0", " ")


def _existing_path(found: re.Match[str]) -> str:
    """Return words of which the first look like a path, with the blanks replaced that belong to an existing file."""
    words = found[0].split(" ")
    for count in range(min(len(words), 12), 1, -1):
        if os.path.lexists(" ".join(words[:count]).rstrip(".,:;)")):
            return "\0".join(words[:count]) + "".join(f" {word}" for word in words[count:])
    return found[0]


def out_styled(text: str) -> None:
    """Write lines of the result as they are, styles and all; what of them is data has been escaped by the caller.

    Raises:
        ShotdexError: as `out`.
    """
    if local(text) != text and not sys.stdout.isatty():  # file names have their own bytes again
        out_bytes(local(text + "\n").encode("utf-8", "surrogateescape"))
        return
    with _delivering():
        _write(text, sys.stdout)


def out_bytes(content: bytes) -> None:
    """Write the result as it is, not as text.

    Raises:
        ShotdexError: as `out`.
    """
    with _delivering():
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


@contextmanager
def _delivering() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What Python still holds for the stream would fail once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(0) from None
        raise ShotdexError(
            f"the result cannot be written to standard output: {error.strerror or 'it is closed'}",
            "send it to a file on a disk with free space",
        ) from error


def coloured() -> bool:
    """Tell whether a terminal may get colours and styles; see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_quiet = False


def say_less(quiet: bool) -> None:
    """Choose whether `note` is silent from here on; errors are written anyway."""
    global _quiet
    _quiet = quiet


def note(text: str) -> None:
    """Write a line about the work, to standard error; where that is not possible, the work goes on in silence."""
    if not _quiet:
        complain(text)


def complain(text: str) -> None:
    """Write what is wrong, to standard error."""
    with suppress(OSError):
        _write(wrapped(visible_lines(text), sys.stderr), sys.stderr)


def one_stream() -> bool:
    """Tell whether standard output and standard error are the same terminal or file, so that nothing is said twice."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def reopen_closed_streams() -> None:
    """Put something in the place of each standard stream that was closed before this program began.

    Otherwise the next file to be opened, such as the catalog, would get the number of standard error, and whatever a
    library writes there would end up in it. What is written to standard error is lost; standard output refuses it, so
    that nobody takes a lost result for a written one.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)  # the lowest free number, which is this one
            os.set_inheritable(opened, True)
    # Python has None in the place of a stream that was closed.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(1, "r", closefd=False), encoding="utf-8")
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _write(text: str, stream: TextIO) -> None:
    """Write a line. Not with click, which takes the escapes out of what goes to a file, data though they may be."""
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError as error:  # a terminal or a pipe that does not know every character
        stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding) + "\n")
    stream.flush()


def settle_errors() -> None:
    """Drop what standard error has not taken, so that it fails nothing when Python writes it once more at its exit."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def show_error(error: click.ClickException) -> None:
    """Write what click says about a wrong option or value, which may hold what the user pasted, as our own errors."""
    message = error.format_message()
    complain(f"error: {message[:1].lower() + message[1:] if message[1:2].islower() else message}")
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and error.ctx.parent is None:
        complain(f"  try: put it after a command, such as: shotdex search {error.option_name} ...   or: shotdex --help")
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        complain(f"  try: {error.ctx.command_path} --help")


class VisibleFormatter(logging.Formatter):
    """Formats log lines, in which files are named, so that they cannot drive the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; that of a mere message has no level before it."""
        text = record.getMessage() if record.levelno == logging.INFO else super().format(record)
        return wrapped(visible_lines(text), sys.stderr)


def as_json(value: Any) -> str:
    """Return a value as JSON over several lines. It is the same JSON in a terminal, which nothing in it can drive."""
    return _escaped(json.dumps(plain(value), indent=2, ensure_ascii=False))


def as_json_line(value: Any) -> str:
    """Return a value as JSON on one line."""
    return _escaped(json.dumps(plain(value), ensure_ascii=False))


def _escaped(text: str) -> str:
    """Return JSON with the characters escaped that JSON itself lets pass, such as U+009B and U+202E."""
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(r"[^\n\x20-\x7e]", _as_escape, text)


def _as_escape(found: re.Match[str]) -> str:
    char = found.group()
    if (real := local(char)) != char:  # a byte of a file name that is not UTF-8
        return json.dumps(real)[1:-1]
    return json.dumps(char)[1:-1] if char == "\x7f" or unicodedata.category(char) in UNSEEN else char

"""What every command has: quiet, verbose, the store before it, help by name, completion, one style of error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from shotdex.cli import group
from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.terminal import terminal

from .checks import failed
from .test_help import every_command

Shotdex = Callable[..., Ran]
Complete = Callable[[str], list[str]]


@pytest.mark.parametrize("words", every_command())
def test_every_command_takes_quiet_and_verbose(words: str) -> None:
    command: click.Command | None = group
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    spellings = {spelling for param in command.params for spelling in param.opts}
    assert {"-q", "--quiet", "-v", "--verbose"} <= spellings


def test_quiet_leaves_results_and_errors(
    shotdex: Shotdex, evaluated: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    at = ("--store", evaluated.root)
    query = ("plot", "counts", "--out", "counts.png", *at)
    loud, quiet = shotdex(*query), shotdex(*query, "-q")
    assert "wrote counts.png" in loud.err and (quiet.status, quiet.out, quiet.err) == (0, loud.out, "")
    assert shotdex("-q", *query) == quiet
    assert shotdex(*query) == loud  # the next command in this process speaks again
    failed(shotdex("sql", "SELECT nothing", "-q", *at), 1, "error: ", "try: ")


def test_verbose_says_how_long_it_took(shotdex: Shotdex, evaluated: Store) -> None:
    assert "took " in shotdex("status", "-v", "--store", evaluated.root).err
    assert "took " not in shotdex("status", "--store", evaluated.root).err


def test_the_store_before_the_command_or_after_it(shotdex: Shotdex, evaluated: Store, tmp_path: Path) -> None:
    after = shotdex("status", "--store", evaluated.root)
    assert after.status == 0
    assert shotdex("--store", evaluated.root, "status") == after
    assert shotdex("--store", tmp_path / "none", "status", "--store", evaluated.root) == after
    assert "SHOTDEX_STORE" not in os.environ
    failed(shotdex("--store", tmp_path / "none", "status"), 1, "none")


def test_help_by_name(shotdex: Shotdex) -> None:
    assert shotdex("help", "plot", "map") == shotdex("plot", "map", "--help")
    assert shotdex("help").out.startswith("Usage: shotdex")
    failed(shotdex("help", "plot", "mop"), 2, "no command 'plot mop'")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("status", "--jsn"), ("error: no such option '--jsn'", "try: shotdex status --help")),
        (("plot", "mop"), ("error: no such command 'mop'", "try: shotdex plot --help")),
        (("report", "--bins", "x"), ("error: invalid value for '--bins'", "try: shotdex report --help")),
    ],
)
def test_clicks_errors_look_like_ours(shotdex: Shotdex, typed: tuple[str, ...], words: tuple[str, ...]) -> None:
    ran = shotdex(*typed)
    failed(ran, 2, *words)
    assert "Usage:" not in ran.err and "Error:" not in ran.err


@pytest.fixture
def complete(evaluated: Store, monkeypatch: pytest.MonkeyPatch) -> Complete:
    def completed(line: str) -> list[str]:
        run = subprocess.run(
            [sys.executable, "-c", "from shotdex.cli import main; main()"],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "SHOTDEX_STORE": str(evaluated.root),
                "_SHOTDEX_COMPLETE": "bash_complete",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(line.split(" ")) - 1),
            },
        )
        return [found.partition(",")[2] for found in run.stdout.splitlines()]

    return completed


def test_names_of_the_store_are_completed(complete: Complete, evaluated: Store) -> None:
    with evaluated.reading() as con:
        runs = sorted(str(row[0]) for row in con.rows("SELECT name FROM runs WHERE starts_with(name, 'n')"))
    assert runs and sorted(complete("shotdex report n")) == runs
    assert "condition" in complete("shotdex report --by con")
    assert "category,condition" in complete("shotdex report --by category,con")
    assert "duplicates" in complete("shotdex dup")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shotdex: Shotdex, shell: str, tmp_path: Path) -> None:
    ran = shotdex("completion", shell)
    assert ran.status == 0 and "_SHOTDEX_COMPLETE" in ran.out
    if (there := shutil.which(shell)) is not None:
        script = tmp_path / "script"
        script.write_text(ran.out)
        assert subprocess.run([there, "-n", script], check=False).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("shell", "options", "setup"),
    [
        ("bash", ["--norc", "--noprofile"], 'eval "$(shotdex completion bash)"'),
        ("zsh", ["-f"], 'autoload -U compinit; compinit -u; eval "$(shotdex completion zsh)"'),
        ("fish", ["--no-config"], "shotdex completion fish | source"),
    ],
)
def test_a_tab_completes_a_run(shell: str, options: list[str], setup: str, evaluated: Store, tmp_path: Path) -> None:
    """Typed in the shell itself."""
    if (there := shutil.which(shell)) is None:
        pytest.skip(f"there is no {shell} on the PATH")
    program = tmp_path / "bin" / "shotdex"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m shotdex.cli "$@"\n')
    program.chmod(0o755)
    environ = os.environ | {"SHOTDEX_STORE": str(evaluated.root), "HOME": str(tmp_path), "TERM": "xterm"}
    environ["PATH"] = f"{program.parent}{os.pathsep}{environ['PATH']}"
    with terminal([there, *options], environ) as typing:
        typing.sendline(f"{setup}; echo rea''dy")
        typing.expect("ready\r")
        typing.send("shotdex report n\t")
        typing.expect("report names")


def test_it_is_said_who_is_waited_for(evaluated: Store, tmp_path: Path) -> None:
    own = tmp_path / "store"
    shutil.copytree(evaluated.root, own)
    code = f"""
import sys
from pathlib import Path
from shotdex.store.store import Store
with Store.open(Path({str(own)!r})).writing():
    print("held", flush=True)
    sys.stdin.readline()
"""
    pipe = subprocess.PIPE
    waits = [sys.executable, "-c", "from shotdex.cli import main; main()", "status", "--store", str(own)]
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(waits, stdout=pipe, stderr=pipe, text=True) as waiting:
            assert waiting.stdout is not None and waiting.stderr is not None
            said = waiting.stderr.readline()  # while the store is held
            holder.stdin.close()
            assert waiting.stdout.read().startswith("store ")
    assert said == f"waiting up to 15 s for process {holder.pid}, which has the store open\n"
    assert waiting.returncode == 0


def test_first_words_that_go_nowhere(shotdex: Shotdex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHOTDEX_STORE", raising=False)
    failed(shotdex("dog"), 2, "no command 'dog', and no store here", "shotdex index FOLDER")
    failed(shotdex("serach", "dog"), 2, "Did you mean 'search'?")
    failed(shotdex("--like", "12"), 2, "after a command, such as: shotdex search --like")
    names = [f"{i}.jpg" for i in range(1000)]
    ran = shotdex("index", *names)
    failed(ran, 2, "more than one source", "ls *.jpg | shotdex index -")
    assert len(ran.err) < 300, "the names are not repeated"

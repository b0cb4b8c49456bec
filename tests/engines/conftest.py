"""Engines that run outside this process, each in an environment of its own, which `make engines` sets up."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

ENVIRONMENTS = Path(os.environ.get("SHOTDEX_ENGINES", ROOT / ".engines"))
"""Where the environments are, a folder for each engine, and why one could not be made: NAME.log."""

LONG = 600.0
"""Seconds after which a program passes for hung: a machine may be busy, and how fast it is says nothing."""


def python_of(engine: str) -> Path:
    """Return the Python of an engine's environment; without one the test is skipped, unless it is required."""
    python, log = ENVIRONMENTS / engine / "bin" / "python", ENVIRONMENTS / f"{engine}.log"
    if not (ENVIRONMENTS / engine / ".installed").is_file():
        said = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
        reason = f"there is no environment {python.parents[1]}: {said[0] if said else 'make engines'}"
        if os.environ.get("SHOTDEX_TESTS_REQUIRE_ENGINES"):
            raise AssertionError(reason)
        pytest.skip(reason)
    return python


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Serving:
    """A program that runs: `words` are those that came after `ready` on a line of its output."""

    process: subprocess.Popen[str]
    words: list[str]

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@contextmanager
def serving(log: Path, *command: object, environment: Mapping[str, str] | None = None) -> Iterator[Serving]:
    """Run a program until its standard input is closed, from the moment at which it says that it is ready."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = next((line for line in process.stdout if line.startswith("ready")), None)
        assert said is not None, log.read_text(errors="replace")[-2000:]
        yield Serving(process, said.split()[1:])
    finally:
        process.stdin.close()
        try:
            process.wait(LONG)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Milvus server and give its address; the wheel runs one on a machine at a time."""
    folder, python = tmp_path_factory.mktemp("milvus"), python_of("milvus")
    program = Path(__file__).with_name("milvus_server.py")
    with serving(folder / "log", python, program, folder, free_port()) as server:
        yield f"http://127.0.0.1:{int(server.words[0])}"

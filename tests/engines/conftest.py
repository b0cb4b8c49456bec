"""Engines that run outside this process, each in an environment of its own, which `make engines` sets up."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ENVIRONMENTS = Path(os.environ.get("SHOTDEX_ENGINES", ROOT / ".engines"))
"""Where the environments are, a folder for each engine."""


def python_of(engine: str) -> Path:
    """Return the Python of an engine's environment; without one the test is skipped, unless it is required."""
    python = ENVIRONMENTS / engine / "bin" / "python"
    if not python.is_file():
        if "SHOTDEX_TESTS_REQUIRE_ENGINES" in os.environ:
            raise AssertionError(f"there is no {python}: make engines")
        pytest.skip(f"there is no {python}: make engines")
    return python


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Milvus server and give its address; the wheel runs one on a machine at a time."""
    folder, python = tmp_path_factory.mktemp("milvus"), python_of("milvus")
    command = [str(python), str(Path(__file__).with_name("milvus_server.py")), str(folder), str(free_port())]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            said = server.stdout.readline().split()
            assert said[:1] == [b"ready"], (folder / "log").read_text(errors="replace")[-2000:]
            yield f"http://127.0.0.1:{int(said[1])}"
        finally:
            server.stdin.close()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            server.stdout.close()

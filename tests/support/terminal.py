"""A program in a terminal of its own, which a test types into."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@contextmanager
def terminal(command: Sequence[str], env: Mapping[str, str], timeout: float = 60) -> Iterator[Any]:
    """Run a program in a terminal of 40 lines and 100 columns; yield what pexpect offers to type and to expect with.

    `ended()` waits for its end and returns its exit status. The program is killed at the end of the context. Unlike
    pexpect.spawn this does not fork the process of the tests, whose threads may hold locks that a copy never gets.
    """
    from pexpect.fdpexpect import fdspawn

    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    program = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, *command],
        stdin=its,
        stdout=its,
        stderr=its,
        env=env,
        start_new_session=True,
    )
    os.close(its)
    typing = fdspawn(ours, encoding="utf-8", timeout=timeout)
    typing.ended = lambda: program.wait(timeout)
    try:
        yield typing
    finally:
        program.kill()
        program.wait(timeout)
        typing.close()

"""What the tests of several commands look for."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import Ran


def failed(ran: Ran, status: int, *words: str) -> None:
    """Assert that a command ended with an error that says these words, and with no traceback."""
    assert (ran.status, ran.out) == (status, ""), ran
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)

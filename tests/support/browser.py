"""A Chromium that is on the machine, driven by Playwright; its own download of browsers is not used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")

REQUIRED = "SHOTDEX_TESTS_REQUIRE_BROWSER"
"""Set where a missing browser is a failure, as on a CI machine that could install one."""

# Nothing but the page itself may look for a network. Without a sandbox, since CI machines run as root in containers.
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
QUIETER = ("--disable-sync", "--no-first-run", "--disable-quic", "--disable-dev-shm-usage")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; the test is skipped where there is none, and says so."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        missing = f"needs a browser: none of {', '.join(NAMES)} is on the PATH"
        if os.environ.get(REQUIRED):
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*QUIET, *QUIETER])
        yield browser
        browser.close()

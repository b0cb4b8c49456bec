"""The page in a browser, as a reader visits it: what it asked for and said is kept, and checked when the visit ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Scheme = Literal["light", "dark"]
TILES = "main .gallery li"
MINUS = "\u2212"


@contextmanager
def serving(store: Path, *options: str) -> Iterator[str]:
    """Serve a store in a process of its own; the value is the address of its page."""
    command = [sys.executable, "-m", "shotdex", "serve", "--no-browser", "--store", str(store), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.stderr.read()
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=20)


class Visit:
    """A page and everything that it did. At the end nothing was said, nobody else was asked, and nothing is too wide.

    `allowed` are words of console messages that the test expects, such as of a file that is gone.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        *,
        scheme: Scheme = "light",
        width: int = 1280,
        axe: bool = False,
        allowed: tuple[str, ...] = (),
        **context: Any,
    ) -> None:
        self.width, self.axe, self.allowed = width, axe, allowed
        self.address = address
        # axe is a script from elsewhere, which the page's policy would refuse
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=axe, **context
        )
        self.context.set_default_timeout(60_000)  # the first upload loads the model
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))

    def go(self, state: str = "") -> Page:
        """Open the page in a state of its address, such as `?view=map`."""
        self.page.goto(self.address + state)
        self.page.locator("main h1").first.wait_for(state="attached")
        return self.page

    def check(self) -> None:
        """Look for what a reader would stumble over, as the page is now."""
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width
        if self.axe:
            from axe_playwright_python.sync_playwright import Axe

            found = Axe().run(self.page)
            serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
            assert serious == [], found.generate_report()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.check()
        self.context.close()
        if kind is None:
            assert [one for one in self.said if not any(word in one for word in self.allowed)] == []
            others = [url for url in self.requests if not url.startswith((self.address, "blob:", "data:"))]
            assert others == []


def shown(page: Page) -> list[int]:
    """Return the ids of the images in the gallery, in order."""
    return [int(one) for one in page.locator(f"{TILES} a").evaluate_all("all => all.map((one) => one.dataset.id)")]


def settled(page: Page) -> None:
    """Wait until the newest answer is in the gallery."""
    page.locator(".total[data-busy=false]").wait_for()

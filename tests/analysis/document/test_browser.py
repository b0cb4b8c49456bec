"""The HTML report in a real browser: it asks nobody for anything, runs nothing that is not its own, and can be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

import shotdex
from shotdex import demo
from shotdex.query.text_lookup import text_vectors
from tests.support.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Write = Callable[..., Path]
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Opened:
    """A page and everything that it did: requests, console messages, errors, dialogs."""

    def __init__(self, browser: Browser, place: Path, scheme: Scheme = "light", width: int = 1200, axe: bool = False):
        viewport: Any = {"width": width, "height": 900}
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True, bypass_csp=axe)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.goto(place.as_uri())
        self.place = place

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert self.said == []
        assert {url for url in self.requests if not url.startswith("data:")} == {self.place.as_uri()}


LOOKS: list[tuple[Scheme, int]] = [("light", 1200), ("dark", 1200), ("light", 390), ("dark", 390), ("light", 768)]


@pytest.mark.parametrize("style", ["report", "course"])
def test_it_is_accessible_and_never_scrolls_sideways(browser: Browser, written: Write, style: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with Opened(browser, written("words", "names", style=style), axe=True) as opened:
        for scheme, width in LOOKS:
            opened.page.set_viewport_size({"width": width, "height": 900})
            opened.page.emulate_media(color_scheme=scheme)
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width, (scheme, width)
            found = Axe().run(opened.page)
            assert found.violations_count == 0, (scheme, width, found.generate_report())


def test_it_asks_nobody_for_anything_and_its_script_runs(browser: Browser, written: Write) -> None:
    with Opened(browser, written("words", "names")) as opened:
        assert opened.page.locator("#explore-form.ready").count() == 1
        assert opened.page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")


@pytest.mark.parametrize("style", ["report", "course"])
def test_it_prints_on_a4(browser: Browser, written: Write, style: str) -> None:
    with Opened(browser, written("words", "names", style=style), width=688) as opened:
        printed = opened.page.pdf(format="A4", prefer_css_page_size=True)
        boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
        assert {(round(float(w)), round(float(h))) for w, h in boxes} == {(595, 842)}
        assert 5 <= len(re.findall(rb"/Type /Page\b", printed)) <= 12
        # 688 pixels are the width of A4 between the margins.
        opened.page.emulate_media(media="print")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 688
        assert opened.page.evaluate(
            "[...document.querySelectorAll('table, img')].every((one) => one.getBoundingClientRect().right <= 689)"
        )
        assert not opened.page.locator("#explore").is_visible()


def reader(opened: Opened, prompts: Any, classes: Any, conditions: Any) -> dict[str, str]:
    """Tick these boxes and no others, as somebody who reads the page would, and return what it says then."""
    script = """([prompts, classes, conditions]) => {
        const form = document.getElementById("explore-form");
        const set = (kind, ticks) => form.querySelectorAll(`input[data-${kind}]`).forEach((box, i) => {
            box.checked = ticks[i];
        });
        set("prompt", prompts); set("class", classes); set("condition", conditions);
        form.querySelector("input").dispatchEvent(new Event("change", {bubbles: true}));
        return Object.fromEntries([...form.querySelectorAll("dd")].map((one) => [one.id.slice(8), one.textContent]));
    }"""
    ticks = [np.asarray(one, dtype=bool).tolist() for one in (prompts, classes, conditions)]
    found: dict[str, str] = opened.page.evaluate(script, ticks)
    return found


class Python:
    """The same from the store's vectors, in numpy, without any of the code that the report uses."""

    def __init__(self, session: shotdex.Session, name: str) -> None:
        run = session.run(name)
        rows = run.outcomes().to_dicts()
        ids, vectors = session.vectors()
        self.images = vectors[np.searchsorted(ids, [row["image_id"] for row in rows])].astype(np.float64)
        self.classes = list(run.prompts.classes)
        self.sizes = [len(texts) for texts in run.prompts.classes.values()]
        texts = [text for own in run.prompts.classes.values() for text in own]
        encoder = run.encoder
        self.texts = text_vectors(session.store, 1, encoder, texts, session.encoders).astype(np.float64)
        self.best = run.prompts.combine.value == "max"
        self.truth = np.array([self.classes.index(row["category"]) for row in rows])
        self.before = np.array([row["correct"] for row in rows])
        self.conditions = sorted({row["condition"] for row in rows})
        self.condition = np.array([self.conditions.index(row["condition"]) for row in rows])

    def without(self, prompts: Any, classes: Any, conditions: Any) -> dict[str, str]:
        scores = np.full((len(self.images), len(self.classes)), -np.inf)
        for number, start in enumerate(np.cumsum([0, *self.sizes[:-1]])):
            own = self.texts[start : start + self.sizes[number]][prompts[start : start + self.sizes[number]]]
            if classes[number] and len(own):
                mean = own.mean(axis=0)
                best = (self.images @ own.T).max(axis=1)
                scores[:, number] = best if self.best else self.images @ (mean / np.linalg.norm(mean))
        kept = np.isfinite(scores[0])[self.truth] & np.asarray(conditions)[self.condition]
        now, before = (scores.argmax(axis=1) == self.truth)[kept], self.before[kept]
        n, right = int(kept.sum()), int(now.sum())
        gained, lost = int((now & ~before).sum()), int((before & ~now).sum())
        p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        low, high = proportion_confint(right, n, method="wilson") if n else (0.0, 0.0)
        found = {"accuracy": f"{right / n:.6f}", "interval": f"{low:.6f} to {high:.6f}"} if n else {}
        return found | {"n": str(n), "now-right": str(gained), "now-wrong": str(lost), "p": f"{p:.9f}"}


def numbers(said: dict[str, str]) -> list[float]:
    """Return every number in what the page says, in one order."""
    return [float(one) for key in sorted(said) for one in re.findall(r"[\d.]+(?:e[-+]\d+)?", said[key])]


@pytest.mark.parametrize("name", ["words", "several", "names"])
def test_what_is_unticked_is_left_out_of_every_number(
    session: shotdex.Session, browser: Browser, written: Write, name: str
) -> None:
    expected, rng = Python(session, name), np.random.default_rng(0)
    prompts, classes, conditions = len(expected.texts), len(expected.classes), len(expected.conditions)
    with Opened(browser, written(name)) as opened:
        everything = reader(opened, [True] * prompts, [True] * classes, [True] * conditions)
        assert (everything["now-right"], everything["now-wrong"]) == ("0", "0")
        assert everything["accuracy"] == f"{session.run(name).accuracy().value:.4f}"
        for _ in range(50):
            shares = rng.uniform(0.3, 1, 3)
            sizes = zip((prompts, classes, conditions), shares, strict=True)
            ticks = [rng.random(size) < share for size, share in sizes]
            said, computed = reader(opened, *ticks), expected.without(*ticks)
            assert numbers(said) == pytest.approx(numbers(computed), abs=6e-5), (said, computed)
        opened.page.get_by_role("button", name="Tick everything").click()
        assert opened.page.locator("#explore-n").text_content() == "320"


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "--><!-- ]]> ${alert(1)} \u202e",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every name that a user chooses is an attack."""
    import csv

    folder = tmp_path_factory.mktemp("hostile")
    images = sorted(path for path in (demo.EVALUATION / "realistic").glob("*.png"))[:32]
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "category", "condition"])
        for number, path in enumerate(images):
            own = folder / f"<b onclick=alert(1)>{number}&quot;'.png"
            own.write_bytes(path.read_bytes())
            rows.writerow([own, HOSTILE[number % 4], HOSTILE[number // 4 % 4]])
    session = shotdex.open(folder / "store", create=True)
    session.index(folder / "images.csv", model="demo")
    session.classify(templates=["{}", "<script>alert(1)</script> {}"], name=HOSTILE[1])
    session.classify(name=HOSTILE[0])
    session.report([HOSTILE[1], HOSTILE[0]], out=folder / "report.html", resamples=100)
    return folder / "report.html"


def test_hostile_names_run_nothing(browser: Browser, hostile: Path) -> None:
    with Opened(browser, hostile, width=390) as opened:
        assert opened.page.evaluate("document.scripts.length") == 2
        assert opened.page.evaluate("document.querySelectorAll('svg[onload], img[onerror], b').length") == 0
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        heading = opened.page.locator("h1").text_content() or ""
        assert HOSTILE[1] in heading
        assert HOSTILE[0] in heading
        opened.page.locator("input[data-class]").first.uncheck()
        assert opened.page.locator("#explore-n").text_content() == "24"

"""The HTML report without a browser: well formed, one file, its own script only, the numbers of `report --json`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest

import shotdex
from shotdex.analysis.document.closing import summary
from shotdex.analysis.document.comparisons import groups
from shotdex.analysis.document.compose import lead
from shotdex.analysis.document.gather import DocumentOptions, gather
from shotdex.analysis.document.html import Markup, escaped, tag
from shotdex.analysis.document.parts import Paragraph, Table
from shotdex.analysis.document.sections import data, selective
from shotdex.store.errors import EvaluationError, OptionError

Write = Callable[..., Path]

SECTIONS = [
    *("coverage", "model", "data", "metrics", "groups", "compared", "classes", "confusion", "topk", "calibration"),
    *("selective", "mistakes", "explore", "prompts", "again", "formulas", "cite", "summary"),
]


def test_it_is_valid_and_has_every_section_in_order(written: Write) -> None:
    page = written("words", "names").read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(page)
    assert re.findall(r'<h2 id="([a-z]+)"', page) == SECTIONS


def test_the_policy_allows_what_is_inside_and_nothing_else(written: Write) -> None:
    page = written("words", "names").read_text(encoding="utf-8")
    policy = html5lib.parse(page, namespaceHTMLElements=False).find(".//meta[@http-equiv]").get("content")
    for name, what in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{what} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    sources = re.findall(r' (?:src|href)="(.*?)[",]', page)
    assert {source.split(":")[0] for source in sources if source[0] != "#"} == {"data"}
    assert not re.search(r" (style|on[a-z]+)=", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


def test_its_numbers_are_those_of_the_report(session: shotdex.Session, written: Write) -> None:
    page = written("words", "names").read_text(encoding="utf-8")
    found = session.report("words", by="condition", resamples=100).details
    estimates = [found.overall.accuracy, *found.overall.summary.values(), *found.top_k]
    estimates += [row.accuracy for row in found.groups]
    estimates += [part for row in found.classes for part in (row.recall, row.precision)]
    for one in estimates:
        cells = f'<td class="number">{one.value:.3f}</td><td class="number">{one.low:.3f} to {one.high:.3f}</td>'
        assert cells in page
    (row,) = session.compare("words", "names", resamples=100)
    assert f"a difference of {row.difference.value:+.3f}" in page
    assert f"{row.only_a} images are right only in “words” and {row.only_b} only in “names”" in page
    for one in session.compare_baseline("toddlers", "words"):
        assert f"In the condition {one.condition} the run “words” ({one.model.value:.3f}, n = {one.model.n})" in page


def test_a_run_without_conditions_shows_its_baselines_with_their_caveats(session: shotdex.Session) -> None:
    found = gather(session.store, ["words"], DocumentOptions(resamples=100), session.encoders)
    main = replace(found.main, report=replace(found.main.report, by=(), groups=[]))
    section = groups(replace(found, main=main))
    assert section.heading == "Compared with baselines"
    assert found.baselines[0].baseline.note in [block.text for block in section.blocks if isinstance(block, Paragraph)]
    assert "“toddlers”" in summary(found, lead(found))
    assert max(map(len, summary(found, lead(found)).splitlines())) <= 100
    plain = data(replace(found, counts={"car": {"unlabelled": 3}, "hat": {"unlabelled": 2}}))
    (table,) = [block for block in plain.blocks if isinstance(block, Table)]
    assert (table.columns, table.rows) == (("category", "images"), (("car", 3), ("hat", 2)))
    risk = replace(found.selective.risk, rows=found.selective.risk.rows[:2] + found.selective.risk.rows[:2])
    shown = selective(replace(found, selective=replace(found.selective, risk=risk)))
    assert [len(block.rows) for block in shown.blocks if isinstance(block, Table)] == [2], "no share twice"


def test_the_same_store_gives_the_same_bytes(session: shotdex.Session, written: Write, tmp_path: Path) -> None:
    session.report(["words", "names"], out=tmp_path / "again.html", resamples=100)
    assert (tmp_path / "again.html").read_bytes() == written("words", "names").read_bytes()


def test_a_report_of_the_demo_is_small(written: Write) -> None:
    assert written("words", "names").stat().st_size < 350_000


def test_a_course_gets_questions_and_no_conclusions(written: Write) -> None:
    page = html5lib.parse(written("words", style="course").read_text(encoding="utf-8"), namespaceHTMLElements=False)
    headings = ["".join(one.itertext()) for one in page.findall(".//h2")]
    assert headings == ["Introduction", "Methods", "Results", "Discussion", "Appendix"]
    (discussion,) = page.findall(".//section[@aria-labelledby='discussion']")
    texts = ["".join(one.itertext()) for one in discussion.findall("p")]
    assert len(texts) > 4
    assert all("?" in text for text in texts)
    assert {one.get("class") for one in discussion.findall("p")} == {"fill"}


def test_runs_that_chose_among_other_classes_are_refused(session: shotdex.Session, tmp_path: Path) -> None:
    session.classify(["duck", "hat"], name="two", partial=True)
    try:
        with pytest.raises(EvaluationError, match="different classes"):
            session.report(["words", "two"], out=tmp_path / "report.html")
        session.report(["two", "words"], out=tmp_path / "report.html", anyway=True, resamples=100)
    finally:
        session.run("two").remove()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "these runs chose among different classes" in page
    assert "; they chose among different classes, so this does not say which is better." in page
    assert len(re.findall(r'<td class="number">[-+<]?[^<]*\*</td>', page)) >= 8  # every number of the comparison
    assert "Every number is about 2 of 8 categories" in page


@pytest.mark.parametrize("name", ["report.docx", "nowhere/report.html", "report.PNG"])
def test_what_cannot_be_written_is_said_first(session: shotdex.Session, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError):
        session.report("words", out=tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_every_text_is_escaped() -> None:
    made = tag("p", "<b>", Markup("<i>"), title='"x" & <y>')
    assert made == '<p title="&quot;x&quot; &amp; &lt;y&gt;">&lt;b&gt;<i></p>'
    assert escaped("a\x00b\u202ec\ud800") == "a\\x00b\\u202ec\\ud800"

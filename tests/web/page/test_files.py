"""The files of the page: what is vendored is what VENDOR.toml says, nothing writes HTML from text, nothing is large."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "web" / "page"
VENDOR = PAGE / "vendor"
OWN = sorted(path for path in PAGE.rglob("*.js") if VENDOR not in path.parents)
WRITES_HTML = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function|srcdoc"


def test_what_is_vendored_is_what_its_list_says() -> None:
    listed = tomllib.loads((VENDOR / "VENDOR.toml").read_text())
    assert {one["name"] for one in listed["file"]} == {path.name for path in VENDOR.glob("*.js")}
    for one in listed["file"]:
        data = (VENDOR / one["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (one["bytes"], one["sha256"]), one["name"]
    licences = (VENDOR / "LICENSES.txt").read_text()
    named = {name for one in listed["file"] for name in one["packages"]}
    assert named == {one["name"] for one in listed["package"]}
    assert [one["name"] for one in listed["package"] if f"{one['name']} {one['version']} (" not in licences] == []
    assert {one["licence"] for one in listed["package"]} <= {"MIT", "ISC", "Apache-2.0", "BSD-3-Clause"}


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.relative_to(PAGE).as_posix())
def test_text_is_never_taken_for_html_and_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert re.findall(WRITES_HTML, source) == []
    assert re.findall(r"https?://(?!www\.w3\.org)", source) == []
    for name in re.findall(r"""(?:from|import\()\s*["']([^"']+)["']""", source):
        assert (path.parent / name).resolve().is_file(), name


def loaded(path: Path, seen: set[Path]) -> set[Path]:
    """A module and everything that it imports before it runs."""
    seen.add(path)
    for name in re.findall(
        r"""^(?:import|export) .*?from "([^"]+)";$""", path.read_text(encoding="utf-8"), re.MULTILINE
    ):
        if (found := (path.parent / name).resolve()) not in seen and VENDOR not in path.parents:
            loaded(found, seen)
    return seen


def test_the_first_view_is_small_and_the_editor_is_loaded_only_for_sql() -> None:
    first = loaded(PAGE / "app.js", {PAGE / "index.html", PAGE / "style.css"})
    assert VENDOR / "ui.js" in first
    assert not first & {VENDOR / "map.js", VENDOR / "sql.js"}
    assert sum(path.stat().st_size for path in first) <= 130_000
    for name in ("evaluate", "live", "map"):
        view = loaded(PAGE / "views" / f"{name}.js", set())
        assert VENDOR / "sql.js" not in view
    assert (VENDOR / "sql.js").stat().st_size <= 460_000

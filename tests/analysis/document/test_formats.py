"""The other forms of a report: Markdown with files, a notebook that runs, LaTeX tables."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import shotdex
from shotdex.analysis.document import latex, markdown
from shotdex.analysis.document.parts import Document, Listing, Section, Table

Write = Callable[..., Path]

HOSTILE = "<img src=x onerror=alert(1)> | `a` \\input{x} $x$ [a](javascript:alert(1)) # _b_ %"


def test_markdown_shows_files_that_are_there(session: shotdex.Session, written: Write) -> None:
    folder = written("words", "names", suffix="")
    text = (folder / "report.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert {"accuracy.png", "confusion.png", "reliability.png", "topk.png", "mistake-01.jpg"} <= set(shown)
    assert sorted(shown) == sorted(path.name for path in folder.iterdir() if path.name != "report.md")
    assert all((folder / name).read_bytes()[:3] in (b"\x89PN", b"\xff\xd8\xff") for name in shown)
    accuracy = session.run("words").accuracy()
    assert f"| accuracy@1 | {accuracy.value:.3f} | {accuracy.low:.3f} to {accuracy.high:.3f} | 320 |" in text
    assert "<" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_a_notebook_runs_against_the_store(session: shotdex.Session, written: Write, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    place = written("words", "names", suffix=".ipynb", style="course")
    notebook = nbformat.read(place, as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [cell.outputs[-1] for cell in code]
    assert all(one.output_type == "execute_result" for one in outputs)
    accuracy = session.run("words").accuracy()
    assert f"accuracy@1 {accuracy.value:.3f}" in outputs[0].data["text/plain"]
    assert sum("image/png" in one.data for one in outputs) == 4
    assert "Discussion" in "".join(cell.source for cell in notebook.cells)


def test_latex_has_the_tables_with_booktabs(session: shotdex.Session, written: Write) -> None:
    text = written("words", "names", suffix=".tex").read_text(encoding="utf-8")
    assert text.count(r"\begin{tabular}") == text.count(r"\toprule") == text.count(r"\bottomrule") > 6
    accuracy = session.run("words").accuracy()
    assert f"accuracy@1 & {accuracy.value:.3f} & {accuracy.low:.3f} to {accuracy.high:.3f} & 320 \\\\" in text
    for table in re.findall(r"\\begin\{tabular\}\{(.*?)\}(.*?)\\end", text, re.DOTALL):
        rows = [line for line in table[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(table[0])}
    assert text.isascii() or "“" not in text


def test_hostile_texts_stay_texts() -> None:
    table = Table(HOSTILE, (HOSTILE, "n"), ((HOSTILE, 1),))
    code = Listing(HOSTILE, "``` \n~~~~ </code><script>")
    document = Document(HOSTILE, (HOSTILE,), (Section("metrics", HOSTILE, (table, code)),), "", (HOSTILE,), "")
    text = markdown.render(document)["report.md"].decode()
    outside = re.sub(r"````\n.*?\n````", "", text, flags=re.DOTALL)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)[\[`$]", outside)
    row = next(line for line in outside.splitlines() if line.endswith("| 1 |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    found = latex.render(document)
    assert r"\input" not in found
    assert "\\textbackslash{}input\\{x\\} \\$x\\$" in found
    assert json.dumps(HOSTILE)


NAMES = ("[b]", "*star", ",,low", "--dash---", "a_b & c#1 ~x^2 50 %", "{{", "$x$", r"\input{/etc/passwd}", "?`!`")
NAMES += ("<<x>>", "'quoted' “x”", "été ß Å", "zero\u200bwidth", "line\nbreak", "a word " * 30)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not on PATH")
def test_latex_compiles_and_fits_the_page(tmp_path: Path) -> None:
    rows = tuple((name, f"-{number}.5", name, number) for number, name in enumerate(NAMES))
    wide = Table("Wide, " + NAMES[3], ("[x]", *(f"*column {i}" for i in range(30))), (("[y]", *range(30)),))
    tables = tuple(
        Table(f"Of {name}", (name, "n", "what", "#"), rows * copies) for name, copies in ((NAMES[0], 1), (NAMES[4], 5))
    )
    document = Document(NAMES[8], (), (Section("metrics", "Metrics", (*tables, wide)),), "", (), "")
    (tmp_path / "tables.tex").write_text(latex.render(document), encoding="utf-8")
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx,longtable,textcomp}"
    paper = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{tables}}\end{{document}}"
    (tmp_path / "paper.tex").write_text(paper)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said

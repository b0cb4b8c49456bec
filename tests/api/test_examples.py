"""The examples in the docstrings run and say what they show; a notebook does too."""

from __future__ import annotations

import doctest
import importlib

import pytest

import shotdex
from shotdex import demo
from tests.conftest import ROOT

MODULES = [
    "session",
    "evaluation",
    "exploring",
    "facts",
    "outcomes",
    "selecting",
    "trying",
    "baselines",
    "engines",
    "maintenance",
    "runs",
    "encoding",
    "indexing",
    "plots",
    "prompts",
    "images",
    "reproduction",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, session: shotdex.Session) -> None:
    module = importlib.import_module(f"shotdex.{name}")
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    tests = finder.find(module, f"shotdex.{name}", extraglobs={"store": session, "shotdex": shotdex, "demo": demo})
    assert sum(len(test.examples) for test in tests) > 0
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


def test_a_notebook(session: shotdex.Session) -> None:
    import nbformat
    from nbclient import NotebookClient

    cells = [
        f"import shotdex; store = shotdex.open({str(session.path)!r})",
        "store.search('a bird', k=2)",
        "store.run('photo').accuracy(by='condition')",
        "store.plot.topk(runs=['photo'])",
        "store.sql('SELECT 1 AS one')",
        "store.verify(files=True, progress=True)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [cell.outputs[-1].data if cell.outputs else {} for cell in notebook.cells]
    assert shown[1]["text/html"].count("data:image/jpeg;base64,") == 2
    assert "<th>95 % interval</th>" in shown[2]["text/html"]
    assert "image/png" in shown[3]
    assert "<td>1</td>" in shown[4]["text/html"]
    bar = "".join(output.get("text", "") for output in notebook.cells[5].outputs)
    assert "looking at files: 100%" in bar or "application/vnd.jupyter.widget-view+json" in str(
        notebook.cells[5].outputs
    )
    assert "Warning" not in bar

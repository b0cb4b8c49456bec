"""A document as a notebook: each number and figure is asked of the store through `import shotdex` when it is run."""

from __future__ import annotations

import json
from typing import Any

from .gather import Material
from .markdown import text
from .parts import Document, Section, ToFill


def render(document: Document, found: Material) -> str:
    """Return the notebook as JSON, format 4.5, without outputs."""
    name, runs, by = found.main.run.name, list(document.runs), list(found.main.report.by)
    cells: list[dict[str, Any]] = []

    def say(said: str) -> None:
        cells.append(_cell(len(cells), "markdown", said))

    def ask(code: str) -> None:
        cells.append(_cell(len(cells), "code", code))

    fill = {part.key: [b for b in part.blocks if isinstance(b, ToFill)] for part in document.sections}
    say(f"# {text(document.title)}\n\n" + "\n".join(f"- {text(sentence)}" for sentence in document.lead))
    _introduce(document, say)
    ask(f"import shotdex\n\nstore = shotdex.open({document.store!r})\nrun = store.run({name!r})\nrun")
    say("## Data")
    ask("store.plot.counts_table()")
    say("## Accuracy" + f"\n\nWith 95 % intervals{', and by ' + text(', '.join(by)) if by else ''}.")
    ask(f"store.report({name!r}, by={by!r})")
    if by:
        baselines = [one.baseline.name for one in found.baselines] if by == ["condition"] else []
        anyway = ", anyway=True" if found.options.anyway else ""
        ask(f"store.plot.accuracy(runs={runs!r}, by={by!r}, baselines={baselines!r}{anyway})")
    for compared in found.baselines:
        known = compared.baseline
        say(f"### Against the baseline {text(known.name)}\n\n{_caveats(known.note, compared.notes)}")
        ask(f"store.compare_baseline({known.name!r}, {name!r})")
    if found.others:
        say("## Runs compared")
        ask(f"store.compare(*{runs!r}{', anyway=True' if found.options.anyway else ''})")
    say("## By class")
    ask(f"store.plot.confusion(run={name!r})")
    ask(f"store.plot.topk(runs={name!r})")
    say("## Calibration")
    ask(f"store.plot.reliability(runs={name!r}, bins={found.options.bins})")
    say("## Surest mistakes")
    ask(f"run.mistakes({max(found.options.images, 1)})")
    say("## Prompts")
    ask("run.prompts.classes")
    if fill.get("discussion"):
        say("## Discussion\n\n" + "\n".join(f"*{text(one.question)}*\n\n…\n" for one in fill["discussion"]))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=True) + "\n"


def _introduce(document: Document, say: Any) -> None:
    for part in document.sections:
        if part.key in ("introduction", "coverage", "methods", "formulas"):
            say(_section(part))


def _section(part: Section) -> str:
    from .markdown import render as as_markdown

    only = Document("", (), (part,), "", (), "")
    lines = as_markdown(only)["report.md"].decode().split("\n")
    return "\n".join(lines[3:]).strip()


def _caveats(note: str, notes: tuple[str, ...]) -> str:
    return "\n".join(f"> {text(one)}\n" for one in (note, *notes) if one)


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"shotdex-{number:03d}", "metadata": {}}
    cell["source"] = source.splitlines(keepends=True)
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})

"""A document as Markdown, with its figures and images as files next to it."""

from __future__ import annotations

import re

from .html import escaped
from .parts import Block, Bullets, Chart, Document, Explorable, Gallery, Listing, Paragraph, Section, Table, ToFill

Files = dict[str, bytes]
"""Contents by file name."""


def text(said: str) -> str:
    """Return a text so that Markdown shows it as it is, without markup, links or HTML."""
    plain = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", escaped(" ".join(said.split())))
    plain = re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", re.sub(r"^([-+=])(?= |$)", r"\\\1", plain))
    return plain.replace("://", ":\\//")


def render(document: Document) -> Files:
    """Return `report.md` and the PNG and JPEG files that it shows."""
    found: Files = {}
    lines = [f"# {text(document.title)}", ""]
    for sentence in document.lead:
        lines += [f"- {text(sentence)}"]
    for part in document.sections:
        lines += ["", *_section(part, 2, found)]
    found["report.md"] = ("\n".join(lines).rstrip() + "\n").encode("utf-8")
    return found


def _section(part: Section, level: int, found: Files) -> list[str]:
    lines = [f"{'#' * level} {text(part.heading)}"]
    for block in part.blocks:
        lines += ["", *_block(block, level, found)]
    return lines


def _block(block: Block, level: int, found: Files) -> list[str]:
    match block:
        case Section():
            return _section(block, level + 1, found)
        case Paragraph():
            return [f"> {text(block.text)}" if block.caveat else text(block.text)]
        case Bullets():
            return [f"- {text(item)}" for item in block.items]
        case Listing():
            return [f"{text(block.what)}:", "", *fenced(block)]
        case Table():
            return table(block)
        case Chart():
            found[f"{block.name}.png"] = block.png
            return [f"![{text(block.alt)}]({block.name}.png)", "", f"*{text(block.alt)}*"]
        case Gallery():
            return _gallery(block, found)
        case ToFill():
            return [f"*{text(block.question)}*", "", "…"]
        case Explorable():
            return ["Only the HTML report can compute this run again: shotdex report RUN --out report.html"]


def fenced(block: Listing) -> list[str]:
    """Return a listing in a fence that is longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block.text)), default=0))
    return [f"{fence}{block.language}", *block.text.split("\n"), fence]


def table(block: Table) -> list[str]:
    """Return a table with its caption above it."""
    columns, rows = block.plain()
    lines = [f"**{text(block.caption)}**", "", _row(columns), _row(["---"] * len(columns), raw=True)]
    return lines + [_row(row) for row in rows]


def _row(cells: list[str], raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(text, cells))} |"


def _gallery(block: Gallery, found: Files) -> list[str]:
    lines = [text(block.what), "", "| image | what | |", "| --- | --- | --- |"]
    for number, image in enumerate(block.images, start=1):
        drawn = "(the file cannot be read any more)"
        if image.jpeg is not None:
            found[f"mistake-{number:02d}.jpg"] = image.jpeg
            drawn = f"![{text(image.name)}](mistake-{number:02d}.jpg)"
        lines.append(f"| {drawn} | {text(', '.join(image.lines))} | {text(image.name)} |")
    return lines

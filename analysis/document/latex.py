r"""The tables of a document as LaTeX, for \input in a paper: booktabs, every text escaped."""

from __future__ import annotations

import re

from .parts import Block, Document, Section, Table

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "|": r"\textbar{}",
    "→": r"$\rightarrow$",
    "“": "``",
    "”": "''",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}
"""What stands for a character that LaTeX reads otherwise."""

LONG = 40
"""Rows of a table beyond which it runs over several pages; characters of a cell beyond which it has several lines."""

FITTING = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Makes what is wider than the text as wide as the text, in smaller type."""

KEPT = ("metrics", "coverage", "data", "model", "groups", "compared", "classes", "confusion", "topk")
"""The sections whose tables a paper shows."""


def text(said: str) -> str:
    """Return a text so that LaTeX sets it as it is; control characters are blanks."""
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", " ", said)
    shown = re.sub("[\u200b\u2060\ufeff]", "", shown)
    escaped = "".join(ESCAPES.get(char, char) for char in shown)
    # Hyphens next to each other would become a dash, commas a quotation mark.
    return re.sub(r"-(?=-)|,(?=,)", r"\g<0>{}", escaped)


def render(document: Document) -> str:
    """Return the tables, and in comments what they need."""
    lines = [
        f"% {text(' '.join(document.title.split()))}: tables made by shotdex.",
        r"% In the preamble: \usepackage{booktabs,graphicx,longtable,textcomp}",
        r"% and with pdfLaTeX \usepackage[T1]{fontenc}.",
        r"% Names in scripts other than Latin need XeLaTeX or LuaLaTeX and a font that has them.",
    ]
    for part in document.sections:
        for key, table in _tables(part):
            lines += ["", *_table(table, key)]
    return "\n".join(lines) + "\n"


def _tables(part: Section) -> list[tuple[str, Table]]:
    """Return the tables of a section and of those in it, each with a label."""
    found: list[tuple[str, Table]] = []
    own: list[Block] = list(part.blocks)
    for block in own:
        if isinstance(block, Section):
            found += _tables(block)
    if part.key in KEPT or part.key == "results":
        tables = [block for block in own if isinstance(block, Table)]
        found += [(f"{part.key}-{i}" if i > 1 else part.key, one) for i, one in enumerate(tables, start=1)]
    return found


def _table(table: Table, key: str) -> list[str]:
    columns, rows = table.plain()
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    side = [_side([row[i] for row in rows], first=not i) for i in kept]
    head, *body = (_row([text(row[i]) for i in kept]) for row in (columns, *rows))
    caption = f"\\caption{{{text(_printable(table.caption))}}}\\label{{tab:shotdex-{key}}}"
    if len(rows) > LONG:
        start = [
            r"{\footnotesize\setlength{\tabcolsep}{3pt}",
            f"\\begin{{longtable}}{{{''.join(side)}}}",
            f"{caption}\\\\",
            r"\toprule",
            head,
            r"\midrule",
            r"\endhead",
        ]
        return [*start, r"\bottomrule", r"\endfoot", *body, r"\end{longtable}}"]
    return [
        r"\begin{table}[htbp]",
        r"\centering",
        caption,
        FITTING,
        f"\\begin{{tabular}}{{{''.join(side)}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]


def _side(cells: list[str], first: bool) -> str:
    """Return how a column is set: numbers to the right, texts to the left, long texts in several lines."""
    if not first and all(cell[-1:].isdigit() or cell in ("", "-") for cell in cells):
        return "r"
    return r"p{0.35\linewidth}" if max(map(len, cells), default=0) > LONG else "l"


def _row(cells: list[str]) -> str:
    """Return a row; its first character must not be read as an argument of the line end before it, as [ and * are."""
    return f"{'{}' if cells[0][:1] in ('[', '*') else ''}{' & '.join(cells)} \\\\"


def _printable(caption: str) -> str:
    """Return a caption without what it says of a drawing that only HTML has."""
    return re.sub(r" ?Dot and line: .*$", "", caption)

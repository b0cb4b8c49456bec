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
"""Rows of a table beyond which it runs over several pages."""

KEPT = ("metrics", "coverage", "data", "model", "groups", "compared", "classes", "confusion", "topk")
"""The sections whose tables a paper shows."""


def text(said: str) -> str:
    """Return a text so that LaTeX sets it as it is; control characters are blanks."""
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", " ", said)
    # Hyphens next to each other would become a dash.
    return "".join(ESCAPES.get(char, char) for char in shown).replace("--", "-{}-").replace("--", "-{}-")


def render(document: Document) -> str:
    """Return the tables, and in comments what they need."""
    lines = [
        f"% {text(' '.join(document.title.split()))}: tables made by shotdex.",
        r"% In the preamble: \usepackage{booktabs,longtable,textcomp}, with pdfLaTeX also \usepackage[T1]{fontenc}.",
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
    side = ["r" if i and all(row[i][-1:].isdigit() or row[i] in ("", "-") for row in rows) else "l" for i in kept]
    head = f"{' & '.join(text(columns[i]) for i in kept)} \\\\"
    body = [f"{' & '.join(text(row[i]) for i in kept)} \\\\" for row in rows]
    caption = f"\\caption{{{text(_printable(table.caption))}}}\\label{{tab:shotdex-{key}}}"
    if len(rows) > LONG:
        start = [
            f"\\begin{{longtable}}{{{''.join(side)}}}",
            f"{caption}\\\\",
            r"\toprule",
            head,
            r"\midrule",
            r"\endhead",
        ]
        return [*start, r"\bottomrule", r"\endfoot", *body, r"\end{longtable}"]
    return [
        r"\begin{table}[htbp]",
        r"\centering",
        caption,
        f"\\begin{{tabular}}{{{''.join(side)}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _printable(caption: str) -> str:
    """Return a caption without what it says of a drawing that only HTML has."""
    return re.sub(r" ?Dot and line: .*$", "", caption)

"""A document as one HTML file: styles, script, figures and images inside, and nothing that asks any server.

Every text goes through `escape`: what is markup is a `Markup` and made here only. The policy in the file's head allows
no script, style or image but its own, by their digests, so that even a name that slipped through could run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from importlib.resources import files

from shotdex.analysis.stats.proportions import wilson

from .parts import (
    Block,
    Bullets,
    Cell,
    Chart,
    Document,
    Explorable,
    Gallery,
    Interval,
    Listing,
    Paragraph,
    Section,
    Shown,
    Table,
    ToFill,
)


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | int | bool | None) -> Markup:
    """Return an element; children that are no `Markup` and all attributes are escaped.

    An attribute that is None or False is left out, True stands without a value; a trailing or inner `_` in its name
    stands for what Python does not allow there.
    """
    written = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written += f" {key.rstrip('_').replace('_', '-')}"
        written += "" if value is True else f'="{escaped(str(value), quote=True)}"'
    inside = "".join(child if isinstance(child, Markup) else escaped(child) for child in children)
    return Markup(f"<{name}{written}>" if name in ("img", "meta", "input") else f"<{name}{written}>{inside}</{name}>")


UNSHOWN = {
    **{code: f"\\x{code:02x}" for code in (*range(9), 11, 12, *range(14, 32), *range(127, 160))},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFFFE, 0xFFFF)},
    13: "\\r",
}
"""Characters that HTML forbids or that turn the text around them, and what is written for them."""


def escaped(text: str, quote: bool = False) -> str:
    """Return a text as HTML shows it; control characters and half surrogate pairs are shown by their codes."""
    shown = text.translate(UNSHOWN).encode("utf-8", "backslashreplace").decode()
    return html.escape(shown, quote=quote)


@cache
def _packaged(name: str) -> str:
    return files("shotdex.analysis.document").joinpath(name).read_text(encoding="utf-8")


def render(document: Document) -> str:
    """Return the whole file."""
    style, script = _packaged("document.css"), _packaged("explore.js")
    explores = any(isinstance(block, Explorable) for block in _blocks(document.sections))
    scripts = (_digest(script),) if explores else ()
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src {_digest(style)}",
            f"script-src {' '.join(scripts) or chr(39) + 'none' + chr(39)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="shotdex"),
        tag("title", document.title),
        Markup(f"<style>{style}</style>"),
    )
    contents = tag(
        "nav",
        *(tag("a", part.heading, href=f"#{part.key}") for part in document.sections),
        aria_label="Contents",
    )
    main = tag(
        "main",
        tag("header", tag("h1", document.title), tag("ul", *(tag("li", one) for one in document.lead), class_="lead")),
        contents,
        *(_section(part, 2) for part in document.sections),
    )
    body = tag("body", main, Markup(f"<script>{script}</script>") if explores else "")
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _blocks(parts: tuple[Block, ...]) -> list[Block]:
    found: list[Block] = []
    for part in parts:
        found += [part] if not isinstance(part, Section) else _blocks(part.blocks)
    return found


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _section(part: Section, level: int) -> Markup:
    heading = tag(f"h{level}", part.heading, id=part.key)
    return tag("section", heading, *(_block(block, level) for block in part.blocks), aria_labelledby=part.key)


def _block(block: Block, level: int) -> Markup:
    match block:
        case Section():
            return _section(block, level + 1)
        case Paragraph():
            return tag("p", block.text, class_="caveat" if block.caveat else None)
        case Bullets():
            return tag("ul", *(tag("li", item) for item in block.items)) if block.items else Markup("")
        case Listing():
            return tag("figure", tag("figcaption", block.what), tag("pre", tag("code", block.text), tabindex=0))
        case Table():
            return _table(block)
        case Chart():
            return _chart(block) if block.in_html else Markup("")
        case Gallery():
            shown = tag("div", *map(_shown, block.images), class_="gallery")
            return Markup(tag("p", block.what) + shown)
        case ToFill():
            return tag("p", block.question, class_="fill")
        case Explorable():
            return _explorable(block)


def _table(table: Table) -> Markup:
    kept = table.filled()
    sides = {i: _side([row[i] for row in table.rows]) for i in kept if i}
    head = tag("tr", *(tag("th", table.columns[i], scope="col", class_=sides.get(i)) for i in kept))
    rows = [
        tag(
            "tr",
            *(
                tag("td", _cell(row[i]), class_=sides[i]) if i else tag("th", _cell(row[i]), scope="row", class_="name")
                for i in kept
            ),
        )
        for row in table.rows
    ]
    drawn = tag("table", tag("thead", head), tag("tbody", *rows))
    return Markup(tag("p", table.caption, class_="caption") + _scrolling(drawn, table.caption))


def _scrolling(inside: Markup, label: str) -> Markup:
    """Return what may be wider than a small screen, in a box that scrolls by itself, also by keyboard."""
    return tag("div", inside, class_="scroll", tabindex=0, role="group", aria_label=label)


def _side(cells: list[Cell]) -> str | None:
    """Return the class of a column: numbers stand to the right, and very long words break."""
    texts = [f"{cell}" for cell in cells if not isinstance(cell, Interval)]
    numeric = [text == "-" or (text[:1] in "+-<0123456789" and text[-1:] in "0123456789]*") for text in texts]
    if texts and len(texts) == len(cells) and all(numeric):
        return "number"
    return "long" if any(len(word) > LONG for text in texts for word in text.split()) else None


LONG = 24
"""Characters of a word beyond which it may break anywhere."""


def _cell(cell: Cell) -> str:
    if isinstance(cell, Interval):
        return _interval(cell)
    return f"{cell:,}" if isinstance(cell, int) else cell


def _interval(cell: Interval) -> Markup:
    one = cell.estimate
    if not one.n or one.value != one.value:
        return Markup("")
    marks = [
        tag("line", x1=f"{100 * mark:.1f}", x2=f"{100 * mark:.1f}", y1=0, y2=14, class_="mark") for mark in cell.marks
    ]
    drawn = [
        tag("line", x1=0, x2=100, y1=7, y2=7, class_="axis"),
        *marks,
        tag("line", x1=f"{100 * one.low:.1f}", x2=f"{100 * one.high:.1f}", y1=7, y2=7, class_="interval"),
        tag("circle", cx=f"{100 * one.value:.1f}", cy=7, r="3.2"),
    ]
    return tag("svg", *drawn, class_="bar", viewBox="-4 0 108 14", aria_hidden="true", focusable="false")


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _chart(chart: Chart) -> Markup:
    drawn = tag("img", src=_uri(chart.png, "png"), alt=chart.alt)
    return tag("figure", _scrolling(drawn, chart.name), tag("figcaption", chart.alt), class_="chart")


def _shown(image: Shown) -> Markup:
    alt = f"{image.name}: {', '.join(image.lines)}"
    drawn = (
        tag("img", src=_uri(image.jpeg, "jpeg"), alt=alt)
        if image.jpeg is not None
        else tag("div", "the file cannot be read any more", class_="gone")
    )
    lines = [tag("strong", image.lines[0]), *(tag("span", line) for line in image.lines[1:]), tag("span", image.name)]
    return tag("figure", tag("div", drawn, class_="frame"), tag("figcaption", *lines))


def _explorable(block: Explorable) -> Markup:
    data = json.dumps(block.data, separators=(",", ":")).replace("<", "\\u003c")
    right = sum(a == b for a, b in zip(block.data["truth"], block.data["stored"], strict=True))
    own = wilson(right, len(block.data["truth"]))
    conditions = tag(
        "fieldset",
        tag("legend", "Conditions"),
        *(_box(name, "condition", number) for number, name in enumerate(block.conditions)),
    )
    place, classes = 0, []
    for number, (name, texts) in enumerate(block.prompts.items()):
        prompts = [_box(text, "prompt", place + i) for i, text in enumerate(texts)]
        place += len(texts)
        below = [] if len(texts) == 1 else [tag("div", *prompts, class_="prompts")]
        hidden = [tag("div", *prompts, hidden=True)] if len(texts) == 1 else []
        classes.append(tag("div", _box(name, "class", number), *below, *hidden, class_="class"))
    result = tag(
        "dl",
        *(
            tag("div", tag("dt", what), tag("dd", value, id=f"explore-{key}"))
            for key, what, value in (
                ("accuracy", "accuracy@1", f"{own.value:.4f}"),
                ("interval", "95 % interval", f"{own.low:.4f} to {own.high:.4f}"),
                ("n", "images", f"{own.n}"),
                ("now-right", "now right", "0"),
                ("now-wrong", "now wrong", "0"),
                ("p", "p (McNemar, exact)", "1.0000"),
            )
        ),
    )
    return tag(
        "div",
        tag("p", f"Untick what the run “{block.run}” should do without; the numbers follow. {block.note}"),
        tag("div", result, role="status"),
        tag("p", tag("button", "Tick everything", type="button", id="explore-all")),
        *([conditions] if len(block.conditions) > 1 else []),
        tag("fieldset", tag("legend", "Classes and their prompts"), *classes),
        Markup(f'<script type="application/json" id="explore-data">{data}</script>'),
        id="explore-form",
        class_="explore",
    )


def _box(label: str, kind: str, number: int) -> Markup:
    box = tag("input", type="checkbox", checked=True, autocomplete="off", **{f"data_{kind}": number})
    return tag("label", box, tag("span", label))

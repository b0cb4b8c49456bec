"""Sentences that users and readers of the code see keep to plain English and to one word for each thing.

Looked at are README.md, CONTRIBUTING.md, CHANGELOG.md, docs/*.md, and every docstring and every string of more than one
word in the code. Code between backticks, paths and options are not sentences and are left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_OURS = {"tests", "making", "typings", "build", "dist", "demo-out"}

USE = {
    r"pictures?": "image",
    r"anew": "again",
    r"mend(s|ed|ing)?": "repair, or fix",
    r"(?<!there )is no (?!longer|more)": "is not a",
    r"there is no such one": "none has that name",
    r"where there is none": "if there is none",
    r"(?-i:Of) the bootstrap": "random seed for the bootstrap",
    r"beside": "next to, or compared with",
    r"told": "say who is called with what, or distinguished",
    r"rungs?": "line",
    r"ladders?": "comparison",
    r"refusals?": "error, or failure",
    r"wish(es)?": "options",
    r"rejections?": "failure",
    r"(name|give) another": "choose another",
    r"(the|a whole|one) question": "the query",
    r"at hand": "what is meant",
    r"the like": "what is meant",
    r"cannot be had": "is not available",
}
"""A phrase, as a regular expression, and what to write in its place."""

WORDS = re.compile("|".join(rf"(?P<p{number}>\b{phrase})" for number, phrase in enumerate(USE)), re.IGNORECASE)
END = re.compile(r"(?![\w-])")
CODE = re.compile(r"``?[^`]{1,100}``?|\S*[/\\_]\S*|--?\w[\w-]*|\S+\.\w+\b")


def phrases(text: str) -> list[str]:
    """Return the phrases in a text that have a better word, each with that word."""
    sentence = " ".join(CODE.sub(" ", text).split())
    found = []
    for match in WORDS.finditer(sentence):
        if match.group().endswith((" ", ".")) or END.match(sentence, match.end()):
            better = list(USE.values())[int(str(match.lastgroup)[1:])]
            found.append(f"{sentence[max(match.start() - 30, 0) : match.end() + 20]!r}: rather {better}")
    return found


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every docstring and every other string of more than one word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, " ".join(v.value for v in node.values if isinstance(v, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def modules() -> list[str]:
    files = (path.relative_to(ROOT) for path in ROOT.glob("*/**/*.py"))
    return sorted(str(f) for f in files if f.parts[0] not in NOT_OURS and not f.parts[0].startswith("."))


def documents() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


@pytest.mark.parametrize("name", modules())
def test_code(name: str) -> None:
    found = [f"{name}:{line}: {one}" for line, text in texts((ROOT / name).read_text("utf-8")) for one in phrases(text)]
    assert not found, "\n".join(found)


def cut(source: str) -> list[int]:
    """Return the lines of texts that are statements and not documentation: the end of a text without parentheses."""
    lines = source.splitlines()
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and (isinstance(node.value, ast.JoinedStr) or isinstance(getattr(node.value, "value", None), str))
        and not lines[node.lineno - 1].lstrip().startswith(('"""', 'r"""'))
    ]


def test_no_text_loses_its_end() -> None:
    found = {name: lines for name in modules() if (lines := cut((ROOT / name).read_text("utf-8")))}
    assert not found
    assert cut('said = "one and "\n"two"\n') == [2]


@pytest.mark.parametrize("name", documents())
def test_documents(name: str) -> None:
    found = phrases((ROOT / name).read_text("utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "phrase", ["a picture", "is no folder", "made anew", "Beside it", "lies beside.", "Of the bootstrap."]
)
def test_it_finds(phrase: str) -> None:
    assert phrases(f"Text before;\n  {phrase}")


@pytest.mark.parametrize(
    "phrase",
    ["there is no folder", "demo/pictures", "`beside`", "besides", "is no longer", "recommended", "--pictures 3"],
)
def test_it_leaves_alone(phrase: str) -> None:
    assert not phrases(f"Text: {phrase} and more")

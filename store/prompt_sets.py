"""Prompt sets on record, spelled out text by text, so that a number can be traced to the words behind it."""

from __future__ import annotations

import json

import pyarrow as pa

from .connection import Connection, now
from .types import Combine, PromptSet


def save_prompt_set(con: Connection, prompts: PromptSet) -> int:
    """Return the number of this prompt set, recording it where these very classes, texts and name are new."""
    known = con.value(
        "SELECT min(prompt_set_id) FROM prompt_sets WHERE sha256 = $sha256 AND name = $name",
        {"sha256": prompts.sha256, "name": prompts.name},
    )
    if known is not None:
        return int(known)
    number = int(con.value("SELECT coalesce(max(prompt_set_id), 0) + 1 FROM prompt_sets"))
    con.run(
        "INSERT INTO prompt_sets VALUES ($number, $name, $combine, $templates, $source, $sha256, $now, $aliases)",
        {
            "number": number,
            "name": prompts.name,
            "combine": prompts.combine.value,
            "templates": list(prompts.templates),
            "source": prompts.source,
            "sha256": prompts.sha256,
            "now": now(),
            "aliases": json.dumps({category: list(labels) for category, labels in prompts.aliases.items()}),
        },
    )
    rows = [
        (number, class_position, category, prompt_position, prompt)
        for class_position, (category, texts) in enumerate(prompts.classes.items())
        for prompt_position, prompt in enumerate(texts)
    ]
    names = ("prompt_set_id", "class_position", "category", "prompt_position", "prompt")
    con.append("prompts", pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}))
    return number


def list_prompt_sets(con: Connection) -> list[PromptSet]:
    """Return every recorded prompt set, oldest first."""
    return [load_prompt_set(con, row[0]) for row in con.rows("SELECT prompt_set_id FROM prompt_sets ORDER BY ALL")]


def find_prompt_set(con: Connection, name: str) -> PromptSet | None:
    """Return the newest recorded prompt set of that name, or whose SHA-256 begins so (at least 6 digits), or None."""
    number = con.value(
        "SELECT max(prompt_set_id) FROM prompt_sets "
        "WHERE name = $name OR (length($name) >= 6 AND starts_with(sha256, $name))",
        {"name": name},
    )
    return None if number is None else load_prompt_set(con, int(number))


def load_prompt_set(con: Connection, number: int) -> PromptSet:
    """Return a recorded prompt set."""
    name, combine, templates, source, sha256, aliases = con.rows(
        "SELECT name, combine, templates, source, sha256, aliases FROM prompt_sets WHERE prompt_set_id = $n",
        {"n": number},
    )[0]
    classes: dict[str, list[str]] = {}
    for category, prompt in con.rows(
        "SELECT category, prompt FROM prompts WHERE prompt_set_id = $n ORDER BY class_position, prompt_position",
        {"n": number},
    ):
        classes.setdefault(category, []).append(prompt)
    spelled = {category: tuple(texts) for category, texts in classes.items()}
    known_as = {category: tuple(labels) for category, labels in json.loads(aliases or "{}").items()}
    return PromptSet(name, spelled, Combine(combine), tuple(templates), source, sha256, known_as)

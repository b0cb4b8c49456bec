"""Which categories have a class, and which classes have an image: what an accuracy is of, said before it misleads."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shotdex.store.connection import Connection
from shotdex.store.errors import UnknownClass
from shotdex.store.types import PromptSet, Run

from .prompts.build import class_of_label, plain_name


def check_categories(con: Connection, prompts: PromptSet, images: Mapping[str, int], *, partial: bool) -> None:
    """Check that every category of some images, with how many images have it, has a class.

    Raises:
        UnknownClass: one or more have none, and not `partial`; or none of them has one. Lists all of them.
    """
    meant = class_of_label(prompts)
    missing = sorted(category for category in images if category not in meant)
    if not missing or (partial and len(missing) < len(images)):
        return
    listed = ", ".join(
        f"{category} ({images[category]:,} image{'s' * (images[category] != 1)})" for category in missing
    )
    some = list(prompts.classes)[:6]
    more = f" and {len(prompts.classes) - 6} more" if len(prompts.classes) > 6 else ""
    raise UnknownClass(
        f"{len(missing)} of {len(images)} categories have no class: {listed}; the classes are {', '.join(some)}{more}",
        _what_to_do(con, prompts, missing, len(images)),
    )


def _what_to_do(con: Connection, prompts: PromptSet, missing: Sequence[str], count: int) -> str:
    offered = _as_prompt_file(con, prompts)
    if offered:
        return offered
    spelled = {plain_name(label): label for label in class_of_label(prompts)}
    near = [(category, spelled[plain_name(category)]) for category in missing if plain_name(category) in spelled]
    lines = ["name the classes as the categories, or map labels to classes under [aliases] in a prompt file"]
    if near:
        lines[0] += ", such as: " + ", ".join(f"{json.dumps(a, ensure_ascii=False)} for {b!r}" for a, b in near[:3])
    if len(missing) < count:
        lines.append("to leave their images out of the accuracy: --partial")
    return "; ".join(lines)


def _as_prompt_file(con: Connection, prompts: PromptSet) -> str:
    """Offer the lines of a text file as the prompts of the categories in order, where there are as many."""
    file = Path(prompts.source)
    categories = [
        row[0] for row in con.rows("SELECT DISTINCT category FROM images WHERE category IS NOT NULL ORDER BY 1")
    ]
    if file.suffix.lower() != ".txt" or len(categories) != len(prompts.classes):
        return ""
    texts = [own[0] if len(own) == 1 else list(own) for own in prompts.classes.values()]
    rows = [
        f"{json.dumps(category, ensure_ascii=False)} = {json.dumps(text, ensure_ascii=False)}"
        for category, text in zip(categories, texts, strict=True)
    ]
    target = file.with_suffix(".toml").name
    return "\n".join(
        [
            f"{file.name} has as many lines as there are categories; if they are the prompts in this order, "
            f"save what follows as {target} and use: --prompts {shlex.quote(target)}:",
            "[classes]",
            *rows,
        ]
    )


def categories_met(prompts: PromptSet, labels: Sequence[str]) -> dict[str, Any]:
    """Return, for a run's record, how many of its images' categories have a class, or nothing where all have one."""
    meant = class_of_label(prompts)
    found = sum(label in meant for label in labels)
    return {} if found == len(labels) else {"categories": [found, len(labels)]}


def classes_without_images(con: Connection, run: Run) -> list[str]:
    """Return the classes of a run of which it scored no image, in their order."""
    rows = con.rows(
        "SELECT category FROM prompts WHERE prompt_set_id = $set AND category NOT IN "
        "(SELECT category FROM outcome_counts WHERE run_id = $run AND correct IS NOT NULL) "
        "GROUP BY category ORDER BY min(class_position)",
        {"set": run.prompt_set_id, "run": run.run_id},
    )
    return [row[0] for row in rows]


def narrowing(con: Connection, run: Run) -> str:
    """Return a sentence on the classes that a run's filter left without images, and how to choose among the others.

    Empty where the run had no filter, and where every class has an image or none has.
    """
    empty = classes_without_images(con, run) if run.where is not None else []
    rows = con.rows(
        "SELECT category FROM prompts WHERE prompt_set_id = $set GROUP BY category ORDER BY min(class_position)",
        {"set": run.prompt_set_id},
    )
    kept = [row[0] for row in rows if row[0] not in empty]
    if not empty or not kept:
        return ""
    have = "has" if len(empty) == 1 else "have"
    said = f"{len(empty)} of {len(rows)} classes {have} no image in the filter: {', '.join(empty)}"
    if run.settings.get("prompts") or len(kept) < 2 or any("," in name or name != name.strip() for name in kept):
        return f"{said}; to choose among the others on purpose, leave these out of the prompt set"
    return f"{said}; to choose among the others on purpose: --classes {shlex.quote(','.join(kept))}"

"""Which images and categories a number speaks of, and which it does not: nothing vanishes without being counted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotdex.store.connection import Connection
from shotdex.store.errors import UnknownClass
from shotdex.store.types import Estimate, Ids, PromptSet, Run

from .prompts.build import class_of_label, plain_name
from .stats.proportions import wilson


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many images a run met: `indexed` in its filter with vectors, `failed` that could not be scored, `unlabelled`
    and `other` (its category is not a class) that were scored but are neither right nor wrong, `evaluated` the rest.
    `categories` is how many of how many categories had a class, None where all had one or the run does not know.
    """

    indexed: int
    failed: int
    unlabelled: int
    other: int
    evaluated: int
    categories: tuple[int, int] | None = None

    def __str__(self) -> str:
        partly = f", {self.categories[0]:,} of {self.categories[1]:,} categories" if self.categories else ""
        return (
            f"images: indexed {self.indexed:,}, failed {self.failed:,}, unlabelled {self.unlabelled:,}, "
            f"of another category {self.other:,}; evaluated {self.evaluated:,}{partly}"
        )


def coverage(run: Run) -> Coverage:
    """Return how many images a run met, and how many its accuracy speaks of."""
    evaluated = run.scored - run.unlabelled - run.outside
    met = run.settings.get("categories")
    categories = (int(met[0]), int(met[1])) if met else None
    return Coverage(run.scored, run.failed, run.unlabelled, run.outside, evaluated, categories)


def marked_name(run: Run) -> str:
    """Return a run's name for a figure or a heading, with how many of the categories it is about where not all."""
    met = coverage(run).categories
    return f"{run.name} ({met[0]:,} of {met[1]:,} categories)" if met else run.name


def counting_failures(run: Run, correct: int) -> Estimate:
    """Return accuracy@1 if every image that could not be scored had been answered wrongly, with its Wilson interval."""
    return wilson(correct, coverage(run).evaluated + run.failed)


@dataclass(frozen=True, slots=True)
class Unscored:
    """The images that a run cannot score: `failed` of them, and the first thousand with path, stage and reason.

    They are the images in the filter without a vector of the encoder and, without a filter, what could not be indexed.
    A filter is over columns of `images`, so it cannot say whether that belongs to the run: `beyond_filter` is how much
    there is, and it is in none of the run's counts.
    """

    failed: int
    beyond_filter: int
    listed: Sequence[tuple[str, str, str]]


def find_unscored(con: Connection, without_vector: Ids, where: str | None, most: int = 1000) -> Unscored:
    """Return what a run cannot score: the images in its filter that have no vector, and what could not be indexed.

    Up to `most` of them are listed, by path.
    """
    unseen = "FROM failures ANTI JOIN images USING (path)"
    failures = int(con.value(f"SELECT count(*) {unseen}"))
    query = "SELECT path, 'encode', 'no vector of this encoder' FROM images SEMI JOIN without_vector USING (image_id)"
    if where is None:
        query += f" UNION ALL SELECT path, stage, reason {unseen}"
    with con.holding("without_vector", {"image_id": without_vector}):
        listed = con.rows(f"SELECT * FROM ({query}) ORDER BY 1 LIMIT {most}")
    if where is None:
        return Unscored(len(without_vector) + failures, 0, listed)
    return Unscored(len(without_vector), failures, listed)


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


def narrowing(con: Connection, run: Run, empty: Sequence[str]) -> str:
    """Return a sentence on the classes that a run's filter left without images, and how to choose among the others.

    `empty` are those classes. Nothing is said where no class has an image.
    """
    rows = con.rows(
        "SELECT category FROM prompts WHERE prompt_set_id = $set GROUP BY category ORDER BY min(class_position)",
        {"set": run.prompt_set_id},
    )
    kept = [row[0] for row in rows if row[0] not in empty]
    if not kept:
        return ""
    have = "has" if len(empty) == 1 else "have"
    said = f"{len(empty)} of {len(rows)} classes {have} no image in the filter: {', '.join(empty)}"
    if run.settings.get("prompts") or len(kept) < 2 or any("," in name or name != name.strip() for name in kept):
        return f"{said}; to choose among the others on purpose, leave these out of the prompt set"
    return f"{said}; to choose among the others on purpose: --classes {shlex.quote(','.join(kept))}"

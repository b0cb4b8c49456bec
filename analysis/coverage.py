"""Which images a number speaks of, and which it does not: nothing vanishes without being counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotdex.store.connection import Connection
from shotdex.store.types import Estimate, Ids, Run

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

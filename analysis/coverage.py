"""Which images a number speaks of, and which it does not: nothing vanishes without being counted."""

from __future__ import annotations

from dataclasses import dataclass

from shotdex.store.connection import Connection
from shotdex.store.types import Estimate, Run

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


def count_failed(con: Connection, unencoded: int, where: str | None) -> int:
    """Return how many images cannot be scored: the `unencoded` of those in the filter, and, without a filter, what
    could not be indexed, of which a filter cannot speak.
    """
    unseen = "SELECT count(*) FROM failures ANTI JOIN images USING (path)"
    return unencoded + (int(con.value(unseen)) if where is None else 0)


def counting_failures(run: Run, correct: int) -> Estimate:
    """Return accuracy@1 if every image that could not be scored had been answered wrongly, with its Wilson interval."""
    return wilson(correct, coverage(run).evaluated + run.failed)


def beyond_filter(con: Connection, run: Run) -> int:
    """Return how many images could not be indexed where a run has a filter, 0 where it has none.

    A filter is over columns of `images`, which they are not, so it cannot say whether they belong to the run: they are
    in none of its counts.
    """
    count = "SELECT count(*) FROM failures ANTI JOIN images USING (path)"
    return 0 if run.where is None else int(con.value(count))


def unscored(con: Connection, run: Run, limit: int) -> list[tuple[str, str, str]]:
    """Return path, stage and reason of up to `limit` images that a run could not score, by path.

    They are those that the store knows of now; what failed to be indexed is in no filter, so a run that had one lists
    only images without a vector of its encoder.
    """
    scored = "SELECT image_id FROM truths WHERE run_id = $run"
    query = (
        "SELECT path, 'encode', 'no vector of this encoder' FROM images "
        f"WHERE added_at <= $started AND image_id NOT IN ({scored}) AND ({run.where or 'true'}\n)"
    )
    if run.where is None:
        query += " UNION ALL SELECT path, stage, reason FROM failures ANTI JOIN images USING (path)"
    parameters = {"run": run.run_id, "started": run.started_at}
    return con.rows(f"SELECT * FROM ({query}) ORDER BY 1 LIMIT {int(limit)}", parameters)

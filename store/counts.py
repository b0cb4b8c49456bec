"""The counts of runs' outcomes, which the views of accuracies and confusions read instead of every prediction.

They follow the rows of `predictions` and `truths` and the conditions of the images: whoever changes these recounts the
runs concerned in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from .connection import Connection
from .schema import COUNT_OUTCOMES

COUNTS = ("outcome_counts", "rank_counts")


def recount(con: Connection, runs: Collection[int]) -> None:
    """Count the outcomes of some runs again, within a transaction."""
    numbers = ", ".join(map(str, sorted(runs)))
    if numbers:
        for table in COUNTS:
            con.run(f"DELETE FROM {table} WHERE run_id IN ({numbers})")
        con.run(COUNT_OUTCOMES.format(where=f"run_id IN ({numbers})"))


def runs_of_relabelled(con: Connection, arriving: str) -> list[int]:
    """Return the runs of the images that are about to get another condition from a table `arriving`."""
    changed = (
        f"SELECT s.image_id FROM stored_images s JOIN {arriving} a USING (image_id) "
        "WHERE s.condition IS DISTINCT FROM a.condition"
    )
    return [row[0] for row in con.rows(f"SELECT DISTINCT run_id FROM truths WHERE image_id IN ({changed})")]

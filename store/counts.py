"""The counts of runs' outcomes, which the views of accuracies and confusions read instead of every prediction.

They follow the rows of `predictions` and `truths` and the conditions of the images: whoever changes these recounts the
runs concerned in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from .connection import Connection
from .schema import COUNT_OUTCOMES, OUTCOMES

COUNTS = ("outcome_counts", "rank_counts")


def recount(con: Connection, runs: Collection[int]) -> None:
    """Count the outcomes of some runs again, within a transaction."""
    for outcomes, own in ((OUTCOMES, set(runs) - con.run_files.keys()), ("FROM outcomes", con.run_files.keys() & runs)):
        if own:
            kept = f"run_id IN ({', '.join(map(str, sorted(own)))})"
            for table in COUNTS:
                con.run(f"DELETE FROM {table} WHERE {kept}")
            con.run(COUNT_OUTCOMES.format(outcomes=outcomes, where=kept))


def runs_of_relabelled(con: Connection, arriving: str) -> list[int]:
    """Return the runs of the images that are about to get another condition from a table `arriving`.

    Runs whose files are lost keep their counts: that does not stop an indexing.
    """
    changed = (
        f"SELECT s.image_id FROM stored_images s JOIN {arriving} a USING (image_id) "
        "WHERE s.condition IS DISTINCT FROM a.condition"
    )
    if con.value(f"SELECT count(*) FROM ({changed})") == 0:
        return []
    lost = [str(run) for run, files in con.run_files.items() if files.lost]
    readable = f"AND run_id NOT IN ({', '.join(lost)})" if lost else ""
    return [row[0] for row in con.rows(f"SELECT DISTINCT run_id FROM truths WHERE image_id IN ({changed}) {readable}")]

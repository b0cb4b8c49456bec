"""Runs: the counts on record are those of the rows that are there."""

from __future__ import annotations

from shotdex.store.connection import Connection

from .check import LOST, Check, Fault, verdict

AGAIN = "make it again beside the old one: shotdex rerun RUN --name NEW"

_COUNTED = """
    SELECT r.name, coalesce(p.rows, 0) <> r.k * r.scored OR coalesce(p.images, 0) <> r.scored AS predictions,
           coalesce(t.rows, 0) <> r.scored OR coalesce(t.images, 0) <> r.scored AS truths,
           coalesce(t.unlabelled, 0) <> r.unlabelled OR coalesce(t.outside, 0) <> r.outside
           OR r.scored > r.images OR r.images - r.scored > r.failed AS counts,
           e.encoder_id IS NULL OR s.prompt_set_id IS NULL AS origin
    FROM runs r
    LEFT JOIN (SELECT run_id, count(*) AS rows, count(DISTINCT image_id) AS images FROM predictions GROUP BY ALL) p
        USING (run_id)
    LEFT JOIN (SELECT run_id, count(*) AS rows, count(DISTINCT image_id) AS images,
                      count(*) FILTER (category IS NULL) AS unlabelled,
                      count(*) FILTER (category IS NOT NULL AND true_rank IS NULL) AS outside
               FROM truths GROUP BY run_id) t USING (run_id)
    LEFT JOIN encoders e USING (encoder_id)
    LEFT JOIN prompt_sets s USING (prompt_set_id)
    ORDER BY r.run_id
"""


def runs(con: Connection) -> list[Check]:
    """Check each run's counts, that names and numbers are its own, and that its encoder and prompts are known."""
    rows = con.rows(_COUNTED)
    total, numbers, names, scored = con.rows(
        "SELECT count(*), count(DISTINCT run_id), count(DISTINCT name), coalesce(sum(scored), 0) FROM runs"
    )[0]
    return [
        verdict(
            "runs",
            f"{total:,}, with {scored:,} scored images in all; predictions, truths and labels are as many as recorded",
            [
                Fault("runs with a number or name that another has", 2 * total - numbers - names, LOST),
                _fault(rows, 1, "runs that do not have k predictions for each scored image"),
                _fault(rows, 2, "runs that do not have one truth for each scored image"),
                _fault(rows, 3, "runs whose counts of images are not those of their rows"),
                _fault(rows, 4, "runs whose encoder or prompts are unknown", LOST),
            ],
        )
    ]


def _fault(rows: list[tuple[str, bool, bool, bool, bool]], column: int, what: str, hint: str = AGAIN) -> Fault:
    found = [row[0] for row in rows if row[column]]
    return Fault(f"{what} (such as {found[0]})" if found else what, len(found), hint)

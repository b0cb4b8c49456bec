"""The rows of runs: each image has ranks 1 to k of its run's classes, and its truth agrees with them."""

from __future__ import annotations

from shotdex.store.connection import Connection

from .check import LOST, Check, Fault, verdict
from .runs import AGAIN

_CLASSES = "(SELECT DISTINCT run_id, category FROM runs JOIN prompts USING (prompt_set_id))"

_RANKED = """
    SELECT count(*) FROM (
        SELECT p.run_id, p.image_id FROM predictions p JOIN runs r USING (run_id) GROUP BY p.run_id, p.image_id
        HAVING count(*) <> any_value(r.k) OR min(rank) IS DISTINCT FROM 1 OR max(rank) <> any_value(r.k)
            OR count(DISTINCT rank) <> count(*) OR count(DISTINCT category) <> count(*)
    )
"""
_RISING = """
    SELECT count(*) FROM predictions a JOIN predictions b
        ON a.run_id = b.run_id AND a.image_id = b.image_id AND b.rank = a.rank + 1
    WHERE b.cosine > a.cosine
"""
_IMPOSSIBLE = """
    SELECT count(*) FROM predictions
    WHERE NOT coalesce(abs(cosine) <= 1.0001 AND probability BETWEEN 0 AND 1.0000001, false)
"""
_RANK_OUTSIDE = f"""
    SELECT count(*) FROM truths t LEFT JOIN {_CLASSES} c USING (run_id, category)
    LEFT JOIN (SELECT run_id, count(*) AS classes FROM {_CLASSES} GROUP BY run_id) n USING (run_id)
    WHERE (t.true_rank IS NULL) <> (c.category IS NULL) OR t.true_rank NOT BETWEEN 1 AND n.classes
"""
# Both were taken from the same numbers, so they are equal to the last bit.
_OTHERWISE = """
    SELECT count(*) FROM truths t JOIN runs r USING (run_id)
    LEFT JOIN predictions p ON p.run_id = t.run_id AND p.image_id = t.image_id AND p.rank = t.true_rank
    WHERE t.true_rank <= r.k AND (p.category IS DISTINCT FROM t.category OR p.cosine IS DISTINCT FROM t.true_cosine
                                  OR p.probability IS DISTINCT FROM t.true_probability)
"""


def predictions(con: Connection) -> list[Check]:
    """Check that predictions belong to known runs and images, are ranked 1 to k, and hold possible numbers."""
    strange = (
        f"SELECT count(*) FROM predictions ANTI JOIN {_CLASSES} USING (run_id, category) SEMI JOIN runs USING (run_id)"
    )
    return [
        verdict(
            "predictions",
            f"{con.value('SELECT count(*) FROM predictions'):,} rows of known runs and images; "
            "ranks from 1 to k, best first, of the run's classes",
            [
                *_strangers(con, "predictions"),
                Fault("images whose ranks are not 1 to k, a class each", con.value(_RANKED), AGAIN),
                Fault("rows of a class that the run does not have", con.value(strange), AGAIN),
                Fault("rows with a better cosine than the rank before", con.value(_RISING), AGAIN),
                Fault("rows whose cosine or probability cannot be", con.value(_IMPOSSIBLE), AGAIN),
            ],
        )
    ]


def truths(con: Connection) -> list[Check]:
    """Check that truths belong to known runs and images, and agree with the predictions."""
    twice = "SELECT count(*) FROM (SELECT run_id, image_id FROM truths GROUP BY ALL HAVING count(*) > 1)"
    return [
        verdict(
            "truths",
            f"{con.value('SELECT count(*) FROM truths'):,} rows of known runs and images; "
            "true ranks within the classes, and as the predictions say",
            [
                *_strangers(con, "truths"),
                Fault("images with more than one row in a run", con.value(twice), AGAIN),
                Fault("rows whose true rank is not among the classes", con.value(_RANK_OUTSIDE), AGAIN),
                Fault("rows that the prediction of that rank contradicts", con.value(_OTHERWISE), AGAIN),
            ],
        )
    ]


def _strangers(con: Connection, table: str) -> list[Fault]:
    runs, images = (
        int(con.value(f"SELECT count(*) FROM {table} ANTI JOIN {known}"))
        for known in ("runs USING (run_id)", "stored_images USING (image_id)")
    )
    return [
        Fault("rows of runs that the catalog does not know", runs, LOST),
        Fault("rows of images that the catalog does not know", images, LOST),
    ]

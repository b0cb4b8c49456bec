"""Runs: the counts on record are those of the rows, and every image has ranks 1 to k of its run's classes."""

from __future__ import annotations

from shotdex.store.connection import Connection

from .check import LOST, Check, Fault, verdict

AGAIN = "make it again next to the old one: shotdex rerun RUN --name NEW"

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

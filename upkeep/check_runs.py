"""What is on record about runs and maps agrees: counts are those of the rows, and hashes come out the same again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shotdex.analysis.prompts.build import digest
from shotdex.analysis.run_digests import data_digests
from shotdex.store.connection import Connection
from shotdex.store.prediction_files import RunFiles
from shotdex.store.projections import digest_ids
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import list_runs
from shotdex.store.schema import STORED_OUTCOMES
from shotdex.store.types import Ids, Run

from .check import LOST, REPAIR, Check, Fault, verdict

AGAIN = "repeat it next to the old one: shotdex rerun RUN --name NEW"

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
    WHERE r.run_id NOT IN (SELECT unnest($lost)::INTEGER) ORDER BY r.run_id
"""


def runs(con: Connection) -> list[Check]:
    """Check each run's counts, that names and numbers are its own, and that its encoder and prompts are known."""
    rows = con.rows(_COUNTED, {"lost": [number for number, files in con.run_files.items() if files.lost]})
    total, numbers, names, scored = con.rows(
        "SELECT count(*), count(DISTINCT run_id), count(DISTINCT name), coalesce(sum(scored), 0) FROM runs"
    )[0]
    return [
        verdict(
            "runs",
            f"{total:,}, with {scored:,} scored images in all; the numbers of predictions, truths and labels are "
            f"those recorded",
            [
                Fault("runs with duplicate numbers or names", 2 * total - numbers - names, LOST),
                _fault(rows, 1, "runs that do not have k predictions for each scored image"),
                _fault(rows, 2, "runs that do not have one truth for each scored image"),
                _fault(rows, 3, "runs whose counts of images differ from their rows"),
                _fault(rows, 4, "runs whose encoder or prompts are unknown", LOST),
                Fault("runs whose outcomes are not counted", len(uncounted(con)), REPAIR),
            ],
        )
    ]


def uncounted(con: Connection) -> list[int]:
    """Return the runs that have outcomes and no counts of them, or, with predictions in files, other counts."""
    stored = STORED_OUTCOMES.format(of="catalog.main.")
    rows = con.rows(
        f"SELECT DISTINCT run_id FROM ({stored}) WHERE run_id NOT IN (SELECT run_id FROM outcome_counts) ORDER BY ALL"
    )
    readable = [number for number, files in con.run_files.items() if not files.lost]
    return [*(row[0] for row in rows), *(number for number in readable if con.value(_OTHER_COUNTS, {"run": number}))]


_COUNTS = "SELECT category, condition, predicted, correct, count(*) FROM outcomes WHERE run_id = $run GROUP BY ALL"
_STORED = "SELECT category, condition, predicted, correct, images FROM outcome_counts WHERE run_id = $run"
_OTHER_COUNTS = f"""
    SELECT count(*) FROM (
        (FROM ({_COUNTS}) EXCEPT ALL FROM ({_STORED})) UNION ALL (FROM ({_STORED}) EXCEPT ALL FROM ({_COUNTS}))
    )
"""


def prediction_files(con: Connection) -> list[Check]:
    """Check that the files with predictions of runs have the content that was written; there may be none."""
    found = [*con.run_files.values()]
    errors = [files.error for files in map(RunFiles.read_through, found) if files.lost]
    if errors:
        more = f"; and so for {len(errors) - 1:,} more runs" * (len(errors) > 1)
        return [Check("prediction files", False, f"{errors[0]}{more}", errors[0].hint)]
    text = f"{sum(len(files.files) for files in found):,} of {len(found):,} runs, each with the recorded SHA-256"
    return [Check("prediction files", True, text)] * bool(found)


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
_TWICE = "SELECT count(*) FROM (SELECT run_id, image_id FROM truths GROUP BY ALL HAVING count(*) > 1)"
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
    faults = {
        "images whose ranks are not 1 to k, with one class each": _RANKED,
        "rows of a class that is not in the run": strange,
        "rows with a higher cosine than the rank before": _RISING,
        "rows with an impossible cosine or probability": _IMPOSSIBLE,
    }
    return [_rows(con, "predictions", "ranks from 1 to k, best first, of the run's classes", faults)]


def truths(con: Connection) -> list[Check]:
    """Check that truths belong to known runs and images, and agree with the predictions."""
    faults = {
        "images with more than one row in a run": _TWICE,
        "rows whose true rank is not among the classes": _RANK_OUTSIDE,
        "rows that contradict the prediction at that rank": _OTHERWISE,
    }
    return [_rows(con, "truths", "true ranks within the classes, consistent with the predictions", faults)]


def _rows(con: Connection, table: str, holds: str, faults: Mapping[str, str]) -> Check:
    """Check one table of runs; `faults` maps what may be wrong to the query that counts it."""
    strangers = {
        f"rows of {what} that the catalog does not know": f"SELECT count(*) FROM {table} ANTI JOIN {known}"
        for what, known in (("runs", "runs USING (run_id)"), ("images", "stored_images USING (image_id)"))
    }
    text = f"{con.value(f'SELECT count(*) FROM {table}'):,} rows of known runs and images; {holds}"
    found = [Fault(what, int(con.value(query)), LOST) for what, query in strangers.items()]
    return verdict(table, text, [*found, *(Fault(what, con.value(query), AGAIN) for what, query in faults.items())])


def prompt_sets(con: Connection) -> list[Check]:
    """Check that every prompt set's hash is that of its prompts."""
    numbers = [row[0] for row in con.rows("SELECT prompt_set_id FROM prompt_sets ORDER BY ALL")]
    sets = [load_prompt_set(con, number) for number in set(numbers)]
    changed = [prompts.name for prompts in sets if digest(prompts) != prompts.sha256]
    stray = int(con.value("SELECT count(*) FROM prompts ANTI JOIN prompt_sets USING (prompt_set_id)"))
    return [
        verdict(
            "prompt sets",
            f"{len(sets):,}; each has the SHA-256 of its classes and prompts",
            [
                Fault("sets with duplicate numbers", len(numbers) - len(sets), LOST),
                Fault(
                    "sets that no longer have their SHA-256" + (f" (such as {changed[0]})" if changed else ""),
                    len(changed),
                    "their runs were made with different texts; classify again: shotdex classify",
                ),
                Fault("prompts of sets that are not in the catalog", stray, LOST),
            ],
        )
    ]


def run_digests(con: Connection) -> list[Check]:
    """Check that the images of every run are, by their contents, those that were scored."""
    changed, relabelled, compared, older = [], 0, 0, 0
    lost = {number for number, files in con.run_files.items() if files.lost}
    for run in [run for run in list_runs(con) if run.run_id not in lost]:
        ids, known = _scored(con, run)
        if not run.data_sha256 or not known:
            older += 1
            continue
        data, labels = data_digests(con, ids)
        compared += 1
        relabelled += labels != run.labels_sha256
        changed += [run.name] if data != run.data_sha256 else []
    text = f"{compared:,} runs still have the images that they scored"
    text += f"; labels have changed since in {relabelled:,}" if relabelled else ""
    text += f"; {older:,} cannot be compared" if older else ""
    what = "runs whose images differ from those that were scored" + (f" (such as {changed[0]})" if changed else "")
    return [verdict("images of runs", text, [Fault(what, len(changed), AGAIN)])]


def _scored(con: Connection, run: Run) -> tuple[Ids, bool]:
    """Return the images of a run, and whether the catalog knows them all."""
    found = con.table(
        "SELECT DISTINCT image_id, s.image_id IS NOT NULL AS known FROM truths LEFT JOIN stored_images s "
        "USING (image_id) WHERE run_id = $run ORDER BY image_id",
        {"run": run.run_id},
    )
    known = np.asarray(found.column("known").to_numpy(zero_copy_only=False), dtype=bool)
    return np.asarray(found.column("image_id").to_numpy(), dtype=np.int64), bool(known.all())


def maps(con: Connection) -> list[Check]:
    """Check that every kept map has a place for each of its images."""
    kept = con.rows("SELECT projection_id, images_sha256 FROM projections ORDER BY ALL")
    broken = broken_maps(con)
    stray = int(con.value("SELECT count(*) FROM projection_points ANTI JOIN projections USING (projection_id)"))
    return [
        verdict(
            "maps",
            f"{len(kept):,} kept; each has a finite position for each of its images",
            [
                Fault("maps with missing positions, or positions of other images", len(broken), REPAIR),
                Fault("positions on maps that are not in the catalog", stray, REPAIR),
            ],
        )
    ]


UNPLACED = """
    SELECT projection_id FROM projections j LEFT JOIN projection_points p USING (projection_id)
    GROUP BY projection_id, j.images
    HAVING count(p.image_id) <> j.images OR NOT coalesce(bool_and(isfinite(x) AND isfinite(y)), false)
"""
"""Maps without as many points as recorded, or with a point that is nowhere."""


def broken_maps(con: Connection) -> list[int]:
    """Return the numbers of the maps whose points are not those of their images."""
    broken = {row[0] for row in con.rows(UNPLACED)}
    for number, sha256 in con.rows("SELECT projection_id, images_sha256 FROM projections"):
        points = con.table(
            "SELECT image_id FROM projection_points WHERE projection_id = $n ORDER BY image_id", {"n": number}
        )
        if digest_ids(np.asarray(points.column("image_id").to_numpy(), dtype=np.int64)) != sha256:
            broken.add(number)
    return sorted(broken)

"""Hashes on record come out the same when they are made again: of prompt sets, of the runs' images, of maps."""

from __future__ import annotations

import numpy as np

from shotdex.analysis.prompts.build import digest
from shotdex.analysis.run_digests import data_digests
from shotdex.store.connection import Connection
from shotdex.store.projections import digest_ids
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import list_runs
from shotdex.store.types import Ids, Run

from .check import LOST, REPAIR, Check, Fault, verdict
from .check_runs import AGAIN

UNPLACED = """
    SELECT projection_id FROM projections j LEFT JOIN projection_points p USING (projection_id)
    GROUP BY projection_id, j.images
    HAVING count(p.image_id) <> j.images OR NOT coalesce(bool_and(isfinite(x) AND isfinite(y)), false)
"""
"""Maps without as many points as recorded, or with a point that is nowhere."""


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
                Fault("sets with a number that another has", len(numbers) - len(sets), LOST),
                Fault(
                    "sets that no longer have their SHA-256" + (f" (such as {changed[0]})" if changed else ""),
                    len(changed),
                    "their runs were made with other words than stand here; classify again: shotdex classify",
                ),
                Fault("prompts of sets that the catalog does not know", stray, LOST),
            ],
        )
    ]


def run_digests(con: Connection) -> list[Check]:
    """Check that the images of every run are, by their contents, those that were scored."""
    changed, relabelled, compared, older = [], 0, 0, 0
    for run in list_runs(con):
        ids, known = _scored(con, run)
        if not run.data_sha256 or not known:
            older += 1
            continue
        data, labels = data_digests(con, ids)
        compared += 1
        relabelled += labels != run.labels_sha256
        changed += [run.name] if data != run.data_sha256 else []
    text = f"{compared:,} runs have the images that were scored then"
    text += f"; labels were changed since in {relabelled:,}" if relabelled else ""
    text += f"; {older:,} cannot be compared" if older else ""
    what = "runs whose images are not those that were scored" + (f" (such as {changed[0]})" if changed else "")
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
            f"{len(kept):,} kept; each has a finite place for each of its images",
            [
                Fault("maps that lack places, or have them for other images", len(broken), REPAIR),
                Fault("places on maps that the catalog does not know", stray, REPAIR),
            ],
        )
    ]


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

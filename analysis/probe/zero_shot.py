"""What recorded zero-shot runs got right of the test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.connection import Connection
from shotdex.store.errors import EvaluationError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run, list_runs
from shotdex.store.words import Ids, Run

from .gather import Material

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """A run on the test images: `scored` (M,) bool, which it has predictions for, and `correct` (M,) bool.

    `correct` is False where it did not score. `prompts` names its prompt set.
    """

    run: Run
    prompts: str
    scored: Flags
    correct: Flags


def zero_shot_runs(con: Connection, names: tuple[str, ...], material: Material) -> list[ZeroShot]:
    """Return the named runs on the test images; without a name the newest of this encoder that scored any of them.

    Raises:
        SettingsError: there is no such run.
        EvaluationError: a named run scored none of the test images.
    """
    if names:
        found = [_read(con, find_run(con, name), material.test_ids) for name in dict.fromkeys(names)]
        for one in found:
            if not one.scored.any():
                raise EvaluationError(
                    f"the run {one.run.name!r} scored none of the {len(material.test_ids):,} test images",
                    "classify them: shotdex classify, with the --where of --test-where if any",
                )
        return found
    for run in reversed([run for run in list_runs(con) if run.encoder_id == material.encoder_id]):
        newest = _read(con, run, material.test_ids)
        if newest.scored.any():
            return [newest]
    return []


def _read(con: Connection, run: Run, test_ids: Ids) -> ZeroShot:
    with con.holding("tested", pa.table({"image_id": pa.array(test_ids)})):
        # An image that got its category after the run is judged by it now; one of no class of the run is never right.
        rows = con.rows(
            "SELECT o.image_id, coalesce(o.correct, o.category IS NULL AND o.predicted = i.category) "
            "FROM outcomes o SEMI JOIN tested USING (image_id) JOIN images i USING (image_id) WHERE o.run_id = $run",
            {"run": run.run_id},
        )
    right = dict(rows)
    scored = np.array([image_id in right for image_id in test_ids.tolist()], dtype=bool)
    correct = np.array([bool(right.get(image_id)) for image_id in test_ids.tolist()], dtype=bool)
    return ZeroShot(run, load_prompt_set(con, run.prompt_set_id).name, scored, correct)

"""What duplicates do to a run's accuracy: with them, and without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotdex.analysis.coverage import Coverage, coverage
from shotdex.analysis.metrics.shares import accuracy
from shotdex.store.connection import Connection
from shotdex.store.types import Estimate, Run

from .find import Duplicates
from .pairs import Flags, Rows, first_of_each

ALL = "all"
"""The side that stands for every image, whatever its split or condition."""

ALL_IMAGES = "all images"
"""What is kept where nothing is left out."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The accuracy of a run on the images of one side, with some left out. `kept` says which stayed:

    - `all images`;
    - `without leaked`: those without a duplicate on another side, by `Duplicates.leaked`;
    - `one of each group`: of duplicates among the evaluated images of this side, the one of the lowest id;
    - `without conflicts`: those without a duplicate of another category.

    `left_out` is how many images went; `accuracy.n` how many stayed, its value NaN where none did.
    """

    side: str
    kept: str
    left_out: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class RunEffects:
    """The effects on one run. `looked_at` of its evaluated images were in the search, and only those count here."""

    run: Run
    looked_at: int
    effects: tuple[Effect, ...]

    @property
    def coverage(self) -> Coverage:
        """How many images the run met."""
        return coverage(self.run)


def effects(con: Connection, run: Run, found: Duplicates) -> RunEffects:
    """Return a run's accuracy@1 with and without duplicates: on each side by name, then on all images.

    Images of the run that the search did not look at, since removed or outside its filter, are left aside in every
    row: whether they have duplicates is not known. Where one side holds all images, "all" is left out.
    """
    rows, correct = _evaluated(con, run, found)
    labels = found.labels(found.options.across)
    sides = np.array([labels[row] or "" for row in rows.tolist()], dtype=object)
    masks = {"without leaked": ~found.leaked[rows], "without conflicts": ~found.conflicting[rows]}
    names = sorted(set(sides.tolist()) - {""})
    chosen = {name: sides == name for name in names}
    if len(names) != 1 or "" in sides.tolist():  # else one side is all there is, and said once
        chosen[ALL] = np.ones(len(rows), dtype=bool)
    made = []
    for name, own in chosen.items():
        kept = {
            ALL_IMAGES: np.ones(int(own.sum()), dtype=bool),
            "without leaked": masks["without leaked"][own],
            "one of each group": first_of_each(found.groups[rows[own]]),
            "without conflicts": masks["without conflicts"][own],
        }
        made += [Effect(name, how, int((~stay).sum()), accuracy(correct[own][stay])) for how, stay in kept.items()]
    return RunEffects(run, len(rows), tuple(made))


def _evaluated(con: Connection, run: Run, found: Duplicates) -> tuple[Rows, Flags]:
    """Return the rows of `found.images` that a run was right or wrong on, rising, and whether it was right."""
    table = con.table(
        "SELECT image_id, correct FROM outcomes WHERE run_id = $run AND correct IS NOT NULL ORDER BY image_id",
        {"run": run.run_id},
    )
    ids = np.asarray(table.column("image_id").to_numpy(), dtype=np.int64)
    correct = np.asarray(table.column("correct").to_numpy(), dtype=bool)
    seen = np.isin(ids, found.ids, assume_unique=True)
    return np.searchsorted(found.ids, ids[seen]).astype(np.int64), correct[seen]

"""What a search for duplicates returns: pairs to show, everything that was found, and its effect on accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from shotdex.analysis.duplicates import rows
from shotdex.analysis.duplicates.effect import ALL_IMAGES, RunEffects, effects
from shotdex.analysis.duplicates.find import SIDES, THRESHOLDS, Duplicates
from shotdex.analysis.duplicates.rows import LABELS, DuplicateGroup, DuplicatePair, Summary, Tally

from .tabular import Records

if TYPE_CHECKING:
    import pyarrow
    from matplotlib.figure import Figure

    from shotdex.store.store import Store
    from shotdex.store.types import Ids, Run

__all__ = [
    "ALL_IMAGES",
    "LABELS",
    "SIDES",
    "THRESHOLDS",
    "Duplicates",
    "DuplicatesResult",
    "RunEffects",
    "Show",
    "Tally",
]

Show = Literal["pairs", "leaks", "conflicts"]

_ROWS = {"leaks": "without leaked", "conflicts": "without conflicts"}
"""The accuracies that matter for a kind of duplicate, in addition to the one over all images."""


class DuplicatesResult(Records[DuplicatePair]):
    """Pairs of duplicates, as many as were to be shown; `details` has everything that was found.

    `counts` says how many groups, images and pairs there are: a `Summary`, or a `Tally` of leaks or conflicts.
    """

    def __init__(
        self, store: Store, show: Show, found: Duplicates, pairs: Sequence[DuplicatePair], runs: Sequence[Run]
    ) -> None:
        super().__init__(pairs, DuplicatePair)
        self.show = show
        self.details = found
        summary = rows.summary(found)
        self.counts: Summary | Tally = summary if show == "pairs" else getattr(summary, show)
        self._store = store
        self._runs = runs

    @cached_property
    def effects(self) -> list[RunEffects]:
        """What the duplicates do to the accuracy of each run: with all images, and without some."""
        found = []
        with self._store.reading() as con:
            for run in self._runs:
                made = effects(con, run, self.details)
                if self.show != "pairs":
                    kept = tuple(one for one in made.effects if one.kept in (ALL_IMAGES, _ROWS[self.show]))
                    made = RunEffects(made.run, made.looked_at, kept)
                found.append(made)
        return found

    @property
    def groups(self) -> list[DuplicateGroup]:
        """Every group of two images or more; of leaks and conflicts, only those that hold one."""
        which = {"pairs": None, "leaks": self.details.leaked, "conflicts": self.details.conflicting}[self.show]
        return rows.duplicate_groups(self.details, which)

    @property
    def left_out(self) -> Ids:
        """The ids, rising, of the images to leave out so that none of these duplicates is left; a first copy stays."""
        return rows.left_out(self.details, "copies" if self.show == "pairs" else self.show)

    @property
    def condition(self) -> str:
        """A SQL condition that leaves those images out, as `where` takes it."""
        return rows.condition_without(self.left_out)

    def all_pairs(self) -> pyarrow.Table:
        """Return all pairs, not only those to show, with the columns of this result."""
        found, across = self.details, self.details.options.across
        if self.show == "pairs":
            return rows.pair_table(found, rows.all_links(found))
        return rows.pair_table(found, rows.closest_links(found, across if self.show == "leaks" else "category"))

    def figure(self, title: str | None = None) -> Figure:
        """Return the pairs to show as a matplotlib Figure, a row for each.

        Raises:
            UnreadableImage: there are no pairs, or no image can be read any more.
        """
        return rows.pairs_plot(self.details, list(self), title or self._headline())

    def _headline(self) -> str:
        return f"{self.show} among {len(self.details.groups):,} images"

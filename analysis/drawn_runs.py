"""What figures of a store are about: the runs in them, on which images, and whose the figure is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import EmptyStore
from shotdex.store.ids import filtered_ids
from shotdex.store.near import near_a_filter
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.types import Run

from .coverage import marked_name
from .figures.drawing import About, check_order, ordered
from .metrics.metric import Outcomes
from .results import Grouping, outcomes
from .side_by_side import MARK, on_shared, same_classes, shared_note


def about_images(con: Connection, count: int, where: str | None = None, model: str = "") -> About:
    """Return whose a figure is that shows `count` images of a store and no run."""
    added = con.value("SELECT max(added_at) FROM images")
    facts = {
        "Model": model,
        "Images": f"{count:,}",
        "Filter": where or "",
        "Indexed": f"{added:%Y-%m-%d}" if added else "",
    }
    lines = (
        model and f"model {model}",
        f"{count:,} images",
        where and f"where {where}",
        added and f"indexed {added:%Y-%m-%d}",
    )
    return About(tuple(line for line in lines if line), tuple((name, fact) for name, fact in facts.items() if fact))


def about_runs(con: Connection, runs: Sequence[Run], count: int, *more: str, where: str | None = None) -> About:
    """Return whose a figure is that shows `count` images of some runs; `more` ends the subtitle."""
    encoders = list_encoders(con)
    models = list(dict.fromkeys(encoders[run.encoder_id].name for run in runs))
    names, days = [marked_name(run) for run in runs], sorted({f"{run.started_at:%Y-%m-%d}" for run in runs})
    dates = " to ".join(dict.fromkeys((days[0], days[-1])))
    filters = [one for one in (*dict.fromkeys(run.where for run in runs), where) if one]
    prompts = dict.fromkeys(load_prompt_set(con, run.prompt_set_id).name for run in runs)
    facts = {
        "Runs": ", ".join(names),
        "Model": ", ".join(models),
        "Prompts": ", ".join(prompts),
        "Images": f"{count:,}",
        "Filter": "; ".join(filters),
        "Date": dates,
    }
    lines = [
        f"run{'s' * (len(runs) > 1)} {', '.join(names)}",
        f"model {', '.join(name.rsplit('/', 1)[-1] for name in models)}",
        f"{count:,} images",
        *(f"where {one}" for one in filters),
        dates,
        *more,
    ]
    return About(tuple(line for line in lines if line), tuple((name, fact) for name, fact in facts.items() if fact))


@dataclass(frozen=True, slots=True)
class DrawnRuns:
    """Runs that stand in one figure, with their names there and their outcomes, on the same images.

    `groups` are those by which they are drawn. `note` ends the title; `mark` stands at every number where the runs
    chose among different classes.
    """

    runs: list[Run]
    names: list[str]
    outcomes: list[Outcomes]
    note: str
    mark: str
    about: About
    groups: Grouping

    def in_order(self) -> list[tuple[str, Run, Outcomes]]:
        """Return each run's name in the figure, the run and its outcomes, those first that the user's order names.

        Raises:
            OptionError: it names a run that is not in the figure.
        """
        names = [run.name for run in self.runs]
        check_order(names)
        every = dict(zip(names, zip(self.names, self.runs, self.outcomes, strict=True), strict=True))
        return [every[name] for name in ordered(names)]


def no_images(con: Connection, where: str | None) -> EmptyStore:
    """Return the error that a filter leaves no image to draw, which says what was near."""
    hint = f"{near_a_filter(con, where)}relax --where, or index images: shotdex index FOLDER"
    return EmptyStore("there are no images to draw", hint)


def drawn_runs(con: Connection, names: Sequence[str], anyway: bool, where: str | None = None) -> DrawnRuns:
    """Return the runs that a figure shows, by name or number, the newest where there are none, on shared images.

    Raises:
        OptionError, MissingLabels, BadSql. EmptyStore: the filter leaves no evaluated image. EvaluationError: they
            chose among different classes, and not `anyway`.
    """
    found = {run.run_id: run for run in [find_run(con, name) for name in names] or [find_run(con, None)]}
    runs = list(found.values())
    same = same_classes(con, runs, anyway)
    out, of = on_shared(runs, [outcomes(con, run) for run in runs])
    notes = [shared_note(len(out[0]), of, len(runs)), "" if same else f"{MARK}: different classes"]
    if where is not None:
        kept = filtered_ids(con, where)
        out = [one.only(np.isin(one.image_ids, kept)) for one in out]
        if not all(map(len, out)):
            raise EmptyStore("the filter leaves no evaluated image", f"{near_a_filter(con, where)}relax --where")
    mark = "" if same else MARK
    named = [marked_name(run) + mark for run in runs]
    about = about_runs(con, runs, len(out[0]), where=where)
    return DrawnRuns(
        runs,
        named,
        out,
        "".join(f", {note}" for note in notes if note),
        mark,
        about,
        Grouping((), (), out[0].image_ids, np.zeros(0, np.int64)),
    )

"""From the store to figures of accuracy, with the verdicts that the numbers allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.baselines import OVERALL, find_baseline
from shotdex.store.connection import Connection
from shotdex.store.errors import OptionError
from shotdex.store.store import Store

from .drawn_runs import DrawnRuns, drawn_runs
from .figures.accuracy import Series, accuracy_figure
from .figures.drawing import check_order, ordered, signed
from .figures.panels import HeatPanel, accuracy_heat_map
from .results import UNLABELLED, accuracy_groups, group_rows
from .stats.paired import mcnemar_exact
from .stats.proportions import Verdict, difference_interval, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def accuracy_plot(
    store: Store,
    runs: Sequence[str] = (),
    by: Sequence[str] = ("condition",),
    baselines: Sequence[str] = (),
    anyway: bool = False,
) -> Figure:
    """Draw accuracy@1 of runs (the newest where none is named) by columns of `images`, with intervals.

    Baselines, by name, stand next to the runs. Of one that is known over all conditions only, that value is a line.

    Raises:
        OptionError, MissingLabels.
    """
    with store.reading() as con:
        drawn = drawn_runs(con, runs, anyway)
        if len(by) == 2 and not baselines:
            return _heat_map(con, drawn, by, f"Accuracy@1 by {' and '.join(by)}{drawn.note}")
        out = drawn.outcomes[0]
        drawn = replace(drawn, groups=group_rows(con, out.image_ids, by, out.categories))
        series = [(name, accuracy_groups(con, out, by)) for name, out in zip(drawn.names, drawn.outcomes, strict=True)]
        others = [find_baseline(con, name) for name in baselines]
    whole = all(set(estimates) == {UNLABELLED} for _, estimates in series)
    if whole:  # no image has a condition, which is no group of its own
        series = [(name, {EVERY: estimates[UNLABELLED]}) for name, estimates in series]
        drawn = replace(drawn, groups=replace(drawn.groups, names=(EVERY,)))
    by_condition = [one for one in others if set(one.accuracies) != {OVERALL}]
    if by_condition and by != ("condition",):
        names = ", ".join(repr(one.name) for one in by_condition)
        raise OptionError(
            f"the baselines {names} have accuracies by condition, not by {', '.join(by)}",
            "leave out --baseline, or use --by condition",
        )
    lines = {one.name: one.accuracies[OVERALL].value for one in others if one not in by_condition}
    classes = {len(out.classes) for out in drawn.outcomes}
    chance = 1 / classes.pop() if len(classes) == 1 else None
    title = f"Accuracy@1{'' if whole else ' by ' + ', '.join(by)}, 95 % Wilson intervals{drawn.note}"
    beside = [(one.name, {name: e for name, e in one.accuracies.items() if name != OVERALL}) for one in by_condition]
    check_order([group for _, estimates in (*series, *beside) for group in estimates])
    marks, said = _verdict_marks(series, beside, drawn, by)
    with signed(drawn.about.and_also(said)):
        return accuracy_figure(series, title, chance, lines, baselines=beside, mark=marks)


EVERY = "all images"
"""The name of the only group where no image has the label to group by."""

VERDICT_MARKS = {Verdict.BETTER: " ▲", Verdict.WORSE: " ▼", Verdict.UNCLEAR: " ≈"}


def _verdict_marks(
    series: Sequence[Series], baselines: Sequence[Series], drawn: DrawnRuns, by: Sequence[str]
) -> tuple[dict[tuple[str, str], str], str]:
    """Return what stands after each value, and what that means: runs against the baseline, or against the first run.

    Runs are compared image for image, with McNemar's exact test; a baseline's images are others.
    """
    marks = {(name, group): drawn.mark for name, estimates in (*series, *baselines) for group in estimates}
    if len(baselines) == 1 and not drawn.mark:
        against, known = baselines[0]
        found = [
            (name, group, verdict(difference_interval(known[group], one)))
            for name, mine in series
            for group, one in mine.items()
            if group in known
        ]
    elif not baselines and len(series) > 1 and not drawn.mark:
        against = series[0][0]
        found = [one for place in range(1, len(series)) for one in _paired(series, drawn, place)]
    else:
        return marks, ""
    marks |= {(name, group): VERDICT_MARKS[one] for name, group, one in found}
    return marks, f"▲ better, ▼ worse, ≈ not distinguishable from {against}"


def _paired(series: Sequence[Series], drawn: DrawnRuns, place: int) -> list[tuple[str, str, Verdict]]:
    """Return the verdict of a run against the first, for each group, by McNemar's exact test at 5 %."""
    name, found = series[place][0], []
    first, second = drawn.outcomes[0].correct, drawn.outcomes[place].correct
    for code, group in enumerate(drawn.groups.names):
        rows = drawn.groups.codes == code
        only_a, only_b = int((first & ~second & rows).sum()), int((second & ~first & rows).sum())
        certain = mcnemar_exact(only_a, only_b) < 0.05
        better = Verdict.BETTER if only_b > only_a else Verdict.WORSE
        found.append((name, group, better if certain else Verdict.UNCLEAR))
    return found


def _heat_map(con: Connection, drawn: DrawnRuns, by: Sequence[str], title: str) -> Figure:
    """Draw accuracy by two columns, one of them down and one across, a panel for each run."""
    out = drawn.outcomes[0]
    groupings = [group_rows(con, out.image_ids, [column], out.categories) for column in by]
    names = [ordered(grouping.names) for grouping in groupings]
    check_order(*names)
    places = [
        np.array([order.index(name) for name in grouping.names])[grouping.codes]
        for grouping, order in zip(groupings, names, strict=True)
    ]
    shape = len(names[0]), len(names[1])
    flat = places[0] * shape[1] + places[1]
    sizes = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    panels = [
        HeatPanel(name, np.bincount(flat[one.correct], minlength=sizes.size).reshape(shape), sizes)
        for name, one in zip(drawn.names, drawn.outcomes, strict=True)
    ]
    with signed(drawn.about):
        return accuracy_heat_map(panels, names[0], names[1], title, drawn.mark)

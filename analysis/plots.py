"""From the store to a figure: one function for each kind of plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from shotdex.store.errors import OptionError, UnreadableImage
from shotdex.store.queries import Hit
from shotdex.store.store import Store

from .drawn_runs import about_images, drawn_runs, no_images
from .figures.bars import counts_figure
from .figures.confusion import confusion_figure
from .figures.curves import reliability_figure, topk_figure
from .figures.drawing import check_order, number, ordered, signed
from .figures.pages import contact_sheet
from .figures.panels import confusion_panels
from .figures.selective import selective_figure
from .metrics.calibration import BINS, reliability
from .metrics.confusion import confusion_at_k
from .metrics.metric import Counts, Outcomes
from .metrics.selective import risk_coverage
from .metrics.shares import top_k
from .report import calibration_error
from .results import UNLABELLED, count_by, group_rows
from .selective import risk_of
from .stats.proportions import wilson
from .thumbnails import read_small

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET = 320


def counts_plot(store: Store, by: str = "condition", where: str | None = None) -> Figure:
    """Draw how many images there are for each category, stacked by condition or split.

    Raises:
        EmptyStore: there are none.
    """
    with store.reading() as con:
        table = count_by(con, "category", by, where)
        about = about_images(con, sum(sum(row.values()) for row in table.values()), where)
        if not table:
            raise no_images(con, where)
    stacked = list(dict.fromkeys(name for row in table.values() for name in row))
    check_order(list(table), stacked)
    arranged = {name: {one: table[name].get(one, 0) for one in ordered(stacked)} for name in ordered(table)}
    with signed(about):
        return counts_figure(arranged, "Images per category", by)


def counts_table(
    store: Store, by: str = "condition", where: str | None = None
) -> tuple[list[str], list[list[str | int]]]:
    """Return the same numbers as a table: columns, and a row for each category with its total last."""
    with store.reading() as con:
        counts = count_by(con, "category", by, where)
    columns = sorted({name for row in counts.values() for name in row}, key=lambda name: (name == UNLABELLED, name))
    rows: list[list[str | int]] = [
        [name, *(row.get(column, 0) for column in columns), sum(row.values())] for name, row in counts.items()
    ]
    return ["category", *columns, "all"], rows


@dataclass(frozen=True, slots=True)
class ConfusionOptions:
    """Which confusion matrix: of the images that `where` keeps, and with `by` one for each group.

    With `k` above 1 the true class counts as predicted where it is among the k best.

    `cells` say counts, rates or both; `order` is as given, or clustered, or left to the number of classes.
    """

    run: str | None = None
    k: int = 1
    cells: Literal["both", "rates", "counts"] = "both"
    order: Literal["given", "clustered"] | None = None
    where: str | None = None
    by: tuple[str, ...] = ()


def confusion_plot(store: Store, options: ConfusionOptions | None = None) -> Figure:
    """Draw the confusion matrix of a run over its classes.

    Raises:
        OptionError: no such run, or `k` outside 1 to the number of classes; MissingLabels.
    """
    wanted = options or ConfusionOptions()
    with store.reading() as con:
        drawn = drawn_runs(con, [wanted.run] if wanted.run else [], False, wanted.where)
        found = drawn.outcomes[0]
        groups = group_rows(con, found.image_ids, wanted.by, found.categories)
    count = len(found.classes)
    if not 1 <= wanted.k <= count:
        raise OptionError(f"k is {wanted.k}, but there are {count} classes", f"pass a value from 1 to {count}")
    check_order(found.classes, groups.names)
    classes = ordered(found.classes)
    order = wanted.order or ("given" if classes != list(found.classes) else None)
    places = np.array([found.classes.index(name) for name in classes])

    def matrix(one: Outcomes) -> Counts:
        cells = confusion_at_k(one.truth, one.predicted, one.true_rank, count, wanted.k)
        return np.asarray(cells[np.ix_(places, places)], dtype=np.int64)

    among = f", true class counted where among the {wanted.k} best" if wanted.k > 1 else ""
    accuracy = f"accuracy@{wanted.k} {_accuracy(found, wanted.k)}"
    with signed(drawn.about.and_also(accuracy)):
        if not wanted.by:
            return confusion_figure(matrix(found), classes, title=f"Confusion{among}", cells=wanted.cells, order=order)
        parts = {name: found.only(groups.codes == groups.names.index(name)) for name in ordered(groups.names)}
        panels = [(f"{name}: {_accuracy(one, wanted.k)}, n={len(one):,}", matrix(one)) for name, one in parts.items()]
        title = f"Confusion by {', '.join(wanted.by)}{among}"
        return confusion_panels(panels, classes, title, wanted.cells, order)


def _accuracy(found: Outcomes, k: int) -> str:
    """Return the share of images whose true class is among the k best, with its interval."""
    share = wilson(int((found.true_rank <= k).sum()), len(found))
    return f"{number(share.value)} [{number(share.low)}, {number(share.high)}]"


def reliability_plot(
    store: Store, runs: Sequence[str] = (), bins: int = BINS, where: str | None = None, anyway: bool = False
) -> Figure:
    """Draw the accuracy of runs against their confidence, with each one's expected calibration error.

    Raises:
        OptionError, MissingLabels, BadSql; EmptyStore: the filter leaves no image.
    """
    with store.reading() as con:
        drawn = drawn_runs(con, runs, anyway, where)
    series = [
        (name, reliability(out.probability, out.correct, bins), calibration_error(out, bins, run.seed))
        for name, run, out in drawn.in_order()
    ]
    with signed(drawn.about):
        return reliability_figure(series, f"Reliability, {bins} bins, 95 % Wilson intervals{drawn.note}")


def selective_plot(store: Store, runs: Sequence[str] = (), where: str | None = None, anyway: bool = False) -> Figure:
    """Draw the risk of runs against their coverage, with the area under each curve.

    Raises:
        OptionError, MissingLabels, BadSql; EmptyStore: the filter leaves no image.
    """
    with store.reading() as con:
        drawn = drawn_runs(con, runs, anyway, where)
    series = [
        (name, risk_coverage(out.probability, out.correct), risk_of(out, 1000, run.seed).aurc)
        for name, run, out in drawn.in_order()
    ]
    with signed(drawn.about):
        return selective_figure(series, f"Risk against coverage, 95 % Wilson intervals{drawn.note}")


def topk_plot(store: Store, runs: Sequence[str] = (), anyway: bool = False) -> Figure:
    """Draw the share of images whose true category is among their own k best, for every k, with Wilson intervals.

    Raises:
        OptionError, MissingLabels.
    """
    with store.reading() as con:
        drawn = drawn_runs(con, runs, anyway)
    curves = [(name, top_k(out.true_rank, len(out.classes))) for name, _, out in drawn.in_order()]
    sizes = {len(out.classes) for out in drawn.outcomes}
    title = f"Top-k accuracy, 95 % Wilson intervals{drawn.note}"
    with signed(drawn.about):
        return topk_figure(curves, title, sizes.pop() if len(sizes) == 1 else None)


def sheet_plot(hits: Sequence[Hit], query: str) -> Figure:
    """Draw hits as a contact sheet with rank and score; an image that is gone is a grey square.

    Raises:
        UnreadableImage: no image can be read, or there is no hit.
    """
    if not hits:
        raise UnreadableImage("there are no hits to draw", "relax --where")
    images = [image or Image.new("RGB", (64, 64), "#dddddd") for image in read_small([h.path for h in hits], SHEET)]
    return contact_sheet(hits, images, query)

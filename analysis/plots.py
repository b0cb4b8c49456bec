"""From the store to a figure: one function for each kind of plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from shotdex.store.connection import Connection
from shotdex.store.errors import EmptyStore, MissingLabels, UnreadableImage
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.vectors import filtered_ids
from shotdex.store.words import Hit, Run

from .figures.accuracy import accuracy_figure
from .figures.confusion import confusion_figure
from .figures.counts import counts_figure
from .figures.samples import samples_figure
from .figures.sheet import contact_sheet
from .figures.topk import topk_figure
from .metrics.confusion import confusion
from .metrics.shares import top_k
from .results import UNLABELLED, accuracy_by, count_by, outcomes
from .thumbnails import read_small

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE = 200
SHEET = 320


def counts_plot(store: Store, by: str = "condition", where: str | None = None) -> Figure:
    """Draw how many images there are for each category, stacked by condition or split.

    Raises:
        EmptyStore: there are none.
    """
    with store.reading() as con:
        table = count_by(con, "category", by, where)
    if not table:
        raise EmptyStore("there is no image to count", "index pictures: shotdex index FOLDER")
    return counts_figure(table, "Images per category", by)


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


def _runs(con: Connection, names: Sequence[str]) -> list[Run]:
    return [find_run(con, name) for name in dict.fromkeys(names)] if names else [find_run(con, None)]


def accuracy_plot(store: Store, runs: Sequence[str] = (), by: str = "condition") -> Figure:
    """Draw accuracy@1 of runs (the newest where none is named) by condition, category or split, with intervals.

    Raises:
        SettingsError, MissingLabels.
    """
    with store.reading() as con:
        chosen = _runs(con, runs)
        classes = {len(outcomes(con, run).classes) for run in chosen}
        series = [(run.name, accuracy_by(con, run, by)) for run in chosen]
    chance = 1 / classes.pop() if len(classes) == 1 else None
    return accuracy_figure(series, f"Accuracy@1 by {by}, 95 % Wilson intervals", chance)


def confusion_plot(store: Store, run: str | None = None) -> Figure:
    """Draw the confusion matrix of a run over its classes.

    Raises:
        SettingsError, MissingLabels.
    """
    with store.reading() as con:
        chosen = find_run(con, run)
        found = outcomes(con, chosen)
    matrix = confusion(found.truth, found.predicted, len(found.classes))
    return confusion_figure(matrix, found.classes, title=f"Confusion, run “{chosen.name}”")


def topk_plot(store: Store, runs: Sequence[str] = ()) -> Figure:
    """Draw the share of images whose true category is among their own k best, for every k, with Wilson intervals.

    Raises:
        SettingsError, MissingLabels.
    """
    with store.reading() as con:
        chosen = _runs(con, runs)
        found = [outcomes(con, run) for run in chosen]
    curves = [(run.name, top_k(out.true_rank, len(out.classes))) for run, out in zip(chosen, found, strict=True)]
    sizes = {len(out.classes) for out in found}
    return topk_figure(curves, "Top-k accuracy, 95 % Wilson intervals", sizes.pop() if len(sizes) == 1 else None)


def samples_plot(store: Store, where: str | None = None) -> Figure:
    """Draw one picture (that of the lowest id) for each category and condition; splits where there are no conditions.

    Raises:
        MissingLabels: no image has a category.
        UnreadableImage: no picture can be read.
    """
    with store.reading() as con:
        kept = filtered_ids(con, where or "true").tolist()
        columns = "condition" if con.value("SELECT count(condition) FROM images") else "split"
        rows = con.rows(
            f"SELECT category, coalesce({columns}, ''), arg_min(path, image_id) FROM images "
            "WHERE category IS NOT NULL AND image_id IN (SELECT unnest($ids)) GROUP BY ALL ORDER BY 1, 2",
            {"ids": kept},
        )
    if not rows:
        raise MissingLabels("no image here has a category", "label them: shotdex index SOURCE --layout '{category}/*'")
    small = read_small([row[2] for row in rows], SAMPLE)
    pictures = {(row[0], row[1]): picture for row, picture in zip(rows, small, strict=True) if picture is not None}
    categories, names = list(dict.fromkeys(row[0] for row in rows)), sorted({row[1] for row in rows})
    return samples_figure(pictures, categories, names)


def sheet_plot(hits: Sequence[Hit], question: str) -> Figure:
    """Draw hits as a contact sheet with rank and score; a picture that is gone is a grey square.

    Raises:
        UnreadableImage: no picture can be read, or there is no hit.
    """
    if not hits:
        raise UnreadableImage("there is no hit to draw", "loosen --where")
    pictures = [
        picture or Image.new("RGB", (64, 64), "#dddddd") for picture in read_small([h.path for h in hits], SHEET)
    ]
    return contact_sheet(hits, pictures, question)

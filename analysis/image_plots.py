"""From the store to figures made of images: samples, and the mistakes of a run; and where two runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.errors import EmptyStore, MissingLabels, OptionError
from shotdex.store.ids import filtered_ids
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Ids

from .drawn_runs import about_images, about_runs, drawn_runs, no_images
from .figures.differences import difference_figure
from .figures.drawing import check_order, now, number, ordered, signed
from .figures.pages import file_name
from .figures.sheets import Captioned, image_sheet, samples_figure
from .metrics.confusion import confusion
from .results import group_rows
from .stats.paired import mcnemar_exact
from .thumbnails import read_small

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

SAMPLE = 200
TILE = 320

Sort = Literal["confidence", "margin"]


def samples_plot(store: Store, where: str | None = None) -> Figure:
    """Draw one image (that of the lowest id) for each category and condition; splits where there are no conditions.

    Raises:
        EmptyStore: the filter leaves no image.
        MissingLabels: no image has a category.
        UnreadableImage: no image can be read.
    """
    with store.reading() as con:
        kept = filtered_ids(con, where or "true").tolist()
        if not kept:
            raise no_images(con, where)
        columns = "condition" if con.value("SELECT count(condition) FROM images") else "split"
        rows = con.rows(
            f"SELECT category, coalesce({columns}, ''), arg_min(path, image_id) FROM images "
            "WHERE category IS NOT NULL AND image_id IN (SELECT unnest($ids)) GROUP BY ALL ORDER BY 1, 2",
            {"ids": kept},
        )
        about = about_images(con, len(rows), where)
    if not rows:
        raise MissingLabels("no image has a category", "label them: shotdex index SOURCE --layout '{category}/*'")
    small = read_small([row[2] for row in rows], SAMPLE)
    images = {(row[0], row[1]): image for row, image in zip(rows, small, strict=True) if image is not None}
    categories, names = list(dict.fromkeys(row[0] for row in rows)), sorted({row[1] for row in rows})
    check_order(categories, names)
    with signed(about):
        return samples_figure(images, ordered(categories), ordered(names))


def sample_sheet(
    store: Store, count: int, seed: int | None = None, where: str | None = None, run_name: str | None = None
) -> Figure:
    """Draw the first `count` images, or with a `seed` as many at random, with their categories; of a run also what
    it takes them for.

    Raises:
        OptionError: a count below 1, or no such run. EmptyStore: there are no such images. BadSql, UnreadableImage.
    """
    if count < 1:
        raise OptionError(f"cannot draw {count} images", "pass a number of at least 1")
    with store.reading() as con:
        ids = filtered_ids(con, where or "true")
        run = find_run(con, run_name) if run_name is not None else None
        predicted: dict[int, tuple[str, bool | None]] = {}
        if run is not None:
            found = con.rows(
                "SELECT image_id, predicted, correct FROM outcomes WHERE run_id = $run", {"run": run.run_id}
            )
            predicted = {image_id: (name, right) for image_id, name, right in found}
            ids = ids[np.isin(ids, list(predicted))]
        if not len(ids):
            raise no_images(con, where)
        chosen = ids[:count]
        if seed is not None:
            chosen = np.sort(np.random.default_rng(seed).choice(ids, min(count, len(ids)), replace=False))
        rows = _in_order(_labels(con, chosen))
        about = about_runs(con, [run], len(chosen), where=where) if run else about_images(con, len(chosen), where)
    tiles = []
    for (image_id, path, category, condition), image in zip(rows, _read([row[1] for row in rows]), strict=True):
        name, right = predicted.get(image_id, ("", None))
        taken = (f"predicted {name}",) if name else ()
        first = category or file_name(path)
        lines = (f"true {first}" if taken and category else first, *taken, *([condition] if condition else []))
        tiles.append(Captioned(image, lines, right))
    drawn = "at random" if seed is not None else "the first"
    with signed(about.and_also(f"{drawn}, of {len(ids):,}")):
        return image_sheet(tiles, "Samples")


def _in_order(
    rows: list[tuple[int, str, str | None, str | None]],
) -> list[tuple[int, str, str | None, str | None]]:
    """Return images with those first whose category or condition the user's order names first."""
    check_order(*([name for name in column if name] for column in list(zip(*rows, strict=True))[2:]))
    place = {name: number for number, name in enumerate(now().style.order)}
    return sorted(rows, key=lambda row: [place.get(name or "", len(place)) for name in row[2:]])


def _labels(con: Connection, ids: Ids) -> list[tuple[int, str, str | None, str | None]]:
    """Return id, path, category and condition of images, in the order of their ids."""
    with con.holding("drawn", {"image_id": ids}):
        return con.rows(
            "SELECT image_id, path, category, condition FROM stored_images SEMI JOIN drawn USING (image_id) "
            "ORDER BY image_id"
        )


def _read(paths: Sequence[str]) -> Sequence[Image.Image]:
    """Return images, small; a grey square stands for one that is gone."""
    from PIL import Image

    return [image or Image.new("RGB", (64, 64), "#dddddd") for image in read_small(paths, TILE)]


@dataclass(frozen=True, slots=True)
class MistakeOptions:
    """Which mistakes: of which run, how many (of each group by columns of `images`), the surest first.

    `sort` is by the probability of the predicted class, or by its margin over that of the true class.
    """

    run: str | None = None
    count: int = 16
    sort: Sort = "confidence"
    by: tuple[str, ...] = ()
    where: str | None = None


def mistakes_plot(store: Store, options: MistakeOptions) -> Figure:
    """Draw the surest mistakes of a run: what each image is, what it was taken for, and how probable both were.

    Raises:
        OptionError: a count below 1, no such run or column. EmptyStore: there is no mistake. MissingLabels, BadSql.
    """
    if options.count < 1:
        raise OptionError(f"cannot draw {options.count} mistakes", "pass a number of at least 1")
    with store.reading() as con:
        drawn = drawn_runs(con, [options.run] if options.run else [], False, options.where)
        found = drawn.outcomes[0]
        groups = group_rows(con, found.image_ids, options.by, found.categories)
        wrong = np.flatnonzero(~found.correct)
        if not len(wrong):
            raise EmptyStore("the run makes no mistake on these images", "relax --where, or choose another --run")
        check_order(groups.names)
        sure = found.probability - (found.true_probability if options.sort == "margin" else 0)
        surest = wrong[np.lexsort((found.image_ids[wrong], -sure[wrong]))]
        shown: list[int] = []
        for name in ordered(groups.names):
            shown += surest[groups.codes[surest] == groups.names.index(name)][: options.count].tolist()
        labels = {row[0]: row for row in _labels(con, np.sort(found.image_ids[shown]))}
    images = _read([labels[int(found.image_ids[row])][1] for row in shown])
    tiles = []
    for row, image in zip(shown, images, strict=True):
        condition = labels[int(found.image_ids[row])][3]
        predicted, true = found.classes[int(found.predicted[row])], found.classes[int(found.truth[row])]
        lines = (
            f"predicted {predicted} {number(float(found.probability[row]))}",
            f"true {true} {number(float(found.true_probability[row]))}",
            *([condition] if condition else []),
        )
        tiles.append(Captioned(image, lines, False, groups.names[groups.codes[row]] if options.by else ""))
    how = "probability" if options.sort == "confidence" else "margin over the true class"
    with signed(drawn.about.and_also(f"{len(shown):,} of {len(wrong):,} mistakes, by {how}")):
        return image_sheet(tiles, "Surest mistakes")


def agreement_plot(store: Store, first: str, second: str) -> Figure:
    """Draw where two runs differ: the second's confusion matrix minus the first's, on the images that both scored.

    Raises:
        OptionError, MissingLabels. EvaluationError: they chose among different classes.
    """
    with store.reading() as con:
        drawn = drawn_runs(con, [first, second], False)
        if len(drawn.runs) < 2:
            raise OptionError(f"{first!r} and {second!r} are one run", "choose two runs")
    a, b = drawn.outcomes
    check_order(a.classes)
    classes = ordered(a.classes)
    own = dict(zip(b.truth.tolist(), a.categories, strict=True))  # the second run may call a class by another name
    meant = [own.get(code, name) for code, name in enumerate(b.classes)]
    at = [np.array([classes.index(name) for name in names]) for names in (a.classes, meant)]
    counts = [
        confusion(places[one.truth], places[one.predicted], len(classes))
        for places, one in zip(at, (a, b), strict=True)
    ]
    same = float((at[0][a.predicted] == at[1][b.predicted]).mean())
    only_a, only_b = int((a.correct & ~b.correct).sum()), int((b.correct & ~a.correct).sum())
    p_value = mcnemar_exact(only_a, only_b)
    said = (
        f"same prediction for {number(same)}",
        f"only {drawn.names[0]} right {only_a:,}, only {drawn.names[1]} right {only_b:,}",
        f"McNemar p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'}",
    )
    title = f"Confusion of {drawn.names[1]} minus that of {drawn.names[0]}{drawn.note}"
    with signed(drawn.about.and_also(*said)):
        return difference_figure(counts[1] - counts[0], classes, (drawn.names[0], drawn.names[1]), title)

"""A run's results, read back from the catalog as plain numbers, and the groups of images by which they are reported."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.arrow import to_codes
from shotdex.store.connection import Connection
from shotdex.store.errors import MissingLabels, OptionError
from shotdex.store.ids import filtered_ids
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.types import Estimate, Ids, Run

from .metrics.metric import Outcomes
from .stats.proportions import wilson

GROUPS = ("category", "condition", "split")


def outcomes(con: Connection, run: Run) -> Outcomes:
    """Return a run's outcomes.

    Raises:
        MissingLabels: no scored image has a category among the classes.
    """
    classes = tuple(load_prompt_set(con, run.prompt_set_id).classes)
    places = pa.table({"name": list(classes), "place": np.arange(len(classes), dtype=np.int64)})
    with con.holding("class_places", places):
        found = con.table(
            "SELECT o.image_id, t.place AS truth, p.place AS predicted, o.true_rank::BIGINT AS true_rank, "
            "o.probability, o.true_probability FROM outcomes o JOIN class_places t ON t.name = o.category "
            "JOIN class_places p ON p.name = o.predicted WHERE o.run_id = $run AND o.correct IS NOT NULL "
            "ORDER BY o.image_id",
            {"run": run.run_id},
        )
    if len(found) == 0:
        raise MissingLabels(
            f"no image of the run {run.name!r} has a category among its classes, so nothing is right or wrong",
            "label the images: shotdex index SOURCE --layout '{category}/*' or look at the predictions with shotdex "
            "sql",
        )
    return Outcomes(classes, *(np.asarray(column.to_numpy()) for column in found.columns))


def accuracy_by(con: Connection, run: Run, group: str) -> dict[str, Estimate]:
    """Return accuracy@1 by category, condition or split, with Wilson intervals, in alphabetical order.

    Images without that label stand under "unlabelled", last; a label that is this very word stands in quotes.

    Raises:
        OptionError: no such grouping.
    """
    if group not in GROUPS:
        raise OptionError(f"cannot group by {group!r}", f"group by one of: {', '.join(GROUPS)}")
    counted = (
        "count(*) FILTER (correct), count(*) FROM outcomes"
        if group == "split"
        else "coalesce(sum(images) FILTER (correct), 0)::BIGINT, sum(images)::BIGINT FROM outcome_counts"
    )
    rows = con.rows(
        f"SELECT {group}, {counted} WHERE run_id = $run AND correct IS NOT NULL "
        f"GROUP BY {group} ORDER BY {group} NULLS LAST",
        {"run": run.run_id},
    )
    return {
        UNLABELLED if name is None else repr(name) if name == UNLABELLED else name: wilson(correct, n)
        for name, correct, n in rows
    }


Codes = npt.NDArray[np.int32]
Labels = Mapping[str, tuple[Codes, tuple[str, ...]]]
"""For category, condition and split the numbers (N,) of images' values among the distinct ones, -1 without one, and
those.
"""


def image_labels(con: Connection, ids: Ids) -> Labels:
    """Return the labels of images (N,), rising."""
    codes = {name: np.full(len(ids), -1, np.int32) for name in GROUPS}
    names: dict[str, dict[str, int]] = {name: {} for name in GROUPS}
    for start in range(0, len(ids), LABELLED):
        some = ids[start : start + LABELLED]
        query = (
            f"SELECT {', '.join(GROUPS)} FROM stored_images SEMI JOIN labelled USING (image_id) "
            f"WHERE image_id BETWEEN {some[0]} AND {some[-1]} ORDER BY image_id"
        )
        with con.holding("labelled", {"image_id": some}):
            found = con.table(query)
        for name in GROUPS:
            own, values = to_codes(found.column(name))
            places = [names[name].setdefault(value, len(names[name])) for value in values]
            codes[name][start : start + len(found)] = np.array([*places, -1])[own]
    return {name: (codes[name], tuple(names[name])) for name in GROUPS}


LABELLED = 131_072
"""Images whose labels are read at a time."""


def accuracies(
    labels: Labels, of_label: Mapping[str, str], ranks: Codes
) -> tuple[Estimate, dict[str, dict[str, Estimate]], list[tuple[str, int]]]:
    """Return what `overall`, `accuracy_by` and `outside_labels` return of a run, for images that have just been scored.

    `ranks` (N,) are those of the true classes, 0 where they are unknown; `of_label` is the class that a category means.
    """
    right, known, groups = ranks == 1, ranks > 0, {}
    for group, (codes, names) in labels.items():
        counts: dict[str | None, list[int]] = {}
        for name, *own in zip((*names, None), _counts(codes[right], names), _counts(codes[known], names), strict=True):
            meant = of_label.get(name, name) if group == "category" and name is not None else name
            counts[meant] = [sum(pair) for pair in zip(counts.get(meant, (0, 0)), own, strict=True)]
        ordered = sorted(counts, key=lambda name: (name is None, name or ""))
        groups[group] = {
            UNLABELLED if name is None else repr(name) if name == UNLABELLED else name: wilson(*counts[name])
            for name in ordered
            if counts[name][1]
        }
    codes, names = labels["category"]
    outside = [(name, n) for name, n in zip(names, _counts(codes[~known], names), strict=False) if n]
    return wilson(int(right.sum()), int(known.sum())), groups, sorted(outside, key=lambda one: (-one[1], one[0]))


def _counts(codes: Codes, names: Sequence[str]) -> list[int]:
    """Return how often each number occurs, and last how often -1."""
    found: list[int] = np.bincount(codes % (len(names) + 1), minlength=len(names) + 1).tolist()
    return found


def accuracy_groups(con: Connection, found: Outcomes, columns: Sequence[str]) -> dict[str, Estimate]:
    """Return accuracy@1 by any columns of `images` together, with Wilson intervals, in the order of their values.

    Raises:
        OptionError: there is no such column.
    """
    grouping = group_rows(con, found.image_ids, columns, found.categories)
    right = np.bincount(grouping.codes[found.correct], minlength=len(grouping.names)).tolist()
    sizes = np.bincount(grouping.codes, minlength=len(grouping.names)).tolist()
    return {name: wilson(*pair) for name, *pair in zip(grouping.names, right, sizes, strict=True)}


def overall(con: Connection, run: Run) -> Estimate:
    """Return accuracy@1 over all images of a run that have a category among its classes."""
    correct, n = con.rows(
        "SELECT coalesce(sum(correct), 0)::BIGINT, coalesce(sum(n), 0)::BIGINT FROM accuracy WHERE run_id = $run",
        {"run": run.run_id},
    )[0]
    return wilson(correct, n)


def outside_labels(con: Connection, run: Run) -> list[tuple[str, int]]:
    """Return the categories of scored images that are not among a run's classes, with their images, most first."""
    return con.rows(
        "SELECT category, sum(images)::BIGINT FROM outcome_counts WHERE run_id = $run AND category IS NOT NULL "
        "AND correct IS NULL GROUP BY category ORDER BY 2 DESC, 1",
        {"run": run.run_id},
    )


def category_counts(con: Connection, where: str | None = None) -> dict[str, int]:
    """Return how many images a filter keeps of each category, in alphabetical order; those without one are left out.

    Raises:
        BadSql: the filter is not a condition on the columns of `images`.
    """
    with _holding_kept(con, where):
        return dict(
            con.rows(
                "SELECT category, count(*) FROM images SEMI JOIN kept USING (image_id) WHERE category IS NOT NULL "
                "GROUP BY category ORDER BY category"
            )
        )


def _holding_kept(con: Connection, where: str | None) -> AbstractContextManager[None]:
    """Let queries read the ids that a filter keeps as `kept`. A user's SQL is never part of another statement."""
    return con.holding("kept", pa.table({"image_id": filtered_ids(con, where or "true")}))


def count_by(con: Connection, rows: str, columns: str, where: str | None = None) -> dict[str, dict[str, int]]:
    """Return how many images there are by two labels: {row label: {column label: images}}, "unlabelled" last.

    Raises:
        BadSql: the filter is not a condition on the columns of `images`.
    """
    with _holding_kept(con, where):
        found = con.rows(
            f"SELECT {rows}, {columns}, count(*) FROM images SEMI JOIN kept USING (image_id) "
            f"GROUP BY ALL ORDER BY {rows} NULLS LAST, {columns} NULLS LAST"
        )
    counts: dict[str, dict[str, int]] = {}
    for row, column, n in found:
        counted = counts.setdefault(row or UNLABELLED, {})
        # No label, an empty one and the very word share a place; what was counted there stays.
        counted[column or UNLABELLED] = counted.get(column or UNLABELLED, 0) + n
    return counts


ALL = "all"
"""The name of every image together, where it stands next to groups."""

UNLABELLED = "unlabelled"
BETWEEN = " · "
"""What stands between the values of several columns in a group's name."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which group each image is in: `image_ids` (N,) rising, `codes` (N,) the number of its group in `names`, no two of
    which are alike.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    image_ids: Ids
    codes: npt.NDArray[np.int64]

    def of(self, image_ids: Ids) -> npt.NDArray[np.int64]:
        """Return the number of its group for each of some images, all of which it must know."""
        return np.asarray(self.codes[np.searchsorted(self.image_ids, image_ids)])


def check_columns(con: Connection, columns: Sequence[str]) -> None:
    """Raise an error for a name that is not a column of `images`.

    Raises:
        OptionError: such a one; says which it may have been.
    """
    known = [row[0] for row in con.rows("DESCRIBE images")]
    for column in columns:
        if column not in known:
            near = difflib.get_close_matches(column.lower(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"group by: {', '.join(known)}"
            raise OptionError(f"images have no column {column!r}", hint)


def group_rows(
    con: Connection, image_ids: Ids, columns: Sequence[str], categories: Sequence[str] | None = None
) -> Grouping:
    """Group images (N,), rising, by the values of some columns; without columns all are in one group.

    Groups stand in the order of their values, and images without a value come last, as "unlabelled". `categories` (N,)
    stand for the column `category`: those of a run, where an image's label may have changed since.

    Raises:
        OptionError: there is no such column.
    """
    check_columns(con, columns)
    if not columns:
        return Grouping((), (ALL,), image_ids, np.zeros(len(image_ids), dtype=np.int64))
    listed = ", ".join(f'i."{column}"' for column in columns)
    with con.holding("grouped", pa.table({"image_id": pa.array(image_ids)})):
        # Runs may speak of images that are gone since; their labels are kept.
        rows = con.rows(f"SELECT {listed} FROM grouped g JOIN stored_images i USING (image_id) ORDER BY g.image_id")
    if categories is not None and "category" in columns:
        place_of = columns.index("category")
        rows = [(*row[:place_of], own, *row[place_of + 1 :]) for row, own in zip(rows, categories, strict=True)]
    distinct = sorted(set(rows), key=lambda row: tuple((value is None, _ordered(value)) for value in row))
    place = {row: number for number, row in enumerate(distinct)}
    names = tuple(BETWEEN.join(group_name(value) for value in row) for row in distinct)
    return Grouping(tuple(columns), names, image_ids, np.array([place[row] for row in rows], dtype=np.int64))


def group_name(value: Any) -> str:
    """Return what a group of images with this value is called, "unlabelled" where they have none.

    A label that would read as one of our own words, or as two labels, stands in quotes: no two groups are alike.
    """
    if value is None:
        return UNLABELLED
    text = str(value)
    return repr(text) if text in (ALL, UNLABELLED) or BETWEEN.strip() in text or text[:1] in ("'", '"') else text


def _ordered(value: Any) -> Any:
    return 0 if value is None else value


def split_columns(listed: str | None) -> tuple[str, ...]:
    """Return the columns in a comma-separated list, each once."""
    return tuple(dict.fromkeys(name.strip() for name in (listed or "").split(",") if name.strip()))

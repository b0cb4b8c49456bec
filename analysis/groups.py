"""Images by any columns that the user names: category, condition, split, and whatever else `images` has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.connection import Connection
from shotdex.store.errors import OptionError
from shotdex.store.types import Ids

ALL = "all"
"""The name of every image together, where it stands beside groups."""

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
    """Refuse what is no column of `images`.

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

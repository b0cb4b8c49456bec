"""Groups and pairs of duplicates as rows, for files and for other programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from .find import Duplicates
from .groups import sizes
from .pairs import Rows

LABELS = ("category", "condition", "split")


def pair_table(found: Duplicates, links: Rows) -> pa.Table:
    """Return some links, given by their numbers, as a table, a row each, in that order.

    Columns: kind (exact or near), cosine, group (the lowest image id in it), then image_id, path, category, condition
    and split of both images, with `_a` and `_b` at the end; the one of the lower id is a.
    """
    first, second = found.links.first[links], found.links.second[links]
    columns: dict[str, Any] = {
        "kind": pa.array(np.where(found.links.exact[links], "exact", "near").tolist(), pa.string()),
        "cosine": found.links.cosine[links],
        "group": found.ids[found.groups[first]],
    }
    for letter, ends in (("a", first), ("b", second)):
        rows = found.images.take(pa.array(ends))
        columns |= {f"{name}_{letter}": rows.column(name) for name in rows.column_names}
    return pa.table(columns)


def group_rows(found: Duplicates) -> list[dict[str, Any]]:
    """Return every group of two images or more by its lowest image id: `group`, which is that id, `image_ids`, and the
    different categories, conditions and splits in it, in alphabetical order.
    """
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(sizes(found.groups) > 1).tolist():
        members.setdefault(int(found.groups[row]), []).append(row)
    ids, labels = found.ids.tolist(), {label: found.labels(label) for label in LABELS}
    return [
        {"group": ids[group], "image_ids": [ids[row] for row in rows]}
        | {label: sorted({name for row in rows if (name := names[row]) is not None}) for label, names in labels.items()}
        for group, rows in members.items()
    ]

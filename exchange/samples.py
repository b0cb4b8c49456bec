"""Images as samples of FiftyOne, in memory; what makes a folder for it is in `folders`."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from shotdex.store.errors import ShotdexError, UnreadableImage
from shotdex.store.file_names import local

if TYPE_CHECKING:
    import fiftyone

log = logging.getLogger(__name__)

FIELDS = ("image_id", "condition", "split", "cosine", "z", "camera", "lens", "taken_at", "run", "correct", "true_rank")
"""What becomes a field of a sample under its own name, where there is a value."""


def need_fiftyone() -> None:
    """Check that FiftyOne can be imported.

    Raises:
        ShotdexError: it is not installed.
    """
    if importlib.util.find_spec("fiftyone") is None:
        raise ShotdexError(
            "this needs the package fiftyone, which is not installed",
            "pip install fiftyone   or write a folder for it: shotdex export fiftyone DIR",
        )


def samples(rows: Iterable[Mapping[str, Any]]) -> list[fiftyone.Sample]:
    """Return a sample for each row: its file, `ground_truth`, and the `prediction` where the row has one.

    FiftyOne opens files only, so images in archives or at URLs are left out; a warning counts them.

    Raises:
        ShotdexError: FiftyOne is not installed. UnreadableImage: none of the images is a file here.
    """
    need_fiftyone()
    import fiftyone

    made, left_out = [], 0
    for row in rows:
        path = local(row["path"])
        if not os.path.isfile(path):  # noqa: PTH113  addresses such as archive.zip!member are not paths
            left_out += 1
            continue
        fields: dict[str, Any] = {name: row[name] for name in FIELDS if row.get(name) is not None}
        if row.get("category") is not None:
            fields["ground_truth"] = fiftyone.Classification(label=row["category"])
        if row.get("predicted") is not None:
            fields["prediction"] = fiftyone.Classification(label=row["predicted"], confidence=row["probability"])
        made.append(fiftyone.Sample(filepath=path, **fields))
    if left_out and not made:
        raise UnreadableImage("none of the images is a file here", "copy them: shotdex export fiftyone DIR")
    if left_out:
        log.warning("%s images that are not files here are left out; shotdex export fiftyone copies them", left_out)
    return made

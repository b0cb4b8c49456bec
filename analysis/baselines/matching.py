"""Which image of a run each trial of a person is about, found by the image's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.media.decoding.decode import extensions
from shotdex.store.connection import Connection
from shotdex.store.types import Ids, Run

UNKNOWN, ELSEWHERE, AMBIGUOUS = -1, -2, -3
"""No image has that name; only images of another condition have it; several images fit."""

# `0001_cop_s01_c30_knife_10_n03041632_7380.png`: trial, experiment, subject; `dnn` stands for the subject in the images
# that models are given.
_TRIAL_PREFIX = re.compile(r"\d{4}_[^_]+_(?:s\d+|dnn)_")


@dataclass(frozen=True, slots=True)
class RunImages:
    """The labelled images of a run, by rising id: ids (N,) int64, `correct` (N,) bool, and their labels in order."""

    image_ids: Ids
    paths: tuple[str, ...]
    categories: tuple[str, ...]
    conditions: tuple[str | None, ...]
    correct: npt.NDArray[np.bool_]


def run_images(con: Connection, run: Run) -> RunImages:
    """Return the images of a run that have a category among its classes."""
    found = con.table(
        "SELECT image_id, path, category, condition, correct FROM outcomes "
        "WHERE run_id = $run AND correct IS NOT NULL ORDER BY image_id",
        {"run": run.run_id},
    )
    ids, correct = (found.column(name).to_numpy() for name in ("image_id", "correct"))
    paths, categories, conditions = (
        tuple(found.column(name).to_pylist()) for name in ("path", "category", "condition")
    )
    return RunImages(np.asarray(ids, np.int64), paths, categories, conditions, np.asarray(correct, bool))


def match(names: Sequence[str], conditions: Sequence[str | None], images: RunImages) -> Ids:
    """Find each trial's image by its file's name; else by that without the extension; else by the image's own name.

    The file's name is the last part of the path, after `/`, `\\` or the `!` of an archive. The image's own name is
    what the model-vs-human toolbox calls so (`get_short_imagename`): the end of a name such as
    `0001_cop_s01_c30_knife_10_n03041632_7380.png`, which differs from person to person in the number of the trial.
    An image of another condition than the trial's is never taken; where one side has no condition, it does not matter.

    Args:
        names: (T,) the trials' image names.
        conditions: (T,) the trials' conditions, or None.
        images: the images of the run.

    Returns:
        (T,) int64, places in `images` from 0, or one of `UNKNOWN`, `ELSEWHERE` and `AMBIGUOUS`.
    """
    tiers = [(key, _by_key(images, key)) for key in (file_name, stem, own_name)]
    choose = _Chooser(tiers, images.conditions)
    return np.array([choose(*trial) for trial in zip(names, conditions, strict=True)], dtype=np.int64)


def file_name(path: str) -> str:
    """Return the last part of a path or of an address in an archive."""
    return re.split(r"[/\\!]", path)[-1]


def stem(path: str) -> str:
    """Return the file's name without an image's extension."""
    name = file_name(path)
    base, dot, ending = name.rpartition(".")
    return base if base and f"{dot}{ending.lower()}" in extensions() else name


def own_name(path: str) -> str:
    """Return the stem without the prefix of a trial: `n03041632_7380` or `bird-1721-sketch-46`."""
    name = stem(path)
    if not _TRIAL_PREFIX.match(name):
        return name
    parts = name.split("_")
    # Names from ImageNet begin with the synset, n and eight digits, and have a `_` of their own.
    return "_".join(parts[-2:]) if parts[-2].startswith("n0") else parts[-1]


def _by_key(images: RunImages, key: Callable[[str], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, path in enumerate(images.paths):
        found.setdefault(key(path), []).append(place)
    return found


class _Chooser:
    """Chooses one image for a name and a condition."""

    def __init__(
        self,
        tiers: Sequence[tuple[Callable[[str], str], Mapping[str, list[int]]]],
        conditions: Sequence[str | None],
    ) -> None:
        self._tiers = tiers
        self._conditions = conditions

    def __call__(self, name: str, condition: str | None) -> int:
        result = UNKNOWN
        for key, places in self._tiers:
            if (candidates := places.get(key(name))) and (result := self._one(candidates, condition)) != ELSEWHERE:
                break
        return result

    def _one(self, candidates: Sequence[int], condition: str | None) -> int:
        fitting = list(candidates)
        if condition is not None:
            same = [place for place in candidates if self._conditions[place] == condition]
            fitting = same or [place for place in candidates if self._conditions[place] is None]
        if not fitting:
            return ELSEWHERE
        return fitting[0] if len(fitting) == 1 else AMBIGUOUS

"""Which runs may stand side by side: those that chose among the same classes, on the images that all of them scored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import combinations

import numpy as np
import numpy.typing as npt

from shotdex.store.connection import Connection
from shotdex.store.errors import EvaluationError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.types import PromptSet, Run

from .metrics.metric import Outcomes
from .prompts.build import class_of_label

MARK = "*"
"""What stands at every number about runs that chose among different classes."""

MARKED = f"{MARK} these runs chose among different classes, so their numbers do not say which is better"

NAMED = 8
"""Classes that an error names of each run."""


def same_classes(con: Connection, runs: Sequence[Run], anyway: bool = False) -> bool:
    """Tell whether runs chose among the same classes, in any order and by whatever name one label goes.

    Raises:
        EvaluationError: two of them did not, and not `anyway`.
    """
    prompts = [load_prompt_set(con, run.prompt_set_id) for run in runs]
    for (a, of_a), (b, of_b) in combinations(zip(runs, prompts, strict=True), 2):
        alike = one_label(of_a, of_b)
        known_a, known_b = (np.asarray(alike.any(axis=axis), dtype=np.bool_) for axis in (1, 0))
        if len(known_a) == len(known_b) and known_a.all() and known_b.all():
            continue
        if anyway:
            return False
        raise EvaluationError(
            f"the runs {a.name!r} and {b.name!r} chose among different classes, {len(of_a.classes)} and "
            f"{len(of_b.classes)}{_only(a, known_a, of_a)}{_only(b, known_b, of_b)}",
            "classify again with the same --classes for both; or compare them anyway, with every number marked: "
            "--anyway",
        )
    return True


def _only(run: Run, shared: npt.NDArray[np.bool_], prompts: PromptSet) -> str:
    names = [name for name, known in zip(prompts.classes, shared, strict=True) if not known]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; only in {run.name!r}: {', '.join(names[:NAMED])}{more}" if names else ""


def one_label(a: PromptSet, b: PromptSet) -> npt.NDArray[np.bool_]:
    """Return for the classes of A and of B, (A, B), whether some label means the one here and the other there.

    Aliases may call one label by two names, which does not make the images others.
    """
    meant_a, meant_b = class_of_label(a), class_of_label(b)
    places_a, places_b = ({name: i for i, name in enumerate(prompts.classes)} for prompts in (a, b))
    alike = np.zeros((len(places_a), len(places_b)), dtype=np.bool_)
    for label in meant_a.keys() & meant_b.keys():
        alike[places_a[meant_a[label]], places_b[meant_b[label]]] = True
    return alike


def on_shared(runs: Sequence[Run], found: Sequence[Outcomes]) -> tuple[list[Outcomes], int]:
    """Return the outcomes of runs on the images that all of them evaluated, and how many images any of them did.

    Raises:
        EvaluationError: there is no such image.
    """
    shared = reduce(np.intersect1d, [out.image_ids for out in found])
    if not len(shared):
        names = " and ".join(repr(run.name) for run in runs)
        raise EvaluationError(
            f"the runs {names} evaluated no image in common",
            "classify the same images in all of them, with the same --where",
        )
    every = reduce(np.union1d, [out.image_ids for out in found])
    return [out.only(np.searchsorted(out.image_ids, shared)) for out in found], len(every)


def shared_note(n: int, of: int, runs: int = 2) -> str:
    """Return on how many images runs were compared, empty where all scored the same ones."""
    return f"on the {n:,} of {of:,} images that {'both' if runs == 2 else f'all {runs} runs'} scored" if n < of else ""

"""All checks of a store in their order, and repairing between two rounds of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shotdex.models.protocols import LoadEncoder
from shotdex.store.connection import Connection
from shotdex.store.errors import StoreError, StoreLocked
from shotdex.store.progress import Progress
from shotdex.store.store import Store

from .check import LOST, REPAIR, Check
from .check_catalog import all_views, opened, tables
from .check_engines import index_files, index_folder
from .check_files import check_files
from .check_images import copies, coverage, failures, images, vector_rows, vector_values
from .check_runs import maps, prediction_files, predictions, prompt_sets, run_digests, runs, truths
from .check_shards import shards
from .check_texts import check_models, forget_wrong_texts, text_towers, text_vectors
from .engines import collections
from .remove import finish_removal, is_unfinished
from .repair import repair_store, update_storage

TURN_SECONDS = 1.0
"""How long the catalog is kept open at a time: opening costs 20 ms and more, and an indexer may wait to commit."""


def removal(con: Connection) -> list[Check]:
    """Say so where the bytes of removed rows are still in the catalog's file; there is nothing to say else."""
    text = "what was removed is still in the catalog's file, as the removal was interrupted"
    return [Check("removal", False, text, REPAIR)] * is_unfinished(con)


OF_THE_CATALOG: tuple[Callable[[Connection], list[Check]], ...] = (
    tables,
    all_views,
    images,
    failures,
    vector_rows,
    vector_values,
    copies,
    coverage,
    text_vectors,
    prompt_sets,
    runs,
    prediction_files,
    predictions,
    truths,
    run_digests,
    maps,
    removal,
)
OF_THE_INDEX: tuple[Callable[[Store, Connection], list[Check]], ...] = (
    index_files,
    index_folder,
    collections,
    shards,
    text_towers,
)


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to do in addition to the checks of the store itself.

    `repair` fixes what can be fixed; `files` looks at every image's file; `load` loads models to compare them.
    """

    repair: bool = False
    files: bool = False
    load: LoadEncoder | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What the checks said, after repairing where that was wanted; `done` is what was repaired, a line each."""

    root: Path
    checks: tuple[Check, ...]
    done: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything holds."""
        return all(check.ok for check in self.checks)


def verify(root: Path, wanted: VerifyOptions, progress: Progress | None = None) -> Verified:
    """Check the store at `root`, repairing it where that is wanted and something does not hold.

    Raises:
        StoreNotFound, StoreLocked: there is nothing to check, or it cannot be checked now.
        OptionError: a model is to be loaded to a device that is not there.
    """
    first, store = opened(root)
    if store is None:
        return Verified(root, (first,))
    done = _finished(store)
    checks = check_store(store)
    # A catalog whose tables are not what they should be is left as it is, for whoever can bring it back.
    if wanted.repair and checks[0].ok:
        done += repair_store(store) if not all(check.ok for check in checks) else []
        done += forget_wrong_texts(store, wanted.load) if wanted.load is not None else []
        done += update_storage(store)
        checks = check_store(store) if done else checks
    checks += check_models(store, wanted.load) if wanted.load is not None else []
    checks += [check_files(store, progress)] if wanted.files else []
    return Verified(root, (first, *checks), tuple(done))


def _finished(store: Store) -> list[str]:
    """Finish a removal that was interrupted: it was decided, and half of it is what nobody wanted."""
    with suppress(StoreError):  # a store that cannot be written to, or that somebody indexes into
        return ["finished a removal that was interrupted"] * finish_removal(store)
    return []


def check_store(store: Store) -> list[Check]:
    """Return what holds and what does not of everything inside a store's folder."""
    left: deque[tuple[str, Callable[[Connection], list[Check]]]] = deque()
    left += [(look.__name__, look) for look in OF_THE_CATALOG]
    left += [(look_at.__name__, partial(look_at, store)) for look_at in OF_THE_INDEX]
    checks: list[Check] = []
    while left:
        try:
            with store.reading(leave_out_lost=True) as con:
                since = time.monotonic()
                while left and time.monotonic() - since < TURN_SECONDS:
                    checks += left[0][1](con)
                    left.popleft()
        except StoreLocked:
            raise
        except Exception as error:  # in a damaged catalog any value may be missing or be of any kind
            checks.append(_stopped(left.popleft()[0], error))
    return checks


def _stopped(look: str, error: Exception) -> Check:
    name = look.removeprefix("all_").replace("_", " ")
    if isinstance(error, StoreError):
        return Check(name, False, str(error), error.hint)
    reason = (str(error).strip().splitlines() or [""])[0]
    return Check(name, False, f"cannot be checked: {type(error).__name__}: {reason}", LOST)

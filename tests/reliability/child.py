"""The process that is killed: it indexes a corpus and says, on a pipe, how far it is."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import shotdex.indexer.run as run_module
from shotdex.indexer.inventory import Inventory
from shotdex.models.protocols import Prepared
from shotdex.store.store import Store
from shotdex.store.types import ImageVectors
from tests.support.fakes import FakeEncoder

from .corpus import Corpus
from .states import index_corpus


class BatchSensitive(FakeEncoder):
    """Like real models, gives vectors whose last bits depend on what else is in the batch."""

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        vectors = super().encode_prepared(batch)
        shared = np.float32(sum(int(prepared["pixels"].sum()) for prepared in batch) % 1000 / 1e5)
        return ImageVectors(vectors.joint, vectors.vision + shared)


def tell(pipe: int, phase: str, number: int = 0) -> None:
    """Write one line; in one piece, so that a kill does not cut it."""
    os.write(pipe, f"{phase} {number}\n".encode())


def warm_up() -> None:
    """Import what every child would import by itself. Nothing is used yet, so that forking is safe."""
    for name in ("faiss", "pandas", "shotdex.cli.index", "shotdex.media.sources.manifest"):
        with suppress(ImportError):
            importlib.import_module(name)


def fork(work: Callable[[], Any]) -> int:
    """Run something in a forked process; return its number. The process ends with 1 where an error escapes."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def index_telling(store_root: Path, corpus: Corpus, commit_rows: int, pipe: int, encoder: FakeEncoder) -> None:
    """Index a corpus, saying when something begins and ends."""
    tell(pipe, "start")
    watch_all(pipe)
    index_corpus(Store.create(store_root), corpus, encoder, commit_rows)
    tell(pipe, "done")


def watch_all(pipe: int) -> None:
    """Make this process say what it does."""
    _watch(Inventory, "walk", pipe, "scan")
    _watch(run_module.Indexing, "_finish", pipe, "finish")
    _watch(run_module, "write_index", pipe, "faiss")
    _watch_commits(pipe)
    encode = FakeEncoder.encode_prepared

    def counted(self: FakeEncoder, batch: Sequence[Prepared]) -> ImageVectors:
        made = encode(self, batch)
        tell(pipe, "encoded", len(batch))
        return made

    FakeEncoder.encode_prepared = counted  # type: ignore[method-assign]


def _watch(owner: Any, name: str, pipe: int, phase: str) -> None:
    original = getattr(owner, name)

    def watched(*arguments: Any, **named: Any) -> Any:
        tell(pipe, phase)
        made = original(*arguments, **named)
        tell(pipe, "between")
        return made

    setattr(owner, name, watched)


def _watch_commits(pipe: int) -> None:
    writing = Store.writing

    @contextmanager
    def watched(self: Store, *arguments: Any) -> Iterator[Any]:
        tell(pipe, "commit")
        with writing(self, *arguments) as con:
            yield con
            count = con.value("SELECT count(*) FROM stored_images")
        tell(pipe, "committed", count)

    Store.writing = watched  # type: ignore[method-assign]

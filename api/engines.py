"""The part of a session that knows engines outside this process: added, listed, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shotdex.store.errors import OptionError
from shotdex.store.progress import Progress

from .opened import Opened
from .progress import shown
from .results import Findings

if TYPE_CHECKING:
    from shotdex.models.own_encoder import AnyModel
    from shotdex.upkeep.engines import EngineStatus

ADDED = ("milvus",)
"""The engines that can be added."""

SEARCHED = ("auto", "faiss", "milvus")
"""What a search may go through."""

KINDS = ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "DISKANN")
"""The kinds of index that Milvus can build here; only FLAT is sure to miss nothing."""


class Engines(Opened):
    """Mixed into `Session`."""

    def engines(self) -> Findings:
        """Return a row for each engine that was added, with whether it is ready; this asks every engine.

        >>> len(store.engines())
        0
        """
        from shotdex.upkeep.engines import engine_statuses

        found = engine_statuses(self.store)
        return Findings("engines", found, found)

    def add_engine(
        self,
        engine: str,
        *,
        uri: str,
        kind: str = "FLAT",
        model: AnyModel | None = None,
        progress: bool | Progress = False,
    ) -> EngineStatus:
        """Send an encoder's vectors to a search engine, so that searches use it; return its status.

        The catalog remains the source of truth: the engine proposes images; cosines and filters are computed here.
        `index`, `prune` and `remove` keep it up to date; while that fails, FAISS is searched. Adding it again sends
        what is missing.

        Args:
            engine: "milvus".
            uri: http://HOST:19530, https://HOST, or the path NAME.db of a Milvus Lite folder. A token or
                user:password is read from the environment variable SHOTDEX_MILVUS_TOKEN only; see docs/engines.md for
                certificates.
            kind: the index: FLAT compares every vector; HNSW, IVF_FLAT, IVF_SQ8 and DISKANN may miss some.
            model: one of the store's encoders, by name, number or object; required if there are several.
            progress: show the progress.

        Raises:
            OptionError: there is no such engine or kind, or the URI cannot be used or holds a password.
            EngineUnavailable: the engine does not answer, or does not take the vectors.
            EmptyStore, EncoderMismatch, StoreLocked.
        """
        from shotdex.store.encoders import choose_encoder
        from shotdex.store.engines.milvus_upload import add_milvus
        from shotdex.upkeep.engines import engine_statuses

        _check(engine)
        named = self.encoders.recognised(model)
        with self.store.reading() as con:
            number, encoder = choose_encoder(con, named)
        with shown(progress, "sending", " vectors") as bar:
            add_milvus(self.store, number, encoder, uri, kind, bar)
        return next(one for one in engine_statuses(self.store) if one.encoder == number)

    def remove_engine(self, engine: str, *, model: AnyModel | None = None) -> bool:
        """Remove an engine and delete what was sent to it; return whether there was one. Searches use FAISS again.

        Args:
            engine: "milvus".
            model: one of the store's encoders, by name, number or object; required if there are several.

        >>> store.remove_engine("milvus")
        False
        """
        from shotdex.store.encoders import choose_encoder
        from shotdex.store.engines.milvus_upload import remove_milvus

        _check(engine)
        named = self.encoders.recognised(model)
        with self.store.reading() as con:
            number, _ = choose_encoder(con, named)
        return remove_milvus(self.store, number)


def _check(engine: str) -> None:
    if engine not in ADDED:
        raise OptionError(f"there is no engine {engine!r} to add", f"choose one of: {', '.join(ADDED)}")

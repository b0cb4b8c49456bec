"""The vectors of many images, some after some, without keeping the catalog from its writers."""

from __future__ import annotations

import time
from collections.abc import Generator

from shotdex.store.store import Store
from shotdex.store.vectors import stream_vectors
from shotdex.store.words import EncoderId, Ids, Space, Vectors

CHUNK = 16_384
"""Images that one question to the catalog is about."""

HOLD_SECONDS = 2.0
"""How long the catalog stays open; opening it takes some 30 ms, and a writer waits until it is closed."""


def image_parts(store: Store, encoder_id: int, encoder: EncoderId, ids: Ids) -> Generator[tuple[Ids, Vectors]]:
    """Yield ids and joint vectors (n, D) of images (N,), rising, some at a time, as they lie in the catalog.

    What has no vector any more is left out.
    """
    start = 0
    while start < len(ids):
        with store.reading() as con:
            until = time.monotonic() + HOLD_SECONDS
            while start < len(ids):
                yield from stream_vectors(con, encoder_id, encoder, Space.JOINT, ids[start : start + CHUNK])
                start += CHUNK
                if time.monotonic() > until:
                    break

"""Text vectors, from the store's memory where it has them; only what it has not met needs the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from shotdex.models.protocols import LoadEncoder, TextsAtHand, checked, finite
from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from shotdex.store.text_vectors import remember_texts, remembered_texts
from shotdex.store.types import EncoderId, Vectors

log = logging.getLogger(__name__)


def vectors_at_hand(
    encoder: EncoderId, texts: Sequence[str], load: LoadEncoder, known: Mapping[str, Vectors]
) -> tuple[Vectors, dict[str, Vectors]] | None:
    """Return unit vectors (N, D) for N texts, and those among them that are new; None where a model has to be loaded.

    `known` is what `remembered_texts` has of them.
    """
    known = _usable(known)
    new = [text for text in dict.fromkeys(texts) if text not in known]
    encoded = load.at_hand(encoder, new) if new and isinstance(load, TextsAtHand) else None
    if new and (encoded is None or not np.isfinite(encoded).all()):
        return None
    found: dict[str, Vectors] = {} if encoded is None else dict(zip(new, encoded, strict=True))
    return np.stack([known[text] if text in known else found[text] for text in texts]), found


def text_vectors(
    store: Store,
    encoder_id: int,
    encoder: EncoderId,
    texts: Sequence[str],
    load: LoadEncoder,
    known: Mapping[str, Vectors] | None = None,
) -> Vectors:
    """Return unit vectors (N, D) for N texts, and remember the new ones.

    `known` is what `remembered_texts` has of them, for those who have looked already.

    Raises:
        EncoderMismatch: the model that `load` gave is not the one whose vectors the store holds.
        ModelUnavailable: from `load`.
        ModelOutputInvalid: a vector is not finite; none is remembered then.
    """
    wanted = list(dict.fromkeys(texts))
    if known is None:
        with store.reading() as con:
            known = remembered_texts(con, encoder_id, wanted)
    vectors = _usable(known)
    new = [text for text in wanted if text not in vectors]
    if new:
        encoded = finite(checked(load(encoder), encoder).encode_texts(new), encoder)
        vectors |= dict(zip(new, encoded, strict=True))
        remember(store, encoder_id, new, encoded)
    return np.stack([vectors[text] for text in texts]) if texts else np.empty((0, encoder.dim), np.float32)


def _usable(known: Mapping[str, Vectors]) -> dict[str, Vectors]:
    """Return the remembered vectors that are finite; a damaged one is made again, and `verify` reports it."""
    return {text: vector for text, vector in known.items() if np.isfinite(vector).all()}


def remember(
    store: Store, encoder_id: int, texts: Sequence[str], vectors: Vectors, seconds: float | None = None
) -> None:
    """Keep text vectors (N, D) for the next time, where the catalog can be written to within `seconds`."""
    try:
        with store.writing(seconds) as con:
            remember_texts(con, encoder_id, texts, vectors)
    except StoreError as error:  # a store on a read-only disk, or one that is being written, still answers
        log.info("text vectors were not remembered: %s", error)

"""Text vectors, from the store's memory where it has them; only what it has not met needs the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from shotdex.models.protocols import CountsTokens, LoadEncoder, TextsAtHand, checked, finite
from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Vectors
from shotdex.store.vectors import remember_texts, remembered_texts

log = logging.getLogger(__name__)

SHOWN = 3
"""Texts that are named one by one where the model reads only their beginnings."""

FEWEST = 14
"""Bytes of a text that every model reads whole: a token stands for at least one, and none reads fewer than 16."""


def encoded_texts(
    encoder: EncoderId, texts: Sequence[str], load: LoadEncoder, known: Mapping[str, Vectors], late: bool = False
) -> tuple[Vectors, dict[str, Vectors]] | None:
    """Return unit vectors (N, D) for N texts, and those among them that are new.

    `known` is what `remembered_texts` has of them; a damaged one is made again, and `verify` reports it. Where `late`
    no model is loaded: None says that one is needed.

    Raises:
        EncoderMismatch: the model that `load` gave is not the one whose vectors the store holds.
        ModelUnavailable: from `load`.
        ModelOutputInvalid: a vector is not finite.
    """
    usable = {text: vector for text, vector in known.items() if np.isfinite(vector).all()}
    new = [text for text in dict.fromkeys(texts) if text not in usable]
    made: dict[str, Vectors] = {}
    if new:
        if late:
            encoded = load.at_hand(encoder, new) if isinstance(load, TextsAtHand) else None
            if encoded is None or not np.isfinite(encoded).all():
                return None
        else:
            encoded = finite(checked(load(encoder), encoder).encode_texts(new), encoder)
        made = dict(zip(new, encoded, strict=True))
    vectors = [usable[text] if text in usable else made[text] for text in texts]
    return np.stack(vectors) if vectors else np.empty((0, encoder.dim), np.float32), made


def text_vectors(
    store: Store,
    encoder_id: int,
    encoder: EncoderId,
    texts: Sequence[str],
    load: LoadEncoder,
    known: Mapping[str, Vectors] | None = None,
) -> Vectors:
    """Return unit vectors (N, D) for N texts, and remember the new ones.

    `known` is what `remembered_texts` has of them, for those who have looked already. Raises what `encoded_texts`
    raises; nothing is remembered then.
    """
    if known is None:
        with store.reading() as con:
            known = remembered_texts(con, encoder_id, list(dict.fromkeys(texts)))
    found = encoded_texts(encoder, texts, load, known)
    assert found is not None
    remember(store, encoder_id, found[1])
    return found[0]


def remember(store: Store, encoder_id: int, new: Mapping[str, Vectors], seconds: float | None = None) -> None:
    """Keep vectors (D,) of texts for the next time, where the catalog can be written to within `seconds`."""
    if not new:
        return
    try:
        with store.writing(seconds) as con:
            remember_texts(con, encoder_id, list(new), np.stack(list(new.values())))
    except StoreError as error:  # a store on a read-only disk, or one that is being written, still answers
        log.info("text vectors were not remembered: %s", error)


def texts_cut(encoder: EncoderId, texts: Sequence[str], load: LoadEncoder) -> tuple[str, ...]:
    """Say of which texts the model reads only the beginning, the first few one by one.

    A model that has to be loaded first says nothing: its texts were read before, and this is not worth the wait.
    """
    long = [text for text in dict.fromkeys(texts) if len(text.encode(errors="replace")) > FEWEST]
    if not long or not isinstance(load, CountsTokens):
        return ()
    counts = zip(long, load.count_tokens(encoder, long), strict=True)
    return cut_notes([(text, *count) for text, count in counts if count])


def cut_notes(cut: Sequence[tuple[str, int, int]]) -> tuple[str, ...]:
    """Say that the model cuts these texts, given with their tokens and those it reads; the first few one by one."""
    said = []
    for text, tokens, read in cut[:SHOWN]:
        shown = text if len(text) <= 80 else f"{text[:40]} ... {text[-35:]}"
        said.append(f"the model reads only {read} of the {tokens} tokens of {shown!r}")
    if len(cut) > SHOWN:
        said.append(f"the model reads only the beginning of {len(cut) - SHOWN:,} more texts")
    return tuple(said)

"""From a query to ranked images: best first, ties by image id; exact, or through an inverted file if one was built."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shotdex.models.protocols import LoadEncoder, checked, finite
from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import faiss_ahead
from shotdex.store.engines.inverted_file import Figures
from shotdex.store.engines.vector_index import open_index
from shotdex.store.errors import EmptyQuery, EmptyStore, OptionError
from shotdex.store.ids import filtered_ids
from shotdex.store.store import Store
from shotdex.store.text_vectors import remembered_texts
from shotdex.store.types import EncoderId, Hit, Ids, Query, Vectors

from .text_lookup import remember, text_vectors, vectors_at_hand

PATIENCE = 1.0
"""Seconds that a result may wait to be remembered while another process holds the catalog."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The hits, among how many images they were searched, in how many seconds; opening is not counted.

    `approximate` are the figures of the inverted file through which they were found; None if the search was exact.
    """

    hits: list[Hit]
    images: int
    seconds: float
    approximate: Figures | None


def search(
    store: Store, query: Query, load: LoadEncoder, encoder_name: str | None = None, exact: bool = False
) -> Ranking:
    """Find the k images nearest to the query: through the inverted file if one was built, unless `exact`.

    Raises:
        EmptyQuery, OptionError: nothing was asked, or for fewer than one image.
        EmptyStore: nothing is indexed.
        BadSql, EncoderMismatch, ModelUnavailable, ModelOutputInvalid, UnreadableImage, QueryError.
    """
    if query.k < 1:
        raise OptionError(f"cannot give {query.k} images", "ask for at least one: -k 10")
    if not any(text.strip() for text in query.texts) and not query.images:
        raise EmptyQuery("the query is empty", 'search for something: shotdex search "a dog"')
    faiss_ahead()
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, encoder_name)
        place = _Place(store, encoder_id, encoder)
        kept = Filter() if query.where is None else Filter(query.where, filtered_ids(con, query.where))
        known = remembered_texts(con, encoder_id, query.texts)
        # What needs no model is answered at once: opening the catalog again would take longer than all of the search.
        at_hand = None if query.images else vectors_at_hand(encoder, query.texts, load, known)
        if at_hand is not None:
            found = _nearest(con, place, _mean([at_hand[0]]), query.k, kept, exact)
    if at_hand is None:
        vector = query_vector(place, query, load, known)
        with store.reading() as con:
            found = _nearest(con, place, vector, query.k, kept, exact)
    elif at_hand[1]:
        remember(store, encoder_id, list(at_hand[1]), np.stack(list(at_hand[1].values())), PATIENCE)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    store: Store
    encoder_id: int
    encoder: EncoderId


def _nearest(con: Connection, place: _Place, vector: Vectors, k: int, kept: Filter, exact: bool) -> Ranking:
    index = open_index(place.store, con, place.encoder_id, place.encoder)
    if len(index) == 0:
        raise EmptyStore(f"the store at {place.store.root} has no images", "index images: shotdex index FOLDER")
    started = time.perf_counter()
    ids, scores = index.search(vector, k, kept, exact=exact)
    seconds = time.perf_counter() - started
    return Ranking(_hits(con, ids, scores), len(index), seconds, None if exact else index.figures)


def query_vector(place: _Place, query: Query, load: LoadEncoder, known: Mapping[str, Vectors]) -> Vectors:
    """Return the unit vector (D,) of a query: the mean of the unit vectors of its texts and images, made unit."""
    encoder = place.encoder
    parts = [text_vectors(place.store, place.encoder_id, encoder, query.texts, load, known)]
    if query.images:
        from shotdex.media.open_image import open_image  # Pillow, for those who need it

        images = [open_image(address) for address in query.images]
        parts.append(finite(checked(load(encoder), encoder).encode_images(images), encoder))
    return _mean(parts)


def _mean(parts: Sequence[Vectors]) -> Vectors:
    mean = np.concatenate(parts).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise EmptyQuery("the parts of the query cancel each other out", "combine fewer texts and images")
    return np.asarray(mean / length, dtype=np.float32)


def _hits(con: Connection, ids: Ids, scores: Vectors) -> list[Hit]:
    rows = con.rows(
        "SELECT image_id, path, category, condition, split FROM images WHERE image_id IN (SELECT unnest($ids))",
        {"ids": ids.tolist()},
    )
    facts = {row[0]: row[1:] for row in rows}
    return [
        Hit(rank, int(image_id), facts[int(image_id)][0], float(score), *facts[int(image_id)][1:])
        for rank, (image_id, score) in enumerate(zip(ids, scores, strict=True), start=1)
    ]

"""The part of a session that a page needs: what is in the store, read once and kept, and images found by anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdex.store.errors import EmptyQuery, OptionError
from shotdex.store.ids import images_generation
from shotdex.store.types import Ids, Space, Vectors

from .facts import Facts

if TYPE_CHECKING:
    from PIL import Image

    from shotdex.models.own_encoder import AnyModel
    from shotdex.query.kept import View
    from shotdex.store.engines.flat import Rows
    from shotdex.store.engines.vector_index import VectorIndex

    from .follower import Follower
    from .outcomes import Selection
    from .snapshot import Snapshot

MOST_TEXTS = 5_000
"""Vectors of texts that were searched for and are kept in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryParts:
    """What to look for: texts and images with weights; a weight below 0 subtracts. `images` are decoded images."""

    texts: tuple[tuple[str, float], ...] = ()
    image_ids: tuple[tuple[int, float], ...] = ()
    images: tuple[tuple[Image.Image, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.texts or self.image_ids or self.images)


class Exploring(Facts):
    """Mixed into `Session`."""

    def snapshot(self) -> Snapshot:
        """Return the labels of all images, the outcomes of all runs, the maps and baselines, as they are in memory.

        They are read when first needed, and again after the catalog has changed; while the session is `following` it,
        the current snapshot is returned at once.

        >>> len(store.snapshot().images.ids)
        320
        """
        return self._searcher.read(_snapshot)

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """Read from memory inside the block, so that no reader waits; a thread follows changes of the catalog.

        Raises:
            StoreNotFound, StoreLocked, StoreCorrupt, SchemaTooNew.

        >>> with store.following() as follower:
        ...     follower.trouble is None
        True
        """
        from .follower import Follower

        self._searcher.forget()  # what was read before may be old by now, and from here on nobody looks
        self._searcher.follow(_warm)
        self._searcher.read(_snapshot)
        follower = Follower(self._searcher)
        try:
            yield follower
        finally:
            follower.stop()
            self._searcher.follow(None)

    def index_of(self, model: AnyModel | None = None) -> VectorIndex:
        """Return the vectors of all images, as used by searches, of an encoder given by name, number or object.

        >>> len(store.index_of())
        320
        """
        return self.snapshot_with_index(model)[1]

    def snapshot_with_index(self, model: AnyModel | None = None) -> tuple[Snapshot, VectorIndex]:
        """Return a consistent pair of snapshot and vectors."""
        from shotdex.query.kept import Place

        named = self.encoders.recognised(model)
        return self._searcher.read(lambda view: (_snapshot(view), view.index(Place(*_snapshot(view).encoder(named)))))

    def map_points(self, projection_id: int) -> tuple[Ids, Vectors]:
        """Return the sorted image ids (N,) and the coordinates (N, 2), float32, of a map.

        Raises:
            OptionError: there is no such map.
        """
        if all(one.projection_id != projection_id for one in self.snapshot().maps):
            raise OptionError(f"there is no map {projection_id}", "draw one: shotdex plot map")

        def read(con: Any, before: tuple[Ids, Vectors] | None) -> tuple[Ids, Vectors]:
            """Return the map; one that was read is the same in every later state of the catalog."""
            if before is not None:
                return before
            found = con.arrays(
                "SELECT image_id, x::FLOAT AS x, y::FLOAT AS y FROM projection_points WHERE projection_id = $n "
                "ORDER BY image_id",
                {"n": projection_id},
            )
            return np.asarray(found["image_id"]), np.column_stack([found["x"], found["y"]])

        return self._searcher.read(lambda view: view.kept(("map", projection_id), read))

    def column_of(self, column: str, ids: Ids) -> list[Any]:
        """Return the values of a column of `images` for some images, in the same order; None for those that are gone.

        Raises:
            OptionError: there is no such column.

        >>> store.column_of("category", np.array([1]))
        ['airplane']
        """
        from shotdex.analysis.results import check_columns

        def read(con: Any, before: dict[int, Any] | None) -> dict[int, Any]:
            """Return the column's value by image id."""
            check_columns(con, [column])
            return dict(con.rows(f'SELECT image_id, "{column}" FROM images'))

        known = self._searcher.read(lambda view: view.kept(("column", column), read))
        return [known.get(one) for one in ids.tolist()]

    def select(self, selection: Selection, snapshot: Snapshot | None = None) -> Ids | None:
        """Return the sorted ids of the images that a selection keeps; None if it keeps all of them.

        `snapshot` is the one to select from; None: the current one.

        Raises:
            OptionError: there is no such run, or options that do not go together. BadSql.

        >>> from shotdex.outcomes import Selection
        >>> len(store.select(Selection(category=("duck",), run="photo", outcome="right"))) <= 40
        True
        """
        from .outcomes import judged
        from .snapshot import LABELS

        snapshot = snapshot or self.snapshot()
        images = snapshot.images
        kept = np.ones(len(images.ids), bool)
        for label in LABELS:
            if wanted := getattr(selection, label):
                codes, names = images.labels[label]
                place = {None: -1} | {name: number for number, name in enumerate(names)}
                kept &= np.isin(codes, [place.get(one, -2) for one in wanted])
        if selection.ids is not None:
            kept &= np.isin(images.ids, np.asarray(selection.ids, np.int64))
        if selection.where is not None:
            kept &= np.isin(images.ids, self.passing(selection.where))
        if (found := judged(snapshot, selection)) is not None:
            kept &= np.isin(images.ids, found)
        return None if kept.all() else images.ids[kept]

    def query_vector(self, parts: QueryParts, model: AnyModel | None = None) -> Vectors:
        """Return the unit vector (D,) of a query: the weighted sum of the unit vectors of its parts, made unit again.

        Nothing is stored.

        Raises:
            EmptyQuery: there are no parts, or they cancel each other out.
            OptionError: the store has no such image. ModelUnavailable, EncoderMismatch.
        """
        number, encoder = self.snapshot().encoder(self.encoders.recognised(model))
        at = self.text_vectors([text for text, _ in parts.texts], number)
        weighted = [(at[text], weight) for text, weight in parts.texts]
        if parts.image_ids:
            weighted += [(self._image_vector(number, one), weight) for one, weight in parts.image_ids]
        if parts.images:
            from shotdex.models.protocols import checked, finite

            model_itself = checked(self.encoders(encoder), encoder)
            encoded = finite(model_itself.encode_images([image for image, _ in parts.images]), encoder)
            weighted += [(vector, weight) for vector, (_, weight) in zip(encoded, parts.images, strict=True)]
        if not weighted:
            raise EmptyQuery("the query is empty", "search for a text or an image")
        total = sum(weight * vector.astype(np.float64) for vector, weight in weighted)
        length = float(np.linalg.norm(total))
        if length < 1e-6:
            raise EmptyQuery("the parts of the query cancel each other out", "combine fewer texts and images")
        return np.asarray(total / length, dtype=np.float32)

    def text_vectors(self, texts: Sequence[str], model: AnyModel | None = None) -> Mapping[str, Vectors]:
        """Return the unit vector (D,) of each text, from memory if it is known; nothing is stored.

        Raises:
            ModelUnavailable, EncoderMismatch, ModelOutputInvalid.

        >>> store.text_vectors(["a duck"])["a duck"].shape
        (192,)
        """
        from shotdex.query.text_lookup import encoded_texts

        snapshot = self.snapshot()
        number, encoder = snapshot.encoder(self.encoders.recognised(model))
        remembered, kept = snapshot.texts[number], self._text_memory
        found = {text: remembered[text] for text in texts if text in remembered}
        found |= {text: vector for text in texts if (vector := kept.get((encoder, text))) is not None}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            with self._text_lock:  # one model at a time; another thread may have encoded the same text meanwhile
                missing = [text for text in missing if (encoder, text) not in kept]
                encoded = encoded_texts(encoder, missing, self.encoders, {})
                assert encoded is not None
                for text, vector in encoded[1].items():
                    kept[encoder, text] = vector
                for oldest in list(kept)[: max(0, len(kept) - MOST_TEXTS)]:
                    del kept[oldest]
            found |= {text: kept[encoder, text] for text in texts if (encoder, text) in kept}
        return {text: found[text] for text in dict.fromkeys(texts)}

    @cached_property
    def _text_memory(self) -> dict[Any, Vectors]:
        return {}

    @cached_property
    def _text_lock(self) -> Lock:
        return Lock()

    def vision_rows(self, model: AnyModel | None = None) -> Rows:
        """Return the vision vectors of all present images, normalised, and the image of each.

        >>> len(store.vision_rows().ids)
        320
        """
        from shotdex.store.engines.flat import Rows
        from shotdex.store.ids import encoded_ids
        from shotdex.store.vectors import load_vectors

        snapshot = self.snapshot()
        number, encoder = snapshot.encoder(self.encoders.recognised(model))

        def read(con: Any, before: tuple[str, Rows] | None) -> tuple[str, Rows]:
            """Return the generation of the images and their vectors; those of the same generation need not be read."""
            generation = images_generation(con)
            if before is not None and generation and before[0] == generation:
                return before
            ids, vectors = load_vectors(con, number, encoder, Space.VISION, encoded_ids(con, number))
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            usable = lengths[:, 0] > 0
            return generation, Rows(ids[usable], np.ascontiguousarray(vectors[usable] / lengths[usable]))

        return self._searcher.read(lambda view: view.kept(("vision", number), read))[1]

    def vision_vector(self, parts: QueryParts, model: AnyModel | None = None) -> Vectors:
        """Return the unit vector (V,), in the vision space, of a query made of images of the store.

        Raises:
            OptionError: a part is a text, which has no vector there, or an image that is not in the store.
        """
        if parts.texts or parts.images:
            raise OptionError("texts have no place in the vision space", "search for images of the store: image_id=N")
        rows, total = self.vision_rows(model), np.float64(0)
        for image_id, weight in parts.image_ids:
            place = np.flatnonzero(rows.ids == image_id)
            if not len(place):
                raise OptionError(f"the store has no image {image_id}", "search for another image")
            total = total + weight * rows.vectors[place[0]].astype(np.float64)
        return np.asarray(total / np.linalg.norm(total), np.float32)

    def _image_vector(self, number: int, image_id: int) -> Vectors:
        vector = self.index_of(str(number)).vector(image_id)
        if vector is None:
            raise OptionError(f"the store has no vector of an image {image_id}", "search for another image")
        return vector


def _snapshot(view: View) -> Snapshot:
    from .snapshot import read_snapshot

    return view.kept("snapshot", read_snapshot)


def _warm(view: View) -> None:
    from shotdex.query.kept import Place

    for number, encoder in _snapshot(view).encoders.items():
        view.index(Place(number, encoder))

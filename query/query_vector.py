"""From the parts of a query to its vector: what the store has of them needs no model, the rest is encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from shotdex.models.protocols import ImageEncoder, LoadEncoder, checked, finite
from shotdex.store.connection import Connection
from shotdex.store.errors import EmptyQuery, ModelOutputInvalid, OptionError, QueryError
from shotdex.store.queries import Part, PartKind, Query
from shotdex.store.selections import selected_ids
from shotdex.store.store import Store
from shotdex.store.types import Ids, Space, Vectors
from shotdex.store.vectors import stream_vectors

from .kept import Place, View
from .text_lookup import encoded_texts, text_vectors

if TYPE_CHECKING:
    from PIL import Image

CANCELLED = 1e-6
"""Length of a weighted sum, as a share of the sum of the weights, below which its direction is rounding."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image of a query: its address in words, the bytes of its file and their SHA-256."""

    name: str
    data: bytes
    sha256: str


@dataclass(slots=True)
class Resolved:
    """What is known of the parts of a query.

    `vectors` has the unit vector (D,) of each part, float32; `own` are the images that are parts themselves and their
    exact copies, which are not hits; `texts` are vectors that the store remembers, and `new_texts` those to remember.
    """

    vectors: dict[Part, Vectors] = field(default_factory=dict)
    own: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    texts: Mapping[str, Vectors] = field(default_factory=dict)
    new_texts: Mapping[str, Vectors] = field(default_factory=dict)
    complete: bool = False

    def vector(self, query: Query) -> Vectors:
        """Return the unit vector (D,) of a query: the weighted sum of its parts' unit vectors, made unit.

        Raises:
            EmptyQuery: the parts cancel each other out.
        """
        parts = query.weighted
        total = np.zeros(len(self.vectors[parts[0]]), np.float64)
        for part in parts:
            total += part.weight * self.vectors[part].astype(np.float64)
        length = float(np.linalg.norm(total))
        if length < CANCELLED * sum(abs(part.weight) for part in parts):
            raise EmptyQuery("the parts of the query cancel each other out", "combine fewer texts and images")
        return np.asarray(total / length, dtype=np.float32)


def check_query(query: Query) -> None:
    """Refuse what cannot be searched for, before anything is opened.

    Raises:
        EmptyQuery: there is nothing to look for.
        OptionError: fewer than one image is wanted; a weight is 0, not finite or above a million; a threshold means
            nothing, or a text is to be compared in the vision space.
    """
    if query.k < 1:
        raise OptionError(f"cannot return {query.k} images", "choose at least one: -k 10")
    parts = query.weighted
    for part in parts:
        if not 1e-6 <= abs(part.weight) <= 1e6:
            raise OptionError(
                f"the weight {part.weight:g} of {part.value!r} is not between 0.000001 and 1,000,000",
                "a weight is a number such as 2 or 0.5, or -1 to subtract",
            )
    if not any(part.kind is not PartKind.TEXT or str(part.value).strip() for part in parts):
        raise EmptyQuery("the query is empty", 'search for something: shotdex search "a dog"')
    if query.space is Space.VISION and query.texts:
        raise OptionError(
            f"{query.texts[0]!r} is a text, and the vision space has only images",
            "search with --image or --like there, or in the joint space",
        )
    for name, bound in (("--min-score", query.min_score), ("--min-z", query.min_z)):
        if bound is not None and not np.isfinite(bound):
            raise OptionError(f"{name} {bound} is not a number", f"choose one such as {name} 0.25")


def image_files(store: Store, query: Query) -> dict[Part, ImageFile]:
    """Read the images of a query; how many pixels they have is looked at where one has to be decoded.

    Raises:
        UnreadableImage: one does not exist or cannot be read.
    """
    images = [part for part in query.weighted if part.kind is PartKind.IMAGE]
    if not images:
        return {}
    from shotdex.media.open_image import read_image

    files = {}
    for part in images:
        data = part.value if isinstance(part.value, bytes) else read_image(str(part.value), query.max_pixels)
        name = "the image" if isinstance(part.value, bytes) else str(part.value)
        files[part] = ImageFile(name, data, hashlib.sha256(data).hexdigest())
    return files


@dataclass(frozen=True, slots=True)
class Own:
    """What a store has of the images in a query: unit vectors (D,), and the ids of these images and their copies."""

    by_content: Mapping[str, Vectors]
    by_id: Mapping[int, Vectors]
    ids: Ids
    by_name: Mapping[str, Vectors] = field(default_factory=dict)


def _mean(name: str, vectors: Sequence[Vectors]) -> Vectors:
    """Return the mean of unit vectors of the images of a selection, made unit."""
    if not vectors:
        raise QueryError(
            f"no image of the selection {name!r} has a vector", "index the images again, or save another one"
        )
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise EmptyQuery(f"the images of the selection {name!r} cancel each other out", "save a smaller selection")
    return np.asarray(mean / length, np.float32)


def _read_own(
    con: Connection,
    place: Place,
    space: Space,
    contents: Sequence[str],
    ids: Sequence[int],
    selected: Sequence[int] = (),
) -> Own:
    """Read what `own_of` returns; of `selected` images some may have no vector.

    Raises:
        QueryError: no image in the store has one of the ids, or it has no usable vector.
    """
    rows = con.rows(
        "WITH asked AS (SELECT image_id, content_sha256 FROM stored_images "
        "WHERE image_id IN (SELECT unnest($ids::BIGINT[]))) "
        "SELECT image_id, content_sha256, removed_at IS NULL FROM stored_images "
        "WHERE image_id IN (SELECT image_id FROM asked) OR len(content_sha256) = 64 AND (content_sha256 IN "
        "(SELECT unnest($contents::VARCHAR[])) OR content_sha256 IN (SELECT content_sha256 FROM asked))",
        {"contents": list(contents), "ids": [*ids, *selected]},
    )
    content_of = {image_id: content for image_id, content, present in rows}
    present = {image_id for image_id, _, there in rows if there}
    vectors: dict[int, Vectors] = {}
    for found, some in stream_vectors(con, place.encoder_id, place.encoder, space, np.array(sorted(content_of))):
        lengths = np.linalg.norm(some, axis=1)
        for image_id, vector, length in zip(found.tolist(), some, lengths, strict=True):
            if np.isfinite(length) and length > 0:
                vectors[image_id] = vector / length
    for image_id in ids:
        if image_id not in present:
            raise QueryError(
                f"the store has no image with the id {image_id}",
                'the ids of images: shotdex sql "SELECT image_id, path FROM images"',
            )
        if image_id not in vectors:
            raise QueryError(
                f"image {image_id} has no vector of {place.encoder.name}",
                f"encode it: shotdex index SOURCE --model {place.encoder.name}",
            )
    by_content = {content_of[image_id]: vector for image_id, vector in vectors.items() if content_of[image_id]}
    by_id = {one: vectors[one] for one in (*ids, *selected) if one in vectors}
    return Own(by_content, by_id, np.array(sorted(content_of), np.int64))


def own_of(view: View, place: Place, query: Query, contents: Sequence[str]) -> Own:
    """Return what the store has of images that are part of a query, by the SHA-256 of their content or their id.

    Raises:
        Unknown: there are some, and the catalog is not open. QueryError, EmptyQuery.
    """
    ids = sorted({int(part.value) for part in query.weighted if part.kind is PartKind.LIKE})
    names = sorted({str(part.value) for part in query.weighted if part.kind is PartKind.SELECTION})
    if not contents and not ids and not names:
        return Own({}, {}, np.empty(0, np.int64))
    con = view.catalog()
    selected = {name: selected_ids(con, name) for name in names}
    every = sorted({one for some in selected.values() for one in some})
    own = _read_own(con, place, query.space, contents, ids, every)
    by_name = {
        name: _mean(name, [own.by_id[one] for one in some if one in own.by_id]) for name, some in selected.items()
    }
    return replace(own, by_name=by_name)


def resolve(view: View, place: Place, query: Query, files: Mapping[Part, ImageFile], load: LoadEncoder) -> Resolved:
    """Return what the store, or a kept text tower, has of a query's parts."""
    own = own_of(view, place, query, sorted({file.sha256 for file in files.values()}))
    resolved = Resolved(own=own.ids[:0] if query.with_itself else own.ids)
    resolved.texts = view.texts(place, query.texts)
    found = encoded_texts(place.encoder, query.texts, load, resolved.texts, late=True)
    texts: dict[str, Vectors] = {}
    if found is not None:
        texts, resolved.new_texts = dict(zip(query.texts, found[0], strict=True)), found[1]
        view.known.add_texts(place, found[1])
    for part in query.weighted:
        if part.kind is PartKind.TEXT:
            vector = texts.get(str(part.value))
        elif part.kind is PartKind.LIKE:
            vector = own.by_id[int(part.value)]
        elif part.kind is PartKind.SELECTION:
            vector = own.by_name[str(part.value)]
        else:
            vector = own.by_content.get(files[part].sha256)
        if vector is not None:
            resolved.vectors[part] = vector
    resolved.complete = len(resolved.vectors) == len(set(query.weighted))
    return resolved


def encode_rest(
    store: Store,
    place: Place,
    query: Query,
    resolved: Resolved,
    files: Mapping[Part, ImageFile],
    load: LoadEncoder,
) -> None:
    """Encode the parts that are not resolved, and remember the vectors of texts.

    Raises:
        UnreadableImage: an image cannot be decoded, or is too large.
        EncoderMismatch, ModelUnavailable, ModelOutputInvalid.
    """
    vectors = text_vectors(store, place.encoder_id, place.encoder, query.texts, load, resolved.texts)
    by_text = dict(zip(query.texts, vectors, strict=True))
    resolved.vectors |= {part: by_text[str(part.value)] for part in query.weighted if part.kind is PartKind.TEXT}
    rest = [part for part in files if part not in resolved.vectors]
    if not rest:
        return
    from shotdex.media.open_image import image_of

    most = query.max_pixels and max(query.max_pixels, _largest_indexed(store))
    images = [image_of(files[part].data, files[part].name, most) for part in rest]
    encoder = checked(load(place.encoder), place.encoder)
    if query.space is Space.VISION:
        found = _vision(cast("ImageEncoder", encoder), images, place)  # what indexed images has a vision space
    else:
        found = finite(encoder.encode_images(images), place.encoder)
    resolved.vectors |= dict(zip(rest, found, strict=True))


def _vision(encoder: ImageEncoder, images: Sequence[Image.Image], place: Place) -> Vectors:
    vectors = encoder.encode_prepared([encoder.prepare(image) for image in images]).vision
    lengths = np.linalg.norm(finite(vectors, place.encoder), axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise ModelOutputInvalid(f"the model {place.encoder.name} returned a vector of zeros", "try another image")
    return np.asarray(vectors / lengths, dtype=np.float32)


def _largest_indexed(store: Store) -> int:
    """Return the pixels of the largest image of a store: who lifted the limit to index it has lifted it here."""
    with store.reading() as con:
        return int(con.rows("SELECT coalesce(max(width::BIGINT * height), 0) FROM stored_images")[0][0])

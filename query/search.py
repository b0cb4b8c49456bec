"""From a question to ranked images: exact, best first, ties by image id."""

from __future__ import annotations

import numpy as np

from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyQuestion, EmptyStore, SettingsError
from shotdex.store.pictures import open_picture
from shotdex.store.store import Store
from shotdex.store.vector_index import open_index
from shotdex.store.vectors import filtered_ids
from shotdex.store.words import EncoderId, Hit, Ids, Question, Vectors

from .texts import LoadEncoder, checked, text_vectors


def search(store: Store, question: Question, load: LoadEncoder, encoder_name: str | None = None) -> list[Hit]:
    """Return the k images whose vectors are nearest to the question, fewer only where the filter leaves fewer.

    Raises:
        EmptyQuestion, SettingsError: nothing was asked, or for fewer than one image.
        EmptyStore: nothing is indexed.
        BadSql, EncoderMismatch, ModelUnavailable, UnreadableImage.
    """
    if question.k < 1:
        raise SettingsError(f"cannot give {question.k} images", "ask for at least one: -k 10")
    if not any(text.strip() for text in question.texts) and not question.images:
        raise EmptyQuestion("the question is empty", 'ask for something: shotdex search "a dog"')
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, encoder_name)
        allowed = None if question.where is None else filtered_ids(con, question.where)
    vector = question_vector(store, encoder_id, encoder, question, load)
    with store.reading() as con:
        index = open_index(store, con, encoder_id, encoder)
        if len(index.ids) == 0:
            raise EmptyStore(f"the store at {store.root} has no images", "index pictures: shotdex index FOLDER")
        ids, scores = index.search(vector, question.k, allowed)
        rows = con.rows(
            "SELECT image_id, path, category, condition, split FROM images WHERE image_id IN (SELECT unnest($ids))",
            {"ids": ids.tolist()},
        )
    return _hits(ids, scores, {row[0]: row[1:] for row in rows})


def question_vector(
    store: Store, encoder_id: int, encoder: EncoderId, question: Question, load: LoadEncoder
) -> Vectors:
    """Return the unit vector (D,) of a question: the mean of the unit vectors of its texts and pictures, made unit."""
    parts = [text_vectors(store, encoder_id, encoder, question.texts, load)]
    if question.images:
        pictures = [open_picture(address) for address in question.images]
        parts.append(checked(load(encoder), encoder).encode_images(pictures))
    mean = np.concatenate(parts).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise EmptyQuestion("the parts of the question cancel each other out", "ask for fewer things at once")
    return np.asarray(mean / length, dtype=np.float32)


def _hits(ids: Ids, scores: Vectors, facts: dict[int, tuple[str, str | None, str | None, str | None]]) -> list[Hit]:
    return [
        Hit(rank, int(image_id), facts[int(image_id)][0], float(score), *facts[int(image_id)][1:])
        for rank, (image_id, score) in enumerate(zip(ids, scores, strict=True), start=1)
    ]

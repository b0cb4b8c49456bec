"""Encoders of the store whose texts go through the text tower beside the index: the model is loaded for images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Vectors

from .protocols import Encoder, checked
from .text_tower_file import NOT_USED, TextTower, open_tower

if TYPE_CHECKING:
    from PIL import Image

    from .transformers_encoder import TransformersEncoder

log = logging.getLogger(__name__)

MANY = 2000
"""Texts from which on the model itself is loaded: it has all cores or a GPU, and its start no longer counts."""


class TextFirstEncoder:
    """Implements `Encoder` under an identity that the store knows."""

    def __init__(self, identity: EncoderId, tower: TextTower, load: Callable[[], Encoder]) -> None:
        """`load` returns the model itself, checked to be the one of `identity`; it is called at most once."""
        self.id = identity
        self._tower = tower
        self._load = load

    def at_hand(self, texts: Sequence[str]) -> Vectors | None:
        """Return (N, D) unit rows for N texts, or None where the model has to be loaded for them."""
        if not 0 < len(texts) < MANY:
            return None
        try:
            return self._tower.encode(texts)
        except Exception as error:  # what comes of a broken file is not foreseen; the model gives the same
            log.warning(NOT_USED, "the kept text tower", (str(error).splitlines() or [type(error).__name__])[0])
            return None

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        found = self.at_hand(texts)
        return self._load().encode_texts(texts) if found is None else found

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """See `Encoder`."""
        return self._load().encode_images(images)


class TextsFirst:
    """Implements `LoadEncoder` and `TextsAtHand` with the text towers that a store keeps.

    Where a model has to be loaded for want of its text tower, the tower is kept for the next time.
    """

    def __init__(self, store: Store, load_model: Callable[[EncoderId], TransformersEncoder]) -> None:
        self._store = store
        self._load_model = load_model
        self._encoders: dict[EncoderId, TextFirstEncoder | None] = {}

    def at_hand(self, identity: EncoderId, texts: Sequence[str]) -> Vectors | None:
        """See `TextsAtHand`."""
        encoder = self._with_tower(identity)
        found = None if encoder is None else encoder.at_hand(texts)
        if found is None:
            self._encoders[identity] = None  # said once; from here on the model does it
        return found

    def __call__(self, identity: EncoderId) -> Encoder:
        """See `LoadEncoder`."""
        encoder = self._with_tower(identity)
        if encoder is not None:
            return encoder
        from .text_tower_export import keep_tower

        model = self._load_model(identity)
        checked(model, identity)
        keep_tower(self._store, model)
        return model

    def _with_tower(self, identity: EncoderId) -> TextFirstEncoder | None:
        if identity not in self._encoders:
            tower = open_tower(self._store, identity)
            self._encoders[identity] = (
                None
                if tower is None
                else TextFirstEncoder(identity, tower, lambda: checked(self._load_model(identity), identity))
            )
        return self._encoders[identity]

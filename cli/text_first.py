"""An encoder of the store whose texts go through the text tower beside the index: the model is loaded for pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shotdex.indexer.text_tower.file import NOT_USED, TextTower
from shotdex.store.words import Encoder, EncoderId, Vectors

if TYPE_CHECKING:
    from PIL import Image

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

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        if 0 < len(texts) < MANY:
            try:
                return self._tower.encode(texts)
            except Exception as error:  # what comes of a broken file is not foreseen; the model gives the same
                log.warning(NOT_USED, "the kept text tower", (str(error).splitlines() or [type(error).__name__])[0])
        return self._load().encode_texts(texts)

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """See `Encoder`."""
        return self._load().encode_images(images)

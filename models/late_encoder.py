"""An encoder of the store that is loaded when it is needed: where nothing is new, no model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shotdex.store.types import EncoderId, ImageVectors, Vectors

from .protocols import ImageEncoder, Launching, Prepared, batch_size_for, launch, shares_cores

if TYPE_CHECKING:
    from PIL import Image

Texts = Callable[[Sequence[str]], Vectors | None]
"""Encodes N texts without the model, as (N, D) unit rows; None where the model has to do it."""


class LateEncoder:
    """Implements `ImageEncoder` and `Launching` under an identity that the store knows."""

    def __init__(self, identity: EncoderId, load: Callable[[], ImageEncoder], texts: Texts | None = None) -> None:
        """`load` returns the model, checked to be the one of `identity`; `texts` are tried before it is loaded."""
        self.id = identity
        self._load = load
        self._texts = texts

    @cached_property
    def _loaded(self) -> ImageEncoder:
        return self._load()

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        found = None if self._texts is None else self._texts(texts)
        return self._loaded.encode_texts(texts) if found is None else found

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """See `Encoder`."""
        return self._loaded.encode_images(images)

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """See `ImageEncoder`."""
        return self._loaded.portable

    def prepare(self, image: Image.Image) -> Prepared:
        """See `ImageEncoder`."""
        return self._loaded.prepare(image)

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        """See `ImageEncoder`."""
        return self._loaded.encode_prepared(batch)

    @property
    def in_flight(self) -> int:
        """See `Launching`."""
        return self._loaded.in_flight if isinstance(self._loaded, Launching) else 1

    @property
    def shares_cores(self) -> bool:
        """See `Launching`."""
        return shares_cores(self._loaded)

    def begin(self, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
        """See `Launching`."""
        return launch(self._loaded, batch)

    def good_batch(self) -> int:
        """See `Launching`."""
        return batch_size_for(self._loaded, None)

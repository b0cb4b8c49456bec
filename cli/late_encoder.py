"""An encoder of the store that is loaded when an image needs it: where nothing is new, no model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from PIL import Image

from shotdex.models.protocols import ImageEncoder, Launching, Prepared, batch_size_for, launch, shares_cores
from shotdex.store.errors import EncoderMismatch
from shotdex.store.types import EncoderId, ImageVectors, Vectors


class LateEncoder:
    """Implements `ImageEncoder` and `Launching` under an identity that the store knows."""

    def __init__(self, identity: EncoderId, load: Callable[[], ImageEncoder]) -> None:
        self.id = identity
        self._load = load

    @cached_property
    def _loaded(self) -> ImageEncoder:
        loaded = self._load()
        if loaded.id.key() != self.id.key():
            raise EncoderMismatch(
                f"the store has vectors of {self.id}, and what is there under this name is {loaded.id} now",
                f"to add it beside the other: --model {self.id.name}",
            )
        return loaded

    @property
    def loaded(self) -> ImageEncoder | None:
        """The encoder itself, where it has been needed."""
        return self.__dict__.get("_loaded")

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

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """See `Encoder`."""
        return self._loaded.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        return self._loaded.encode_texts(texts)

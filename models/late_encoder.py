"""An encoder of the store that is loaded when it is needed: where nothing is new, no model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shotdex.store.errors import EncoderMismatch
from shotdex.store.types import EncoderId, ImageVectors, Vectors

from .protocols import EncoderOptions, ImageEncoder, Launching, Prepared, batch_size_for, launch, shares_cores

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


@dataclass(frozen=True, slots=True)
class IndexEncoder:
    """The encoder for an `index`: the model `name`, run with `options`.

    `known` are the store's encoders, by number; `stored` is the one of them that is meant where no model was named.
    `load` returns the model itself, loaded once however often it is called; `is_here` tells whether that needs no
    network.
    """

    name: str
    options: EncoderOptions
    known: Mapping[int, EncoderId]
    stored: EncoderId | None
    load: Callable[[], ImageEncoder]
    is_here: Callable[[], bool]

    def encoder(self) -> ImageEncoder:
        """Return the store's encoder, to be loaded when an image needs it, or load the model that was named."""
        return self.load() if self.stored is None else LateEncoder(self.stored, self._load_stored)

    def _load_stored(self) -> ImageEncoder:
        loaded = self.load()
        if self.stored is not None and loaded.id.key() != self.stored.key():
            raise EncoderMismatch(
                f"the store has vectors of {self.stored}, but the model of that name is now {loaded.id}",
                f"to add it alongside the other: --model {self.stored.name}",
            )
        return loaded

    def identity(self) -> tuple[int | None, EncoderId] | None:
        """Return its number in the store, None for a new one, and its identity, without fetching a model.

        None where the store does not have a model of this name, and neither has this machine.
        """
        named = next(((number, one) for number, one in self.known.items() if one.name == self.name), None)
        if named is not None or not self.is_here():
            return named
        found = self.load().id
        return next((number for number, one in self.known.items() if one.key() == found.key()), None), found

"""An encoder of the store that is loaded when it is needed: where nothing is new, no model is."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shotdex.store.encoders import files_of_model, list_encoders, number_of, remember_files
from shotdex.store.errors import EncoderMismatch, StoreError
from shotdex.store.store import Store
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

    `known` are the store's encoders, by number; `stored` is the one of them that is meant where no model was named, or
    that was made with the named model's files as they are. `store` is where they are.
    `load` returns the model itself, loaded once however often it is called; `is_here` tells whether that needs no
    network.
    """

    store: Store
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
            remember(self.store, self.stored, None)
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


Files = tuple[str, str]
"""The name of a model, and what changes with its files."""


def files_of(name: str, version: Hashable) -> Files | None:
    """Return what tells whether a model's files changed: those in a folder, or its commit on the hub.

    `name` and `version` are as its loader has them. None where nothing is known of its files.
    """
    from .hub_cache import HubName

    known = version or HubName.of(name).commit()
    return (name, json.dumps(known)) if known else None


def unchanged(store: Store, how: EncoderOptions, files: Files | None) -> EncoderId | None:
    """Return the store's encoder of a model whose files are as they were when it was loaded last; None for no such."""
    with store.reading() as con:
        for number, one in list_encoders(con).items() if files is not None else ():
            same = (one.precision.value, one.pooling) == (how.precision, how.pooling)
            if same and files_of_model(con, number) == files:
                return one
    return None


def remember(store: Store, identity: EncoderId, files: Files | None) -> None:
    """Keep the files that an encoder of the store was loaded from, for `unchanged`; None if they are another one's."""
    with store.reading() as con:
        number = number_of(con, identity)
        known = None if number is None else files_of_model(con, number)
    if number is not None and files != known:
        with suppress(StoreError), store.writing() as con:  # it only saves time
            remember_files(con, number, files)

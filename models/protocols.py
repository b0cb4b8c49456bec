"""What an encoder is to everything that uses one, whatever it is made of; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from shotdex.store.errors import EncoderMismatch, ModelOutputInvalid
from shotdex.store.types import EncoderId, ImageVectors, Pooling, Precision, Vectors

if TYPE_CHECKING:
    from PIL import Image

USUAL_BATCH = 64
"""Images a batch where neither the user nor the encoder says how many."""

Prepared = Mapping[str, npt.NDArray[Any]]
"""One image as a model takes it: named arrays without the batch axis, such as `pixels` uint8 (3, H, W)."""


class Encoder(Protocol):
    """A model that puts texts and images into one space. All vectors are float32 with unit rows."""

    @property
    def id(self) -> EncoderId:
        """The identity that its vectors carry."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) unit rows for N texts."""

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return (N, D) unit rows for N RGB images."""


class ImageEncoder(Encoder, Protocol):
    """An encoder whose pixel work can run ahead in other threads, or in processes where it is `portable`."""

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """What a decoding process needs to prepare images as `prepare` does, as JSON values.

        None where only this process can.
        """

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize and crop one RGB image to what the model takes; safe to call from several threads."""

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        """Return both spaces for prepared images."""


@runtime_checkable
class Launching(Protocol):
    """An encoder that does not wait for the device it computes on, and knows what suits it."""

    @property
    def in_flight(self) -> int:
        """How many batches are worth launching before the first of them is waited for; 1 where it waits anyway."""

    @property
    def shares_cores(self) -> bool:
        """Whether it computes on the cores that decode images."""

    def begin(self, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
        """Launch a batch of at least one image; what is returned waits for its vectors."""

    def good_batch(self) -> int:
        """Return how many images a batch should have."""


def launch(encoder: ImageEncoder, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
    """Launch a batch where the encoder can, else compute it; return what waits for its vectors."""
    if isinstance(encoder, Launching):
        return encoder.begin(batch)
    vectors = encoder.encode_prepared(batch)
    return lambda: vectors


def batch_size_for(encoder: ImageEncoder, given: int | None) -> int:
    """Return the given size, else the encoder's own."""
    if given is not None:
        return given
    return encoder.good_batch() if isinstance(encoder, Launching) else USUAL_BATCH


def shares_cores(encoder: ImageEncoder) -> bool:
    """Tell whether an encoder computes on the cores that decode images, as far as it says."""
    return isinstance(encoder, Launching) and encoder.shares_cores


Samples = Callable[[], "Sequence[Image.Image]"]
"""Returns RGB images to try a model on; called only where something is to be tried."""


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How to run a model. `device` is auto, cpu, cuda or mps; `precision` float32, bf16, fp16 or auto.

    With `compile` torch.compile makes one program of the image tower: vectors differ in their last bits.
    """

    device: str = "auto"
    precision: str = "float32"
    pooling: Pooling = Pooling.MEAN
    compile: bool = False


class Loader(Protocol):
    """Loads the models of one library."""

    def matches(self, name: str) -> bool:
        """Tell whether a model of that name would be this library's, whether or not it is there."""

    def canonical_name(self, name: str) -> str:
        """Return the one name under which a model goes on record, however it was written."""

    def is_here(self, name: str) -> bool:
        """Tell whether loading it needs no network."""

    def version(self, name: str) -> Hashable:
        """Return what changes with the files of a model: one loaded at another version is loaded again."""

    def load(self, name: str, options: EncoderOptions, samples: Samples | None) -> ImageEncoder:
        """Load a model. The identity has the canonical name, and a precision that is not auto.

        Raises:
            ModelUnavailable: it cannot be found or loaded.
            OptionError: an option that this library or machine does not have.
        """


LoadEncoder = Callable[[EncoderId], Encoder]
"""Loads the encoder of that identity; called at most once, and only when a model is needed."""


@runtime_checkable
class TextsAtHand(Protocol):
    """What a `LoadEncoder` may do in addition: encode texts without loading a model."""

    def at_hand(self, identity: EncoderId, texts: Sequence[str]) -> Vectors | None:
        """Return unit vectors (N, D) for N texts, N above 0, or None where a model has to be loaded for them."""


@runtime_checkable
class CountsTokens(Protocol):
    """What a `LoadEncoder` may do in addition: say which texts are longer than the model reads."""

    def count_tokens(self, identity: EncoderId, texts: Sequence[str]) -> list[tuple[int, int] | None]:
        """Return for each of N texts how many tokens it has and how many of them are read; None for a whole one.

        A text of which nothing is known without loading a model passes for whole.
        """


SAME_TEXT = {Precision.FLOAT32: 1e-4, Precision.BF16: 2e-2, Precision.FP16: 2e-3}
"""How far a number of a text's vector may be from the remembered one: the last bits depend on what shares a batch."""


def finite(vectors: Vectors, encoder: EncoderId) -> Vectors:
    """Return vectors (N, D) that an encoder made of texts or images, after making sure that they are finite.

    Raises:
        ModelOutputInvalid: one has a NaN or an infinity in it.
    """
    if not np.isfinite(vectors).all():
        raise ModelOutputInvalid(
            f"the model {encoder.name} returned a vector that is not finite",
            "try another text or image, or index with --precision float32",
        )
    return vectors


def checked(loaded: Encoder, wanted: EncoderId) -> Encoder:
    """Return an encoder after making sure that its vectors can be compared with the stored ones.

    Raises:
        EncoderMismatch: its files changed since the images were indexed.
    """
    if loaded.id.key() != wanted.key():
        raise EncoderMismatch(
            f"the files of {wanted.name} changed since these images were indexed: they were {wanted}, now {loaded.id}",
            f"index again to add the new one: shotdex index SOURCE --model {wanted.name}",
        )
    return loaded

"""An encoder that a user wrote in Python: any object with `id`, `encode_images` and `encode_texts`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from shotdex.store.errors import EncoderMismatch, ModelOutputInvalid, ModelUnavailable, OptionError
from shotdex.store.types import EncoderId, ImageVectors, Precision, Vectors

from .protocols import ImageEncoder, Prepared

PYTHON = "python"
"""The `revision` of an encoder that exists only in Python."""

BATCH = 16
"""Images a batch: they are whole ones, of any size."""


class OwnModel(Protocol):
    """What a user's encoder has. The vectors may be lists, numpy arrays or tensors, of any length above 0.

    It may also have `logit_scale`, above 0, which turns cosines into probabilities; 100 without it.
    """

    @property
    def id(self) -> str:
        """The name it goes by: change it whenever its vectors change."""

    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        """Return (N, D) numbers for N upright RGB images of any size."""

    def encode_texts(self, texts: Sequence[str]) -> Any:
        """Return (N, D) numbers for N texts."""


NewModel = str | OwnModel | ImageEncoder
"""A model by name, or an encoder object."""

AnyModel = NewModel | int
"""One of a store's encoders: by name or number, or an encoder object."""


def identity_of(name: str, dim: int, logit_scale: float = 100.0) -> EncoderId:
    """Return the identity of an encoder that exists only in Python: it is known by its name and its vectors' length."""
    digest = hashlib.sha256(f"python encoder {name}, {dim} numbers".encode()).hexdigest()
    return EncoderId(name, PYTHON, digest, digest, Precision.FLOAT32, dim, dim, logit_scale=logit_scale)


class OwnEncoder:
    """Implements `ImageEncoder` with a user's object; its identity is the object's `id` and its vectors' length."""

    def __init__(self, model: OwnModel) -> None:
        """Ask the object for the vector of one image.

        Raises:
            OptionError: it has no `id` that is a text, or no `encode_images`.
            ModelOutputInvalid: what it returns is not a vector for each image.
        """
        if (
            not isinstance(getattr(model, "id", None), str)
            or not model.id
            or not callable(getattr(model, "encode_images", None))
        ):
            raise OptionError(
                f"an encoder needs id, encode_images and encode_texts, which a {type(model).__name__} does not have",
                "docs/python.md has an example; or pass the name of a model",
            )
        self._model = model
        probe = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
        dim = self._vectors(model.encode_images([probe]), 1, None).shape[1]
        self.id = identity_of(model.id, dim, float(getattr(model, "logit_scale", 100.0)))

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """None: only this process has the object."""
        return None

    @property
    def in_flight(self) -> int:
        """See `Launching`."""
        return 1

    @property
    def shares_cores(self) -> bool:
        """See `Launching`: nobody knows, so it gets its share."""
        return True

    def good_batch(self) -> int:
        """See `Launching`."""
        return BATCH

    def begin(self, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
        """See `Launching`."""
        made = self.encode_prepared(batch)
        return lambda: made

    def prepare(self, image: Image.Image) -> Prepared:
        """Return the whole image: what is done to it is up to the object."""
        return {"rgb": np.asarray(image.convert("RGB"))}

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        """Return unit vectors, and as vision vectors what the object itself returned."""
        images = [Image.fromarray(prepared["rgb"]) for prepared in batch]
        vectors = self._vectors(self._model.encode_images(images), len(images), self.id.dim)
        return ImageVectors(_unit(vectors), vectors)

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return (N, D) unit rows for N RGB images."""
        return self.encode_prepared([self.prepare(image) for image in images]).joint

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) unit rows for N texts.

        Raises:
            ModelUnavailable: the object has no `encode_texts`.
            ModelOutputInvalid: what it returns is not a finite vector for each text.
        """
        if not callable(getattr(self._model, "encode_texts", None)):
            raise ModelUnavailable(
                f"the encoder {self.id.name} has no encode_texts", "search with an image instead: image=FILE"
            )
        if not texts:
            return np.empty((0, self.id.dim), np.float32)
        vectors = _unit(self._vectors(self._model.encode_texts(list(texts)), len(texts), self.id.dim))
        if not np.isfinite(vectors).all():
            raise ModelOutputInvalid(
                f"the encoder {self.id.name} returned a text vector that is zero or not finite", "correct the encoder"
            )
        return vectors

    def _vectors(self, made: Any, count: int, dim: int | None) -> Vectors:
        if hasattr(made, "detach"):  # a tensor, on whatever device
            made = made.detach().float().cpu().numpy()
        try:
            vectors = np.array(made, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ModelOutputInvalid(
                f"the encoder {self._model.id} returned a {type(made).__name__}, not an array of numbers: {error}",
                "return an array of one row for each image or text",
            ) from error
        if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1] or dim not in (None, vectors.shape[1]):
            wanted = f"({count}, {'D' if dim is None else dim})"
            raise ModelOutputInvalid(
                f"the encoder {self._model.id} returned an array of shape {vectors.shape} where {wanted} is needed",
                "return one row for each image or text, all of one length",
            )
        return vectors


def _unit(vectors: Vectors) -> Vectors:
    """Return rows of length 1; one that has no direction becomes NaN, which the caller reports."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        rows: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows


def as_encoder(model: OwnModel | ImageEncoder, known: Iterable[EncoderId]) -> ImageEncoder:
    """Return the encoder that an object is: itself where it implements `ImageEncoder`, else an `OwnEncoder`.

    Raises:
        EncoderMismatch: `known` has an encoder of that name with vectors of another length.
        OptionError, ModelOutputInvalid: as `OwnEncoder`.
    """
    if isinstance(getattr(model, "id", None), EncoderId):
        return model  # type: ignore[return-value]
    encoder = OwnEncoder(model)  # type: ignore[arg-type]
    for other in known:
        if other.revision == PYTHON and other.name == encoder.id.name and other.key() != encoder.id.key():
            raise EncoderMismatch(
                f"the encoder {other.name} returns vectors of {encoder.id.dim} numbers; the store's have {other.dim}",
                "pass the object that the store was made with, or give this one another id",
            )
    return encoder


def only_in_python(name: str, known: Iterable[EncoderId]) -> None:
    """Make sure that a model to be loaded by name is not an encoder that exists only in Python.

    Raises:
        ModelUnavailable: it is.
    """
    if any(one.revision == PYTHON and one.name == name for one in known):
        raise ModelUnavailable(
            f"the encoder {name} exists only in Python: the store has its vectors, but no file has the encoder",
            "from Python, pass the object: shotdex.open(path, model=encoder); SQL, reports and maps work without it",
        )

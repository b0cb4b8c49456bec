"""Which model `shotdex index` takes: the one that is named, or the store's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shotdex.models.protocols import ImageEncoder
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from shotdex.store.types import EncoderId

from .late_encoder import LateEncoder
from .render import note

if TYPE_CHECKING:
    from shotdex.models.transformers_encoder import EncoderOptions, Samples, TransformersEncoder


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the user says of the model; None where nothing is said."""

    model: str | None
    precision: str | None
    device: str
    compile: bool


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The model to load, by the name in `wanted`; `known` are the store's, by number.

    `stored` is the one of them that is meant, where the user named none. `samples` are images to try a model on.
    """

    wanted: str
    settings: EncoderOptions
    known: Mapping[int, EncoderId]
    stored: EncoderId | None
    samples: Samples

    def is_here(self) -> bool:
        """Tell whether loading it needs no network."""
        from shotdex.models.model_files import is_here

        return is_here(self.wanted)

    def encoder(self) -> ImageEncoder:
        """Return the store's encoder, to be loaded when it is needed, or load the one that the user named."""
        return LateEncoder(self.stored, self.load) if self.stored is not None else self.load()

    def load(self) -> TransformersEncoder:
        """Load it, saying so."""
        from shotdex.models.transformers_encoder import load_encoder

        note(f"loading {self.wanted}")
        encoder = load_encoder(self.wanted, self.settings, self.samples)
        if self.settings.precision == "auto":
            note(str(encoder.choice))
        return encoder


def choose_encoder(root: Path, model_options: ModelOptions, samples: Samples) -> EncoderChoice:
    """Choose the named model, or the one that the store is already made with."""
    from shotdex.models.model_files import DEFAULT_MODEL, canonical_name
    from shotdex.models.transformers_encoder import EncoderOptions

    known: dict[int, EncoderId] = {}
    if Store(root).catalog_bytes():
        with Store.open(root).reading() as con:
            known = list_encoders(con)
    if model_options.model is None and len(known) > 1:
        names = ", ".join(encoder.name for encoder in known.values())
        raise OptionError(f"this store has several encoders: {names}", "choose one: --model NAME")
    wanted = model_options.model or (next(iter(known.values())).name if known else DEFAULT_MODEL)
    settings = EncoderOptions(model_options.device, model_options.precision or "float32", compile=model_options.compile)
    same = [encoder for encoder in known.values() if encoder.name == canonical_name(wanted)]
    keeps = model_options.precision in (
        None,
        "auto",
    )  # a second encoder of a model comes by its name only, never by measuring
    if same and keeps:
        settings = replace(settings, precision=same[0].precision.value, pooling=same[0].pooling)
    stored = next(iter(known.values())) if model_options.model is None and known and keeps else None
    return EncoderChoice(wanted, settings, known, stored, samples)

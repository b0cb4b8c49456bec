"""What a model is made of, in words: parts make towers, two towers and how they are compared make an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shotdex.store.types import Precision

BYTES = {Precision.FLOAT32: 4, Precision.BF16: 2}
"""Bytes that one parameter takes."""


class Place(StrEnum):
    """Where a part stands: before the blocks, in each block, after them, in the pooling head, or between the towers."""

    INPUT = "input"
    BLOCK = "block"
    OUTPUT = "output"
    POOLING = "pooling head"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class Part:
    """One part, and how often it stands there: `copies` is the number of blocks for a part of a block, else 1.

    `weights` and `biases` are the parameters of one copy (of a norm, its scales and shifts); `parameters` those of all
    copies, a shared tensor counted once. `flops` are those of all copies for one image or text. `does` is a sentence.
    """

    name: str
    place: Place
    does: str
    weights: int
    biases: int
    copies: int
    flops: int
    parameters: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", self.copies * (self.weights + self.biases))


@dataclass(frozen=True, slots=True)
class ImageInput:
    """What the vision tower takes: `size` and `patch` are edges in pixels.

    `size` is None where an image keeps its shape and `patches` is only the most that it may give (SigLIP 2, NaFlex).
    """

    size: int | None
    patch: int
    channels: int
    patches: int
    class_token: bool


@dataclass(frozen=True, slots=True)
class TextInput:
    """What the text tower takes: at most `context` tokens of a `vocabulary`; `padded` says whether always that many."""

    context: int
    vocabulary: int
    padded: bool


@dataclass(frozen=True, slots=True)
class Tower:
    """One transformer: `layers` blocks on `tokens` vectors of length `width`, in `heads` heads of `head_dim` each.

    `output_dim` is the length of the vector that comes out; it is read off where `read_from` says. `flops` are for one
    image, or for one text of `tokens`.
    """

    input: ImageInput | TextInput
    layers: int
    width: int
    heads: int
    head_dim: int
    mlp_width: int
    activation: str
    tokens: int
    output_dim: int
    read_from: str
    parts: tuple[Part, ...]
    parameters: int = field(init=False)
    parameters_per_block: int = field(init=False)
    flops: int = field(init=False)

    def __post_init__(self) -> None:
        block = [part for part in self.parts if part.place is Place.BLOCK]
        object.__setattr__(self, "parameters", sum(part.parameters for part in self.parts))
        object.__setattr__(self, "parameters_per_block", sum(part.weights + part.biases for part in block))
        object.__setattr__(self, "flops", sum(part.flops for part in self.parts))


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model: two towers, and the `comparison` of their vectors by scale and bias. `text` is None for images alone.

    `family` is the `model_type` of its configuration, `about` a sentence on it; `convention` says how FLOPs are
    counted. `size_bytes` is that of the parameters, by number format.
    """

    name: str
    revision: str
    family: str
    about: str
    vision: Tower
    text: Tower | None
    comparison: tuple[Part, ...]
    convention: str
    parameters: int = field(init=False)
    size_bytes: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        between = sum(part.parameters for part in self.comparison)
        total = self.vision.parameters + (self.text.parameters if self.text else 0) + between
        object.__setattr__(self, "parameters", total)
        object.__setattr__(self, "size_bytes", {form.value: total * size for form, size in BYTES.items()})

    def __repr__(self) -> str:
        towers = {"vision tower": self.vision} | ({"text tower": self.text} if self.text else {})
        lines = [
            f"  {name}: {one.layers} blocks of {one.parameters_per_block:,} parameters, width {one.width:,}, "
            f"{one.heads} heads, MLP width {one.mlp_width:,}, {one.tokens:,} tokens; vectors of {one.output_dim:,} "
            f"numbers; {one.parameters:,} parameters"
            for name, one in towers.items()
        ]
        return "\n".join([f"{self.name}: {self.parameters:,} parameters", *lines])

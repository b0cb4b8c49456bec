"""The parts of a CLIP or SigLIP model: what each does, which parameters belong to it, and how many FLOPs it takes.

They are counted from a model's tensors: their names and shapes, never their values.

Sources: Vaswani et al. 2017 (attention), Radford et al. 2021 (CLIP), Zhai et al. 2022 and 2023 (attention pooling,
SigLIP), Tschannen et al. 2025 (SigLIP 2), and the names of the parameters in transformers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shotdex.store.errors import EncoderError

from .types import Part, Place


class Side(StrEnum):
    """The tower that a part belongs to, or neither."""

    VISION = "vision"
    TEXT = "text"
    BETWEEN = "between"


class Rows(StrEnum):
    """How many vectors a part's matrices multiply for an image or a text; none where it is looked up or added."""

    NONE = "none"
    ONE = "one"
    PATCHES = "patches"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of part."""

    name: str
    place: Place
    rows: Rows
    does: str


_QUERY = "Turns a token into a query: what it looks for in the others."
_KEY = "Turns a token into a key that the queries are compared with."
_VALUE = "Turns a token into what it passes on where its key matches a query."
_ATTENTION = "Weighs each value by how well its key fits the query; it has no parameters."
_OUTPUT = "Joins what the heads found into one vector."
_MLP = "Works on each token by itself: widens it, applies the activation, narrows it."
_NORM = "Brings each token to mean 0 and variance 1, then scales and shifts it."

PATCH = Kind("patch embedding", Place.INPUT, Rows.PATCHES, "Turns the pixels of each patch into a vector, a token.")
CLASS = Kind("class token", Place.INPUT, Rows.NONE, "A learnt extra token that collects what the whole image shows.")
TOKEN = Kind("token embedding", Place.INPUT, Rows.NONE, "Looks up a vector for each token, a word or a piece of one.")
POSITION = Kind(
    "position embedding", Place.INPUT, Rows.NONE, "Tells each token where it stands; attention cannot see it."
)
FIRST_NORM = Kind("first norm", Place.INPUT, Rows.NONE, "Brings the tokens to one scale before the first block.")

QUERY = Kind("query", Place.BLOCK, Rows.TOKENS, _QUERY)
KEY = Kind("key", Place.BLOCK, Rows.TOKENS, _KEY)
VALUE = Kind("value", Place.BLOCK, Rows.TOKENS, _VALUE)
ATTENTION = Kind("attention", Place.BLOCK, Rows.NONE, _ATTENTION)
OUTPUT = Kind("output", Place.BLOCK, Rows.TOKENS, _OUTPUT)
MLP = Kind("MLP", Place.BLOCK, Rows.TOKENS, _MLP)
NORMS = Kind("norms", Place.BLOCK, Rows.NONE, _NORM)

FINAL_NORM = Kind("final norm", Place.OUTPUT, Rows.NONE, "Brings what the last block gives to one scale.")
POOL_PROBE = Kind("probe", Place.POOLING, Rows.NONE, "A learnt query that is put to all patches at once.")
POOL_QUERY = Kind("query", Place.POOLING, Rows.ONE, _QUERY)
POOL_KEY = Kind("key", Place.POOLING, Rows.TOKENS, _KEY)
POOL_VALUE = Kind("value", Place.POOLING, Rows.TOKENS, _VALUE)
POOL_ATTENTION = Kind("attention", Place.POOLING, Rows.NONE, _ATTENTION)
POOL_OUTPUT = Kind("output", Place.POOLING, Rows.ONE, _OUTPUT)
POOL_MLP = Kind("MLP", Place.POOLING, Rows.ONE, _MLP)
POOL_NORM = Kind("norms", Place.POOLING, Rows.NONE, _NORM)
PROJECTION = Kind(
    "projection", Place.OUTPUT, Rows.ONE, "Maps the result into the joint space, where images meet texts."
)
LOGIT_SCALE = Kind(
    "logit scale", Place.COMPARISON, Rows.NONE, "Its exponential multiplies the cosine: how much a difference counts."
)
LOGIT_BIAS = Kind(
    "logit bias", Place.COMPARISON, Rows.NONE, "Is added to that: how likely any pair is to match, before one looks."
)

ORDER = (
    *(PATCH, CLASS, TOKEN, POSITION, FIRST_NORM),
    *(QUERY, KEY, VALUE, ATTENTION, OUTPUT, MLP, NORMS),
    FINAL_NORM,
    *(POOL_PROBE, POOL_QUERY, POOL_KEY, POOL_VALUE, POOL_ATTENTION, POOL_OUTPUT, POOL_MLP, POOL_NORM),
    *(PROJECTION, LOGIT_SCALE, LOGIT_BIAS),
)
"""Every kind, in the order in which an image or a text passes them."""

GROUPS: Mapping[Place, str] = {
    Place.BLOCK: "Attention lets the tokens exchange what they know, the MLP works on each.",
    Place.POOLING: "Attention with one learnt query makes one vector of all the patches.",
}
"""What the parts of one place do together."""


_BLOCK: Mapping[str, Kind] = {
    "self_attn.q_proj": QUERY,
    "self_attn.k_proj": KEY,
    "self_attn.v_proj": VALUE,
    "self_attn.out_proj": OUTPUT,
    "mlp.fc1": MLP,
    "mlp.fc2": MLP,
    "layer_norm1": NORMS,
    "layer_norm2": NORMS,
}

RULES: Mapping[str, tuple[Side, tuple[Kind, ...]]] = {
    "vision_model.embeddings.patch_embedding": (Side.VISION, (PATCH,)),
    "vision_model.embeddings.class_embedding": (Side.VISION, (CLASS,)),
    "vision_model.embeddings.position_embedding": (Side.VISION, (POSITION,)),
    "vision_model.pre_layrnorm": (Side.VISION, (FIRST_NORM,)),
    **{f"vision_model.encoder.layers.*.{stem}": (Side.VISION, (kind,)) for stem, kind in _BLOCK.items()},
    "vision_model.post_layernorm": (Side.VISION, (FINAL_NORM,)),
    "vision_model.head.probe": (Side.VISION, (POOL_PROBE,)),
    "vision_model.head.attention.in_proj": (Side.VISION, (POOL_QUERY, POOL_KEY, POOL_VALUE)),
    "vision_model.head.attention.out_proj": (Side.VISION, (POOL_OUTPUT,)),
    "vision_model.head.mlp.fc1": (Side.VISION, (POOL_MLP,)),
    "vision_model.head.mlp.fc2": (Side.VISION, (POOL_MLP,)),
    "vision_model.head.layernorm": (Side.VISION, (POOL_NORM,)),
    "visual_projection": (Side.VISION, (PROJECTION,)),
    "text_model.embeddings.token_embedding": (Side.TEXT, (TOKEN,)),
    "text_model.embeddings.position_embedding": (Side.TEXT, (POSITION,)),
    **{f"text_model.encoder.layers.*.{stem}": (Side.TEXT, (kind,)) for stem, kind in _BLOCK.items()},
    "text_model.final_layer_norm": (Side.TEXT, (FINAL_NORM,)),
    "text_model.head": (Side.TEXT, (PROJECTION,)),
    "text_projection": (Side.TEXT, (PROJECTION,)),
    "logit_scale": (Side.BETWEEN, (LOGIT_SCALE,)),
    "logit_bias": (Side.BETWEEN, (LOGIT_BIAS,)),
}
"""The tower and the kinds of each parameter, by its name without `.weight` and `.bias`, `*` for the block's number.

Several kinds share one tensor in equal slices: torch keeps the three matrices of `MultiheadAttention` as one.
"""


_BLOCK_NUMBER = re.compile(r"(?<=\.layers\.)\d+(?=\.)")
_SUFFIX = re.compile(r"(?:\.|(?<=in_proj)_)(weight|bias)$")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much passes through a tower for one image or text; `patches` is 0 for a text."""

    layers: int
    width: int
    tokens: int
    patches: int

    def rows(self, rows: Rows) -> int:
        """Return how many vectors a part's matrices multiply."""
        return {Rows.NONE: 0, Rows.ONE: 1, Rows.PATCHES: self.patches, Rows.TOKENS: self.tokens}[rows]


@dataclass(slots=True)
class _Tally:
    """What was found of one kind in one tower: weights and biases by block, "" outside the blocks."""

    weights: dict[str, int] = field(default_factory=dict)
    biases: dict[str, int] = field(default_factory=dict)
    flops: int = 0


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One parameter under one of its names; `new` is False where another name led to it before."""

    name: str
    stem: str
    block: str
    bias: bool
    matrix: bool
    size: int
    new: bool


def count_parts(model: Any, extents: Mapping[Side, Extent]) -> dict[Side, tuple[Part, ...]]:
    """Return the parts of each tower and of the comparison, in the order of `ORDER`.

    A parameter that several names lead to counts once; its FLOPs count at each use. FLOPs: 2 for a multiply and an
    add; a matrix of r x c takes 2 r c for each vector, and attention among n tokens of width d takes 4 n n d a block
    (scores and weighted mean), d split over the heads or not; causal masks save nothing, as in
    `torch.utils.flop_counter`. Biases, norms, softmax, activations and look-ups are not counted.

    Raises:
        EncoderError: a parameter belongs to no known part, or the blocks differ from one another.
    """
    tallies: dict[tuple[Side, Kind], _Tally] = {}
    for tensor in _tensors(model):
        side, kinds = _rule(tensor.name, tensor.stem)
        for kind in kinds:
            tally = tallies.setdefault((side, kind), _Tally())
            size = tensor.size // len(kinds)
            if tensor.new:
                counts = tally.biases if tensor.bias else tally.weights
                counts[tensor.block] = counts.get(tensor.block, 0) + size
            if tensor.matrix and side in extents:
                tally.flops += 2 * size * extents[side].rows(kind.rows)
    for side, extent in extents.items():
        _add_attention(tallies, side, extent)
    return {side: tuple(_part(kind, tallies[side, kind]) for kind in ORDER if (side, kind) in tallies) for side in Side}


def _tensors(model: Any) -> Iterator[_Tensor]:
    seen: set[int] = set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        suffix, number = _SUFFIX.search(name), _BLOCK_NUMBER.search(name)
        yield _Tensor(
            name=name,
            stem=_BLOCK_NUMBER.sub("*", _SUFFIX.sub("", name)),
            block=number.group() if number else "",
            bias=suffix is not None and suffix.group(1) == "bias",
            matrix=parameter.ndim >= 2,
            size=parameter.numel(),
            new=id(parameter) not in seen,
        )
        seen.add(id(parameter))


def _rule(name: str, stem: str) -> tuple[Side, tuple[Kind, ...]]:
    try:
        return RULES[stem]
    except KeyError:
        raise EncoderError(
            f"the parameter {name} belongs to no part that shotdex knows, so the counts would miss it",
            "this model, or this version of transformers, names its parameters differently: please report it",
        ) from None


def _add_attention(tallies: dict[tuple[Side, Kind], _Tally], side: Side, extent: Extent) -> None:
    """Add what attention itself takes: it has no parameters, so no tensor tells of it."""
    places = {kind.place for owner, kind in tallies if owner is side}
    # Once for the scores, once for the weighted mean of the values.
    one_query = 2 * 2 * extent.tokens * extent.width
    if Place.BLOCK in places:
        tallies[side, ATTENTION] = _Tally(
            weights={str(block): 0 for block in range(extent.layers)},
            flops=extent.layers * extent.tokens * one_query,
        )
    if Place.POOLING in places:
        tallies[side, POOL_ATTENTION] = _Tally(weights={"": 0}, flops=one_query)


def _part(kind: Kind, tally: _Tally) -> Part:
    blocks = list(dict.fromkeys([*tally.weights, *tally.biases]))
    sizes = {(tally.weights.get(block, 0), tally.biases.get(block, 0)) for block in blocks}
    if len(sizes) != 1:
        raise EncoderError(
            f"the blocks of this model differ in their {kind.name}, so a block has no single size",
            "shotdex describes models whose blocks are all alike",
        )
    weights, biases = sizes.pop()
    return Part(kind.name, kind.place, kind.does, weights, biases, len(blocks), tally.flops)

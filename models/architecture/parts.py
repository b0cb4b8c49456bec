"""The parts of a CLIP or SigLIP model, as data: what each does, and which parameters belong to it.

Sources: Vaswani et al. 2017 (attention), Radford et al. 2021 (CLIP), Zhai et al. 2022 and 2023 (attention pooling,
SigLIP), Tschannen et al. 2025 (SigLIP 2), and the names of the parameters in transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .anatomy import Place


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


_QUERY = "Turns a token into a question: what it looks for in the others."
_KEY = "Turns a token into a label that the questions are compared with."
_VALUE = "Turns a token into what it hands on where its label fits a question."
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
POOL_PROBE = Kind("probe", Place.POOLING, Rows.NONE, "A learnt question that is put to all patches at once.")
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
    Place.POOLING: "Attention with one learnt question makes one vector of all the patches.",
}
"""What the parts of one place do together."""


@dataclass(frozen=True, slots=True)
class FamilyTerms:
    """What to say of a family: a sentence on it, and the token off which a text's vector is read."""

    about: str
    text_token: str


FAMILY_WORDS: Mapping[str, FamilyTerms] = {
    "clip": FamilyTerms(
        "CLIP: trained so that the softmax over a batch's texts picks the one that belongs to the image.",
        "the end token",
    ),
    "siglip": FamilyTerms(
        "SigLIP: trained so that a sigmoid says of each pair by itself whether it matches. "
        "SigLIP 2 of fixed resolution is built the same.",
        "the last token",
    ),
    "siglip2": FamilyTerms(
        "SigLIP 2 of variable resolution (NaFlex): like SigLIP, but an image keeps its shape.",
        "the last token",
    ),
}
"""By the `model_type` of a model's configuration; the same families as `indexer.families.FAMILIES`."""

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

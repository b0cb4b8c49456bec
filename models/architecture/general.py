"""What a model of any other family is made of: its parameters, sorted into parts by what they are called.

`describe` counts CLIP and SigLIP exactly and stops at a name that it does not know; here an unknown name goes to
`other`, so that the sum is always the model's. Blocks may differ, as in convolutional towers, whose FLOPs are counted
by running the tower without memory for its numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import parts as kinds
from .parts import Extent, Kind, Rows, Side
from .types import Architecture, ImageInput, Part, Place, TextInput, Tower

CONVOLUTION = Kind("convolution", Place.BLOCK, Rows.NONE, "Combines each place of the image with those around it.")
POOLING = Kind("pooling", Place.POOLING, Rows.ONE, "Makes one vector of all places of the image.")
OTHER = Kind("other", Place.OUTPUT, Rows.ONE, "What has no name that is known here.")
DECODER = Kind("caption decoder", Place.COMPARISON, Rows.NONE, "Writes captions, which an index does not use (CoCa).")
EXTRA = Kind("register tokens", Place.INPUT, Rows.NONE, "Learnt extra tokens that a ViT keeps notes in.")

ORDER = (kinds.PATCH, kinds.CLASS, EXTRA, *kinds.ORDER[2:5], CONVOLUTION, *kinds.ORDER[5:], POOLING, OTHER, DECODER)

IN_BLOCK: Sequence[tuple[str, tuple[Kind, ...]]] = (
    (r"norm|\bln_|\bbn\d?\b|layer_scale|\bls\d?\b|\bls_\d|lambda|gamma", (kinds.NORMS,)),
    (r"qkv|in_proj", (kinds.QUERY, kinds.KEY, kinds.VALUE)),
    (r"q_proj|query", (kinds.QUERY,)),
    (r"k_proj|key", (kinds.KEY,)),
    (r"v_proj|value", (kinds.VALUE,)),
    (r"out_proj|o_proj|attention\.output|attn\.proj|attn\.projection|attention\.projection", (kinds.OUTPUT,)),
    (r"conv|downsample|expansion|depthwise|squeeze|reparam|stage", (CONVOLUTION,)),
    (r"mlp|fc\d|intermediate|output\.dense|up_proj|down_proj|gate_proj|weights_", (kinds.MLP,)),
)
OUTSIDE: Sequence[tuple[str, tuple[Kind, ...]]] = (
    (r"logit_scale|temperature", (kinds.LOGIT_SCALE,)),
    (r"logit_bias", (kinds.LOGIT_BIAS,)),
    (r"register|mask_token|storage", (EXTRA,)),
    (r"class_embedding|cls_token|cls_emb", (kinds.CLASS,)),
    (r"token_embedding|word_embeddings|token_type", (kinds.TOKEN,)),
    (r"pos_embed|position", (kinds.POSITION,)),
    (r"attn_?pool|attentional|pooler|\.head\.(attention|probe|mlp|layernorm)", (POOLING,)),
    (r"pre_layrnorm|ln_pre|norm_pre|embeddings\.(layer)?norm|pre_ln", (kinds.FIRST_NORM,)),
    (r"patch_embed|visual\.conv1|embeddings\.(projection|patch)", (kinds.PATCH,)),
    (r"embeddings|stem|conv|\bbn\d", (CONVOLUTION,)),
    (r"norm|\bln_", (kinds.FINAL_NORM,)),
    (r"proj|head|fc|dense|transformation", (kinds.PROJECTION,)),
)
"""The kinds of a parameter whose name has a pattern in it, first match; several kinds share it in equal slices."""

_BLOCK = re.compile(r"\.(?:layers?|resblocks|blocks|layer\d)\.(\d+)\.")
_STAGE = re.compile(r"\.(?:stages|layer)\.?(\d+)\.")
_VISION = re.compile(r"^(visual|vision_model|vision_proj|visual_projection)\b")
_BETWEEN = re.compile(r"^(logit_scale|logit_bias|temperature)$")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the configuration says of a tower: `heads` 0 and `width` 0 where it has no attention."""

    layers: int
    width: int
    heads: int
    mlp_width: int
    activation: str
    output_dim: int
    read_from: str


@dataclass(frozen=True, slots=True)
class Described:
    """A model without memory for its weights, and what its configuration says. `texts` is None for images alone."""

    name: str
    revision: str
    family: str
    about: str
    model: Any
    vision: Facts
    texts: Facts | None
    size: int
    patch: int
    context: int
    vocabulary: int


def architecture(described: Described) -> Architecture:
    """Return what a model is made of; the parameters of its parts add up to all that it has."""
    sorted_ = _sorted(described.model)
    names = {kind for kind, _ in sorted_.get(Side.VISION, {}).items()}
    has_class = kinds.CLASS in names
    attends = bool({kinds.QUERY, kinds.KEY} & names)
    patches = (described.size // described.patch) ** 2 if attends and described.patch else 0
    tokens = patches + has_class + _extra(described.model)
    image = ImageInput(described.size, described.patch if attends else 0, 3, patches, has_class)
    extent = Extent(described.vision.layers, described.vision.width, tokens, patches)
    flops = 0 if attends else _counted(described.model, described.size)
    vision = _tower(described.vision, image, extent, sorted_.get(Side.VISION, {}), flops)
    text = None
    if described.texts is not None:
        taken = TextInput(described.context, described.vocabulary, padded=False)
        extent = Extent(described.texts.layers, described.texts.width, described.context, 0)
        text = _tower(described.texts, taken, extent, sorted_.get(Side.TEXT, {}), 0)
    between = tuple(_part(kind, found, Extent(0, 0, 0, 0)) for kind, found in sorted_.get(Side.BETWEEN, {}).items())
    return Architecture(
        described.name, described.revision, described.family, described.about, vision, text, between, CONVENTION
    )


CONVENTION = (
    "FLOPs count matrix products and convolutions, a multiply and an add as 2; not norms, softmax, activations and "
    "look-ups. They are for one image, and one text of the whole context. Parts are sorted by the names of their "
    "parameters."
)

Found = dict[str, list[tuple[int, bool, bool]]]
"""By block, "" outside of the blocks: number, whether it is a bias, whether it is a matrix."""


def _sorted(model: Any) -> Mapping[Side, Mapping[Kind, Found]]:
    found: dict[Side, dict[Kind, Found]] = {}
    for side, kind, block, entry in _entries(model):
        found.setdefault(side, {}).setdefault(kind, {}).setdefault(block, []).append(entry)
    ordered: dict[Side, dict[Kind, Found]] = {}
    for side, by_kind in found.items():
        ordered[side] = {kind: by_kind[kind] for kind in ORDER if kind in by_kind}
    return ordered


def _entries(model: Any) -> Iterator[tuple[Side, Kind, str, tuple[int, bool, bool]]]:
    for name, parameter in model.named_parameters():
        side = Side.BETWEEN if _BETWEEN.search(name) else Side.VISION if _VISION.search(name) else Side.TEXT
        if name.startswith("text_decoder."):
            yield Side.BETWEEN, DECODER, "", (parameter.numel(), name.endswith("bias"), False)
            continue
        number, stage = _BLOCK.search(name), _STAGE.search(name)
        block = ".".join(found[1] for found in (stage, number) if found is not None)
        lower = name.lower()
        patterns = IN_BLOCK if block else OUTSIDE
        chosen = next((kind for pattern, kind in patterns if re.search(pattern, lower)), None)
        if chosen is None:
            chosen = (CONVOLUTION,) if block and parameter.ndim == 4 else (kinds.MLP,) if block else (OTHER,)
        for kind in chosen:
            yield side, kind, block, (parameter.numel() // len(chosen), lower.endswith("bias"), parameter.ndim >= 2)


def _part(kind: Kind, found: Found, extent: Extent) -> Part:
    """Return a part; where its blocks differ, one of all blocks together."""
    sizes = [
        (sum(size for size, bias, _ in entries if not bias), sum(size for size, bias, _ in entries if bias))
        for entries in found.values()
    ]
    matrices = sum(size for entries in found.values() for size, _, matrix in entries if matrix)
    flops = 2 * matrices * extent.rows(kind.rows)
    if len(set(sizes)) == 1:
        return Part(kind.name, kind.place, kind.does, *sizes[0], len(sizes), flops)
    weights, biases = (sum(each) for each in zip(*sizes, strict=True))
    return Part(kind.name, kind.place, kind.does, weights, biases, 1, flops)


def _tower(
    facts: Facts, taken: ImageInput | TextInput, extent: Extent, found: Mapping[Kind, Found], flops: int
) -> Tower:
    parts = [_part(kind, each, extent) for kind, each in found.items()]
    if kinds.QUERY in found:
        attention = extent.layers * 4 * extent.tokens * extent.tokens * extent.width
        at = next((i for i, part in enumerate(parts) if part.name == kinds.VALUE.name), len(parts) - 1) + 1
        parts.insert(at, Part("attention", Place.BLOCK, kinds.ATTENTION.does, 0, 0, extent.layers, attention))
    elif flops:
        at = next((i for i, part in enumerate(parts) if part.name == CONVOLUTION.name), 0)
        old = parts[at]
        parts[at] = Part(old.name, old.place, old.does, old.weights, old.biases, old.copies, flops)
    return Tower(
        input=taken,
        layers=facts.layers,
        width=facts.width,
        heads=facts.heads,
        head_dim=facts.width // facts.heads if facts.heads else 0,
        mlp_width=facts.mlp_width,
        activation=facts.activation,
        tokens=extent.tokens,
        output_dim=facts.output_dim,
        read_from=facts.read_from,
        parts=tuple(parts),
    )


def _extra(model: Any) -> int:
    """Return how many register tokens a tower has."""
    for name, parameter in model.named_parameters():
        if re.search(r"register|storage", name.lower()):
            return int(parameter.shape[-2])
    return 0


def _counted(model: Any, size: int) -> int:
    """Return the FLOPs of the image tower, 0 where it cannot run without memory."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            model.get_image_features(pixel_values=torch.empty(1, 3, size, size, device="meta"))
    except Exception:  # an operator that needs numbers: the count is left out
        return 0
    return int(counter.get_total_flops())

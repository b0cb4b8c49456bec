"""Parameters and FLOPs of each part, from a model's tensors: their names and shapes, never their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shotdex.store.errors import EncoderError

from .anatomy import Part, Place
from .parts import ATTENTION, ORDER, POOL_ATTENTION, RULES, Kind, Rows, Side

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
            "this model, or this version of transformers, names its parameters in another way: please report it",
        ) from None


def _add_attention(tallies: dict[tuple[Side, Kind], _Tally], side: Side, extent: Extent) -> None:
    """Add what attention itself takes: it has no parameters, so no tensor tells of it."""
    places = {kind.place for owner, kind in tallies if owner is side}
    # Once for the scores, once for the weighted mean of the values.
    one_question = 2 * 2 * extent.tokens * extent.width
    if Place.BLOCK in places:
        tallies[side, ATTENTION] = _Tally(
            weights={str(block): 0 for block in range(extent.layers)},
            flops=extent.layers * extent.tokens * one_question,
        )
    if Place.POOLING in places:
        tallies[side, POOL_ATTENTION] = _Tally(weights={"": 0}, flops=one_question)


def _part(kind: Kind, tally: _Tally) -> Part:
    blocks = list(dict.fromkeys([*tally.weights, *tally.biases]))
    sizes = {(tally.weights.get(block, 0), tally.biases.get(block, 0)) for block in blocks}
    if len(sizes) != 1:
        raise EncoderError(
            f"the blocks of this model differ in their {kind.name}, so there is no one size of a block",
            "shotdex describes models whose blocks are all alike",
        )
    weights, biases = sizes.pop()
    return Part(kind.name, kind.place, kind.does, weights, biases, len(blocks), tally.flops)

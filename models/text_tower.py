"""The text towers of CLIP and SigLIP in numpy: texts in, unit vectors out, without torch or transformers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shotdex.store.types import Vectors

from .families import without_punctuation


@dataclass(frozen=True, slots=True)
class TowerShape:
    """What the weights do not say. `legacy_end`: the text ends at its highest token id, as in early CLIP files.

    `pool` is set for open_clip: the token that a text's vector is read off, which is its `first`, its `last`, the one
    with the highest id (`argmax`) or the end token (`eos`), or a token that is appended to every text (`class`).
    """

    layers: int
    heads: int
    activation: str
    epsilon: float
    sigmoid: bool
    end_token: int = 0
    legacy_end: bool = False
    pool: str = ""
    causal: bool = True

    @property
    def looks_ahead(self) -> bool:
        """Whether a token's vector depends on those that follow it."""
        return self.sigmoid or not self.causal


Weights = Mapping[str, Vectors]
"""The tensors of a tower, float32, by the names that transformers gives them, below `text_model.` for most."""


def text_vectors(weights: Weights, shape: TowerShape, tokens: np.ndarray) -> Vectors:
    """Return (N, D) float32 unit rows for (N, L) token ids, every row of which is a whole text of L tokens."""
    count, length = tokens.shape
    hidden = weights["embeddings.token_embedding.weight"][tokens]  # only these rows of it are ever read
    if shape.pool == "class":
        appended = np.broadcast_to(weights["embeddings.class_embedding"], (count, 1, hidden.shape[-1]))
        hidden, length = np.concatenate([hidden, appended], axis=1), length + 1
    hidden = hidden + weights["embeddings.position_embedding.weight"][:length]
    mask = None if shape.looks_ahead else np.triu(np.full((length, length), -np.inf, np.float32), k=1)
    if mask is not None and shape.pool == "class":  # as CoCa was trained: what hides the padding is one token late
        seen = np.concatenate([np.ones((count, 1), bool), tokens != 0], axis=1)
        mask = np.where(seen[:, None, None, :], mask, np.float32(-np.inf))
    for layer in range(shape.layers):
        hidden = _block(weights, f"encoder.layers.{layer}.", shape, hidden, mask)
    hidden = _normalised(weights, "final_layer_norm.", hidden, shape.epsilon)
    joint = _pooled(weights, shape, hidden, tokens)
    unit: Vectors = joint / np.linalg.norm(joint, axis=-1, keepdims=True)
    return unit


def _pooled(weights: Weights, shape: TowerShape, hidden: Vectors, tokens: np.ndarray) -> Vectors:
    if shape.sigmoid or shape.pool in ("last", "class"):
        return _linear(weights, "head.", hidden[:, -1])
    if shape.pool == "first":
        return _linear(weights, "head.", hidden[:, 0])
    highest = shape.legacy_end or shape.pool == "argmax"
    ends = tokens.argmax(axis=1) if highest else (tokens == shape.end_token).argmax(axis=1)
    read = hidden[np.arange(len(tokens)), ends]
    if shape.pool:
        return _linear(weights, "head.", read)
    projected: Vectors = read @ weights["text_projection.weight"].T
    return projected


def _block(weights: Weights, at: str, shape: TowerShape, hidden: Vectors, mask: Vectors | None) -> Vectors:
    normal = _normalised(weights, at + "layer_norm1.", hidden, shape.epsilon)
    query, key, value = (
        _linear(weights, f"{at}self_attn.{name}_proj.", normal)
        .reshape(*hidden.shape[:2], shape.heads, -1)
        .swapaxes(1, 2)
        for name in ("q", "k", "v")
    )
    scores = query @ key.swapaxes(-1, -2) * np.float32(query.shape[-1] ** -0.5)
    if mask is not None:
        scores = scores + mask
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))  # softmax
    mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ value
    hidden = hidden + _linear(weights, at + "self_attn.out_proj.", mixed.swapaxes(1, 2).reshape(hidden.shape))
    normal = _normalised(weights, at + "layer_norm2.", hidden, shape.epsilon)
    grown = ACTIVATIONS[shape.activation](_linear(weights, at + "mlp.fc1.", normal))
    return hidden + _linear(weights, at + "mlp.fc2.", grown)


def _linear(weights: Weights, at: str, rows: Vectors) -> Vectors:
    # All texts at once and the weights first: BLAS then goes through them once, not text by text, and as they lie.
    weight = weights[at + "weight"]
    product: Vectors = (weight @ rows.reshape(-1, rows.shape[-1]).T).T
    return (product + weights[at + "bias"]).reshape(*rows.shape[:-1], len(weight))


def _normalised(weights: Weights, at: str, rows: Vectors, epsilon: float) -> Vectors:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(epsilon))
    scaled: Vectors = centred / spread * weights[at + "weight"] + weights[at + "bias"]
    return scaled


def _quick_gelu(x: Vectors) -> Vectors:
    passed: Vectors = x / (1 + np.exp(-1.702 * x))
    return passed


def _gelu_tanh(x: Vectors) -> Vectors:
    grown: Vectors = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return grown


_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def _gelu(x: Vectors) -> Vectors:
    # The error function by Abramowitz and Stegun (1964), 7.1.26: off by 1.5e-7 at most, which is float32's own
    # rounding. scipy.special has it, too, and takes as long to import as all of this takes to run.
    scaled = x * np.float32(math.sqrt(0.5))
    size = np.abs(scaled)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = np.zeros_like(t)
    for factor in reversed(_ERF):
        series = (series + np.float32(factor)) * t
    passed: Vectors = 0.5 * x * (1 + np.sign(scaled) * (1 - series * np.exp(-size * size)))
    return passed


ACTIVATIONS: Mapping[str, Callable[[Vectors], Vectors]] = {
    "quick_gelu": _quick_gelu,
    "gelu": _gelu,
    "gelu_pytorch_tanh": _gelu_tanh,
}
"""By the `hidden_act` of a configuration. A model with another one is left to transformers."""


def by_length(texts: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Return the numbers of the texts in groups of one length, of up to `most`: so nothing is ever padded."""
    groups: dict[int, list[int]] = {}
    for number, tokens in enumerate(texts):
        groups.setdefault(len(tokens), []).append(number)
    return [group[i : i + most] for group in groups.values() for i in range(0, len(group), most)]


@dataclass(frozen=True, slots=True)
class TextRules:
    """What is done to a text in addition to tokenizing.

    It is cut to `most` tokens, begin and end included; filled up to as many with `padding`, unless that is None, at the
    end or, with `padded_left`, the beginning; and, where `canonical`, lower-cased and without punctuation first.
    `clean` is how open_clip cleans it instead: lower, whitespace or canonicalize. The token `zeroed` becomes 0.
    """

    most: int
    padding: int | None
    canonical: bool
    padded_left: bool = False
    clean: str = ""
    zeroed: int | None = None


def cleaned(text: str, how: str) -> str:
    """Return a text as open_clip cleans it before its tokenizer gets it.

    Source: open_clip/tokenizer.py, `basic_clean` and what follows it. Text in ASCII comes through ftfy as it is, unless
    it has entities of HTML or control characters.
    """
    if not (text.isascii() and text.isprintable()) or "&" in text:
        import html
        import importlib

        text = html.unescape(html.unescape(importlib.import_module("ftfy").fix_text(text)))
    if how == "canonicalize":
        return without_punctuation(text.replace("_", " "))
    text = " ".join(text.split())
    return text.lower() if how == "lower" else text


@dataclass(frozen=True)
class Tokens:
    """A tokenizer from the text of its `tokenizer.json`, which is parsed when it is first needed."""

    tokenizer_json: str
    rules: TextRules

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.rules.most)
        return tokenizer

    def _encoded(self, texts: Sequence[str]) -> list[Any]:
        rules, wanted = self.rules, list(texts)
        if rules.clean:
            wanted = [cleaned(text, rules.clean) for text in texts]
        elif rules.canonical:
            wanted = [without_punctuation(text) for text in texts]
        found: list[Any] = self._tokenizer.encode_batch(wanted)
        return found

    def cut(self, texts: Sequence[str]) -> list[tuple[int, int] | None]:
        """Return for each text that is cut how many tokens it has and how many are read, begin and end included."""
        most = self.rules.most
        if all(len(text.encode(errors="replace")) + 2 <= most for text in texts):  # a token is a byte at least
            return [None] * len(texts)
        found: list[tuple[int, int] | None] = []
        for encoding in self._encoded(texts):
            more = [sum(1 for special in part.special_tokens_mask if not special) for part in encoding.overflowing]
            found.append((len(encoding.ids) + sum(more), len(encoding.ids)) if sum(more) else None)
        return found

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""
        rules = self.rules
        ids = [list(encoding.ids) for encoding in self._encoded(texts)]
        if rules.zeroed is not None:
            ids = [[0 if one == rules.zeroed else one for one in row] for row in ids]
        if rules.padding is None:
            return ids
        filled = [[rules.padding] * (rules.most - len(row)) for row in ids]
        return [fill + row if rules.padded_left else row + fill for row, fill in zip(ids, filled, strict=True)]

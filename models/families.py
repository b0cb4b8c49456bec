"""What differs between the families of models: how text goes in, how an image vector comes out, how cosines are read.

Sources: the model cards of openai/clip-vit-base-patch32, google/siglip-base-patch16-224 and
google/siglip2-base-patch16-224.
SigLIP was trained on text padded to its full length; leaving that out costs 10 to 70 points of accuracy, silently.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `projected(model, pooled)` turns the image tower's pooled output into the joint space.

    `about` is a sentence on it, `text_token` the token off which a text's vector is read.
    """

    padding: str
    sigmoid: bool
    projected: Callable[[Any, Any], Any]
    about: str
    text_token: str


FAMILIES: Mapping[str, Family] = {
    "clip": Family(
        "longest",
        False,
        lambda model, pooled: model.visual_projection(pooled),
        "CLIP: trained so that the softmax over a batch's texts picks the one that belongs to the image.",
        "the end token",
    ),
    "siglip": Family(
        "max_length",
        True,
        lambda model, pooled: pooled,
        "SigLIP: trained so that a sigmoid says of each pair by itself whether it matches. "
        "SigLIP 2 of fixed resolution is built the same.",
        "the last token",
    ),
    "siglip2": Family(
        "max_length",
        True,
        lambda model, pooled: pooled,
        "SigLIP 2 of variable resolution (NaFlex): like SigLIP, but an image keeps its shape.",
        "the last token",
    ),
}
"""By the `model_type` of a model's configuration. SigLIP 2 checkpoints of fixed resolution call themselves `siglip`."""


def is_stripped(family: Family, tokenizer: Any) -> bool:
    """Tell whether texts are stripped before this tokenizer gets them."""
    return family.sigmoid and not hasattr(tokenizer, "canonicalize_text")


def canonical_text(text: str, family: Family, tokenizer: Any) -> str:
    """Return a text as the model met texts in training.

    SigLIP 2 (a Gemma tokenizer) saw lower case without punctuation; SigLIP's own tokenizer does that itself, and CLIP's
    lower-cases.
    """
    if not is_stripped(family, tokenizer):
        return text
    return without_punctuation(text)


def without_punctuation(text: str) -> str:
    """Return a text in lower case, without punctuation, its words one space apart."""
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def projected_features(output: Any) -> Any:
    """Return the projected vectors (N, D) of `get_text_features` or `get_image_features`.

    transformers 5 returns an object with `pooler_output`; before it was the tensor itself.
    """
    return getattr(output, "pooler_output", output)

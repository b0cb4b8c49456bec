"""What differs between the families of models: how text goes in, how an image vector comes out, how cosines are read.

Sources: the model cards of openai/clip-vit-base-patch32, google/siglip-base-patch16-224,
google/siglip2-base-patch16-224, facebook/metaclip-2-worldwide-huge-quickgelu, OFA-Sys/chinese-clip-vit-base-patch16,
BAAI/AltCLIP, kakaobrain/align-base and Salesforce/blip-itm-base-coco, and the processors in transformers.
SigLIP was trained on text padded to its full length; leaving that out costs 10 to 70 points of accuracy, silently.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shotdex.store.errors import ModelUnavailable

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Family:
    """One family: `about` is a sentence on it, `text_token` the token off which a text's vector is read.

    Texts are padded as `padding` says, to `length` tokens where the model itself does not say how many it reads;
    `offset` positions of the text tower are never used. `class_name` is the class in transformers where that is not
    the family's base model. With `own_limit` the tokenizer's limit counts, too.
    """

    about: str
    text_token: str
    padding: str = "longest"
    sigmoid: bool = False
    length: int | None = None
    offset: int = 0
    class_name: str = ""
    own_limit: bool = True
    texts: bool = True


_SIGLIP = Family(
    "SigLIP: trained so that a sigmoid says of each pair by itself whether it matches. "
    "SigLIP 2 of fixed resolution is built the same.",
    "the last token",
    "max_length",
    sigmoid=True,
    own_limit=False,
)

FAMILIES: Mapping[str, Family] = {
    "clip": Family(
        "CLIP: trained so that the softmax over a batch's texts picks the one that belongs to the image.",
        "the end token",
        own_limit=False,
    ),
    "siglip": _SIGLIP,
    "siglip2": Family(
        "SigLIP 2 of variable resolution (NaFlex): like SigLIP, but an image keeps its shape.",
        "the last token",
        "max_length",
        sigmoid=True,
        own_limit=False,
    ),
    "metaclip_2": Family("MetaCLIP 2: CLIP trained on texts in 300 languages.", "the end token"),
    "chinese_clip": Family("Chinese-CLIP: CLIP with a BERT as the text tower, for Chinese.", "the first token"),
    "altclip": Family(
        "AltCLIP: CLIP whose text tower is an XLM-R that was trained to agree with it in nine languages.",
        "the first token",
        offset=2,  # XLM-R counts positions from the number of its padding token, 1, plus one
    ),
    "align": Family(
        "ALIGN: an EfficientNet and a BERT, trained as CLIP on a billion noisy pairs.",
        "the first token",
        "max_length",
        length=64,
    ),
    "blip": Family(
        "BLIP: the image-text contrastive towers of BlipForImageTextRetrieval.",
        "the first token",
        class_name="BlipForImageTextRetrieval",
    ),
}
"""By the `model_type` of a model's configuration. SigLIP 2 checkpoints of fixed resolution call themselves `siglip`."""

_ANY = Family("Two towers with one joint space, as transformers describes them.", "the token that its text tower reads")
_IMAGES = Family("An image tower alone: look-alikes, duplicates, maps and probes, but no text search.", "", texts=False)

REFUSED: Mapping[str, tuple[str, str]] = {
    "clipseg": (
        "CLIPSeg marks where in an image a text applies, which its decoder does; its towers are those of CLIP ViT-B/16",
        "use --model openai/clip-vit-base-patch16",
    ),
    "xclip": (
        "X-CLIP is made for videos: a frame's vector depends on its neighbours, and a text's on the video",
        "use a model of images, such as --model openai/clip-vit-base-patch32",
    ),
    "blip-2": (
        "BLIP-2 has 32 vectors for an image, of which the best one counts for each text, and an index holds one",
        "use --model Salesforce/blip-itm-base-coco, or a CLIP or SigLIP model",
    ),
}
"""Models that have both towers and still give no vectors that could be compared: why, and what to use."""


def family_of(name: str, config: Any) -> Family:
    """Return the family of a model by its configuration.

    Raises:
        ModelUnavailable: its vectors cannot be compared, or it has no image tower.
    """
    import transformers

    kind = config.model_type
    if kind in REFUSED:
        why, instead = REFUSED[kind]
        raise ModelUnavailable(f"{name} cannot be used: {why}", instead)
    if kind == "blip" and not any("Retrieval" in one for one in config.architectures or ["Retrieval"]):
        raise ModelUnavailable(
            f"{name} is a {config.architectures[0]}, which lacks the projections into a joint space",
            "use a BLIP for retrieval, such as --model Salesforce/blip-itm-base-coco",
        )
    if kind in FAMILIES:
        return FAMILIES[kind]
    classes: Any = transformers.MODEL_MAPPING.get(type(config), None)
    found = classes[0] if isinstance(classes, tuple) else classes
    if found is not None and hasattr(found, "get_image_features") and hasattr(found, "get_text_features"):
        return _ANY
    if found is not None and found.main_input_name == "pixel_values":
        return _IMAGES
    raise ModelUnavailable(
        f"{name} is a {kind!r} model; shotdex reads {', '.join(FAMILIES)}, and image-only models such as dinov2",
        "choose another with --model; `--model demo` comes with shotdex",
    )


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


def text_limit(family: Family, config: Any, tokenizer: Any) -> int:
    """Return how many tokens of a text a model reads, begin and end included."""
    limits = [int(config.text_config.max_position_embeddings) - family.offset]
    if family.length is not None:
        limits.append(family.length)
    if family.own_limit:
        limits.append(int(min(tokenizer.model_max_length, 1 << 30)))
    return min(limits)


def tokenized(texts: list[str], family: Family, config: Any, tokenizer: Any) -> dict[str, Any]:
    """Return a text tower's inputs, tensors (N, L) on the CPU, for N texts."""
    tokens = tokenizer(
        [canonical_text(text, family, tokenizer) for text in texts],
        padding=family.padding,
        truncation=True,
        max_length=text_limit(family, config, tokenizer),
        return_tensors="pt",
    )
    # SigLIP attends to its padding: it was trained that way, and its own tokenizer gives no mask.
    names = ("input_ids",) if family.sigmoid else ("input_ids", "attention_mask")
    return {name: tokens[name] for name in names}


def projected_features(output: Any) -> Any:
    """Return the projected vectors (N, D) of `get_text_features` or `get_image_features`.

    transformers 5 returns an object with `pooler_output`; before it was the tensor itself.
    """
    return getattr(output, "pooler_output", output)

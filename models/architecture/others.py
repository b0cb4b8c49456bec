"""Other families for `describe`: models of transformers that are not CLIP or SigLIP, and those of open_clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shotdex.models.families import Family, family_of
from shotdex.models.model_files import WITHOUT_POOLER, base_class
from shotdex.models.open_clip_encoder import build
from shotdex.models.open_clip_files import OpenClipLoader, find_settings
from shotdex.models.towers import with_towers

from .general import Described, Facts, architecture
from .types import Architecture


def describe_open_clip(name: str) -> Architecture:
    """Return what a model of open_clip is made of, from its configuration alone.

    Raises:
        ModelUnavailable: there is none, or open_clip is not installed.
    """
    import torch

    name = OpenClipLoader().canonical_name(name)
    settings, revision = find_settings(name)
    with torch.device("meta"):
        model, kind = build(settings)
    vision, text = settings["vision_cfg"], settings["text_cfg"]
    size = getattr(model.visual, "image_size", vision.get("image_size", 224))
    activation = "quick_gelu" if settings.get("quick_gelu") else "gelu"
    dim = int(settings["embed_dim"])
    return architecture(
        Described(
            name=name,
            revision=revision,
            family="open_clip",
            about=f"A {kind} of open_clip: {vision.get('timm_model_name', 'its own image tower')}.",
            model=model,
            vision=_open_clip_vision(model, vision, activation, dim),
            texts=Facts(
                int(text.get("layers", 12)),
                int(text.get("width", 512)),
                int(text.get("heads", 8)),
                int(text.get("width", 512)) * int(text.get("mlp_ratio", 4)),
                activation,
                dim,
                f"the {text.get('pool_type', 'end')} token".replace("argmax", "end"),
            ),
            size=int(size[0] if isinstance(size, (tuple, list)) else size),
            patch=_open_clip_patch(model, vision),
            context=int(text.get("context_length", 77)),
            vocabulary=int(text.get("vocab_size", 49408)),
        )
    )


def _open_clip_vision(model: Any, vision: Any, activation: str, dim: int) -> Facts:
    trunk = getattr(model.visual, "trunk", None)
    if trunk is not None:
        blocks = getattr(trunk, "blocks", None)
        heads = getattr(getattr(blocks[0], "attn", None), "num_heads", 0) if blocks is not None and len(blocks) else 0
        width = int(getattr(trunk, "embed_dim", getattr(trunk, "num_features", 0)))
        stages = getattr(trunk, "stages", ())
        layers = len(blocks) if blocks is not None else sum(len(getattr(one, "blocks", ())) for one in stages)
        return Facts(layers, width, int(heads), 4 * width if heads else 0, activation, dim, "its pooling")
    layers, width = vision.get("layers", 12), int(vision.get("width", 768))
    if not isinstance(layers, int):  # a ResNet
        return Facts(sum(layers), width * 32, 0, 0, "relu", dim, "the attention pool")
    heads = width // int(vision.get("head_width", 64))
    return Facts(layers, width, heads, int(width * vision.get("mlp_ratio", 4)), activation, dim, "the class token")


def _open_clip_patch(model: Any, vision: Any) -> int:
    embedding = getattr(getattr(model.visual, "trunk", None), "patch_embed", None)
    found = getattr(embedding, "patch_size", None) or vision.get("patch_size") or 0
    return int(found[0] if isinstance(found, (tuple, list)) else found)


def describe_other(name: str, revision: str, path: Path) -> Architecture:
    """Return what a model of transformers of another family is made of, from its configuration alone.

    Raises:
        ModelUnavailable: it cannot be used as an encoder.
    """
    import torch
    import transformers

    auto: Any = transformers.AutoConfig
    config = auto.from_pretrained(str(path), trust_remote_code=False, local_files_only=True)
    family = family_of(name, config)
    kind: Any = getattr(transformers, family.class_name) if family.class_name else base_class(config)
    with torch.device("meta"):
        more = {"add_pooling_layer": False} if config.model_type in WITHOUT_POOLER else {}
        model = with_towers(kind(config, **more).eval(), family)
    vision = getattr(config, "vision_config", config)
    text = getattr(config, "text_config", None) if family.texts else None
    dim = _joint(config, vision, family)
    size = getattr(vision, "image_size", 224)
    patch = getattr(vision, "patch_size", 0) or 0
    return architecture(
        Described(
            name=name,
            revision=revision,
            family=config.model_type,
            about=family.about,
            model=model,
            vision=_facts(vision, dim, "the class token" if patch else "the mean over the feature map"),
            texts=None if text is None else _facts(text, dim, family.text_token),
            size=int(size[0] if isinstance(size, (tuple, list)) else size),
            patch=int(patch[0] if isinstance(patch, (tuple, list)) else patch),
            context=0 if text is None else _context(text, family),
            vocabulary=int(getattr(text, "vocab_size", 0)),
        )
    )


def _facts(config: Any, dim: int, read_from: str) -> Facts:
    width = int(getattr(config, "hidden_size", 0) or getattr(config, "hidden_dim", 0))
    mlp = getattr(config, "intermediate_size", None) or width * int(getattr(config, "mlp_ratio", 4))
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    layers = getattr(config, "num_hidden_layers", None) or len(getattr(config, "num_block_repeats", ()) or ())
    return Facts(
        int(layers), width, heads, int(mlp) if heads else 0, str(getattr(config, "hidden_act", "")), dim, read_from
    )


def _joint(config: Any, vision: Any, family: Family) -> int:
    if not family.texts:
        return int(getattr(vision, "hidden_size", 0))
    found = getattr(config, "image_text_hidden_size", 0) if family.class_name else getattr(config, "projection_dim", 0)
    return int(found or getattr(vision, "hidden_size", 0))


def _context(text: Any, family: Family) -> int:
    limit = int(text.max_position_embeddings) - family.offset
    return limit if family.length is None else min(limit, family.length)

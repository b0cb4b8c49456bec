"""Models of open_clip with random weights: architectures that people use, made small."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from .models import _tokenizer

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
VIT = {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}
TIMM = {"image_size": 64, "timm_model_pretrained": False, "timm_drop": 0.0, "timm_drop_path": 0.0}

SETTINGS: Mapping[str, dict[str, Any]] = {
    "ViT-B-32": {"embed_dim": 32, "vision_cfg": VIT, "text_cfg": TEXT},
    "ViT-B-32-quickgelu": {"embed_dim": 32, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": TEXT},
    "RN50": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": TEXT,
    },
    "convnext_base": {
        "embed_dim": 32,
        "vision_cfg": TIMM | {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear"},
        "text_cfg": TEXT,
    },
    "ViT-B-16-SigLIP": {
        "embed_dim": 192,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": TEXT
        | {"context_length": 16, "vocab_size": 400, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP", "pool_type": "last"}
        | {"tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True, "proj_bias": True},
    },
    "MobileCLIP2-S0": {
        "embed_dim": 32,
        "custom_text": True,
        "vision_cfg": TIMM
        | {"image_size": 128, "timm_model_name": "fastvit_mci0", "timm_pool": "avg", "timm_proj": None},
        "text_cfg": TEXT | {"no_causal_mask": True},
    },
    "coca_ViT-B-32": {
        "embed_dim": 32,
        "custom_text": True,
        "vision_cfg": VIT | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": TEXT | {"context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 76, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    },
}
"""By the name in open_clip of what was made small."""

PREPROCESSING: Mapping[str, dict[str, Any]] = {
    "ViT-B-16-SigLIP": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"},
    "MobileCLIP2-S0": {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"},
    "convnext_base": {"resize_mode": "longest", "fill_color": 128},
}


def random_model(open_clip: Any, settings: dict[str, Any], seed: int = 0) -> Any:
    """Return a model with random weights, in which images and texts differ."""
    torch.manual_seed(seed)
    settings = json.loads(json.dumps(settings))
    kind = open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP
    model = (open_clip.CoCa if "multimodal_cfg" in settings else kind)(**settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
    return model


def save_open_clip(open_clip: Any, name: str, folder: Path) -> Path:
    """Save a small model as open_clip lays it out for the hub."""
    return save_settings(open_clip, SETTINGS[name], folder, PREPROCESSING.get(name, {}))


def save_settings(
    open_clip: Any, settings: dict[str, Any], folder: Path, preprocessing: Mapping[str, Any] | None = None
) -> Path:
    """Save a model of a configuration with random weights."""
    folder.mkdir(parents=True)
    save_file(
        {key: value.contiguous().clone() for key, value in random_model(open_clip, settings).state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    written = {"model_cfg": settings, "preprocess_cfg": dict(preprocessing or {})}
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    if "hf_tokenizer_name" in settings["text_cfg"]:
        tokenizer = _tokenizer()
        tokenizer.sep_token = tokenizer.eos_token
        tokenizer.save_pretrained(folder)
    return folder

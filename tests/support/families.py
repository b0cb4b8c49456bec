"""Models of other families with random weights, saved as the hub lays them out, each with its own processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from .models import TOWER, _tokenizer

VISION = TOWER | {"image_size": 32, "patch_size": 8}
BERT = TOWER | {"vocab_size": 200, "max_position_embeddings": 40, "pad_token_id": 0}


def _bert() -> transformers.PreTrainedTokenizerBase:
    """Return a BERT tokenizer of letters and a few words, in Chinese too."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789!,.'&/")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "photo", "dog", "cat", "red", "狗", "猫", "红", "色"]
    vocabulary = {word: number for number, word in enumerate([*words, *letters, *(f"##{one}" for one in letters)])}
    return transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=38)


def _xlm() -> transformers.PreTrainedTokenizerBase:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(chr(c) for c in range(33, 127)), "▁", "▁a", "▁dog", "犬", "é"]
    scores = [(piece, -float(number % 7)) for number, piece in enumerate(pieces)]
    return transformers.XLMRobertaTokenizer(vocab=scores, model_max_length=20)


def _clip_images() -> Any:
    return transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def _metaclip(folder: Path) -> Any:
    text = TOWER | {"vocab_size": 200, "max_position_embeddings": 20, "eos_token_id": 2, "bos_token_id": 0}
    config = transformers.MetaClip2Config(text_config=text, vision_config=VISION, projection_dim=24)
    return transformers.MetaClip2Model(config), _clip_images(), _xlm()


def _chinese(folder: Path) -> Any:
    config = transformers.ChineseCLIPConfig(text_config=BERT, vision_config=VISION, projection_dim=24)
    images = transformers.ChineseCLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    return transformers.ChineseCLIPModel(config), images, _bert()


def _altclip(folder: Path) -> Any:
    text = TOWER | {"vocab_size": 200, "max_position_embeddings": 24, "pad_token_id": 1, "project_dim": 24}
    config = transformers.AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    return transformers.AltCLIPModel(config), _clip_images(), _xlm()


def _align(folder: Path) -> Any:
    vision = {
        "image_size": 64, "width_coefficient": 0.2, "depth_coefficient": 0.2, "hidden_dim": 64, "depth_divisor": 8,
        "kernel_sizes": [3, 3], "in_channels": [32, 16], "out_channels": [16, 24], "strides": [1, 2],
        "num_block_repeats": [1, 1], "expand_ratios": [1, 6], "depthwise_padding": [],
    }  # fmt: skip
    text = BERT | {"max_position_embeddings": 80}
    config = transformers.AlignConfig(text_config=text, vision_config=vision, projection_dim=8)
    images = transformers.EfficientNetImageProcessorPil(
        size={"height": 72, "width": 72},
        crop_size={"height": 64, "width": 64},
        do_center_crop=True,
        rescale_offset=True,
    )
    return transformers.AlignModel(config), images, _bert()


def _blip(folder: Path) -> Any:
    text = BERT | {"encoder_hidden_size": 32}
    config = transformers.BlipConfig(
        text_config=text, vision_config=VISION | {"initializer_range": 0.02}, image_text_hidden_size=24
    )
    images = transformers.BlipImageProcessorPil(size={"height": 32, "width": 32})
    return transformers.BlipForImageTextRetrieval(config), images, _bert()


def _groupvit(folder: Path) -> Any:
    text = TOWER | {"vocab_size": 400, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 3}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    vision |= {"depths": [1, 1, 1], "num_group_tokens": [4, 2, 0], "num_output_groups": [4, 2, 0]}
    config = transformers.GroupViTConfig(
        text_config=text, vision_config=vision, projection_dim=24, projection_intermediate_dim=32
    )
    return transformers.GroupViTModel(config), _clip_images(), _tokenizer()


def _dinov2(folder: Path) -> Any:
    images = transformers.BitImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    return transformers.Dinov2Model(transformers.Dinov2Config(**VISION)), images, None


def _registers(folder: Path) -> Any:
    images = transformers.BitImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    config = transformers.Dinov2WithRegistersConfig(**VISION, num_register_tokens=2)
    return transformers.Dinov2WithRegistersModel(config), images, None


def _dinov3(folder: Path) -> Any:
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 32, "width": 32}}'
    )
    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**VISION, num_register_tokens=2)), None, None


def _vit(folder: Path) -> Any:
    images = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    return transformers.ViTForImageClassification(transformers.ViTConfig(**VISION, num_labels=3)), images, None


def _clipseg(folder: Path) -> Any:
    text = TOWER | {"vocab_size": 400, "max_position_embeddings": 16}
    config = transformers.CLIPSegConfig(text_config=text, vision_config=VISION, projection_dim=24)
    return transformers.CLIPSegModel(config), None, None


def _xclip(folder: Path) -> Any:
    text = TOWER | {"vocab_size": 400, "max_position_embeddings": 16}
    vision = VISION | {"mit_hidden_size": 32, "mit_intermediate_size": 64, "mit_num_attention_heads": 2}
    config = transformers.XCLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    return transformers.XCLIPModel(config), None, None


TWO_TOWERS: Mapping[str, Callable[[Path], Any]] = {
    "metaclip_2": _metaclip,
    "chinese_clip": _chinese,
    "altclip": _altclip,
    "align": _align,
    "blip": _blip,
    "groupvit": _groupvit,
}
IMAGES_ONLY: Mapping[str, Callable[[Path], Any]] = {
    "dinov2": _dinov2,
    "dinov2_with_registers": _registers,
    "dinov3_vit": _dinov3,
    "vit": _vit,
}
REFUSED: Mapping[str, Callable[[Path], Any]] = {"clipseg": _clipseg, "xclip": _xclip}


def save_family(kind: str, folder: Path, seed: int = 0) -> Path:
    """Save a model of a family with random weights: small towers, images of 32 or 64 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model, images, tokenizer = (TWO_TOWERS | IMAGES_ONLY | REFUSED)[kind](folder)
    # Random weights make every image nearly the same: what tells them apart is made larger.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "position" not in name:
                parameter.mul_(10 if "patch" in name else 3)
    model.save_pretrained(folder)
    for part in (images, tokenizer):
        if part is not None:
            part.save_pretrained(folder)
    return folder

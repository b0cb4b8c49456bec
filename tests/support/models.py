"""Small models with random weights, saved as the hub lays models out, so that the real loading code reads them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

WORDS = [
    "a photo of a dog",
    "an image of the cat",
    "airplane car chair cup donkey duck hat",
    "red green blue 0123456789",
]
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = TOWER | {
    "vocab_size": 400,
    "max_position_embeddings": 16,
    "bos_token_id": 1,
    "eos_token_id": 3,
    "pad_token_id": 0,
}


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    specials = ["<pad>", "<start>", "<unused>", "<end>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<start>", eos_token="<end>", pad_token="<pad>", unk_token="<unk>"
    )


def save_random_clip(folder: Path, seed: int = 0, size: int = 32) -> Path:
    """Save a CLIP with random weights: `size` pixels, 24-d joint space, 32-d towers."""
    torch.manual_seed(seed)
    vision = TOWER | {"image_size": size, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=TEXT, vision_config=vision, projection_dim=24)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(
        folder
    )
    _tokenizer().save_pretrained(folder)
    return folder


def save_random_siglip(folder: Path, seed: int = 0, size: int = 32) -> Path:
    """Save a SigLIP with random weights: `size` pixels, 32-d joint space."""
    torch.manual_seed(seed)
    vision = TOWER | {"image_size": size, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=TEXT, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": size, "width": size}).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def save_random_siglip2(folder: Path, seed: int = 0) -> Path:
    """Save a SigLIP 2 of variable resolution (naflex) with random weights: at most 16 patches of 8 pixels."""
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    torch.manual_seed(seed)
    vision = TOWER | {"num_patches": 16, "patch_size": 8}
    Siglip2Model(Siglip2Config(text_config=TEXT, vision_config=vision)).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder

"""What indexing is measured on: photograph-like JPEGs of 500 x 375 pixels, and ViT-B/32 with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from shotdex import demo

WIDTH, HEIGHT = 500, 375


def save_photos(folder: Path, count: int, copies: int = 1) -> list[Path]:
    """Write `count` JPEGs (quality 90, about 50 KB), and further files of the same images with other contents.

    A file and its like differ in what follows the end marker only, so they cost the same and count as different.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        first = folder / f"{number:05d}-0.jpg"
        _photo(number).save(first, quality=90)
        data = first.read_bytes()
        paths.append(first)
        for copy in range(1, copies):
            paths.append(folder / f"{number:05d}-{copy}.jpg")
            paths[-1].write_bytes(data + copy.to_bytes(4, "little"))
    return paths


def _photo(seed: int) -> Image.Image:
    """Return smooth noise of several scales with a few shapes on it and a little grain."""
    rng = np.random.default_rng(seed)
    total = np.full((HEIGHT, WIDTH, 3), 128.0)
    for across, weight in ((4, 60), (16, 40), (64, 25), (200, 14)):
        coarse = rng.integers(0, 256, (max(2, HEIGHT * across // WIDTH), across, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        total += weight * (np.asarray(smooth, dtype=float) - 128) / 128
    image = Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(8):
        (left, top), (width, height) = rng.integers(0, (450, 330)), rng.integers(20, 120, 2)
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((left, top, left + width, top + height), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    grain = np.asarray(image, dtype=float) + rng.normal(0, 4, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def save_vit(folder: Path, vision: Mapping[str, int] | None = None, text: Mapping[str, int] | None = None) -> Path:
    """Save a CLIP with random weights, its processor, and the demo model's tokenizer: real in its speed.

    It has the size of ViT-B/32, but for what `vision` and `text` say of its towers; joint vectors are as wide as the
    text tower.
    """
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    towers = {"vision_config": dict(vision or {}), "text_config": dict(text or {})}
    model = CLIPModel(CLIPConfig(**towers, projection_dim=(text or {}).get("hidden_size", 512)))
    model.save_pretrained(folder)
    edge = model.config.vision_config.image_size
    CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size={"height": edge, "width": edge}).save_pretrained(
        folder
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo.MODEL / name, folder / name)
    return folder

"""Families other than CLIP and SigLIP: each equal to its own processor and methods, one image or text at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from shotdex.models.families import projected_features
from shotdex.models.loaders import load_encoder
from shotdex.models.protocols import EncoderOptions
from shotdex.store.errors import ModelUnavailable
from tests.conftest import Ran
from tests.support.families import IMAGES_ONLY, REFUSED, TWO_TOWERS, save_family
from tests.support.images import noise

CPU = EncoderOptions("cpu")
TEXTS = ["a dog", "A photo of a Red cat!", "犬 狗 é", "dog " * 200, "红色 2 & more"]
SIZES = [(32, 32), (200, 133), (31, 90), (7, 5), (640, 480)]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root, made = tmp_path_factory.mktemp("families"), {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_family(kind, root / kind)
        return made[kind]

    return folder


def images() -> list[Image.Image]:
    return [noise(number, *size) for number, size in enumerate(SIZES)]


def unit(features: torch.Tensor) -> np.ndarray:
    return (features / features.norm(dim=-1, keepdim=True)).numpy()


def processor_text(kind: str, folder: Path, text: str) -> dict[str, torch.Tensor]:
    """Return what the family's own processor makes of a text, cut to what the tower has positions for."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 38} if kind == "align" else {}
    if kind == "groupvit":
        padding = {"max_length": 16}
    tokens = tokenizer(text, truncation=True, return_tensors="pt", **padding)
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}


def reference(kind: str, folder: Path) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if kind == "blip":
        model: Any = transformers.BlipForImageTextRetrieval.from_pretrained(folder).eval()

        def blip_images(pixel_values: torch.Tensor) -> torch.Tensor:
            return model.vision_proj(model.vision_model(pixel_values=pixel_values)[0][:, 0])

        def blip_texts(**tokens: torch.Tensor) -> torch.Tensor:
            return model.text_proj(model.text_encoder(**tokens)[0][:, 0])

        return blip_images, blip_texts
    model = transformers.AutoModel.from_pretrained(folder).eval()
    return model.get_image_features, model.get_text_features


@pytest.mark.parametrize("kind", sorted(TWO_TOWERS))
def test_equal_to_the_reference(kind: str, folder_of: Callable[[str], Path]) -> None:
    folder = folder_of(kind)
    encoder = load_encoder(str(folder), CPU)
    of_images, of_texts = reference(kind, folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    made, batch = encoder.encode_texts(TEXTS), encoder.encode_prepared([encoder.prepare(one) for one in images()])
    assert made.shape == (len(TEXTS), encoder.id.dim)
    assert batch.vision.shape == (len(SIZES), encoder.id.vision_dim)
    with torch.no_grad():
        for text, vector in zip(TEXTS, made, strict=True):
            wanted = unit(projected_features(of_texts(**processor_text(kind, folder, text))))[0]
            assert np.abs(vector - wanted).max() < 1e-5, text
        for image, vector in zip(images(), batch.joint, strict=True):
            pixels = processor(images=image, return_tensors="pt")
            wanted = unit(projected_features(of_images(**pixels)))[0]
            assert np.abs(vector - wanted).max() < 1e-5, image.size
    assert np.abs(made[0] - made[1]).max() > 1e-3
    assert np.abs(batch.joint[1] - batch.joint[4]).max() > 1e-4


def test_scales(folder_of: Callable[[str], Path]) -> None:
    model = transformers.AlignModel.from_pretrained(folder_of("align"))
    assert load_encoder(str(folder_of("align")), CPU).id.logit_scale == pytest.approx(1 / model.temperature.item())
    assert load_encoder(str(folder_of("altclip")), CPU).id.logit_scale == pytest.approx(np.exp(2.6592))
    assert load_encoder(str(folder_of("blip")), CPU).id.logit_scale == pytest.approx(1 / 0.07)


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_refused_with_the_reason(kind: str, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be used") as caught:
        load_encoder(str(folder_of(kind)), CPU)
    assert "--model" in caught.value.hint


@pytest.mark.parametrize("kind", ["blip-2", "blip"])
def test_a_blip_without_one_joint_space(kind: str, tmp_path: Path) -> None:
    settings = {"model_type": kind, "architectures": ["BlipForConditionalGeneration"]}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelUnavailable) as caught:
        load_encoder(str(tmp_path), CPU)
    assert "Salesforce/blip-itm-base-coco" in caught.value.hint


@pytest.mark.parametrize("precision", ["bf16", "auto"])
@pytest.mark.parametrize("kind", ["chinese_clip", "align", "dinov2"])
def test_other_precisions(kind: str, precision: str, folder_of: Callable[[str], Path]) -> None:
    """The image side alone changes its number format."""
    full, half = (load_encoder(str(folder_of(kind)), EncoderOptions("cpu", one)) for one in ("float32", precision))
    cosines = (full.encode_images(images()) * half.encode_images(images())).sum(axis=1)
    assert cosines.min() > 0.98


class TestImagesAlone:
    """Models without a text side."""

    @pytest.mark.parametrize("kind", sorted(IMAGES_ONLY))
    def test_an_image_is_its_class_token(self, kind: str, folder_of: Callable[[str], Path]) -> None:
        folder = folder_of(kind)
        encoder = load_encoder(str(folder), CPU)
        batch = [encoder.prepare(one) for one in images()]
        made = encoder.encode_prepared(batch)
        model = transformers.AutoModel.from_pretrained(folder).eval()
        with torch.no_grad():
            for image, joint, vision in zip(images(), made.joint, made.vision, strict=True):
                if kind == "dinov3_vit":
                    resized = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), np.float32) / 255
                    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
                    pixels = {"pixel_values": torch.from_numpy(((resized - mean) / std).transpose(2, 0, 1))[None]}
                else:
                    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
                    pixels = processor(images=image, return_tensors="pt")
                hidden = model(**pixels).last_hidden_state
                assert np.abs(joint - unit(hidden[:, 0])[0]).max() < 1e-5
                assert np.abs(vision - hidden[0].mean(dim=0).numpy()).max() < 1e-4

    def test_a_text_is_an_error_that_says_so(self, folder_of: Callable[[str], Path]) -> None:
        with pytest.raises(ModelUnavailable, match="image-only model") as caught:
            load_encoder(str(folder_of("dinov2")), CPU).encode_texts(["a dog"])
        assert "--image" in caught.value.hint

    def test_the_commands(
        self, folder_of: Callable[[str], Path], colours: Path, tmp_path: Path, shotdex: Callable[..., Ran]
    ) -> None:
        at = ("--store", tmp_path / "store")
        assert shotdex("index", colours, "--model", folder_of("dinov2"), *at).status == 0
        found = shotdex("search", "--image", next(colours.rglob("*.png")), "--json", *at)
        assert found.status == 0, found.err
        assert shotdex("duplicates", *at).status == 0
        for command in (["search", "a dog"], ["classify", "--layout", "x"]):
            ran = shotdex(*command, *at)
            assert ran.status, command
            if command[0] == "search":
                assert "image-only model" in ran.err
                assert "--image" in ran.err

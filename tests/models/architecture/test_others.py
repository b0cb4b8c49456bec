"""Other families, described: the parts add up to the model's own parameters, and blocks have their q, k and v."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

from shotdex.cli.model import as_text
from shotdex.models.architecture.describe import describe
from shotdex.models.architecture.types import Tower
from shotdex.models.loaders import load_encoder
from shotdex.models.protocols import EncoderOptions
from tests.conftest import Ran
from tests.support.beside import open_clip_on_path
from tests.support.families import IMAGES_ONLY, TWO_TOWERS, save_family
from tests.support.open_clips import SETTINGS, random_model, save_open_clip

CONVOLUTIONAL = {"align", "RN50", "convnext_base", "MobileCLIP2-S0"}


def attends(tower: Tower, layers: int) -> bool:
    """Tell whether each block has query, key and value of one size, and attention."""
    found = {part.name: part for part in tower.parts if part.place.value == "block"}
    three = [found[name] for name in ("query", "key", "value")]
    return len({(part.weights, part.copies) for part in three}) == 1 and three[0].copies == layers == tower.layers


def test_register_tokens_are_shown(tmp_path: Path) -> None:
    shown = as_text(describe(str(save_family("dinov2_with_registers", tmp_path / "model"))))
    assert "19: 16 patches of 8 x 8, 2 register tokens and the class token" in shown


@pytest.mark.parametrize("kind", sorted({**TWO_TOWERS, **IMAGES_ONLY}))
def test_transformers(kind: str, tmp_path: Path, shotdex: Callable[..., Ran]) -> None:
    folder = save_family(kind, tmp_path / kind)
    found = describe(str(folder / "config.json"))
    encoder = load_encoder(str(folder), EncoderOptions("cpu"))
    model = encoder._model  # type: ignore[attr-defined]
    assert found.parameters == sum(one.numel() for one in model.parameters())
    assert (found.text is None) == (kind in IMAGES_ONLY)
    assert found.vision.flops > 0
    if kind not in ("align", "groupvit"):
        assert attends(found.vision, 2)
        assert found.vision.output_dim == encoder.id.dim
    if found.text is not None:
        assert attends(found.text, 2)
    ran = shotdex("model", folder)
    assert ran.status == 0, ran.err
    assert f"{found.parameters:,} parameters" in ran.out
    assert json.loads(shotdex("model", folder, "--json").out)["family"] == model.config.model_type


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_open_clip(name: str, tmp_path: Path, shotdex: Callable[..., Ran]) -> None:
    with open_clip_on_path() as open_clip:
        folder = save_open_clip(open_clip, name, tmp_path / name)
        found = describe(str(folder))
        assert found.parameters == sum(one.numel() for one in random_model(open_clip, SETTINGS[name]).parameters())
        assert found.text is not None
        assert found.vision.flops > 0
        assert attends(found.text, 2)
        assert found.vision.output_dim == found.text.output_dim == SETTINGS[name]["embed_dim"]
        if name not in CONVOLUTIONAL:
            assert attends(found.vision, found.vision.layers)
        assert shotdex("model", folder).status == 0


def test_open_clip_by_name(shotdex: Callable[..., Ran]) -> None:
    with open_clip_on_path():
        found = describe("open_clip:ViT-B-32/openai")
        assert (found.parameters, found.vision.layers, found.vision.activation) == (151_277_313, 12, "quick_gelu")
        assert found.vision.input.patches == 49  # type: ignore[union-attr]
        assert shotdex("model", "open_clip:ViT-B-23").status == 1


def test_the_families_before_are_counted_as_before(tmp_path: Path) -> None:
    transformers.CLIPConfig().save_pretrained(tmp_path)
    found = describe(str(tmp_path))
    assert found.text is not None
    assert found.parameters == 151_277_313

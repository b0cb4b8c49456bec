"""Numbers in a model folder that no model has are named before any memory is taken."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from shotdex.models.field_limits import check_fields
from shotdex.models.model_files import load_model
from shotdex.models.protocols import EncoderOptions
from shotdex.models.transformers_encoder import load_encoder
from shotdex.store.errors import ModelUnavailable


@pytest.fixture
def folder(demo_model: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_model, tmp_path / "model"))


def change(file: Path, path: str, value: Any) -> None:
    said = json.loads(file.read_text())
    *outer, name = path.split(".")
    part = said
    for key in outer:
        part = part[key]
    part[name] = value
    file.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text_config.num_hidden_layers", 1_000_000),
        ("vision_config.num_hidden_layers", 999),
        ("vision_config.hidden_size", 1 << 40),
        ("text_config.vocab_size", 10_000_000),
        ("vision_config.image_size", 10**9),
        ("vision_config.patch_size", 0),
        ("logit_scale_init_value", 1e30),
        ("logit_scale_init_value", float("nan")),
        ("text_config.num_attention_heads", 0),
    ],
)
def test_configuration(field: str, value: float, folder: Path) -> None:
    change(folder / "config.json", field, value)
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=field.rpartition(".")[2]) as caught:
        load_model(str(folder))
    assert "config.json" in caught.value.hint
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("field", "value"),
    [("crop_size", 0), ("crop_size.height", 1), ("size.shortest_edge", 0), ("size", 10**9), ("crop_size.width", -3)],
)
def test_preprocessing(field: str, value: int, folder: Path) -> None:
    change(folder / "preprocessor_config.json", field, value)
    with pytest.raises(ModelUnavailable, match=rf"{field} in preprocessor_config\.json is {value:,}"):
        load_model(str(folder))


@pytest.mark.parametrize("value", [1e30, float("nan"), -1e30, float("inf")])
def test_a_scale_in_the_weights(value: float, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["logit_scale"].fill_(value)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailable, match="logit_scale is"):
        load_encoder(str(folder), EncoderOptions("cpu"))


def test_models_that_are_right_pass(
    clip_folder: Path, siglip_folder: Path, siglip2_folder: Path, demo_model: str
) -> None:
    for one in (clip_folder, siglip_folder, siglip2_folder, Path(demo_model)):
        check_fields(str(one), one)

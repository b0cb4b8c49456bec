"""Parameters and FLOPs, against models with real weights, torch's own counter, published numbers and a naive twin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, CLIPConfig, CLIPModel, Siglip2Config, SiglipConfig

from shotdex.models.architecture.describe import Configuration, describe, describe_model
from shotdex.models.architecture.parts import GROUPS, ORDER, RULES, Extent, Side, count_parts
from shotdex.models.architecture.types import Architecture, ImageInput, Part, Place, TextInput, Tower
from shotdex.models.model_files import load_model
from shotdex.store.errors import EncoderError
from tests.support.models import TEXT, TOWER

FOLDERS = ("clip_folder", "siglip_folder", "siglip2_folder", "demo_model")
VISION = TOWER | {"image_size": 32, "patch_size": 8}


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def described(place: Path, **config: Any) -> Architecture:
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(config))
    return describe(str(place))


def named(tower: Tower, place: Place) -> dict[str, Part]:
    return {part.name: part for part in tower.parts if part.place is place}


def small_clip() -> CLIPModel:
    return CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=24))


def describe_clip(model: CLIPModel) -> Architecture:
    return describe_model(Configuration("x", "local", Path("x"), "clip"), model)


class TestParameters:
    """Every number of parameters."""

    def test_the_totals_are_those_of_the_loaded_model(self, folder: Path) -> None:
        model, found = load_model(str(folder)).model, describe(str(folder))
        assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
        for tower, prefixes in ((found.vision, ("vision", "visual")), (found.text, ("text",))):
            own = sum(tensor.numel() for name, tensor in model.named_parameters() if name.startswith(prefixes))
            assert tower.parameters == own == sum(part.copies * (part.weights + part.biases) for part in tower.parts)
        assert [part.parameters for part in found.comparison] == [1] * len(found.comparison)
        assert found.size_bytes == {
            "float32": sum(tensor.nbytes for tensor in model.parameters()),
            "bf16": sum(tensor.nbytes for tensor in model.bfloat16().parameters()),
        }

    def test_a_block_has_what_its_modules_have(self, folder: Path) -> None:
        model, found = load_model(str(folder)).model, describe(str(folder))
        for tower, module in ((found.vision, model.vision_model), (found.text, model.text_model)):
            blocks, parts = list(module.encoder.layers), named(tower, Place.BLOCK)
            assert tower.layers == len(blocks)
            assert set(parts) == {"query", "key", "value", "attention", "output", "MLP", "norms"}
            for block in blocks:
                attention, mlp, norms = block.self_attn, block.mlp, (block.layer_norm1, block.layer_norm2)
                pairs = {
                    "query": [attention.q_proj],
                    "key": [attention.k_proj],
                    "value": [attention.v_proj],
                    "output": [attention.out_proj],
                    "MLP": [mlp.fc1, mlp.fc2],
                    "norms": norms,
                }
                for name, modules in pairs.items():
                    assert parts[name].weights == sum(each.weight.numel() for each in modules)
                    assert parts[name].biases == sum(each.bias.numel() for each in modules)
                    assert parts[name].copies == len(blocks)
                assert tower.parameters_per_block == sum(tensor.numel() for tensor in block.parameters())
            assert (parts["attention"].parameters, parts["attention"].copies) == (0, len(blocks))

    def test_the_pooling_head_is_split_into_its_three_projections(self, siglip_folder: Path) -> None:
        head = load_model(str(siglip_folder)).model.vision_model.head
        parts = named(describe(str(siglip_folder)).vision, Place.POOLING)
        assert {name: (part.weights, part.biases) for name, part in parts.items()} == {
            "probe": (32, 0),
            "query": (32 * 32, 32),
            "key": (32 * 32, 32),
            "value": (32 * 32, 32),
            "attention": (0, 0),
            "output": (32 * 32, 32),
            "MLP": (2 * 32 * 64, 64 + 32),
            "norms": (32, 32),
        }
        assert sum(part.parameters for part in parts.values()) == sum(tensor.numel() for tensor in head.parameters())

    @pytest.mark.parametrize(
        ("config", "total"),
        [
            # openai/clip-vit-base-patch32 and -large-patch14: sum(p.numel()) of the published weights.
            ({"model_type": "clip"}, 151_277_313),
            (
                {
                    "model_type": "clip",
                    "projection_dim": 768,
                    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
                    "vision_config": {
                        "hidden_size": 1024,
                        "intermediate_size": 4096,
                        "num_hidden_layers": 24,
                        "num_attention_heads": 16,
                        "patch_size": 14,
                    },
                },
                427_616_513,
            ),
            # google/siglip-base-patch16-224 and -so400m-patch14-384, siglip2-base-patch16-224: n_parameters in mteb.
            ({"model_type": "siglip"}, 203_155_970),
            (
                {
                    "model_type": "siglip",
                    "text_config": (
                        so400m := {
                            "hidden_size": 1152,
                            "intermediate_size": 4304,
                            "num_hidden_layers": 27,
                            "num_attention_heads": 16,
                        }
                    ),
                    "vision_config": so400m | {"patch_size": 14, "image_size": 384},
                },
                877_960_498,
            ),
            ({"model_type": "siglip", "text_config": {"vocab_size": 256_000}}, 375_187_970),
        ],
        ids=["clip-b32", "clip-l14", "siglip-b16", "siglip-so400m", "siglip2-b16"],
    )
    def test_published_totals(self, config: dict[str, Any], total: int, tmp_path: Path) -> None:
        assert described(tmp_path, **config).parameters == total

    def test_no_weights_are_made(self, tmp_path: Path) -> None:
        # A table of 20 TB: more than any computer would even try to set aside.
        found = described(tmp_path, model_type="clip", text_config={"vocab_size": 10**10})
        assert found.parameters == 151_277_313 + (10**10 - 49_408) * 512
        assert found.size_bytes["float32"] == 4 * found.parameters > 2e13

    def test_a_shared_parameter_counts_once_and_its_work_each_time(self) -> None:
        model = small_clip()
        apart = describe_clip(model)
        model.text_model.encoder.layers[1] = model.text_model.encoder.layers[0]
        shared = describe_clip(model)
        assert shared.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert apart.parameters - shared.parameters == apart.text.parameters_per_block
        assert named(shared.text, Place.BLOCK)["query"].copies == 1
        assert (shared.text.flops, shared.vision) == (apart.text.flops, apart.vision)

    def test_a_parameter_that_is_in_no_part_stops_the_count(self) -> None:
        model = small_clip()
        model.vision_model.gate = torch.nn.Parameter(torch.zeros(3))
        with pytest.raises(EncoderError, match=r"vision_model\.gate") as caught:
            describe_clip(model)
        assert caught.value.hint

    def test_unlike_blocks_stop_the_count(self) -> None:
        model = small_clip()
        model.text_model.encoder.layers[1].mlp.fc1 = torch.nn.Linear(32, 65)
        with pytest.raises(EncoderError, match="differ in their MLP"):
            describe_clip(model)

    def test_a_vision_tower_without_its_pooling_head(self, tmp_path: Path) -> None:
        found = described(tmp_path, model_type="siglip", vision_config=VISION | {"vision_use_head": False})
        assert named(found.vision, Place.POOLING) == {}
        assert found.vision.read_from == ""


class TestFlops:
    """FLOPs of an image and of a text."""

    @pytest.mark.parametrize("name", FOLDERS)
    def test_they_are_what_torch_counts(self, name: str, request: pytest.FixtureRequest) -> None:
        folder = request.getfixturevalue(name)
        # With eager attention all products are plain ones; torch's counter does not know the fused one of the CPU.
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        found = describe(str(folder))
        image, context = found.vision.input, found.text.tokens
        assert isinstance(image, ImageInput)
        if image.size is None:
            patches = torch.zeros(1, image.patches, 3 * image.patch**2)
            shape = torch.tensor([[4, 4]])
            mask = torch.ones(1, image.patches, dtype=torch.long)
            pixels = {"pixel_values": patches, "spatial_shapes": shape, "pixel_attention_mask": mask}
        else:
            pixels = {"pixel_values": torch.zeros(1, 3, image.size, image.size)}
        assert counted(model.get_image_features, pixels) == found.vision.flops
        assert counted(model.get_text_features, {"input_ids": torch.full((1, context), 3)}) == found.text.flops

    @pytest.mark.parametrize(
        ("family", "image", "text"),
        # ViT-B-32 and ViT-B-16-SigLIP in open_clip's docs/model_profile.csv, in 1e9.
        [("clip", 8.82, 5.96), ("siglip", 35.42, 11.02)],
    )
    def test_they_are_near_what_open_clip_publishes(
        self, family: str, image: float, text: float, tmp_path: Path
    ) -> None:
        found = described(tmp_path, model_type=family)
        assert found.vision.flops / 1e9 == pytest.approx(image, abs=0.011)
        assert found.text.flops / 1e9 == pytest.approx(text, abs=0.011)

    def test_a_tower_has_those_of_its_parts(self, folder: Path) -> None:
        for tower in (describe(str(folder)).vision, describe(str(folder)).text):
            assert tower.flops == sum(part.flops for part in tower.parts)
            block, attention = named(tower, Place.BLOCK), 4 * tower.layers * tower.tokens**2 * tower.width
            assert block["attention"].flops == attention
            assert block["query"].flops == 2 * tower.layers * tower.tokens * tower.width**2
            assert (block["norms"].flops, named(tower, Place.INPUT)["position embedding"].flops) == (0, 0)


def counted(work: Any, inputs: dict[str, torch.Tensor]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work(**inputs)
    return int(counter.get_total_flops())


@settings(max_examples=25, deadline=None)
@given(
    layers=st.integers(1, 4),
    heads=st.integers(1, 4),
    head_dim=st.integers(1, 9),
    mlp=st.integers(1, 40),
    grid=st.integers(1, 5),
    joint=st.integers(1, 20),
)
def test_a_naive_twin(layers: int, heads: int, head_dim: int, mlp: int, grid: int, joint: int) -> None:
    d, context, words, patch = heads * head_dim, 7, 50, 2
    tower = {
        "hidden_size": d,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    vision = tower | {"image_size": grid * patch, "patch_size": patch}
    text = TEXT | tower | {"vocab_size": words, "max_position_embeddings": context}
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=joint))
    found = describe_clip(model)
    block = 4 * (d * d + d) + (2 * d * mlp + mlp + d) + 2 * 2 * d
    n = grid * grid + 1
    assert found.vision.parameters == 3 * patch**2 * d + d + n * d + 2 * d + layers * block + 2 * d + d * joint
    assert found.text.parameters == words * d + context * d + layers * block + 2 * d + d * joint
    assert found.parameters == found.vision.parameters + found.text.parameters + 1

    def work(length: int) -> int:
        return layers * length * (8 * d * d + 4 * length * d + 4 * d * mlp) + 2 * d * joint

    assert found.vision.flops == work(n) + 2 * grid * grid * 3 * patch**2 * d
    assert found.text.flops == work(context)


class TestShape:
    """Layers, widths and the rest."""

    def test_the_shipped_model(self, demo_model: Path) -> None:
        found, config = describe("demo"), json.loads((demo_model / "config.json").read_text())
        image = config["vision_config"]
        for tower, own in ((found.vision, image), (found.text, config["text_config"])):
            assert tower.layers == own["num_hidden_layers"]
            assert tower.width == own["hidden_size"] == tower.heads * tower.head_dim
            assert tower.heads == own["num_attention_heads"]
            assert (tower.mlp_width, tower.activation) == (own["intermediate_size"], own["hidden_act"])
            assert tower.output_dim == config["projection_dim"]
        assert found.vision.input == ImageInput(image["image_size"], image["patch_size"], 3, 64, True)
        assert found.text.input == TextInput(32, 3072, padded=False)
        assert (found.vision.tokens, found.text.tokens) == (65, 32)
        assert (found.name, found.revision, found.family) == ("demo", "local", "clip")
        assert (found.vision.read_from, found.text.read_from) == ("the class token", "the end token")

    def test_siglip(self, siglip_folder: Path) -> None:
        found = describe(str(siglip_folder))
        assert found.vision.input == ImageInput(32, 8, 3, 16, False)
        assert found.text.input == TextInput(16, 400, padded=True)
        assert (found.vision.tokens, found.vision.output_dim, found.text.output_dim) == (16, 32, 32)
        assert "padded to that" in found.convention

    def test_siglip_2_keeps_the_shape_of_a_image(self, siglip2_folder: Path) -> None:
        found = describe(str(siglip2_folder))
        assert found.vision.input == ImageInput(None, 8, 3, 16, False)
        assert "16 patches, the most it may have" in found.convention

    def test_a_projection_to_another_width(self, tmp_path: Path) -> None:
        found = described(tmp_path, model_type="siglip", text_config=TEXT | {"projection_size": 48})
        assert (found.text.width, found.text.output_dim) == (32, 48)


class TestTables:
    """What is known of the families, as data."""

    def test_every_rule_is_used_and_every_part_explained(self) -> None:
        names: set[str] = set()
        for config in (CLIPConfig, SiglipConfig, Siglip2Config):
            with torch.device("meta"):
                model = AutoModel.from_config(config(text_config=TEXT, vision_config=TOWER))
            names |= {re.sub(r"\.\d+\.", ".*.", name) for name, _ in model.named_parameters()}
        assert {stem for stem in RULES if any(name.startswith(stem) for name in names)} == set(RULES)
        assert {kind for _, kinds in RULES.values() for kind in kinds} <= set(ORDER)
        for sentence in (*(kind.does for kind in ORDER), *GROUPS.values()):
            assert sentence[0].isupper()
            assert sentence.endswith(".")
            assert len(sentence) <= 80

    def test_parts_stand_in_the_order_in_which_they_are_passed(self) -> None:
        extents = {Side.VISION: Extent(2, 32, 17, 16), Side.TEXT: Extent(2, 32, 16, 0)}
        names = [part.name for part in count_parts(small_clip(), extents)[Side.TEXT]]
        block = ["query", "key", "value", "attention", "output", "MLP", "norms"]
        assert names == ["token embedding", "position embedding", *block, "final norm", "projection"]

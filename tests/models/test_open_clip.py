"""Models of open_clip: equal to its own encode_image and encode_text; names, files and the hub."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shotdex.models.loaders import load_encoder, loader_of
from shotdex.models.open_clip_files import OpenClipLoader
from shotdex.models.preprocessing import FixedSize
from shotdex.models.protocols import EncoderOptions
from shotdex.models.text_tower import TextRules, Tokens
from shotdex.models.text_tower_export import _simple_tokenizer, keep_tower
from shotdex.models.text_tower_file import open_tower
from shotdex.models.transformers_encoder import TransformersEncoder
from shotdex.store.errors import ModelUnavailable
from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.beside import open_clip_on_path
from tests.support.hub import Hub, Repo, folder_files
from tests.support.images import noise
from tests.support.models import save_random_clip
from tests.support.open_clips import SETTINGS, TEXT, save_open_clip, save_settings

from .test_hub import hub, offline  # noqa: F401

CPU = EncoderOptions("cpu")
SIZES = [(64, 64), (200, 133), (31, 90), (7, 5), (640, 480), (65, 67)]
TEXTS = ["a dog", "A photo of a Cat, &amp; a hat!", "", "word " * 200, "é ü 日本 🎈"]


@pytest.fixture(scope="module")
def open_clip() -> Iterator[ModuleType]:
    with open_clip_on_path() as module:
        yield module


@pytest.fixture(scope="module")
def folder_of(open_clip: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root, made = tmp_path_factory.mktemp("open_clip"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = save_open_clip(open_clip, name, root / name)
        return made[name]

    return folder


def images() -> list[Image.Image]:
    return [noise(number, *size) for number, size in enumerate(SIZES)]


def unit(vectors: torch.Tensor) -> np.ndarray:
    return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_equal_to_the_reference(name: str, open_clip: Any, folder_of: Callable[[str], Path]) -> None:
    folder = folder_of(name)
    encoder = load_encoder(str(folder), CPU)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    made, texts = encoder.encode_prepared([encoder.prepare(one) for one in images()]), encoder.encode_texts(TEXTS)
    assert made.joint.shape == (len(SIZES), encoder.id.dim)
    assert made.vision.shape == (len(SIZES), encoder.id.vision_dim)
    with torch.no_grad():
        wanted = np.concatenate([unit(model.encode_image(transform(one)[None])) for one in images()])
        assert np.abs(made.joint - wanted).max() < 1e-5
        wanted = np.concatenate([unit(model.encode_text(tokenizer([text]))) for text in TEXTS])
        assert np.abs(texts - wanted).max() < 1e-5
    assert np.abs(made.joint[0] - made.joint[4]).max() > 1e-3
    assert np.abs(texts[0] - texts[1]).max() > 1e-3
    assert encoder.id.logit_scale == pytest.approx(model.logit_scale.exp().item())
    assert encoder.id.sigmoid == ("SigLIP" in name)
    # Our own pixels, which other processes can prepare, wherever they are the same numbers.
    assert (encoder.portable is None) == (name == "convnext_base")


ODD = ["<start_of_text> x", "it's \ufb01ne\u2019s &lt;b&gt; &amp;lt;", "\x1b[31mred\x00 \x1c a\tline\n", "a_b, C-D!"]

READ = {"context_length": 16, "vocab_size": 400, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP", "proj_bias": True}
ENDS: dict[str, dict[str, Any]] = {
    "eos": READ | {"pool_type": "eos", "eos_id": 3, "tokenizer_kwargs": {"clean": "lower"}},
    "first": READ | {"pool_type": "first", "act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-3}},
    "CLIPA": READ | {"pool_type": "last", "no_causal_mask": True, "tokenizer_kwargs": {"strip_sep_token": True}},
    "no projection": {"proj_type": "none", "width": 32, "mlp_ratio": 3.7362, "no_causal_mask": True},
}
"""Text towers that end, or are cut, as in architectures that are not among `SETTINGS`."""


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16-SigLIP", "coca_ViT-B-32", *ENDS])
def test_the_kept_text_tower(name: str, open_clip: Any, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    if name in SETTINGS:
        folder = folder_of(name)
    else:
        settings = SETTINGS["ViT-B-32"] | {"custom_text": True, "text_cfg": TEXT | ENDS[name]}
        folder = save_settings(open_clip, settings, tmp_path / name)
    encoder, store = load_encoder(str(folder), CPU), Store.create(tmp_path / "store")
    assert isinstance(encoder, TransformersEncoder)
    assert keep_tower(store, encoder)
    tower = open_tower(store, encoder.id)
    assert tower is not None
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    texts = [*TEXTS, *ODD]
    with torch.no_grad():
        wanted = np.concatenate([unit(model.encode_text(tokenizer([text]))) for text in texts])
    assert np.abs(tower.encode(texts) - wanted).max() < 1e-5
    assert np.abs(tower.encode(texts[:1]) - wanted[:1]).max() < 1e-5, "alone"


@pytest.fixture(scope="module")
def readers(open_clip: Any) -> list[tuple[Any, Tokens]]:
    """The tokenizer of open_clip with each way to clean a text, and what is kept of it."""
    of = open_clip.tokenizer.SimpleTokenizer
    theirs = {clean: of(context_length=24, clean=clean) for clean in ("lower", "whitespace", "canonicalize")}
    kept = _simple_tokenizer(theirs["lower"])
    return [(one, Tokens(kept, TextRules(24, 0, False, clean=clean))) for clean, one in theirs.items()]


# Without characters newer than Python's Unicode, of which the two libraries need not know the same, and without the
# only other one that one of them takes for a letter.
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cn", "Co", "Cs"], exclude_characters="\u0345")


@given(st.lists(st.text(CHARACTERS, max_size=40), min_size=1, max_size=4))
def test_any_text_has_the_tokens_of_open_clip(readers: list[tuple[Any, Tokens]], texts: list[str]) -> None:
    for theirs, ours in readers:
        assert ours.of(texts) == theirs(texts).tolist()


def test_the_crop_of_torchvision_is_ours(open_clip: Any, folder_of: Callable[[str], Path]) -> None:
    """Margins of half a pixel are rounded to even there and down in transformers; the digest tells them apart."""
    encoder = load_encoder(str(folder_of("ViT-B-32")), CPU)
    fixed = FixedSize.of(encoder.portable or {})
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder_of('ViT-B-32')}")
    for width in range(64, 80):
        image = noise(width, width, 64)
        given = fixed.inputs({"pixels": torch.from_numpy(fixed.prepare(image)["pixels"])[None]}, torch.float32)
        assert (given["pixel_values"][0] - transform(image)).abs().max() < 1e-5, width


class TestQuickGelu:
    """The same weights with another activation give other vectors."""

    def test_it_is_part_of_the_identity(self, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
        plain = folder_of("ViT-B-32")
        quick = tmp_path / "quick"
        quick.mkdir()
        for file, content in folder_files(plain).items():
            (quick / file).write_bytes(content)
        settings = json.loads((quick / "open_clip_config.json").read_text())
        settings["model_cfg"]["quick_gelu"] = True
        (quick / "open_clip_config.json").write_text(json.dumps(settings))
        first, second = load_encoder(str(plain), CPU), load_encoder(str(quick), CPU)
        assert first.id.key() != second.id.key()
        assert np.abs(first.encode_texts(["a dog"]) - second.encode_texts(["a dog"])).max() > 1e-5

    def test_weights_that_want_it_get_it_under_both_names(
        self, served: Hub, open_clip: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = load_encoder("open_clip:ViT-B-32/openai", CPU)
        second = load_encoder("open_clip:ViT-B-32-quickgelu/openai", CPU)
        assert first.id.key() == second.id.key()
        assert first.encode_texts(["a dog"]).tobytes() == second.encode_texts(["a dog"]).tobytes()
        model = copy.deepcopy(first._model)  # type: ignore[attr-defined]
        assert {type(layer.mlp.gelu).__name__ for layer in model.visual.transformer.resblocks} == {"QuickGELU"}


@pytest.fixture
def served(
    hub: Hub,  # noqa: F811
    open_clip: Any,
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Hub:
    """A hub with a model of open_clip under the names of published ones, whose architectures are made small."""
    for name in ("ViT-B-32", "ViT-B-32-quickgelu"):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, SETTINGS[name])
    for name, tag in (("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-B-32", "openai")):
        repo = open_clip.get_pretrained_cfg(name, tag)["hf_hub"].rpartition("/")[0]
        hub.repos[repo] = Repo()
        hub.repos[repo].commit(folder_files(folder_of("ViT-B-32")))
    return hub


class TestNames:
    """open_clip:ARCHITECTURE/TAG and hf-hub:NAME."""

    @pytest.mark.parametrize(
        "name", ["open_clip:ViT-B-32/laion2b_s34b_b79k", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"]
    )
    def test_from_the_hub_then_without_it(
        self,
        name: str,
        served: Hub,
        folder_of: Callable[[str], Path],
        offline: Callable[[], None],  # noqa: F811
    ) -> None:
        assert not loader_of(name).is_here(name)
        first = load_encoder(name, CPU)
        assert first.id.name == name
        assert first.id.key() == load_encoder(str(folder_of("ViT-B-32")), CPU).id.key()
        asked = len(served.asked)
        offline()
        assert loader_of(name).is_here(name)
        second = load_encoder(name, CPU)
        assert second.id == first.id
        assert second.encode_texts(["a dog"]).tobytes() == first.encode_texts(["a dog"]).tobytes()
        assert len(served.asked) == asked

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("open_clip:ViT-B-23/openai", "--model open_clip:ViT-B-32"),
            ("open_clip:ViT-B-32/laion2b", "--model open_clip:ViT-B-32/laion2b_e16"),
            ("open_clip:ViT-B-32", "docs/models.md"),
        ],
    )
    def test_misspelt(self, name: str, near: str, open_clip: ModuleType) -> None:
        with pytest.raises(ModelUnavailable, match="open_clip has no") as caught:
            load_encoder(name, CPU)
        assert near in caught.value.hint

    def test_a_file_of_weights(self, open_clip: Any, served: Hub, folder_of: Callable[[str], Path]) -> None:
        weights = folder_of("ViT-B-32") / "open_clip_model.safetensors"
        encoder = load_encoder(f"open_clip:ViT-B-32/{weights}", CPU)
        assert encoder.id.key() == load_encoder(str(folder_of("ViT-B-32")), CPU).id.key()

    def test_which_loader(self, tmp_path: Path, folder_of: Callable[[str], Path]) -> None:
        loader = OpenClipLoader()
        folder = folder_of("ViT-B-32")
        assert loader.matches(str(folder))
        assert loader.canonical_name(f"local-dir:{folder}") == str(folder)
        both = save_random_clip(tmp_path / "both")
        (both / "open_clip_config.json").write_text("{}")
        assert not loader.matches(str(both)), "transformers reads it without another package"
        assert not loader.matches("demo")

    def test_weights_that_are_code(self, tmp_path: Path, folder_of: Callable[[str], Path]) -> None:
        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

        folder = tmp_path / "evil"
        folder.mkdir()
        settings = (folder_of("ViT-B-32") / "open_clip_config.json").read_text()
        (folder / "open_clip_config.json").write_text(settings)
        torch.save({"logit_scale": Evil()}, folder / "open_clip_pytorch_model.bin")
        with pytest.raises(ModelUnavailable, match="no code"):
            load_encoder(str(folder), CPU)
        assert not (tmp_path / "ran").exists()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModelUnavailable, match="open_clip_torch") as caught:
        load_encoder("open_clip:ViT-B-32/openai", CPU)
    assert caught.value.hint == "pip install 'shotdex[open-clip]'"


def test_the_commands(
    folder_of: Callable[[str], Path], colours: Path, tmp_path: Path, shotdex: Callable[..., Ran]
) -> None:
    at = ("--store", tmp_path / "store")
    ran = shotdex("index", colours, "--model", folder_of("ViT-B-32"), "--precision", "auto", *at)
    assert ran.status == 0, ran.err
    assert shotdex("index", colours, *at).status == 0
    found = shotdex("search", "a dog", "--json", *at)
    assert len(json.loads(found.out)) == 10, found.err
    # A process that has neither torch nor open_clip: the text tower is next to the index.
    program = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'transformers', 'open_clip')); "
        "from shotdex.cli.__main__ import main; main()"
    )
    cold = subprocess.run(
        [sys.executable, "-c", program, "search", "a dog", "--json", *map(str, at)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert cold.returncode == 0, cold.stderr
    assert [hit["path"] for hit in json.loads(cold.stdout)] == [hit["path"] for hit in json.loads(found.out)]

"""Encoders against the transformers reference: one image, one text at a time, the processor with its PIL backend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from shotdex import demo
from shotdex.models.families import FAMILIES, canonical_text, projected_features
from shotdex.models.transformers_encoder import EncoderOptions, TransformersEncoder, load_encoder
from shotdex.store.errors import ModelUnavailable, OptionError
from shotdex.store.types import Pooling, Precision
from tests.support.images import noise

SIZES = [(1, 1), (1000, 3), (3, 1000), (31, 33), (32, 32), (64, 48), (48, 64), (200, 133), (33, 257), (640, 480)]
TEXTS = ["a dog", "a photo of a Cat.", "airplane, car & cup!", "", "x" * 300, "é ü 🎈 日本"]
MODELS = ["clip", "siglip", "siglip2", "demo"]


@pytest.fixture(scope="session")
def folders(request: pytest.FixtureRequest) -> Any:
    def folder(name: str) -> Path:
        if name == "demo":
            return Path(request.getfixturevalue("demo_model"))
        return Path(request.getfixturevalue(f"{name}_folder"))

    return folder


@pytest.fixture(scope="session")
def encoder_of(folders: Any) -> Any:
    loaded: dict[str, TransformersEncoder] = {}

    def encoder(name: str) -> TransformersEncoder:
        if name not in loaded:
            folder = folders(name)
            loaded[name] = load_encoder("demo" if name == "demo" else str(folder), EncoderOptions("cpu"))
        return loaded[name]

    return encoder


def unit(tensor: torch.Tensor) -> np.ndarray:
    return (tensor / tensor.norm(dim=-1, keepdim=True)).numpy()[0]


def images() -> list[Image.Image]:
    return [noise(i, *size) for i, size in enumerate(SIZES)]


@pytest.mark.parametrize("name", MODELS)
def test_images_equal_the_reference(name: str, folders: Any, encoder_of: Any) -> None:
    folder, encoder = folders(name), encoder_of(name)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    made = encoder.encode_prepared([encoder.prepare(image) for image in images()])
    assert made.joint.dtype == made.vision.dtype == np.float32
    assert np.abs(np.linalg.norm(made.joint, axis=1) - 1).max() < 1e-6
    assert made.joint.shape == (len(SIZES), encoder.id.dim)
    assert made.vision.shape == (len(SIZES), encoder.id.vision_dim)
    with torch.no_grad():
        for i, image in enumerate(images()):
            inputs = processor(images=image, return_tensors="pt")
            out = model.get_image_features(**inputs)
            assert np.abs(made.joint[i] - unit(projected_features(out))).max() < 1e-5, SIZES[i]
            tokens = out.last_hidden_state[0]
            if "pixel_attention_mask" in inputs:
                tokens = tokens[inputs["pixel_attention_mask"][0].bool()]
            assert np.abs(made.vision[i] - tokens.mean(dim=0).numpy()).max() < 1e-4, SIZES[i]
    single = np.concatenate([encoder.encode_images([image]) for image in images()])
    assert np.abs(single - made.joint).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_texts_equal_the_reference(name: str, folders: Any, encoder_of: Any) -> None:
    folder, encoder = folders(name), encoder_of(name)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    family = FAMILIES[model.config.model_type]
    length = model.config.text_config.max_position_embeddings
    made = encoder.encode_texts(TEXTS)
    assert np.abs(np.linalg.norm(made, axis=1) - 1).max() < 1e-6
    with torch.no_grad():
        for i, text in enumerate(TEXTS):
            asked = canonical_text(text, family, tokenizer)
            tokens = tokenizer([asked], padding=family.padding, truncation=True, max_length=length, return_tensors="pt")
            mask = {} if family.sigmoid else {"attention_mask": tokens["attention_mask"]}
            if family.sigmoid:
                assert tokens["input_ids"].shape == (1, length)
            want = unit(projected_features(model.get_text_features(input_ids=tokens["input_ids"], **mask)))
            assert np.abs(made[i] - want).max() < 1e-5, text
    assert encoder.encode_texts([]).shape == (0, encoder.id.dim)


def test_more_texts_than_a_batch(encoder_of: Any) -> None:
    texts = [f"an image of {i} dogs" for i in range(150)]
    made = encoder_of("clip").encode_texts(texts)
    assert np.abs(made[[0, 70, 149]] - encoder_of("clip").encode_texts([texts[i] for i in (0, 70, 149)])).max() < 1e-6


def test_siglip_texts_lose_case_and_punctuation(encoder_of: Any) -> None:
    a, b = encoder_of("siglip").encode_texts(["A photo, of a DOG!", "a photo of a dog"])
    assert (a == b).all()


def test_features_as_object_and_as_tensor() -> None:
    class Output:
        pooler_output = "vectors"

    assert projected_features(Output()) == "vectors"
    tensor = torch.ones(2)
    assert projected_features(tensor) is tensor


class TestIdentity:
    """What two encoders share, and what sets them apart."""

    def test_facts(self, encoder_of: Any, clip_folder: Path) -> None:
        found = encoder_of("clip").id
        assert (found.name, found.revision, found.precision) == (str(clip_folder), "local", Precision.FLOAT32)
        assert (found.dim, found.vision_dim, found.sigmoid) == (24, 32, False)
        assert found.logit_scale == pytest.approx(np.exp(2.6592))
        other = encoder_of("siglip").id
        assert (other.dim, other.sigmoid) == (32, True)

    def test_the_same_model_twice_is_the_same(self, clip_folder: Path, encoder_of: Any, tmp_path: Path) -> None:
        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        found = load_encoder(str(copy), EncoderOptions("cpu")).id
        assert found.key() == encoder_of("clip").id.key()
        assert found.name == str(copy)

    def test_other_weights(self, encoder_of: Any, tmp_path: Path) -> None:
        from tests.support.models import save_random_clip

        other = load_encoder(str(save_random_clip(tmp_path / "m", seed=1)), EncoderOptions("cpu")).id
        assert other.weights_sha256 != encoder_of("clip").id.weights_sha256
        assert other.preprocessing_sha256 == encoder_of("clip").id.preprocessing_sha256

    @pytest.mark.parametrize("change", [{"image_mean": [0.5, 0.5, 0.5]}, {"resample": 2}, {"rescale_factor": 0.01}])
    def test_other_preprocessing(
        self, clip_folder: Path, encoder_of: Any, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        file = copy / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
        other = load_encoder(str(copy), EncoderOptions("cpu")).id
        assert other.preprocessing_sha256 != encoder_of("clip").id.preprocessing_sha256
        assert other.weights_sha256 == encoder_of("clip").id.weights_sha256

    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    def test_other_precision_is_recorded_and_close(self, clip_folder: Path, encoder_of: Any, precision: str) -> None:
        other = load_encoder(str(clip_folder), EncoderOptions("cpu", precision))
        assert other.id.precision is Precision(precision)
        assert other.id.weights_sha256 == encoder_of("clip").id.weights_sha256
        assert other.id.key() != encoder_of("clip").id.key()
        for got, want in (
            (other.encode_images(images()), encoder_of("clip").encode_images(images())),
            (other.encode_texts(TEXTS), encoder_of("clip").encode_texts(TEXTS)),
        ):
            assert got.dtype == np.float32
            assert (got * want).sum(axis=1).min() > 0.999
            assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 1e-5

    def test_other_pooling(self, clip_folder: Path, encoder_of: Any) -> None:
        other = load_encoder(str(clip_folder), EncoderOptions("cpu", pooling=Pooling.CLS))
        batch = [other.prepare(image) for image in images()[:3]]
        cls, mean = other.encode_prepared(batch), encoder_of("clip").encode_prepared(batch)
        assert other.id.key() != encoder_of("clip").id.key()
        assert cls.joint.tobytes() == mean.joint.tobytes()
        assert np.abs(cls.vision - mean.vision).max() > 1e-3

    def test_a_device_that_is_not_here(self, clip_folder: Path) -> None:
        missing = "mps" if not torch.backends.mps.is_available() else "cuda"
        with pytest.raises(OptionError, match="no device"):
            load_encoder(str(clip_folder), EncoderOptions(missing))


class TestUnavailable:
    """Every way in which a model cannot be had is one clear error."""

    @pytest.mark.parametrize(
        "name", ["openai/clip-vit-base-patch32", "no-such-folder", "./no/such/folder", "bad name!"]
    )
    def test_without_hub(self, name: str) -> None:
        with pytest.raises(ModelUnavailable) as caught:
            load_encoder(name, EncoderOptions("cpu"))
        assert name in str(caught.value)
        assert f"hf download {name}" in caught.value.hint
        assert "--model demo" in caught.value.hint

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnavailable, match=str(tmp_path)) as caught:
            load_encoder(str(tmp_path))
        assert "model.safetensors" in caught.value.hint

    @pytest.mark.parametrize("missing", ["model.safetensors", "preprocessor_config.json", "config.json"])
    def test_a_folder_that_lacks_a_file(self, clip_folder: Path, tmp_path: Path, missing: str) -> None:
        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        (copy / missing).unlink()
        with pytest.raises(ModelUnavailable, match="copy"):
            load_encoder(str(copy))

    def test_weights_cut_short(self, clip_folder: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        file = copy / "model.safetensors"
        file.write_bytes(file.read_bytes()[:5000])
        with pytest.raises(ModelUnavailable):
            load_encoder(str(copy))

    def test_weights_that_lack_a_part_are_not_filled_with_noise(self, clip_folder: Path, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        tensors = load_file(copy / "model.safetensors")
        del tensors["visual_projection.weight"]
        save_file(tensors, copy / "model.safetensors", {"format": "pt"})
        with pytest.raises(ModelUnavailable):
            load_encoder(str(copy))

    def test_pickled_weights_are_the_same_weights(self, clip_folder: Path, encoder_of: Any, tmp_path: Path) -> None:
        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        model = transformers.CLIPModel.from_pretrained(copy)
        for zipped in (True, False):  # the form of torch before 1.6 cannot be mapped into memory
            torch.save(model.state_dict(), copy / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
            (copy / "model.safetensors").unlink(missing_ok=True)
            loaded = load_encoder(str(copy), EncoderOptions("cpu"))
            assert loaded.id.key() == encoder_of("clip").id.key()
            assert loaded.encode_texts(TEXTS).tobytes() == encoder_of("clip").encode_texts(TEXTS).tobytes()

    def test_another_family(self, tmp_path: Path) -> None:
        transformers.BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1).save_pretrained(tmp_path)
        with pytest.raises(ModelUnavailable, match="'bert'"):
            load_encoder(str(tmp_path))

    def test_without_tokenizer_images_work_and_texts_say_why(self, clip_folder: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(clip_folder, tmp_path / "copy")
        for file in copy.glob("tokenizer*"):
            file.unlink()
        encoder = load_encoder(str(copy), EncoderOptions("cpu"))
        assert encoder.encode_images(images()[:1]).shape == (1, 24)
        with pytest.raises(ModelUnavailable, match="tokenizer"):
            encoder.encode_texts(["a dog"])


@pytest.fixture(scope="module")
def cached(clip_folder: Path) -> TransformersEncoder:
    """A model in the layout of the hub's cache, loaded by its name."""
    import os

    place = Path(os.environ["HF_HUB_CACHE"]) / "models--org--tiny"
    shutil.copytree(clip_folder, place / "snapshots" / ("a" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("a" * 40)
    return load_encoder("org/tiny", EncoderOptions("cpu"))


def test_a_cached_model_asks_the_hub_nothing(
    cached: TransformersEncoder, encoder_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even whether there is something newer: without a network that is half a minute for every file."""
    import socket

    asked: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        asked.append(address)
        raise AssertionError("the hub was asked")  # an OSError would be tried again and again

    monkeypatch.setattr(socket.socket, "connect", connect)
    vectors = load_encoder("org/tiny", EncoderOptions("cpu")).encode_texts(["a dog"])
    assert asked == []
    assert vectors.tobytes() == encoder_of("clip").encode_texts(["a dog"]).tobytes()
    assert cached.id.name == "org/tiny"
    assert cached.id.key() == encoder_of("clip").id.key()


def test_a_model_of_the_hub_is_recorded_with_its_revision(cached: TransformersEncoder) -> None:
    assert cached.id.revision == "a" * 40


def test_the_demo_model_knows_its_images(encoder_of: Any) -> None:
    """Of 200 emoji in one style, the name of most is among the five that it finds nearest."""
    import csv

    with (demo.GALLERY.parent / "gallery.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::10][:200]
    shown = []
    for row in rows:
        image = Image.open(demo.GALLERY.parent / row["path"]).convert("RGBA")
        shown.append(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    names = encoder_of("demo").encode_texts([row["concept_name"] for row in rows])
    scores = encoder_of("demo").encode_images(shown) @ names.T
    places = (scores > scores.diagonal()[:, None]).sum(axis=1)
    assert (places < 5).mean() > 0.6

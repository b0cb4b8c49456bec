"""The kept text towers against transformers itself, and what becomes of files that cannot be believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotdex.models import text_tower_export as export
from shotdex.models import text_tower_file
from shotdex.models.encoder_pool import EncoderPool
from shotdex.models.text_tower import ACTIVATIONS, by_length
from shotdex.models.text_tower_export import PROBES, keep_tower
from shotdex.models.text_tower_file import (
    TextTower,
    TowerBroken,
    _MappedFile,
    open_tower,
    stamp_file,
    tower_fault,
    tower_file,
)
from shotdex.models.transformers_encoder import EncoderOptions, TransformersEncoder, load_encoder
from shotdex.store.store import Store

Kept = tuple[TransformersEncoder, Store, TextTower]


def kept(name: str, root: Path, precision: str = "float32") -> Kept:
    encoder, store = load_encoder(name, EncoderOptions("cpu", precision)), Store.create(root)
    assert keep_tower(store, encoder)
    tower = open_tower(store, encoder.id)
    assert tower is not None
    return encoder, store, tower


@pytest.fixture(scope="module", params=["clip", "siglip", "siglip2", "demo"])
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    name = "demo" if request.param == "demo" else str(request.getfixturevalue(f"{request.param}_folder"))
    return kept(name, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def clip(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return kept(str(clip_folder), tmp_path_factory.mktemp("store"))


def reference(encoder: TransformersEncoder, text: str) -> np.ndarray:
    """What transformers answers for one text, by the documented calls alone."""
    model, tokenizer = encoder.text_side()
    padding = "max_length" if encoder.id.sigmoid else False
    most = model.config.text_config.max_position_embeddings
    ids = tokenizer([text], padding=padding, truncation=True, max_length=most, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        vector = model.get_text_features(input_ids=ids).pooler_output[0]
    return (vector / vector.norm()).numpy()


def test_vectors_are_those_of_transformers(each: Kept) -> None:
    encoder, _, tower = each
    for text in ("a photo of a dog", "dog", "airplane car chair " * 40):
        np.testing.assert_allclose(tower.encode([text])[0], reference(encoder, text), atol=2e-6)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_any_texts(each: Kept, texts: list[str]) -> None:
    encoder, _, tower = each
    found = tower.encode(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, encoder.encode_texts(texts), atol=5e-6)


def test_company_changes_nothing(each: Kept) -> None:
    _, _, tower = each
    together = tower.encode([*PROBES, *PROBES])
    for number, text in enumerate(PROBES):
        np.testing.assert_allclose(together[number], tower.encode([text])[0], atol=2e-6)


def test_a_model_in_bfloat16_has_the_texts_of_float32(clip_folder: Path, clip: Kept, tmp_path: Path) -> None:
    encoder, _, tower = kept(str(clip_folder), tmp_path, "bf16")
    assert tower_file(clip[1], clip[0].id).name != tower_file(clip[1], encoder.id).name, "they are two encoders"
    np.testing.assert_allclose(encoder.encode_texts(PROBES), clip[0].encode_texts(PROBES), atol=1e-6)
    np.testing.assert_allclose(tower.encode(PROBES), clip[2].encode(PROBES), atol=1e-6)


@pytest.mark.parametrize(("end", "act"), [(2, "gelu"), (3, "quick_gelu"), (3, "gelu_pytorch_tanh")])
def test_early_files_and_other_activations(clip_folder: Path, tmp_path: Path, end: int, act: str) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"eos_token_id": end, "hidden_act": act}
    (folder / "config.json").write_text(json.dumps(config))
    encoder, _, tower = kept(str(folder), tmp_path / "store")
    for text in PROBES[:3]:
        np.testing.assert_allclose(tower.encode([text])[0], reference(encoder, text), atol=2e-6)


def test_the_activations_are_torchs() -> None:
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    there = torch.from_numpy(x)
    wanted = {
        "quick_gelu": there * torch.sigmoid(1.702 * there),
        "gelu": torch.nn.functional.gelu(there),
        "gelu_pytorch_tanh": torch.nn.functional.gelu(there, approximate="tanh"),
    }
    assert set(wanted) == set(ACTIVATIONS)
    for name, values in wanted.items():
        np.testing.assert_allclose(ACTIVATIONS[name](x), values.numpy(), atol=2e-6, err_msg=name)


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=30), st.integers(1, 5))
def test_groups_hold_each_text_once_and_one_length(texts: list[list[int]], most: int) -> None:
    groups = by_length(texts, most)
    assert sorted(number for group in groups for number in group) == list(range(len(texts)))
    assert all(1 <= len(group) <= most and len({len(texts[n]) for n in group}) == 1 for group in groups)


class TestWhatIsNotBelieved:
    @pytest.fixture
    def own(self, clip: Kept, tmp_path: Path) -> tuple[TransformersEncoder, Store, Path]:
        encoder, store, _ = clip
        mine = Store.create(tmp_path / "mine")
        shutil.copy(tower_file(store, encoder.id), tower_file(mine, encoder.id))
        assert open_tower(mine, encoder.id) is not None
        return encoder, mine, tower_file(mine, encoder.id)

    def test_none_there(self, own: Any, caplog: pytest.LogCaptureFixture) -> None:
        encoder, store, path = own
        path.unlink()
        assert open_tower(store, encoder.id) is None
        assert caplog.text == ""

    @pytest.mark.parametrize("cut", [0, 5, 8, 100, 4000, -1])
    def test_cut(self, own: Any, cut: int, caplog: pytest.LogCaptureFixture) -> None:
        encoder, store, path = own
        path.write_bytes(path.read_bytes()[:cut])
        assert open_tower(store, encoder.id) is None
        assert "loading the whole model instead" in caplog.text

    @pytest.mark.parametrize("tensor", ["encoder.layers.1.mlp.fc1.weight", "final_layer_norm.bias", "pinned"])
    def test_changed_numbers(self, own: Any, tensor: str, caplog: pytest.LogCaptureFixture) -> None:
        encoder, store, path = own
        data = bytearray(path.read_bytes())
        start = 8 + int.from_bytes(data[:8], "little")
        begin, end = json.loads(data[8:start])[tensor]["data_offsets"]
        data[start + begin : start + end] = np.ones((end - begin) // 4, "<f4").tobytes()
        path.write_bytes(data)
        assert open_tower(store, encoder.id) is None
        found = EncoderPool(store)(encoder.id).encode_texts(["a dog"])
        np.testing.assert_array_equal(found, encoder.encode_texts(["a dog"]), "the model's own answer")
        assert "its bytes changed since it was made" in caplog.text

    def test_any_bit(self, own: Any) -> None:
        encoder, store, path = own
        data, rng = path.read_bytes(), np.random.default_rng(0)
        end = 8 + int.from_bytes(data[:8], "little")
        for place in [*rng.integers(0, end, 300), *rng.integers(end, len(data), 60), 0, end - 1, end, len(data) - 1]:
            changed = bytearray(data)
            changed[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            stamp_file(path).unlink(missing_ok=True)
            assert open_tower(store, encoder.id) is None, (place, bytes(changed[max(place - 20, 0) : place + 20]))
            assert tower_fault(store, encoder.id) is not None
        path.write_bytes(data)
        assert open_tower(store, encoder.id) is not None

    def test_read_whole_once_and_again_when_it_changed(self, own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        encoder, store, path = own
        read = []
        real = _MappedFile.is_whole
        monkeypatch.setattr(_MappedFile, "is_whole", lambda file: read.append(1) or real(file))
        os.utime(path, ns=(1, 10**18))
        for _ in range(3):
            assert open_tower(store, encoder.id) is not None
        assert len(read) == 1
        os.utime(path, ns=(1, 10**18 + 1))
        assert open_tower(store, encoder.id) is not None
        assert len(read) == 2, "its time changed"
        shutil.copy2(path, path.with_name("copy"))
        path.with_name("copy").replace(path)
        assert open_tower(store, encoder.id) is not None
        assert len(read) == 3, "another inode"
        stamp_file(path).write_bytes(b"\xff")
        assert open_tower(store, encoder.id) is not None
        assert len(read) == 4, "a damaged stamp"

    def test_one_of_an_earlier_version_is_used(self, own: Any) -> None:
        encoder, store, path = own
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        del header["__metadata__"]["header_sha256"]
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
        assert open_tower(store, encoder.id) is not None
        assert tower_fault(store, encoder.id) is None

    def test_a_vector_that_is_not_finite(self, own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        encoder, store, _ = own
        tower = open_tower(store, encoder.id)
        real = text_tower_file.text_vectors

        def spoiled(weights: Any, shape: Any, tokens: np.ndarray) -> np.ndarray:
            vectors = real(weights, shape, tokens)
            vectors[-1, 0] = np.nan
            return vectors

        monkeypatch.setattr(text_tower_file, "text_vectors", spoiled)
        with pytest.raises(TowerBroken, match="its weights changed"):
            tower.encode(["a dog"])
        assert np.isfinite(EncoderPool(store, "cpu")(encoder.id).encode_texts(["a dog"])).all(), "the model's"

    def test_another_encoders(self, own: Any, demo_model: Path, caplog: pytest.LogCaptureFixture) -> None:
        _, store, path = own
        other = load_encoder("demo")
        shutil.copy(path, tower_file(store, other.id))
        assert open_tower(store, other.id) is None
        assert "belongs to another encoder" in caplog.text

    def test_a_link(self, own: Any, tmp_path: Path) -> None:
        encoder, store, path = own
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert open_tower(store, encoder.id) is None

    @pytest.mark.parametrize("offsets", [[0, 10**12], [-4, 0], [10, 2]])
    def test_tensors_outside_the_file(self, own: Any, offsets: list[int]) -> None:
        encoder, store, path = own
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header["final_layer_norm.bias"]["data_offsets"] = offsets
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
        assert open_tower(store, encoder.id) is None


class TestWhatIsNotKept:
    def test_an_unknown_activation(self, clip_folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(clip_folder, tmp_path / "model"))
        config = json.loads((folder / "config.json").read_text())
        config["text_config"]["hidden_act"] = "silu"
        (folder / "config.json").write_text(json.dumps(config))
        store = Store.create(tmp_path / "store")
        assert not keep_tower(store, load_encoder(str(folder)))
        assert list(store.index_folder.iterdir()) == []

    def test_vectors_unlike_the_models(self, clip: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        encoder, store = clip[0], Store.create(tmp_path)
        off = {**ACTIVATIONS, "quick_gelu": ACTIVATIONS["gelu"]}
        monkeypatch.setattr("shotdex.models.text_tower.ACTIVATIONS", off)
        with pytest.raises(TowerBroken):
            clip[2].encode(["a dog"])
        assert not keep_tower(store, encoder)
        assert list(store.index_folder.iterdir()) == []

    def test_no_room(self, clip: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export, "SPARE", 1 << 62)
        store = Store.create(tmp_path)
        assert not keep_tower(store, clip[0])
        assert list(store.index_folder.iterdir()) == []

    def test_into_a_linked_folder(self, clip: Kept, tmp_path: Path) -> None:
        store = Store.create(tmp_path / "store")
        (tmp_path / "outside").mkdir()
        store.index_folder.rmdir()
        store.index_folder.symlink_to(tmp_path / "outside")
        assert not keep_tower(store, clip[0])
        assert list((tmp_path / "outside").iterdir()) == []

    def test_who_may_read_the_store_may_read_it(self, clip: Kept, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            store = Store.create(tmp_path / "store")
            assert keep_tower(store, clip[0])
        finally:
            os.umask(before)
        assert tower_file(store, clip[0].id).stat().st_mode & 0o777 == 0o640

    def test_twice(self, clip: Kept) -> None:
        encoder, store, _ = clip
        before = tower_file(store, encoder.id).stat()
        assert keep_tower(store, encoder)
        assert tower_file(store, encoder.id).stat() == before

"""How long a text is for a model, against its tokenizer's own file and against what the model does with the text."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from shotdex import demo
from shotdex.models.model_files import token_reader
from shotdex.models.transformers_encoder import EncoderOptions, load_encoder
from shotdex.store.errors import ModelUnavailable

TEXTS = ("", "dog", "A PHOTO of a dog.", "a women's T-shirt/top with text on it", "ünï 日本 \U0001f600", "dog " * 40)


def test_the_demo_model() -> None:
    read_tokens, tokenizer = token_reader("demo"), Tokenizer.from_file(str(demo.MODEL / "tokenizer.json"))
    tokenizer.no_truncation()
    for text in TEXTS:
        whole = len(tokenizer.encode(text).ids)
        tokens, read = read_tokens(text)
        assert (tokens, len(read)) == (whole, min(whole, 32)), text
    assert len(read_tokens("")[1]) == 2, "begin and end"
    assert read_tokens("Dog") == read_tokens("dog")


@pytest.mark.parametrize("name", ["demo", "clip_folder", "siglip_folder", "siglip2_folder"])
def test_what_is_not_read_does_not_count(name: str, request: pytest.FixtureRequest) -> None:
    """A word after a text changes its vector just where the text leaves room for it."""
    place = name if name == "demo" else str(request.getfixturevalue(name))
    read_tokens, encoder = token_reader(place), load_encoder(place, EncoderOptions("cpu", "float32"))
    seen = set()
    for words in range(1, 36):
        text = " ".join(["dog"] * words)
        tokens, ids = read_tokens(text)
        read = len(ids)
        assert read == min(tokens, len(read_tokens("dog " * 99)[1]))
        longer = encoder.encode_texts([text, text + " cat"])
        changed = not np.allclose(*longer, atol=1e-5)
        room = len(read_tokens(text + " cat")[1]) > read
        assert changed == room, (words, tokens, read)
        seen.add(room)
    assert seen == {True, False}


def test_the_counter_needs_no_weights(clip_folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(clip_folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    assert token_reader(str(bare))("dog") == token_reader(str(clip_folder))("dog")


def test_models_that_cannot_be_counted_with(clip_folder: Path, tmp_path: Path) -> None:
    no_tokenizer, no_config, other = (tmp_path / name for name in ("no_tokenizer", "no_config", "other"))
    shutil.copytree(clip_folder, no_tokenizer, ignore=shutil.ignore_patterns("*.safetensors", "token*"))
    shutil.copytree(clip_folder, no_config, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    shutil.copytree(clip_folder, other, ignore=shutil.ignore_patterns("*.safetensors"))
    (other / "config.json").write_text('{"model_type": "bert"}')
    for place in (no_tokenizer, no_config, other, tmp_path / "gone"):
        with pytest.raises(ModelUnavailable):
            token_reader(str(place))

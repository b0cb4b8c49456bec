"""A device whose memory is full is named, with what to do; every other error stays what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import CLIPModel

from shotdex.models.device import is_out_of_memory, needing_room
from shotdex.models.transformers_encoder import EncoderOptions, load_encoder
from shotdex.store.errors import ModelUnavailable

FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]


@pytest.mark.parametrize("error", FULL)
def test_what_devices_say(error: RuntimeError) -> None:
    assert is_out_of_memory(error)
    with (
        pytest.raises(ModelUnavailable, match="device cuda:0 has no room for the model") as caught,
        needing_room("cuda:0", "the model"),
    ):
        raise error
    assert "--device cpu" in caught.value.hint


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), needing_room("cpu", "the model"):
        raise RuntimeError("shapes cannot be multiplied")


def test_a_model_that_does_not_fit(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise FULL[0]

    monkeypatch.setattr(CLIPModel, "to", full)
    with pytest.raises(ModelUnavailable, match=r"device cpu has no room for the model$"):
        load_encoder(str(clip_folder), EncoderOptions("cpu"))


def test_convolutions_of_a_gpu_do_not_round_float32(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, features = [], CLIPModel.get_image_features

    def watched(*arguments: Any, **named: Any) -> Any:
        seen.append(torch.backends.cudnn.allow_tf32)
        return features(*arguments, **named)

    encoder = load_encoder(str(clip_folder), EncoderOptions("cpu"))
    before = torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(CLIPModel, "get_image_features", watched)
    encoder.encode_images([Image.new("RGB", (32, 32))])
    assert (set(seen), torch.backends.cudnn.allow_tf32) == ({False}, before)


def test_texts_that_do_not_fit(clip_folder: Path) -> None:
    encoder = load_encoder(str(clip_folder), EncoderOptions("cpu"))

    def full(*_: Any) -> None:
        raise FULL[0]

    encoder._model.text_model.register_forward_pre_hook(full)
    with pytest.raises(ModelUnavailable, match="no room for the model and 2 texts"):
        encoder.encode_texts(["a cat", "a dog"])

"""A device whose memory is full is named, with what to do; every other error stays what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
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


def test_texts_that_do_not_fit(clip_folder: Path) -> None:
    encoder = load_encoder(str(clip_folder), EncoderOptions("cpu"))

    def full(*_: Any) -> None:
        raise FULL[0]

    encoder._model.text_model.register_forward_pre_hook(full)
    with pytest.raises(ModelUnavailable, match="no room for the model and 2 texts"):
        encoder.encode_texts(["a cat", "a dog"])

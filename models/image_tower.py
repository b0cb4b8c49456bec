"""The image side of a model on its device: prepared images go in, vectors come out.

On a GPU nothing waits: a batch is copied there and launched, and fetched when the next one is on its way. A batch
that the memory has no room for is cut in halves, and so is every later one. The last bits of a vector depend on how
many images share a call of the model: where a batch was cut, they may differ from those of a run with more memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdex.store.errors import OptionError
from shotdex.store.types import ImageVectors, Pooling, Vectors

from .device import is_out_of_memory, no_room
from .families import projected_features
from .preprocessing import Preprocessing, collate
from .protocols import Prepared

if TYPE_CHECKING:
    import torch

Fetch = Callable[[], ImageVectors]
"""Waits for a batch that was launched."""


@dataclass(slots=True)
class ImageTower:
    """The parts of `model` that images go through, which are on `device` in `dtype` already.

    `most` is how many images the model takes in one call, once the memory was too small for more.
    """

    model: Any
    preprocessing: Preprocessing
    pooling: Pooling
    device: torch.device
    dtype: torch.dtype
    most: int | None = None
    _compiled: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None
    _copying: Any = None
    _largest: int = 0

    def begin(self, batch: Sequence[Prepared]) -> Fetch:
        """Launch a batch of at least one image; on a CPU it is done when this returns.

        Raises:
            ModelUnavailable: the memory has no room for one image.
        """
        size = min(self.most or len(batch), len(batch))
        parts: list[Fetch] = []
        start = 0
        while start < len(batch):
            launched = self._launch_if_room(batch[start : start + size])
            if launched is None:
                self._make_room(size)
                size = self.most = size // 2
                self.forget_sizes()
                continue
            parts.append(launched)
            start += size
        return parts[0] if len(parts) == 1 else lambda: _joined([part() for part in parts])

    def _launch_if_room(self, batch: Sequence[Prepared]) -> Fetch | None:
        try:
            return self.launch(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return None  # outside of the handler: the error holds on to what the model had made until then

    def _make_room(self, size: int) -> None:
        if size == 1:
            raise no_room(self.device, "the model and one image")
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()

    def launch(self, batch: Sequence[Prepared]) -> Fetch:
        """Launch a batch as it is, in one call of the model.

        Raises:
            RuntimeError: of any kind, from the device; see `device`.
        """
        import torch

        # cuDNN rounds the inputs of float32 convolutions to ten bits unless forbidden, and the patches go through one.
        exact = torch.backends.cudnn.flags(True, torch.backends.cudnn.benchmark, allow_tf32=False)
        with torch.inference_mode(), exact:
            inputs = self.preprocessing.inputs(self._sent(batch), self.dtype)
            # A last, smaller batch is not worth its compilation.
            self._largest = max(self._largest, len(batch))
            is_full = len(batch) == self._largest
            joint, vision = (self._compiled if self._compiled and is_full else self._vectors)(**inputs)
            return self._fetched(joint, vision)

    def forget_sizes(self) -> None:
        """Take the next batch for a full one: the compiled program is for full batches, and they have another size."""
        self._largest = 0

    def compile(self, example: Sequence[Prepared]) -> None:
        """Have torch.compile make one program of the model, and run it on an example.

        Raises:
            OptionError: it cannot, most often because there is no C++ compiler, or on a GPU no Triton.
        """
        import torch

        self._compiled, self._largest = torch.compile(self._vectors), 0
        try:
            self.begin(example)()
        except Exception as error:  # of any type: compilers are programs of their own
            self._compiled = None
            why = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise OptionError(
                f"the model cannot be compiled here: {why}",
                "leave out --compile, or install a C++ compiler such as g++ (on a GPU, Triton)",
            ) from error
        self.forget_sizes()  # what comes may be cut into smaller batches than the example

    def _sent(self, batch: Sequence[Prepared]) -> Mapping[str, torch.Tensor]:
        """Return a batch on the device. On a GPU it is copied while the batch before it is computed."""
        import torch

        if self.device.type != "cuda":
            return {name: value.to(self.device) for name, value in collate(batch, pinned=False).items()}
        if self._copying is None:
            self._copying = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._copying):
            sent = {
                name: value.to(self.device, non_blocking=True) for name, value in collate(batch, pinned=True).items()
            }
        computing.wait_stream(self._copying)
        for value in sent.values():
            value.record_stream(computing)  # its memory is free again when that has used it
        return sent

    def _vectors(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return joint (N, D) with unit rows and vision (N, V), both float32, on the device."""
        out = self.model.get_image_features(**inputs)
        joint = projected_features(out).float()
        if self.pooling is Pooling.CLS and hasattr(self.model, "vision_model"):
            vision = self.model.vision_model(**inputs).pooler_output.float()
        else:
            vision = self._pooled(out, joint, inputs.get("pixel_attention_mask")).float()
        return joint / joint.norm(dim=-1, keepdim=True), vision

    def _pooled(self, out: Any, joint: torch.Tensor, mask: torch.Tensor | None) -> Any:
        hidden = getattr(out, "last_hidden_state", None)
        if hidden is None:  # an image tower that gives nothing but its vector
            return joint
        if hidden.ndim == 4:  # (N, V, H, W) of a convolutional tower
            return hidden.mean(dim=(2, 3))
        if mask is None:
            return hidden.mean(dim=1)
        weights = mask.to(hidden.dtype).unsqueeze(-1)  # patches of padding do not count
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)

    def _fetched(self, joint: torch.Tensor, vision: torch.Tensor) -> Fetch:
        """Begin to copy the vectors back; return what waits for them."""
        import torch

        if self.device.type != "cuda":
            made = ImageVectors(as_numpy(joint), as_numpy(vision))
            return lambda: made
        here = [torch.empty(value.shape, dtype=value.dtype, pin_memory=True) for value in (joint, vision)]
        for target, value in zip(here, (joint, vision), strict=True):
            target.copy_(value, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(self.device))

        def fetch() -> ImageVectors:
            arrived.synchronize()
            return ImageVectors(*(target.numpy().copy() for target in here))

        return fetch


def as_numpy(tensor: Any) -> Vectors:
    """Return a tensor's values on the CPU as float32."""
    return np.asarray(tensor.cpu().numpy(), dtype=np.float32)


def _joined(parts: Sequence[ImageVectors]) -> ImageVectors:
    return ImageVectors(np.concatenate([part.joint for part in parts]), np.concatenate([part.vision for part in parts]))

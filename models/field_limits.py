"""Whether the numbers in a model folder's JSON files can be a model's, checked before any memory is taken."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shotdex.store.errors import ModelUnavailable

from .hub_cache import CONFIG

_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "layers", "depth")
_WIDTHS = ("hidden_size", "intermediate_size", "projection_dim", "embed_dim", "d_model", "width")

RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(_LAYERS, (1, 1000)),
    **dict.fromkeys(_WIDTHS, (0, 1 << 17)),
    "num_attention_heads": (1, 4096),
    "num_channels": (1, 1024),
    "patch_size": (1, 4096),
    "image_size": (2, 16_384),
    "vocab_size": (1, 1 << 24),
    "max_position_embeddings": (1, 1 << 24),
    "logit_scale_init_value": (-100, 100),
    "logit_scale": (-100, 100),
}
"""What fields of a configuration may be, far above every model there is. The scale is a logarithm there."""

SIDES, PIXELS = ("height", "width", "shortest_edge"), (2, 16_384)
"""What a preprocessing resizes and crops to, and how many pixels that may be."""


def check_fields(name: str, folder: Path) -> None:
    """Check the numbers in a model's folder.

    Raises:
        ModelUnavailable: one cannot be; it names the file and the field. A file that cannot be read is left to loading.
    """
    config, preprocessor = _read(folder / CONFIG), _read(folder / "preprocessor_config.json")
    for path, field, value in _numbers(config):
        low, high = RANGES.get(field, (-math.inf, math.inf))
        if not low <= value <= high:
            raise _impossible(name, CONFIG, path, value, f"must be from {low:,} to {high:,}")
    for field in ("size", *(["crop_size"] if preprocessor.get("do_center_crop", True) else [])):
        given = preprocessor.get(field)
        sides = (
            {field: given} if not isinstance(given, dict) else {f"{field}.{side}": given.get(side) for side in SIDES}
        )
        for path, side in sides.items():
            if isinstance(side, int | float) and not PIXELS[0] <= side <= PIXELS[1]:
                which = f"must be from {PIXELS[0]:,} to {PIXELS[1]:,} pixels"
                raise _impossible(name, "preprocessor_config.json", path, side, which)
    _check_size(name, folder, config)


def _check_size(name: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Compare with the weights: a tower of L layers of width W has at least L x W x W numbers, of a byte or more."""
    there = sum(file.stat().st_size for form in ("*.safetensors", "*.bin") for file in folder.glob(form))
    if not there or config.get("model_type") == "albert":  # its layers are one
        return
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        width = part.get("hidden_size")
        for field, factor in (("num_hidden_layers", width), ("vocab_size", 1)):
            count = part.get(field)
            if isinstance(width, int) and isinstance(count, int) and count * width * int(factor or 0) > there:
                more = f"with hidden_size {width:,} takes more than the {there:,} bytes of weights there are"
                raise _impossible(name, CONFIG, field, count, more)


def _impossible(name: str, file: str, field: str, value: float, why: str) -> ModelUnavailable:
    number = f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return ModelUnavailable(
        f"the model in {name} cannot be used: {field} in {file} is {number}, and {why}",
        f"correct {file}, or save the model again",
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_bytes()) if file.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield path, name and value of every number at the top, one level below, and in lists there."""
    for outer, value in config.items():
        inside = value.items() if isinstance(value, dict) else [(outer, value)]
        for field, one in inside:
            path = f"{outer}.{field}" if isinstance(value, dict) else field
            for number in one if isinstance(one, list) else [one]:
                if isinstance(number, int | float) and not isinstance(number, bool):
                    yield path, field, number

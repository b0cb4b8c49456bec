"""A model of open_clip as an encoder.

The model, its preprocessing and its tokenizer are open_clip's own; a file is read as tensors, never as code. Images go
through our own resize, crop and scaling where these give the same numbers.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from shotdex.store.errors import ModelUnavailable

from .families import Family
from .hub_cache import CONFIG, TOKENIZERS
from .hub_errors import first_line
from .model_files import LoadedModel
from .open_clip_files import Checkpoint, hub_folder, import_open_clip
from .preprocessing import FixedSize, Preprocessing, agree
from .protocols import Prepared
from .transformers_encoder import TransformersEncoder


class OpenClipEncoder(TransformersEncoder):
    """A model of open_clip on a device: everything but the tokenizer is as for any model."""

    def _loaded_tokenizer(self) -> Any:
        text = self._model.text_settings
        try:
            return _tokenizer(text, self._folder)
        except ModelUnavailable:
            raise
        except Exception as error:  # transformers raises what it likes
            raise ModelUnavailable(
                f"the tokenizer of {self.id.name} cannot be loaded: {first_line(error)}",
                f"check the tokenizer files in {self._folder}",
            ) from error

    def _text_inputs(self, texts: Sequence[str]) -> dict[str, Any]:
        return {"text": self._tokenizer(list(texts))}


class _Towers:
    """Gives a model of open_clip the methods of a CLIP in transformers; mixed into its own class."""

    def get_image_features(self, pixel_values: Any) -> Any:
        """Return `pooler_output` (N, D) and `last_hidden_state`: tokens (N, L, V), a map (N, V, H, W), or None."""
        visual: Any = self.visual  # type: ignore[attr-defined]
        if hasattr(visual, "trunk"):
            hidden = visual.trunk.forward_features(pixel_values)
            joint = visual.head(visual.trunk.forward_head(hidden))
        elif hasattr(visual, "attnpool"):
            hidden = visual.stem(pixel_values)
            for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
                hidden = layer(hidden)
            joint = visual.attnpool(hidden)
        else:
            out = visual(pixel_values)
            joint, hidden = out if isinstance(out, tuple) else (out, None)
        return SimpleNamespace(pooler_output=joint, last_hidden_state=joint[:, None] if hidden is None else hidden)

    def get_text_features(self, text: Any) -> Any:
        """Return (N, D)."""
        return self.encode_text(text)  # type: ignore[attr-defined]


def loaded(name: str, found: Checkpoint) -> LoadedModel:
    """Return the model of a checkpoint in float32 on the CPU, with its preprocessing.

    Raises:
        Exception: of any kind, where weights and configuration do not belong together.
    """
    settings = deepcopy(dict(found.settings))
    model, kind = build(settings)
    import_open_clip().load_checkpoint(model, str(found.weights))
    model.text_settings = settings["text_cfg"]
    model.config = SimpleNamespace(model_type="open_clip")
    if settings.get("quick_gelu"):
        # The same weights with another activation are another encoder: the identity is that of the state.
        import torch

        model.register_buffer("quick_gelu", torch.ones(1))
    sigmoid = getattr(model, "logit_bias", None) is not None
    family = Family(f"A {kind} of open_clip.", "the token that its text tower reads", sigmoid=sigmoid)
    preprocessing = _preprocessing(model, found.preprocessing)
    return LoadedModel(name, found.folder, found.revision, model.eval(), preprocessing, family)


def build(settings: dict[str, Any]) -> tuple[Any, str]:
    """Return a model of a configuration, without its weights, with the methods of a CLIP, and its kind in open_clip."""
    open_clip = import_open_clip()
    settings = _without_network(settings)
    options = dict(settings)
    custom = options.pop("custom_text", False) or "hf_model_name" in settings["text_cfg"]
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    if custom and "multimodal_cfg" in settings:
        kind = open_clip.CoCa
    model = kind(**options)
    if hasattr(model.visual, "output_tokens"):
        model.visual.output_tokens = True
    model.__class__ = type("OpenClipModel", (_Towers, kind), {})
    return model, str(kind.__name__)


def _without_network(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that loads no weights but the checkpoint's, and nothing from the hub by itself."""
    if "timm_model_name" in settings["vision_cfg"]:
        settings["vision_cfg"]["timm_model_pretrained"] = False
    text = settings["text_cfg"]
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
        text.setdefault("hf_tokenizer_name", text["hf_model_name"])
        text["hf_model_name"] = str(hub_folder(text["hf_model_name"], (CONFIG,)))
    return settings


def _tokenizer(text: Mapping[str, Any], folder: Path) -> Any:
    """Return open_clip's tokenizer for a text configuration; files in the checkpoint's own folder come first."""
    tokenizers = importlib.import_module("open_clip.tokenizer")
    length, more = text.get("context_length", tokenizers.DEFAULT_CONTEXT_LENGTH), text.get("tokenizer_kwargs", {})
    if not text.get("hf_tokenizer_name"):
        return tokenizers.SimpleTokenizer(context_length=length, **more)
    own = any((folder / file).is_file() for file in TOKENIZERS)
    place = folder if own else hub_folder(text["hf_tokenizer_name"], TOKENIZERS)
    mode = text.get("tokenizer_mode")
    return tokenizers.HFTokenizer(str(place), context_length=length, tokenizer_mode=mode, **more)


@dataclass(frozen=True, slots=True)
class OwnTransform:
    """open_clip's transform itself, for models whose images are filled up, or resized in another way."""

    transform: Any
    settings: Mapping[str, Any]

    def prepare(self, image: Image.Image) -> Prepared:
        """Return `pixel_values` float32 (3, H, W) of an RGB image."""
        return {"pixel_values": self.transform(image).numpy()}

    def inputs(self, arrays: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
        """Return the model's inputs for a batch on its device."""
        return {name: value.to(dtype) for name, value in arrays.items()}

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """None: a decoding process does not have open_clip."""
        return None

    def digest(self) -> str:
        """Return the SHA-256 of the transform's options."""
        return hashlib.sha256(json.dumps(dict(self.settings), sort_keys=True, default=str).encode()).hexdigest()


def _preprocessing(model: Any, given: Mapping[str, Any]) -> Preprocessing:
    transforms = importlib.import_module("open_clip.transform")
    settings = transforms.merge_preprocess_dict(transforms.PreprocessCfg(), dict(given))
    settings["size"] = getattr(model.visual, "image_size", settings["size"])
    cfg = transforms.PreprocessCfg(**settings)
    theirs = transforms.image_transform_v2(cfg, is_train=False)
    height, width = (cfg.size, cfg.size) if isinstance(cfg.size, int) else cfg.size
    squash = cfg.resize_mode == "squash"
    ours = FixedSize(
        shortest_edge=None if squash else height,
        exact=(height, width) if squash else None,
        crop=None if squash else (height, width),
        resample=int(Image.Resampling.BILINEAR if cfg.interpolation == "bilinear" else Image.Resampling.BICUBIC),
        scale=1 / 255,
        mean=tuple(float(one) for one in np.broadcast_to(cfg.mean, 3)),
        std=tuple(float(one) for one in np.broadcast_to(cfg.std, 3)),
        round_crop=not squash,
    )
    return ours if agree(ours, lambda image: theirs(image).numpy()) else OwnTransform(theirs, asdict(cfg))

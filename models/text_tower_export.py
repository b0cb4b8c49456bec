"""Takes the text tower out of a loaded model, and keeps it only where it gives the model's own vectors."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from shotdex.store.store import Store

from .families import is_stripped, text_limit
from .text_tower import ACTIVATIONS, TextRules, TowerShape
from .text_tower_file import (
    PARITY,
    PINNED,
    PINNED_TEXT,
    TOKENIZER,
    read_tower,
    remember_checked,
    tower_file,
    write_tower,
)
from .transformers_encoder import TransformersEncoder

log = logging.getLogger(__name__)

PROBES = (
    PINNED_TEXT,
    "dog",
    "A photo of a DOG, in the snow!",
    "T-shirt/top (100% cotton) & trousers: size 38.5",
    "ein Bär, 日本語, العربية, 🦆🦆 \u00e9 e\u0301  \t two  spaces",
    "word " * 300,
    "",
)
"""Texts of every kind that tokenizers treat in their own way: the last but one is longer than any model reads."""

SPARE = 256 << 20
"""Bytes that stay free on the disk: images come first."""


PORTABLE = ("clip", "metaclip_2", "siglip", "siglip2")
"""Families, by `model_type`, whose text tower is built as the one in numpy."""


class _NotPortable(Exception):
    """This model's text side cannot be kept. Never leaves this module."""


def keep_tower(store: Store, encoder: TransformersEncoder) -> bool:
    """Keep a loaded model's text tower next to the index, unless it is there; return whether it is there now.

    Nothing depends on it but time. So a model that is made in another way, a full disk or a store that cannot be
    written to is not an error: the model itself is loaded for each new text, as without it.
    """
    target = tower_file(store, encoder.id)
    if target.exists():
        return target.is_file()
    if store.index_folder.is_symlink():  # where it leads nothing is written
        return False
    aside = target.with_suffix(f".{os.getpid()}.part")
    try:
        shape, rules, tensors = _taken_out(encoder)
        size = sum(tensor.nbytes for tensor in tensors.values())
        if shutil.disk_usage(store.root).free < size + SPARE:
            raise _NotPortable(f"it takes {size / 1e6:,.0f} MB, for which the disk has no room")
        write_tower(aside, encoder.id, shape, rules, tensors)
        _check(aside, encoder)
        aside.replace(target)
        remember_checked(target)
    except Exception as error:  # safetensors and tokenizers raise what they like; see above
        log.info("the text tower of %s is not kept: %s", encoder.id.name, error)
        return False
    finally:
        with suppress(OSError):  # the index folder may be a file
            aside.unlink(missing_ok=True)
    return True


def _taken_out(encoder: TransformersEncoder) -> tuple[TowerShape, TextRules, Mapping[str, np.ndarray]]:
    model, tokenizer = encoder.text_side()
    if model.config.model_type not in PORTABLE:
        raise _NotPortable("its text tower is not one of those known here")
    family, config = encoder.family, model.config.text_config
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or config.hidden_act not in ACTIVATIONS:
        raise _NotPortable("its tokenizer or its activation is not one of those known here")
    end = int(config.eos_token_id or 0) if not family.sigmoid else 0
    shape = TowerShape(
        layers=int(config.num_hidden_layers),
        heads=int(config.num_attention_heads),
        activation=str(config.hidden_act),
        epsilon=float(config.layer_norm_eps),
        sigmoid=family.sigmoid,
        end_token=end,
        legacy_end=model.config.model_type == "clip" and end == 2,
    )
    padding = int(tokenizer.pad_token_id) if family.padding == "max_length" else None
    rules = TextRules(
        text_limit(family, model.config, tokenizer),
        padding,
        is_stripped(family, tokenizer),
        tokenizer.padding_side == "left",
    )
    tensors = _weights(model)
    tensors[TOKENIZER] = np.frombuffer(backend.to_str().encode(), dtype=np.uint8)
    tensors[PINNED] = encoder.encode_texts([PINNED_TEXT])[0]
    return shape, rules, tensors


def _weights(model: Any) -> dict[str, np.ndarray]:
    text = {name: value for name, value in model.text_model.state_dict().items() if value.is_floating_point()}
    if hasattr(model, "text_projection"):
        text["text_projection.weight"] = model.text_projection.weight
    return {name: value.detach().float().cpu().contiguous().numpy() for name, value in text.items()}


def _check(path: Path, encoder: TransformersEncoder) -> None:
    tower = read_tower(path, encoder.id)
    apart = float(np.abs(tower.encode(PROBES) - encoder.encode_texts(PROBES)).max())
    if not apart <= PARITY:
        raise _NotPortable(f"its vectors differ from the model's by {apart:.1e}")
    log.info("text tower of %s: vectors within %.1e of the model's", encoder.id.name, apart)

"""Takes the text tower out of a loaded model, and keeps it only where it gives the model's own vectors."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
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
    of = _of_open_clip if model.config.model_type == "open_clip" else _of_transformers
    shape, rules, tensors, tokenizer_json = of(encoder, model, tokenizer)
    named = {name: value.detach().float().cpu().contiguous().numpy() for name, value in tensors.items()}
    named[TOKENIZER] = np.frombuffer(tokenizer_json.encode(), dtype=np.uint8)
    named[PINNED] = encoder.encode_texts([PINNED_TEXT])[0]
    return shape, rules, named


_Parts = tuple[TowerShape, TextRules, dict[str, Any], str]
"""Shape, rules, tensors of torch by the names of transformers, and the tokenizer as JSON."""


def _of_transformers(encoder: TransformersEncoder, model: Any, tokenizer: Any) -> _Parts:
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
    text = {name: value for name, value in model.text_model.state_dict().items() if value.is_floating_point()}
    if hasattr(model, "text_projection"):
        text["text_projection.weight"] = model.text_projection.weight
    return shape, rules, text, backend.to_str()


def _of_open_clip(encoder: TransformersEncoder, model: Any, tokenizer: Any) -> _Parts:
    settings = model.text_settings
    tower = getattr(model, "text", model)
    blocks = list(getattr(getattr(tower, "transformer", None), "resblocks", ()))
    if not blocks or any(type(block).__name__ != "ResidualAttentionBlock" for block in blocks):
        raise _NotPortable("its text tower is not one of those known here")
    activation, length = blocks[0].mlp.gelu, int(settings.get("context_length", 77))
    tanh = getattr(activation, "approximate", "none") == "tanh"
    known = {"QuickGELU": "quick_gelu", "GELU": "gelu_pytorch_tanh" if tanh else "gelu"}
    if type(activation).__name__ not in known:
        raise _NotPortable("its activation is not one of those known here")
    classed = getattr(tower, "cls_emb", None) is not None
    shape = TowerShape(
        layers=len(blocks),
        heads=int(blocks[0].attn.num_heads),
        activation=known[type(activation).__name__],
        epsilon=float(tower.ln_final.eps),
        sigmoid=False,
        end_token=int(settings.get("eos_id", 2)),
        pool="class" if classed else str(settings.get("pool_type", "argmax")),
        causal=not settings.get("no_causal_mask", False),
    )
    padded = classed or shape.looks_ahead or shape.pool == "last"
    clean, backend = _reader(tokenizer, settings.get("tokenizer_kwargs", {}))
    if hasattr(tokenizer, "tokenizer"):  # one of transformers
        own, strips = tokenizer.tokenizer, tokenizer.strip_sep_token
        zeroed, left = int(own.sep_token_id) if strips else None, own.padding_side == "left"
        rules = TextRules(length, int(own.pad_token_id), False, left, clean, zeroed)
    else:
        rules = TextRules(length, 0 if padded else None, False, clean=clean)
    return shape, rules, dict(_renamed(tower, blocks)), backend


def _renamed(tower: Any, blocks: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a text tower of open_clip under the names that transformers has for them."""
    import torch

    yield "embeddings.token_embedding.weight", tower.token_embedding.weight
    yield "embeddings.position_embedding.weight", tower.positional_embedding
    if getattr(tower, "cls_emb", None) is not None:
        yield "embeddings.class_embedding", tower.cls_emb
    for number, block in enumerate(blocks):
        at, attention = f"encoder.layers.{number}.", block.attn
        for kind in ("weight", "bias"):
            joined = getattr(attention, f"in_proj_{kind}").chunk(3)
            for name, part in zip(("q", "k", "v"), joined, strict=True):
                yield f"{at}self_attn.{name}_proj.{kind}", part
            for theirs, ours in _PARTS.items():
                yield f"{at}{ours}.{kind}", getattr(block.get_submodule(theirs), kind)
    for kind in ("weight", "bias"):
        yield f"final_layer_norm.{kind}", getattr(tower.ln_final, kind)
    projection = tower.text_projection
    if projection is None:
        projection = torch.eye(tower.positional_embedding.shape[1])
    weight = getattr(projection, "weight", None)
    yield "head.weight", projection.T if weight is None else weight
    bias = getattr(projection, "bias", None)
    yield "head.bias", torch.zeros(len(projection.T if weight is None else weight)) if bias is None else bias


_PARTS: Mapping[str, str] = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
"""The parts of a block by their names in open_clip and in transformers."""


def _reader(tokenizer: Any, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a tokenizer of open_clip cleans a text, and what it then does, as a `tokenizer.json`."""
    wrapped = getattr(tokenizer, "tokenizer", None)
    if wrapped is not None:
        backend = getattr(wrapped, "backend_tokenizer", None)
        if backend is None or tokenizer.tokenizer_mode:
            raise _NotPortable("its tokenizer is not one of those known here")
        return str(options.get("clean", "whitespace")), backend.to_str()
    if tokenizer.reduction_fn is not None:
        raise _NotPortable("it leaves out words of a long text by chance")
    return str(options.get("clean", "lower")), _simple_tokenizer(tokenizer)


def _simple_tokenizer(tokenizer: Any) -> str:
    """Return the tokenizer of CLIP as open_clip has it, without what it does to a text first."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    vocabulary, merges = dict(tokenizer.encoder), sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.get)
    made = Tokenizer(models.BPE(vocabulary, [pair for pair in merges if len(pair) == 2], end_of_word_suffix="</w>"))
    special = [token for token, number in vocabulary.items() if number in tokenizer.all_special_ids]
    made.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    words = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    begin, end = special[:2]
    made.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        special_tokens=[(begin, tokenizer.sot_token_id), (end, tokenizer.eot_token_id)],
    )
    return str(made.to_str())


def _check(path: Path, encoder: TransformersEncoder) -> None:
    tower = read_tower(path, encoder.id)
    apart = float(np.abs(tower.encode(PROBES) - encoder.encode_texts(PROBES)).max())
    if not apart <= PARITY:
        raise _NotPortable(f"its vectors differ from the model's by {apart:.1e}")
    log.info("text tower of %s: vectors within %.1e of the model's", encoder.id.name, apart)

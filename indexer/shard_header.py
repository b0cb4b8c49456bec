"""What a shard's footer says of the work that it is the result of, and the reading of it with every value looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from shotdex.store.types import EncoderId, LeftOut, Pooling, Precision

FORMAT = 1

MOST_PARTS, MOST_DIM = 1 << 24, 1 << 14
"""The most parts of a source, and numbers in a vector."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of which a shard holds a part, and how its images were labelled: see `SourceRecord`.

    `explicit` is whether the user said how to label, `given` whether the source itself labels its images; `complete`
    whether an image that no part has is gone. `not_entered` are folders that could not be looked into.
    """

    root: str
    kind: str = "folder"
    complete: bool = True
    explicit: bool = False
    given: bool = True
    layout: str | None = None
    categories: tuple[str, ...] = ()
    category: str | None = None
    condition: str | None = None
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    not_entered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What a shard's footer says: part `part` of `parts` (from 0), piece `piece` of the `pieces` of that part.

    `key` names the work: the same images, labels, encoder and limits have the same one. `state` is a digest of all that
    the scan of the source found, `images` how many images that were; 0 where the writer does not know. `decoder` says
    what decoded, `sha256` is over the rows (see `digest`).
    """

    key: str
    part: int
    parts: int
    origin: Origin
    encoder: EncoderId
    piece: int = 0
    pieces: int = 1
    images: int = 0
    state: str = ""
    batch: int = 0
    limits: str = ""
    decoder: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    def as_json(self) -> bytes:
        """Return it as it stands in the footer."""
        values = {"format": FORMAT} | asdict(self)
        values["source"] = values.pop("origin")
        return json.dumps(values, sort_keys=True, ensure_ascii=False).encode()


def parse_header(said: Any) -> Header:
    """Return what a footer says, after looking at the type and range of everything in it."""
    if not isinstance(said, dict):
        raise TypeError("its footer is not a JSON object")
    if said.get("format") != FORMAT:
        raise ValueError(f"it has format {said.get('format')!r}, and this version reads format {FORMAT}")
    values = {name: value for name, value in said.items() if name in Header.__dataclass_fields__}
    for name, least, most in (("part", 0, MOST_PARTS), ("parts", 1, MOST_PARTS), ("piece", 0, MOST_PARTS)):
        _number(values.get(name, 0), name, least, most)
    _number(values.get("pieces", 1), "pieces", 1, MOST_PARTS)
    _number(values.get("images", 0), "images", 0, 1 << 48)
    _number(values.get("batch", 0), "batch", 0, 1 << 20)
    for name in ("key", "state", "limits", "decoder", "sha256"):
        _text(values.get(name, ""), name, 256)
    if not values.get("key") or not values.get("sha256"):
        raise ValueError("its footer lacks key or sha256")
    header = Header(**values | {"origin": _origin(said.get("source")), "encoder": _encoder(said.get("encoder"))})
    if header.part >= header.parts or header.piece >= header.pieces:
        raise ValueError(f"it is part {header.part} of {header.parts}, piece {header.piece} of {header.pieces}")
    return header


def _origin(said: Any) -> Origin:
    if not isinstance(said, dict) or not said.get("root"):
        raise ValueError("its footer does not name its source")
    values: dict[str, Any] = {name: value for name, value in said.items() if name in Origin.__dataclass_fields__}
    for name in ("root", "kind", "layout", "category", "condition", "split"):
        if values.get(name) is not None:
            _text(values[name], name, 1 << 16)
    for name in ("categories", "not_entered", "notes"):
        values[name] = tuple(_listed(values.get(name, []), name))
        for value in values[name]:
            _text(value, name, 1 << 16)
    for name in ("columns", "reading"):
        for key, value in dict(values.get(name) or {}).items():
            for text in [key, *(value if isinstance(value, list) else [] if isinstance(value, bool) else [value])]:
                _text(text, name, 1 << 12)
    if any(not isinstance(values.get(name, True), bool) for name in ("complete", "explicit", "given")):
        raise TypeError("complete, explicit or given is neither true nor false")
    values["left_out"] = tuple(map(_left_out, _listed(values.get("left_out", []), "left_out")))
    return Origin(**values)


def _left_out(said: Any) -> LeftOut:
    left = LeftOut(**said)
    _text(left.kind, "left_out", 64)
    _number(left.count, "left_out", 0, 1 << 48)
    for path in _listed(left.paths, "left_out"):
        _text(path, "left_out", 1 << 16)
    for end, count in dict(left.extensions).items():
        _text(end, "left_out", 1 << 12)
        _number(count, "left_out", 0, 1 << 48)
    return left


def _encoder(said: Any) -> EncoderId:
    if not isinstance(said, dict):
        raise TypeError("its footer does not name its encoder")
    known: dict[str, Any] = dict(said)
    known |= {"precision": Precision(str(said.get("precision"))), "pooling": Pooling(str(said.get("pooling", "mean")))}
    encoder = EncoderId(**known)
    for name in ("name", "revision", "weights_sha256", "preprocessing_sha256"):
        _text(getattr(encoder, name), name, 1 << 12)
    for name in ("dim", "vision_dim"):
        _number(getattr(encoder, name), name, 1, MOST_DIM)
    for name in ("logit_scale", "logit_bias"):
        value = getattr(encoder, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise ValueError(f"{name} of its encoder is not a number")
    if not isinstance(encoder.sigmoid, bool):
        raise TypeError("sigmoid of its encoder is neither true nor false")
    return encoder


def _number(value: Any, name: str, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} in its footer is not a number from {least} to {most:,}")


def _text(value: Any, name: str, most: int) -> None:
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise ValueError(f"{name} in its footer is not a text of up to {most:,} characters")
    value.encode()


def _listed(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} in its footer is not a list")
    return value

"""All drawings as one array in memory, with which of them training may see."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

from .art import STYLES, Concept, held_out_style, in_random_fifth, load_concepts, picture

SIZE = 64


@dataclass(frozen=True, slots=True)
class Pictures:
    """P = concepts x 4 pictures in concept order, the styles of one concept side by side.

    pixels    uint8 (P, 5, 64, 64): red, green, blue over white; alpha; the filled outline
    concept   int64 (P,): position in `concepts`
    style     int64 (P,): position in STYLES
    held_out  bool (P,): training never sees it
    fifth     bool (P,): held out with the random fifth; the others are held out for the evaluation categories alone
    twin      bool (P,): pixel for pixel the picture of another concept as well (black OpenMoji has one flag for all)
    mirror    bool (P,): mirrored, it is still a picture of the same name (arrows, letters, clocks and flags are not)
    """

    concepts: list[Concept]
    pixels: npt.NDArray[np.uint8]
    concept: npt.NDArray[np.int64]
    style: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.bool_]
    fifth: npt.NDArray[np.bool_]
    twin: npt.NDArray[np.bool_]
    mirror: npt.NDArray[np.bool_]


def load_pictures(cache: Path) -> Pictures:
    """Render all drawings at 64 pixels, or read them from cache/pictures-64.npy where that was done before."""
    concepts = load_concepts(cache)
    file = cache / f"pictures-{SIZE}.npy"
    if not file.exists():
        np.save(file, np.stack([_layers(cache, c, style) for c in concepts for style in STYLES]))
    pixels = np.load(file)
    if len(pixels) != len(concepts) * len(STYLES):
        raise ValueError(f"{file} holds {len(pixels)} pictures, not {len(concepts) * len(STYLES)}: delete it")
    held = np.array([held_out_style(c.hexcode) == style for c in concepts for style in STYLES])
    fifth = np.repeat([in_random_fifth(c.hexcode) for c in concepts], len(STYLES))
    return Pictures(
        concepts=concepts,
        pixels=pixels,
        concept=np.repeat(np.arange(len(concepts), dtype=np.int64), len(STYLES)),
        style=np.tile(np.arange(len(STYLES), dtype=np.int64), len(concepts)),
        held_out=held,
        fifth=held & fifth,
        twin=_twins(pixels),
        mirror=np.repeat([_same_mirrored(c) for c in concepts], len(STYLES)),
    )


def _layers(cache: Path, concept: Concept, style: str) -> npt.NDArray[np.uint8]:
    rgba = np.asarray(picture(cache, concept, style, SIZE), dtype=np.float32)
    alpha = rgba[..., 3:]
    rgb = rgba[..., :3] * (alpha / 255) + (255 - alpha)
    outline = alpha[..., 0]
    if style == "openmoji-black":  # only the strokes are opaque
        outline = np.maximum(outline, _enclosed(outline > 127))
    return np.concatenate([rgb, alpha, outline[..., None]], axis=-1).round().astype(np.uint8).transpose(2, 0, 1)


def _twins(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether the same pixels belong to two concepts: bool (P,), the pictures of one concept being neighbours."""
    keys = [picture[:3].tobytes() for picture in pixels]
    concepts: dict[bytes, set[int]] = {}
    for i, key in enumerate(keys):
        concepts.setdefault(key, set()).add(i // len(STYLES))
    return np.array([len(concepts[key]) > 1 for key in keys])


def _enclosed(strokes: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """255 on the strokes and wherever no way leads past them to the border (bool (H, W) to uint8 (H, W))."""
    canvas = ImageOps.expand(Image.fromarray(strokes.astype(np.uint8) * 255), border=1, fill=0)
    ImageDraw.floodfill(canvas, (0, 0), 128)
    inside = np.asarray(canvas)[1:-1, 1:-1]
    return np.where(inside == 128, 0, 255).astype(np.uint8)


def _same_mirrored(concept: Concept) -> bool:
    words = {*concept.name.lower().replace(":", "").split(), *concept.keywords}
    sided = {"left", "right", "east", "west", "clock", "button", "input", "keycap", "letter", "word", "clockwise"}
    return concept.group not in ("symbols", "flags") and not words & sided

"""The drawings the demonstration model is trained on: 1,900 emoji, each drawn in four styles, with names and keywords.

The pictures come from four sets published on npm, the words from emojibase; README.md and LICENSE-ART.md in demo/model
name the authors and licences. Nothing is downloaded twice: the archives stay in the cache folder.
"""

import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import resvg_py
from PIL import Image

STYLES: Final[tuple[str, ...]] = ("noto", "twemoji", "openmoji", "openmoji-black")

# package -> version, and the only folders of it that are unpacked.
PACKAGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "emoji-datasource-google": ("16.0.0", ("img/google/64/",)),
    "emoji-datasource-twitter": ("16.0.0", ("img/twitter/64/",)),
    "openmoji": ("17.0.0", ("color/svg/", "black/svg/")),
    "emojibase-data": ("17.0.0", ("en/data.json",)),
}

FOLDERS: Final[dict[str, str]] = {
    "noto": "emoji-datasource-google/img/google/64",
    "twemoji": "emoji-datasource-twitter/img/twitter/64",
    "openmoji": "openmoji/color/svg",
    "openmoji-black": "openmoji/black/svg",
}

GROUPS: Final[tuple[str, ...]] = (
    "smileys",
    "people",
    "components",
    "animals and nature",
    "food and drink",
    "travel and places",
    "activities",
    "objects",
    "symbols",
    "flags",
)

# The concepts a person would call by the category's name: no wheelchairs under chair, no hot dogs under dog.
EVALUATION_CONCEPTS: Final[dict[str, tuple[str, ...]]] = {
    "airplane": ("2708", "1F6E9", "1F6EB", "1F6EC"),
    "car": ("1F697", "1F698", "1F695", "1F696", "1F693", "1F694", "1F699", "1F3CE"),
    "chair": ("1FA91", "1F4BA"),
    "cup": ("2615", "1F375", "1F964"),
    "dog": ("1F436", "1F415", "1F9AE", "1F415-200D-1F9BA", "1F429"),
    "donkey": ("1FACF",),
    "duck": ("1F986",),
    "hat": ("1F452", "1F3A9", "1F393", "1F9E2"),
}

HOLD_OUT_SEED: Final = "shotdex-1"


@dataclass(frozen=True, slots=True)
class Concept:
    """One emoji: its code points as emojibase writes them ("1F415-200D-1F9BA"), its name and keywords in English."""

    hexcode: str
    name: str
    keywords: tuple[str, ...]
    group: str


def load_concepts(cache: Path) -> list[Concept]:
    """Return every concept drawn in all four styles, in emojibase's order, without skin tones: 1,911 of 1,949.

    The other 38 are the 26 single regional letters, four hair components and eight concepts newer than two of the sets.
    """
    _fetch(cache)
    entries = json.loads((cache / "emojibase-data/en/data.json").read_text(encoding="utf-8"))
    drawings = [_drawings(cache, style) for style in STYLES]
    drawn = [e for e in entries if "group" in e and all(_plain(e["hexcode"]) in d for d in drawings)]
    return [
        Concept(e["hexcode"], e["label"], tuple(e.get("tags", ())), GROUPS[e["group"]])
        for e in sorted(drawn, key=lambda e: int(e["order"]))
    ]


def picture(cache: Path, concept: Concept, style: str, size: int) -> Image.Image:
    """Return one drawing as RGBA, size x size pixels, on a transparent ground.

    OpenMoji is rendered from its SVG at that size; Noto and Twemoji are resized (Lanczos) from 64 pixels.
    """
    _fetch(cache)
    file = _drawings(cache, style)[_plain(concept.hexcode)]
    if file.suffix == ".svg":
        data = bytes(resvg_py.svg_to_bytes(svg_path=str(file), width=size, height=size, skip_system_fonts=True))
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)
    with Image.open(file) as image:
        return image.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)


def held_out_style(hexcode: str) -> str | None:
    """Return the one style of this concept that training never sees, or None when it sees all four.

    A style is held out for a random fifth of all concepts (`in_random_fifth`), and for each of EVALUATION_CONCEPTS.
    """
    evaluated = any(hexcode in codes for codes in EVALUATION_CONCEPTS.values())
    return STYLES[_draw(hexcode, "style") % len(STYLES)] if evaluated or in_random_fifth(hexcode) else None


def in_random_fifth(hexcode: str) -> bool:
    """Whether the concept is in the fifth drawn at random, on which recall is reported."""
    return _draw(hexcode, "fifth") % 5 == 0


def _draw(hexcode: str, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{HOLD_OUT_SEED} {what} {hexcode}".encode()).digest()[:8], "big")


def _plain(hexcode: str) -> str:
    """The sets disagree about U+FE0F (variation selector 16) in file names, so it is left out of the comparison."""
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


@lru_cache(maxsize=8)
def _drawings(cache: Path, style: str) -> dict[str, Path]:
    return {_plain(file.stem): file for file in sorted((cache / FOLDERS[style]).iterdir())}


@lru_cache(maxsize=2)
def _fetch(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    for name, (version, folders) in PACKAGES.items():
        if (cache / name).exists():
            continue
        archive = cache / f"{name}-{version}.tgz"
        if not archive.exists():
            subprocess.run(
                ["npm", "pack", f"{name}@{version}", "--pack-destination", str(cache.resolve())],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        _unpack(archive, cache / name, folders)


def _unpack(archive: Path, target: Path, folders: tuple[str, ...]) -> None:
    """Unpack the wanted folders beside the target first: an interrupted run leaves no half-filled folder behind."""
    aside = target.with_name(f"{target.name}.part")
    with tarfile.open(archive) as tar:
        for member in tar:
            inner = member.name.partition("/")[2]
            if member.isfile() and (inner.startswith(folders) or inner.lower().startswith("licen")):
                member.name = inner
                tar.extract(member, aside, filter="data")
    aside.rename(target)

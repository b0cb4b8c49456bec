"""Make demo/pictures/gallery: every emoji in OpenMoji's colours, 96 pixels, named in English; and a list of them.

Run as `python -m making.gallery --cache .making`. Two runs give identical files.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Final

from PIL import Image

from .art import Concept, held_out_style, load_concepts, picture

TARGET: Final = Path(__file__).parents[1] / "pictures"
STYLE: Final = "openmoji"
SIZE: Final = 96
# Drawings have about a dozen flat colours, the rest are edges: 64 look the same as all and take 1.9 MB, not 4.2.
COLOURS: Final = 64
# What a slug would lose although two names differ in nothing else.
SPELLED: Final = {"#": " hash ", "*": " asterisk ", "&": " and ", "!?": " exclamation question "}


def main() -> None:
    """Parse the command line, draw every concept, write the list of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".making"), help="where the art archives are kept")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    slugs = unique_slugs(load_concepts(arguments.cache))
    shutil.rmtree(arguments.target / "gallery", ignore_errors=True)
    (arguments.target / "gallery").mkdir(parents=True)
    for slug, concept in slugs.items():
        drawing = picture(arguments.cache, concept, STYLE, SIZE)
        # Only FASTOCTREE keeps transparency.
        small = drawing.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
        small.save(arguments.target / "gallery" / f"{slug}.png", optimize=True)
    _write(arguments.target / "gallery.csv", slugs)
    print(f"{len(slugs)} pictures in {arguments.target / 'gallery'}")


def slug_of(name: str) -> str:
    """Return the name in lower-case ascii with hyphens: "flag: Réunion" becomes "flag-reunion"."""
    for sign, word in SPELLED.items():
        name = name.replace(sign, word)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain.replace("'", "")).strip("-")


def unique_slugs(concepts: list[Concept]) -> dict[str, Concept]:
    """Return concepts by slug; raise ValueError if two would get the same file."""
    slugs: dict[str, Concept] = {}
    for concept in concepts:
        slug = slug_of(concept.name)
        if not slug or slug in slugs:
            raise ValueError(f"{concept.hexcode} {concept.name!r} needs a slug of its own, not {slug!r}")
        slugs[slug] = concept
    return slugs


def _write(file: Path, slugs: dict[str, Concept]) -> None:
    """A line for each picture, by path; keywords are separated by a semicolon."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "concept", "concept_name", "keywords", "group", "in_training"])
        for slug, concept in sorted(slugs.items()):
            unseen = held_out_style(concept.hexcode) == STYLE
            words = ";".join(concept.keywords)
            seen = "no" if unseen else "yes"
            writer.writerow([f"gallery/{slug}.png", concept.hexcode, concept.name, words, concept.group, seen])


if __name__ == "__main__":
    main()

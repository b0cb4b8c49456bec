"""Make demo/pictures/evaluation: eight categories in five conditions, with a manifest of where each is from.

Run as `python -m making.evaluation --cache .making`. Two runs give identical files.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from PIL import Image

from . import conditions
from .art import EVALUATION_CONCEPTS, Concept, load_concepts, picture
from .drawings import STYLES_OF, Drawing, choose
from .geons_render import render
from .geons_scenes import scenes

TARGET: Final = Path(__file__).parents[1] / "pictures" / "evaluation"

# The art-based conditions: what is done, given the fitted drawing and its style, and that in words.
APPLY: Final[dict[str, tuple[Callable[[Image.Image, str], Image.Image], str]]] = {
    "realistic": (lambda art, _: conditions.realistic(art), "the drawing itself"),
    "silhouettes": (lambda art, _: conditions.silhouettes(art), "filled outline, black on white"),
    "blurred": (lambda art, _: conditions.blurred(art), f"Gaussian blur, sigma {conditions.BLUR_SIGMA:g} px"),
    "features": (conditions.features, f"up to {conditions.PARTS} inner parts, cut out and moved apart"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of manifest.csv; `path` is relative to the manifest."""

    path: str
    category: str
    condition: str
    concept: str
    concept_name: str
    style: str
    how_made: str
    in_training: str


def main() -> None:
    """Parse the command line, make all pictures, write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".making"), help="where the art archives are kept")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    concepts = {concept.hexcode: concept for concept in load_concepts(arguments.cache)}
    shutil.rmtree(arguments.target, ignore_errors=True)
    rows: list[Row] = []
    for row, image in [*_from_art(arguments.cache, concepts), *_from_geons()]:
        file = arguments.target / row.path
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, optimize=True)
        rows.append(row)
    _write(arguments.target / "manifest.csv", sorted(rows, key=lambda row: row.path))
    print(f"{len(rows)} pictures in {arguments.target}")


def _from_art(cache: Path, concepts: dict[str, Concept]) -> Iterator[tuple[Row, Image.Image]]:
    """Every picture that starts from a drawing."""
    for condition in STYLES_OF:
        apply = APPLY[condition][0]
        for category in EVALUATION_CONCEPTS:
            for number, drawing in enumerate(choose(category, condition), start=1):
                concept = concepts[drawing.hexcode]
                row = _row(category, condition, number, concept, drawing)
                yield row, apply(_fitted(cache, concept, drawing), drawing.style)


def _fitted(cache: Path, concept: Concept, drawing: Drawing) -> Image.Image:
    art = picture(cache, concept, drawing.style, conditions.FOUR * conditions.SIZE)
    return conditions.fitted(art, drawing.mirrored, drawing.degrees)


def _row(category: str, condition: str, number: int, concept: Concept, drawing: Drawing) -> Row:
    words = APPLY[condition][1]
    return Row(
        path=f"{condition}/{category.capitalize()}{number:02}-{drawing.style}.png",
        category=category,
        condition=condition,
        concept=concept.hexcode,
        concept_name=concept.name,
        style=drawing.style,
        how_made=f"{words}; first {drawing.change}" if drawing.change else words,
        in_training="yes" if drawing.in_training else "no",
    )


def _from_geons() -> Iterator[tuple[Row, Image.Image]]:
    """Every picture that is built from simple solids."""
    for category, views in scenes().items():
        for number, scene in enumerate(views, start=1):
            row = Row(
                path=f"geons/{category.capitalize()}{number:02}-geons.png",
                category=category,
                condition="geons",
                concept="",
                concept_name=scene.words,
                style="geons",
                how_made=f"simple solids, seen from azimuth {scene.view.azimuth:g}, elevation {scene.view.elevation:g}",
                in_training="no",
            )
            yield row, render(scene.solids, scene.view, conditions.SIZE)


def _write(file: Path, rows: list[Row]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)


if __name__ == "__main__":
    main()

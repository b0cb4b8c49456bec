"""Which drawings stand for a category in a condition: data, and one rule that picks from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .art import EVALUATION_CONCEPTS, STYLES, held_out_style

PER_CELL: Final = 8  # pictures for each category and condition

# The line drawings are not filled, so they have neither a silhouette of their own nor inner parts.
STYLES_OF: Final[dict[str, tuple[str, ...]]] = {
    "realistic": STYLES,
    "silhouettes": ("noto", "twemoji", "openmoji"),
    "blurred": STYLES,
    "features": ("noto", "twemoji", "openmoji"),
}

# Drawings in which a person could not see the thing any more; looked through by hand. "*" is every style.
UNSUITABLE: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "silhouettes": {
        "1F6EB": ("noto", "twemoji"),  # a runway beside the airplane
        "1F6EC": ("noto", "twemoji"),
        "1F698": ("*",),  # a car from the front is a rounded square
        "1F696": ("*",),
        "1F694": ("*",),
        "1F436": ("*",),  # a dog's face is a blob
        "1F9AE": ("openmoji",),  # the harness cuts the dog into pieces
        "2615": ("twemoji",),  # steam, cup and saucer run together
        "1F375": ("noto", "twemoji"),
        "1F4BA": ("twemoji",),
    },
    "features": {
        "1F6EB": ("twemoji", "openmoji"),  # windows on the runway; nothing inside the outline
        "1F6EC": ("twemoji", "openmoji"),
        "1F3CE": ("openmoji",),
        "1FA91": ("openmoji",),
        "2615": ("openmoji",),
        "1F375": ("openmoji",),
        "1F964": ("openmoji",),
        "1F415": ("openmoji",),
        "1F9AE": ("openmoji",),
        "1F415-200D-1F9BA": ("openmoji",),
        "1F429": ("openmoji",),
        "1FACF": ("openmoji",),
        "1F986": ("openmoji",),
        "1F3A9": ("openmoji",),
        "1F393": ("openmoji",),
    },
}

# (mirrored, degrees counter-clockwise), in the order they are used where a category has too few drawings.
CHANGES: Final = ((False, 0.0), (True, 0.0), (False, 12.0), (True, -12.0))


@dataclass(frozen=True, slots=True)
class Drawing:
    """One concept in one style, perhaps mirrored and turned."""

    hexcode: str
    style: str
    mirrored: bool = False
    degrees: float = 0.0

    @property
    def in_training(self) -> bool:
        """Whether training sees this concept in this style (not counting what a condition does to it)."""
        return held_out_style(self.hexcode) != self.style

    @property
    def change(self) -> str:
        """What was changed before the condition was applied, in words; empty if nothing."""
        words = ["mirrored"] if self.mirrored else []
        if self.degrees:
            words.append(f"turned {abs(self.degrees):g} degrees {'left' if self.degrees > 0 else 'right'}")
        return " and ".join(words)


def choose(category: str, condition: str) -> list[Drawing]:
    """Return PER_CELL different drawings: those held out from training first, then styles and concepts evenly.

    Where a category has too few, the same ones follow mirrored, then turned.
    """
    pairs = _in_even_order(_suitable(category, condition), list(STYLES_OF).index(condition))
    drawings = [Drawing(*pair, mirrored, degrees) for mirrored, degrees in CHANGES for pair in pairs]
    return drawings[:PER_CELL]


def _suitable(category: str, condition: str) -> list[tuple[str, str]]:
    """Every (hexcode, style) of the category that can be used in the condition."""
    unsuitable = UNSUITABLE.get(condition, {})
    return [
        (hexcode, style)
        for hexcode in EVALUATION_CONCEPTS[category]
        for style in STYLES_OF[condition]
        if not {style, "*"} & set(unsuitable.get(hexcode, ()))
    ]


def _in_even_order(pairs: list[tuple[str, str]], start: int) -> list[tuple[str, str]]:
    """Order pairs so that any beginning holds out-of-training art first and then repeats styles and concepts least.

    `start` turns the list round before ties are broken by position, so that conditions do not all show the same art.
    """
    left = pairs[start:] + pairs[:start]
    order: list[tuple[str, str]] = []

    def cost(pair: tuple[str, str]) -> tuple[bool, int]:
        hexcode, style = pair
        used = sum(other_style == style for _, other_style in order) + sum(other == hexcode for other, _ in order)
        return held_out_style(hexcode) != style, used

    while left:
        order.append(min(left, key=cost))
        left.remove(order[-1])
    return order

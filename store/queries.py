"""What is looked for and what is found: a query, the parts that it is made of, and its hits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from numbers import Integral, Real

from .errors import OptionError
from .file_names import local
from .types import PIXEL_LIMIT, Space


class PartKind(StrEnum):
    """What a part of a query is: a text, an image, an indexed image by its id, or a selection by its name."""

    TEXT = "text"
    IMAGE = "image"
    LIKE = "like"
    SELECTION = "selection"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a query. Its unit vector counts `weight` times; a weight below 0 subtracts it.

    `value` is the text, the address of an image or the bytes of its file, the id of an indexed image, or the name of
    a saved selection, whose vector is the mean of those of its images, made unit.
    """

    value: str | int | bytes
    kind: PartKind = PartKind.TEXT
    weight: float = 1.0

    def __str__(self) -> str:
        named = "an image" if isinstance(self.value, bytes) else str(self.value)
        counted = "" if abs(self.weight) == 1 else f"{abs(self.weight):g}:"
        return f"{counted}{ {PartKind.LIKE: '#', PartKind.SELECTION: '@'}.get(self.kind, '') }{named}"


def part_of(part: object) -> Part:
    """Return the part of a query that a text, a pair of a text and its weight, or a part stands for.

    Raises:
        OptionError: it is none of them.
    """
    match part:
        case Part():
            return part
        case str():
            return Part(part)
        case (str(text), Real() as weight):
            return Part(text, weight=float(weight))
    raise OptionError(
        f"a query is made of texts, not of {type(part).__name__}",
        "a text, or a pair such as ('dog', 2); for images: image=FILE, or like=ID for an indexed one",
    )


def like_of(of: object) -> Part:
    """Return the part of a query that an image's id or the name of a selection stands for.

    Raises:
        OptionError: it is neither.
    """
    if isinstance(of, Integral):  # those of numpy and pandas, too
        return Part(int(of), PartKind.LIKE)
    if isinstance(of, str):
        return Part(of.removeprefix("@"), PartKind.SELECTION)
    raise OptionError(f"like is an image_id or a selection, not {type(of).__name__}", "for example: like=hit.image_id")


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for: parts, of which a string is a text; a SQL filter over `images`; how many images.

    The query's vector is the weighted sum of the unit vectors of its parts, made unit again. With `least` the images
    with the lowest cosines are found, lowest first. `min_score` and `min_z` leave out hits with a lower cosine or z.
    Indexed images that are parts of the query, and their exact copies, are left out unless `with_itself`. Images of
    more than `max_pixels`, and than the largest one indexed, are an error; 0 lifts the limit.
    """

    parts: tuple[str | Part, ...] = ()
    where: str | None = None
    k: int = 10
    max_pixels: int = PIXEL_LIMIT
    space: Space = Space.JOINT
    least: bool = False
    min_score: float | None = None
    min_z: float | None = None
    with_itself: bool = False

    @property
    def weighted(self) -> tuple[Part, ...]:
        """The parts, each with its kind and weight."""
        return tuple(Part(part) if isinstance(part, str) else part for part in self.parts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts among the parts, each once, in order."""
        texts = (part.value for part in self.weighted if part.kind is PartKind.TEXT)
        return tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))

    def __str__(self) -> str:
        said = ""
        for part in self.weighted:
            sign = "- " if part.weight < 0 else "+ " if said else ""
            said += f"{' ' if said else ''}{sign}{part}"
        return said


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer. `rank` counts from 1; `cosine` is in [-1, 1].

    `z` says how many standard deviations the cosine is above the mean of all images in the store for this query. It
    means the same for texts, images and models, which a cosine does not. None where all images have the same cosine.
    """

    rank: int
    image_id: int
    path: str
    cosine: float
    category: str | None = None
    condition: str | None = None
    split: str | None = None
    z: float | None = None

    def __fspath__(self) -> str:
        """Return the name that the file has, for `open(hit)`; bytes that are not UTF-8 are characters in `path`."""
        return local(self.path)

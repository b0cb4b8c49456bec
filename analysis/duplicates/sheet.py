"""Pairs of duplicates as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from shotdex.analysis.figures.pairs import PairLabels, PictureLabels, pair_sheet
from shotdex.analysis.thumbnails import read_small
from shotdex.store.errors import UnreadableImage

from .find import Duplicates
from .pairs import Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READ = 240
"""Pixels that the longest side of a picture is read at."""


def pairs_plot(found: Duplicates, links: Rows, title: str) -> Figure:
    """Draw some links, given by their numbers, as pairs of pictures; a picture that is gone is a grey square.

    Raises:
        UnreadableImage: no picture can be read, or there is no pair.
    """
    if len(links) == 0:
        raise UnreadableImage("there is no pair to draw", "lower --threshold, or ask for others with --show")
    ends = [(int(found.links.first[link]), int(found.links.second[link])) for link in links]
    images = {row: found.images.slice(row, 1).to_pylist()[0] for pair in ends for row in pair}
    paths = [images[row]["path"] for pair in ends for row in pair]
    read = [picture or Image.new("RGB", (64, 64), "#dddddd") for picture in read_small(paths, READ)]
    labels = {row: _labels(image) for row, image in images.items()}
    pairs = [
        PairLabels(float(found.links.cosine[link]), bool(found.links.exact[link]), labels[first], labels[second])
        for link, (first, second) in zip(links, ends, strict=True)
    ]
    remark = f"cosine {found.wanted.threshold:g} or more in the {found.wanted.space} space of {found.encoder.name}"
    return pair_sheet(pairs, list(zip(read[::2], read[1::2], strict=True)), title, remark)


def _labels(image: dict[str, str | None]) -> PictureLabels:
    places = [place for place in (image["condition"], image["split"]) if place is not None]
    return PictureLabels(str(image["path"]), image["category"], ", ".join(places) or None)

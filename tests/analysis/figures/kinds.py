"""Every kind of figure, drawn of synthetic data with as many classes, runs and conditions as a test wants."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from shotdex.analysis.figures import (
    ComparisonLine,
    MapExtras,
    accuracy_figure,
    accuracy_heat_map,
    comparison_figure,
    confusion_figure,
    confusion_panels,
    contact_sheet,
    counts_figure,
    point_map,
    reliability_figure,
    samples_figure,
    selective_figure,
    thumbnail_map,
    topk_figure,
)
from shotdex.analysis.figures.differences import difference_figure
from shotdex.analysis.figures.drawing import About, signed
from shotdex.analysis.figures.pages import ImageLabels, PairLabels, pair_sheet
from shotdex.analysis.figures.panels import HeatPanel
from shotdex.analysis.figures.sheets import Captioned, image_sheet
from shotdex.analysis.metrics.calibration import reliability
from shotdex.analysis.metrics.selective import risk_coverage
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.queries import Hit
from shotdex.store.types import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONG = "a category whose name somebody wrote out as a whole sentence"
CONDITIONS = ("realistic", "silhouettes", "geons", "blurred", "features")
ABOUT = About(("run names", "model clip-vit-base-patch32", "12,345 images", "2026-11-28", "accuracy@1 0.678"))
WORDS = "airplane car chair cup dog donkey duck hat house lamp mug owl piano rose ship tiger truck umbrella vase wheel"


def names_of(count: int) -> list[str]:
    """Return as many names, the last of them long."""
    words = WORDS.split()
    return [words[place] if place < len(words) else f"kind {place}" for place in range(count - 1)] + [LONG]


def runs_of(count: int) -> list[str]:
    return ["names", "a photo of", "templates of ImageNet, all 80 of them together", "words"][:count]


def _image(place: int) -> Image.Image:
    return Image.new("RGB", [(40, 40), (60, 30), (30, 60)][place % 3], ["#88aacc", "#ccaa88", "#99bb77"][place % 3])


def _outcomes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.3, 1, 200)
    return sure, rng.uniform(size=200) < sure - 0.1


def _matrix(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return np.asarray(
        rng.integers(0, 4, (count, count)) * (rng.uniform(size=(count, count)) < 0.3) + np.eye(count, dtype=int) * 1234
    )


def counts(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    table = {name: dict.fromkeys(CONDITIONS[:conditions], 7 + place) for place, name in enumerate(names_of(count))}
    return counts_figure(table)


def accuracy(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    """By category, with a baseline and chance."""
    series = [
        (run, {name: wilson((7 * i + 11 * place) % 41, 40) for i, name in enumerate(names_of(count))})
        for place, run in enumerate(runs_of(runs))
    ]
    marks = {(run, name): " ▲" for run, _ in series[1:] for name in names_of(count)}
    return accuracy_figure(
        series, "Accuracy@1 by category, 95 % Wilson intervals", 1 / count, {"people": 0.83}, mark=marks
    )


def conditions(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    """By condition, with a baseline known for each."""
    series = [
        (run, {name: wilson(40 - 3 * i - 4 * place, 41) for i, name in enumerate(CONDITIONS[:conditions])})
        for place, run in enumerate(runs_of(runs))
    ]
    known = {
        name: Estimate(0.85 - 0.07 * i, float("nan"), float("nan"), 0, "")
        for i, name in enumerate(CONDITIONS[:conditions])
    }
    return accuracy_figure(
        series, "Accuracy@1 by condition, 95 % Wilson intervals", 1 / count, baselines=[("toddlers", known)]
    )


def heat(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    sizes = np.full((count, conditions), 40)
    panels = [
        HeatPanel(run, (np.arange(sizes.size).reshape(sizes.shape) * 7 + place) % 41, sizes)
        for place, run in enumerate(runs_of(runs))
    ]
    return accuracy_heat_map(panels, names_of(count), CONDITIONS[:conditions], "Accuracy@1 by category and condition")


def confusion(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    return confusion_figure(_matrix(count), names_of(count), title="Confusion")


def panels(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    drawn = [(f"{one}: 0.925 [0.801, 0.974], n=1,040", _matrix(count)) for one in CONDITIONS[:conditions]]
    return confusion_panels(drawn, names_of(count), "Confusion by condition")


def agreement(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    matrix = _matrix(count) - _matrix(count).T + np.diag(np.arange(count) - 2)
    title = "Confusion of templates minus that of names, on the 320 of 640 images that both scored"
    return difference_figure(matrix, names_of(count), ("names", runs_of(3)[2]), title)


def reliable(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    series = [(run, reliability(*_outcomes(place), 15), wilson(12, 200)) for place, run in enumerate(runs_of(runs))]
    return reliability_figure(series, "Reliability, 15 bins, 95 % Wilson intervals")


def selective(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    series = [(run, risk_coverage(*_outcomes(place)), wilson(12, 200)) for place, run in enumerate(runs_of(runs))]
    return selective_figure(series, "Risk against coverage, 95 % Wilson intervals")


def topk(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    curves = [
        (run, [wilson(min(20 + 4 * place + k, 40), 40) for k in range(count)])
        for place, run in enumerate(runs_of(runs))
    ]
    return topk_figure(curves, "Top-k accuracy, 95 % Wilson intervals", count)


@cache
def _places(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    own = rng.integers(0, count, max(4 * count, 80))
    return rng.normal(size=(count, 2))[own] * 5 + rng.normal(size=(len(own), 2)), own


CAPTION = (
    "UMAP, 15 neighbours, minimum distance 0.1, euclidean distance, seed 0; before: unit length, 512 numbers "
    "reduced to 50 principal components. Images and prompts lie apart (the modality gap): the mean cosine is 0.61 "
    "between two images, 0.78 between two prompts, 0.24 between an image and a prompt."
)


def _map(labels: str) -> Callable[..., Figure]:
    def drawn(count: int, conditions: int = 5, runs: int = 1) -> Figure:
        xy, own = _places(count)
        words = {
            "category": names_of(count),
            "correct": ["correct", "wrong", None],
            "confidence": ["0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1"],
            "agreement": ["both right", "only names right", f"only {runs_of(3)[2]} right", "both wrong"],
        }[labels]
        shown = [words[code % len(words)] for code in own.tolist()]
        title = f"UMAP of {len(own):,} images, joint space of clip-vit-base-patch32"
        return point_map(xy, shown, title, labels, MapExtras(caption=CAPTION.split(" Images")[0]))

    return drawn


def prompts(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    xy, own = _places(count)
    texts = [
        (f"a photo of {name}", (float(x), float(y))) for name, (x, y) in zip(names_of(count), xy + 3, strict=False)
    ]
    labels = [names_of(count)[code] for code in own.tolist()]
    return point_map(xy, labels, "UMAP of images and prompts", "category", MapExtras(texts, CAPTION))


def thumbnails(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    xy, own = _places(count)
    labels = [names_of(count)[code] for code in own.tolist()]
    texts = [
        (f"a photo of {name}", (float(x), float(y))) for name, (x, y) in zip(names_of(count), xy + 3, strict=False)
    ]
    images = [_image(place) for place in range(len(own))]
    return thumbnail_map(
        xy, images, labels, f"UMAP of {len(own):,} images, joint space", "category", MapExtras(texts[:12], CAPTION)
    )


def samples(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    images = {
        (name, one): _image(row + column)
        for row, name in enumerate(names_of(count))
        for column, one in enumerate(CONDITIONS[:conditions])
    }
    return samples_figure(images, names_of(count), CONDITIONS[:conditions])


def mistakes(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    shown = names_of(count)
    tiles = [
        Captioned(
            _image(place), (f"predicted {shown[place % count]} 0.987", f"true {shown[-1]} 0.012", one), False, one
        )
        for one in CONDITIONS[:conditions]
        for place in range(min(count, 16))
    ]
    return image_sheet(tiles, "Surest mistakes", "80 of 1,234 mistakes, by probability")


def sheet(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    hits = [Hit(i + 1, i + 1, f"/photos/{name}.jpg", 0.3 - i / 1000, name) for i, name in enumerate(names_of(count))]
    return contact_sheet(hits, [_image(place) for place in range(count)], "a question that goes on for a while")


def pairs(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    def side(place: int) -> ImageLabels:
        return ImageLabels(f"/a/{place}.png", names_of(count)[place % count], "train, realistic")

    drawn = [PairLabels(0.98765, place % 3 == 0, side(place), side(place * 2)) for place in range(count)]
    return pair_sheet(drawn, [(_image(place), _image(place + 1)) for place in range(count)], "Pairs", "by cosine")


def probe(count: int, conditions: int = 5, runs: int = 1) -> Figure:
    rows = [
        *(
            ComparisonLine(f"zero-shot, {run}", wilson(150 + 5 * place, 200), "zero-shot")
            for place, run in enumerate(runs_of(runs))
        ),
        *(ComparisonLine("k-NN", wilson(120 + 10 * shots, 200), "few-shot", shots) for shots in (1, 2, 4)),
        *(
            ComparisonLine("logistic regression", wilson(110 + 15 * shots, 200), "few-shot", shots)
            for shots in (1, 2, 4)
        ),
        ComparisonLine("logistic regression, all images", wilson(190, 200), "trained"),
        ComparisonLine("a network of somebody else's", Estimate(0.919, float("nan"), float("nan"), 0, ""), "outside"),
    ]
    return comparison_figure(rows)


KINDS: dict[str, Callable[..., Figure]] = {
    "counts": counts, "accuracy": accuracy, "conditions": conditions, "heat": heat, "confusion": confusion,
    "panels": panels, "agreement": agreement, "reliability": reliable, "selective": selective, "topk": topk,
    "map category": _map("category"), "map correct": _map("correct"), "map confidence": _map("confidence"),
    "map agreement": _map("agreement"), "prompts": prompts, "thumbnails": thumbnails, "samples": samples,
    "mistakes": mistakes, "sheet": sheet, "pairs": pairs, "probe": probe,
}  # fmt: skip


def drawn(kind: str, count: int, conditions: int = 5, runs: int = 1) -> Figure:
    """Draw a figure of a kind, signed as one of a store is."""
    with signed(ABOUT):
        return KINDS[kind](count, conditions, runs)

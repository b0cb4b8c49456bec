"""Keywords of the methods that evaluate, draw, compare and export: see `keywords`, which has those of the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from shotdex.store.progress import Progress
from shotdex.store.types import PIXEL_LIMIT, PromptSet

from .figures import FigureKeywords
from .keywords import DEFAULTS, FilterKeywords, Note

if TYPE_CHECKING:
    from shotdex.models.own_encoder import AnyModel, NewModel

    from .session import Session

MODEL = "openai/clip-vit-base-patch32"
"""The model that `reproduce` evaluates where none is named."""


class ClassifyKeywords(FilterKeywords, total=False):
    """What `Session.classify` takes.

    templates: texts with `{}` for the class, averaged, or published lists of them, such as "templates.json#NAME"; the
        bare names if not given.
    prompts: instead of classes and templates, a prompt set: a TOML file, a name from `shotdex prompts list`, or a
        `PromptSet`.
    where: a SQL condition on the columns of `images`.
    k: how many predictions to keep for each image, at least 1.
    name: a new name for the run; default: `run-N`.
    model: one of the store's encoders, by name, number or object; required if there are several.
    replace: delete the run that has this name once the new one is complete.
    partial: exclude images whose category has no class from the accuracy; otherwise they are an error.
    predictions: a folder; the predictions are written there as Parquet files, in a new folder `run=NAME`, instead of to
        the catalog, and are used like those of any other run. For millions of images.
    command: the command line, for the record of the run.
    """

    templates: Sequence[str]
    prompts: str | PromptSet | None
    where: str | None
    k: int
    name: str | None
    model: AnyModel | None
    replace: bool
    partial: bool
    predictions: str | os.PathLike[str] | None
    command: str


class ClassifyImagesKeywords(TypedDict, total=False):
    """What `classify_images` takes.

    templates: texts with `{}` for the class, averaged; the bare names if not given.
    prompts: instead of classes and templates, a prompt set: a TOML file, a name from `shotdex prompts list`, or a
        `PromptSet`.
    k: how many classes to return for each image, at least 1; fewer are returned if there are fewer classes.
    model: "demo", a local folder, a name on the hub, one of the store's encoders, or an object as in `Session.index`.
        Default: the store's; without a store, the default of `Session.index`.
    store: a session whose encoder and categories are used if `model` and `classes` are not given.
    device: where the model runs: auto, cpu, cuda or mps.
    max_pixels: a larger image is a failure; 0 lifts the limit.
    """

    templates: Sequence[str]
    prompts: str | PromptSet | None
    k: int
    model: AnyModel | None
    store: Session | None
    device: str
    max_pixels: int


class SweepKeywords(TypedDict, total=False):
    """What `Session.sweep_prompts` takes.

    prompts, classes: as for `Session.classify`.
    choose_where, report_where: SQL conditions for the images on which to choose and to report; None: random
        halves of each class.
    where: a SQL condition on the columns of `images`.
    model: one of the store's encoders, by name, number or object; required if there are several.
    seed: random seed for the halves and the intervals, from 0.
    """

    prompts: str | PromptSet | None
    classes: Sequence[str] | str | None
    choose_where: str | None
    report_where: str | None
    where: str | None
    model: AnyModel | None
    seed: int


class ReportKeywords(TypedDict, total=False):
    """What `Session.report` takes.

    by: columns of `images` to group by; in a document, the default is the condition.
    resamples: number of bootstrap resamples, from 100.
    seed: random seed for the bootstrap, from 0; None: the run's own.
    bins: number of equal-width bins for the calibration error, from 1.
    out: where to write a document: `report.html` (one self-contained file), `report.ipynb`, `tables.tex`, or a folder,
        `report/`, for Markdown and PNGs.
    style: of the document: "report", or "course" for Introduction, Methods, Results, and a Discussion made of
        questions.
    images: maximum number of mistakes that the document shows as images, from 0.
    anyway: allow runs that chose among different classes.
    coverage: of the document's prediction sets, between 0 and 1.
    """

    by: str | Sequence[str]
    resamples: int
    seed: int | None
    bins: int
    out: str | os.PathLike[str] | None
    style: str
    images: int
    anyway: bool
    coverage: float


class ProbeKeywords(TypedDict, total=False):
    """What `Session.probe` takes.

    train_where, test_where: SQL conditions for the training and the test images; None: the images' own splits, or
        random halves.
    few_shot: numbers of training images per class, each from 1; empty or "none" skips few-shot.
    draws: number of times those few images are drawn, from 1.
    space: "joint" or "vision".
    seed: random seed for the splits, the draws and the bootstrap, from 0.
    run: names of zero-shot runs; default: the newest of the same encoder.
    outside: external results: "NAME=VALUE", "NAME=VALUE:N", or the name of an imported baseline.
    model: one of the store's encoders, by name, number or object; required if there are several.
    where: a SQL condition on the columns of `images`, for the training and the test images alike.
    progress: True shows a progress bar; or an object with `start(total)` and `advance(count)`.
    """

    train_where: str | None
    test_where: str | None
    few_shot: str | Sequence[int]
    draws: int
    space: str
    seed: int
    run: str | Sequence[str]
    outside: str | Sequence[str]
    model: AnyModel | None
    where: str | None
    progress: bool | Progress


class MapKeywords(FigureKeywords, total=False):
    """What `Plots.map` takes.

    method: "umap" or "tsne".
    seed: random seed for the projection and the sample, from 0.
    neighbors: UMAP's neighbourhood, from 2; fewer show finer structure.
    min_dist: UMAP's smallest distance between points, 0 to 1.
    perplexity: t-SNE's, above 1; about how many neighbours count.
    metric: "euclidean" or "cosine", between the principal components.
    color: what colours stand for: "category", "condition", "split"; or of a run "correct", "predicted", "confidence",
        and "agreement" with the run `against`.
    space: "joint" or "vision".
    thumbnails: draw the images instead of points.
    where: a SQL condition on the columns of `images`.
    run: the run whose predictions or prompts are drawn; default: the newest.
    model: one of the store's encoders, by name, number or object; required if there are several.
    limit: maximum number of images, from 1; beyond it a sample is drawn. None: 20,000 with umap, 5,000 with tsne.
    prompts: draw the run's prompts as numbered stars (joint space only).
    against: the second run, if colours stand for agreement.
    progress: True shows a progress bar; or an object with `start(total)` and `advance(count)`.
    """

    method: str
    seed: int
    neighbors: int
    min_dist: float
    perplexity: float
    metric: str
    color: str
    space: str
    thumbnails: bool
    where: str | None
    run: str | None
    model: AnyModel | None
    limit: int | None
    prompts: bool
    against: str | None
    progress: bool | Progress


class DuplicatesKeywords(TypedDict, total=False):
    """What `Session.duplicates` takes.

    threshold: the lowest cosine of near duplicates, in (0, 1]; None: a strict default.
    space: "joint" or "vision".
    across: the label that duplicates should not cross: "split" or "condition".
    where: a SQL condition on the columns of `images`.
    model: one of the store's encoders, by name, number or object; required if there are several.
    run: runs whose accuracy with and without duplicates is in `effects`; default: the newest, if any.
    limit: how many pairs to return, from 0; `details` has all of them.
    weakest: return the near pairs with the lowest cosine, which show what the threshold accepts.
    progress: True shows a progress bar; or an object with `start(total)` and `advance(count)`.
    """

    threshold: float | None
    space: str
    across: str
    where: str | None
    model: AnyModel | None
    run: str | Sequence[str]
    limit: int
    weakest: bool
    progress: bool | Progress


class ExportKeywords(TypedDict, total=False):
    """What `Session.export` takes.

    where: a SQL condition on the columns of `images`.
    run: the name or number of a run, whose outcomes become columns.
    model: one of the store's encoders, by name, number or object; required for vectors if there are several.
    space: "vision" adds the vectors of the image tower before its projection.
    with_gps: also write where images were taken; otherwise columns, metadata and copied files omit it.
    link: link to image files instead of copying them, if they are separate files and need no change.
    overwrite: replace an existing file; otherwise it is an error.
    progress: True shows a progress bar while a map is made; or an object with `start(total)` and `advance(count)`.
    """

    where: str | None
    run: str | None
    model: AnyModel | None
    space: str
    with_gps: bool
    link: bool
    overwrite: bool
    progress: bool | Progress


class ReproduceKeywords(TypedDict, total=False):
    """What `reproduce` takes.

    model: a hub name, a local folder, "demo", or an encoder object.
    against: the published model to compare with. Default: the one that `model` names, else the benchmark's first.
    templates: texts with one `{}`, instead of the published ones.
    table: a TOML file in the format of the shipped one (docs/reproduce.md), to use instead of it.
    layout: the meaning of path parts of a local copy, such as "{split}/{category}/*".
    precision, batch_size: as for `Session.index`.
    device: where the model runs: auto, cpu, cuda or mps.
    store: the store's folder. None: `NAME.shotdex` in the current folder.
    progress: True shows a progress bar; or an object with `start(total)` and `advance(count)`.
    note: called with sentences about the work.
    command: the command line, for the record of the runs.
    """

    model: NewModel
    against: str | None
    templates: Sequence[str]
    table: str | os.PathLike[str] | None
    layout: str | None
    precision: str | None
    batch_size: int | None
    device: str
    store: str | os.PathLike[str] | None
    progress: bool | Progress
    note: Note | None
    command: str


DEFAULTS |= {
    ClassifyKeywords: {"templates": (), "k": 5, "command": ""},
    ClassifyImagesKeywords: {"templates": (), "k": 5, "device": "auto", "max_pixels": PIXEL_LIMIT},
    SweepKeywords: {"seed": 0},
    ReportKeywords: {"by": (), "resamples": 1000, "bins": 15, "style": "report", "images": 24, "coverage": 0.9},
    ProbeKeywords: {
        "few_shot": (1, 2, 4, 8, 16), "draws": 10, "space": "joint", "seed": 0, "run": (), "outside": (),
        "progress": False,
    },
    MapKeywords: {
        "method": "umap", "seed": 0, "neighbors": 15, "min_dist": 0.1, "perplexity": 30.0, "metric": "euclidean",
        "color": "category", "space": "joint", "progress": False,
    },
    DuplicatesKeywords: {"space": "joint", "across": "split", "run": (), "limit": 10, "progress": False},
    ExportKeywords: {"space": "joint", "progress": False},
    ReproduceKeywords: {"model": MODEL, "templates": (), "device": "auto", "progress": False, "command": ""},
}  # fmt: skip

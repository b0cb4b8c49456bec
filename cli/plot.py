"""`shotdex plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shotdex.store.types import Space

from .figure_options import figure_options
from .options import (
    Command,
    anyway_option,
    device_option,
    filter_options,
    model_option,
    open_session,
    run_option,
    save_figure,
    store_option,
    where_option,
)
from .render import note, out
from .rows import format_option, print_rows, table

runs_option = click.option(
    "--run", "runs", multiple=True, metavar="RUN", help="Name or number; repeat to compare. [default: the newest]"
)


@click.group("plot")
def command() -> None:
    """Draw a figure: samples, counts, accuracy, confusion, agreement, mistakes, topk, reliability, selective or map."""


def _draw(kind: str, target: Path, store_path: Path | None, how: dict[str, Any]) -> None:
    save_figure(open_session(store_path).plot(kind, note=note, **how), target)


@command.command()
@figure_options("samples")
@click.option(
    "-n", "n", type=click.IntRange(1), help="Draw this many images in rows, instead of one for each category."
)
@click.option("--random", is_flag=True, help="Draw images at random. [16 without -n]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed for --random.")
@click.option("--run", metavar="RUN", help="A run whose predictions to show below the images.")
@filter_options("run")
@store_option
def samples(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw a sample image for each category and condition, or some images with their labels."""
    _draw("samples", target, store_path, how)


@command.command()
@figure_options("mistakes")
@click.option("-n", "n", type=click.IntRange(1), default=16, show_default=True, help="Number of images in each group.")
@click.option(
    "--sort",
    type=click.Choice(["confidence", "margin"]),
    default="confidence",
    show_default=True,
    help="Sort by the predicted class's probability, or by its margin over the true class's.",
)
@click.option("--by", default="", metavar="COLUMNS", help="Group the mistakes by columns of `images`.")
@run_option
@filter_options("run")
@store_option
def mistakes(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw the most confident mistakes of a run as images, with the true and the predicted category."""
    _draw("mistakes", target, store_path, how)


@command.command()
@click.argument("a", metavar="RUN_A")
@click.argument("b", metavar="RUN_B")
@figure_options("agreement")
@store_option
def agreement(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw where two runs differ: the confusion matrix of the second minus that of the first."""
    _draw("agreement", target, store_path, how)


@command.command()
@figure_options("counts")
@click.option(
    "--by",
    type=click.Choice(["condition", "split"]),
    default="condition",
    show_default=True,
    help="What the stacked parts of the bars show.",
)
@where_option
@store_option
@format_option
def counts(target: Path, store_path: Path | None, form: str | None, **how: Any) -> None:
    """Draw the number of images in each category, and print the table."""
    plot = open_session(store_path).plot
    figure, counted = plot.counts(note=note, **how), plot.counts_table(by=how["by"], where=how["where"])
    if form in (None, "table"):
        out(table(counted.columns, list(counted)))
    else:
        print_rows(counted.columns, list(counted), form)
    save_figure(figure, target)


@command.command()
@figure_options("accuracy")
@runs_option
@click.option(
    "--by",
    default="condition",
    show_default=True,
    metavar="COLUMNS",
    help="What the bars show: columns of `images`, such as condition or category,split.",
)
@click.option("--baseline", "baselines", multiple=True, metavar="NAME", help="An imported baseline; repeatable.")
@anyway_option
@store_option
def accuracy(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw accuracy@1 with 95 % intervals, with people or other models if a baseline is given."""
    _draw("accuracy", target, store_path, how)


@command.command()
@figure_options("confusion")
@click.option(
    "-k",
    "k",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Count an image as right if its true class is among the k best.",
)
@click.option(
    "--cells",
    type=click.Choice(["both", "rates", "counts"]),
    default="both",
    show_default=True,
    help="What each cell shows.",
)
@click.option("--by", default="", metavar="COLUMNS", help="Draw a matrix for each group, such as each condition.")
@filter_options("run")
@run_option
@store_option
def confusion(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw which categories are mistaken for which."""
    _draw("confusion", target, store_path, how)


@command.command()
@figure_options("reliability")
@runs_option
@click.option(
    "--bins", type=click.IntRange(1, 100), default=15, show_default=True, help="Number of bins of equal width."
)
@filter_options("runs")
@anyway_option
@store_option
def reliability(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw accuracy against the model's confidence, with the calibration error."""
    _draw("reliability", target, store_path, how)


@command.command()
@click.argument("named", nargs=-1, metavar="[RUN]...")
@figure_options("selective")
@runs_option
@filter_options("runs")
@anyway_option
@store_option
def selective(named: tuple[str, ...], runs: tuple[str, ...], target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw the error rate of the most confident images against their share (risk against coverage)."""
    _draw("selective", target, store_path, {"runs": (*named, *runs), **how})


@command.command()
@figure_options("topk")
@runs_option
@anyway_option
@store_option
def topk(target: Path, store_path: Path | None, **how: Any) -> None:
    """Draw how often the true category is among an image's k best classes, for every k."""
    _draw("topk", target, store_path, how)


MAP_OPTIONS = (
    click.option(
        "--space",
        type=click.Choice([space.value for space in Space]),
        default="joint",
        show_default=True,
        help="joint: what text is compared with; vision: the image tower before its projection.",
    ),
    click.option(
        "--color",
        "--colour",
        "color",
        type=click.Choice(["category", "condition", "split", "correct", "predicted", "confidence", "agreement"]),
        default="category",
        show_default=True,
        metavar="WHAT",
        help="What the colours, or the frames of thumbnails, show: category, condition or split; correct, predicted, "
        "confidence or agreement of a run.",
    ),
    click.option("--thumbnails", is_flag=True, help="Draw the images instead of points."),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Random seed for the projection and the sample.",
    ),
    click.option(
        "--limit",
        type=click.IntRange(1),
        help="Draw a sample of at most this many images. [default: 20000 with umap, 5000 with tsne]",
    ),
    click.option("--prompts", is_flag=True, help="Also draw the run's prompts, as numbered stars (joint space only)."),
    click.option(
        "--neighbors", type=click.IntRange(2), default=15, show_default=True, help="Number of neighbours in UMAP."
    ),
    click.option(
        "--min-dist",
        type=click.FloatRange(0, 1),
        default=0.1,
        show_default=True,
        help="Minimum distance of points in UMAP.",
    ),
    click.option(
        "--perplexity",
        type=click.FloatRange(1, min_open=True),
        default=30.0,
        show_default=True,
        help="Perplexity of t-SNE.",
    ),
    click.option(
        "--metric",
        type=click.Choice(["euclidean", "cosine"]),
        default="euclidean",
        show_default=True,
        help="Distance between principal components.",
    ),
    click.option("--against", metavar="RUN", help="The second run, for --color agreement."),
    run_option,
    filter_options("run"),
    model_option,
    device_option,
    store_option,
)


def map_options(command: Command) -> Command:
    """Return a command with the options of a map."""
    for option in reversed(MAP_OPTIONS):
        command = option(command)
    return command


def _map(target: Path, store_path: Path | None, device: str, how: dict[str, Any]) -> None:
    save_figure(open_session(store_path, device).plot.map(progress=True, note=note, **how), target)


@command.command(name="map")
@figure_options("map")
@click.option(
    "--method", type=click.Choice(["umap", "tsne"]), default="umap", show_default=True, help="The projection."
)
@map_options
def map_(target: Path, store_path: Path | None, device: str, **how: Any) -> None:
    """Draw every image near those it resembles. Coordinates are stored, so drawing the same map again is quick."""
    _map(target, store_path, device, how)


@command.command()
@figure_options("umap")
@map_options
def umap(target: Path, store_path: Path | None, device: str, **how: Any) -> None:
    """Draw a map with UMAP: the same as plot map."""
    _map(target, store_path, device, how)


@command.command()
@figure_options("tsne")
@map_options
def tsne(target: Path, store_path: Path | None, device: str, **how: Any) -> None:
    """Draw a map with t-SNE: the same as plot map --method tsne."""
    _map(target, store_path, device, {**how, "method": "tsne"})

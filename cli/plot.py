"""`shotdex plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from shotdex.formatting import table
from shotdex.store.types import Space

from .options import (
    Command,
    UserPath,
    anyway_option,
    device_option,
    drawable,
    model_option,
    open_session,
    run_option,
    save_figure,
    store_option,
    where_option,
)
from .render import note, out


def out_option(kind: str) -> Callable[[Command], Command]:
    """Return the option that names the file of one kind of plot."""
    return click.option(
        "--out",
        "target",
        type=UserPath(path_type=Path),
        default=f"{kind}.png",
        show_default=True,
        callback=drawable,
        metavar="FILE",
        help="Where to: .png, .svg or .pdf.",
    )


runs_option = click.option(
    "--run", "runs", multiple=True, metavar="RUN", help="Name or number; repeat to compare. [default: the newest]"
)


@click.group("plot")
def command() -> None:
    """Draw a figure: samples, counts, accuracy, confusion, topk, reliability or map."""


@command.command()
@out_option("samples")
@where_option
@store_option
def samples(target: Path, where: str | None, store_path: Path | None) -> None:
    """Draw a sample image for each category and condition."""
    save_figure(open_session(store_path).plot.samples(where=where), target)


@command.command()
@out_option("counts")
@click.option(
    "--by",
    type=click.Choice(["condition", "split"]),
    default="condition",
    show_default=True,
    help="What the stacked parts of the bars stand for.",
)
@where_option
@store_option
def counts(target: Path, by: str, where: str | None, store_path: Path | None) -> None:
    """Draw how many images each category has, and print the table."""
    plot = open_session(store_path).plot
    figure, counted = plot.counts(by=by, where=where), plot.counts_table(by=by, where=where)
    out(table(counted.columns, list(counted)))
    save_figure(figure, target)


@command.command()
@out_option("accuracy")
@runs_option
@click.option(
    "--by",
    default="condition",
    show_default=True,
    metavar="COLUMNS",
    help="What the bars stand for: columns of `images`, such as condition or category,split.",
)
@click.option("--baseline", "baselines", multiple=True, metavar="NAME", help="An imported baseline; repeatable.")
@anyway_option
@store_option
def accuracy(
    target: Path,
    runs: tuple[str, ...],
    by: str,
    baselines: tuple[str, ...],
    anyway: bool,
    store_path: Path | None,
) -> None:
    """Draw accuracy@1 with 95 % intervals, alongside people or other models if a baseline is named."""
    plot = open_session(store_path).plot
    save_figure(plot.accuracy(runs=runs, by=by, baselines=baselines, anyway=anyway), target)


@command.command()
@out_option("confusion")
@click.option(
    "-k", "k", type=click.IntRange(1), default=1, show_default=True, help="Count the truth if among the k best."
)
@click.option(
    "--cells",
    type=click.Choice(["both", "rates", "counts"]),
    default="both",
    show_default=True,
    help="What each cell shows.",
)
@click.option(
    "--order",
    type=click.Choice(["given", "clustered"]),
    help="Order of the classes. [default: clustered if more than 12]",
)
@run_option
@store_option
def confusion(
    target: Path,
    k: int,
    cells: Literal["both", "rates", "counts"],
    order: Literal["given", "clustered"] | None,
    run: str | None,
    store_path: Path | None,
) -> None:
    """Draw which categories are taken for which."""
    save_figure(open_session(store_path).plot.confusion(run=run, k=k, cells=cells, order=order), target)


@command.command()
@out_option("reliability")
@runs_option
@click.option(
    "--bins", type=click.IntRange(1, 100), default=15, show_default=True, help="Number of bins of equal width."
)
@where_option
@anyway_option
@store_option
def reliability(
    target: Path, runs: tuple[str, ...], bins: int, where: str | None, anyway: bool, store_path: Path | None
) -> None:
    """Draw accuracy against the model's confidence, with the calibration error."""
    plot = open_session(store_path).plot
    save_figure(plot.reliability(runs=runs, bins=bins, where=where, anyway=anyway), target)


@command.command()
@out_option("topk")
@runs_option
@anyway_option
@store_option
def topk(target: Path, runs: tuple[str, ...], anyway: bool, store_path: Path | None) -> None:
    """Draw how often the true category is among an image's k best, for every k."""
    save_figure(open_session(store_path).plot.topk(runs=runs, anyway=anyway), target)


@command.command(name="map")
@out_option("map")
@click.option(
    "--method", type=click.Choice(["umap", "tsne"]), default="umap", show_default=True, help="The projection."
)
@click.option(
    "--space",
    type=click.Choice([space.value for space in Space]),
    default="joint",
    show_default=True,
    help="joint: what text is compared with; vision: the image tower before its projection.",
)
@click.option(
    "--color",
    "--colour",
    "colour",
    type=click.Choice(["category", "condition", "split", "correct"]),
    default="category",
    show_default=True,
    help="What the colours, or the thumbnails' frames, stand for.",
)
@click.option("--thumbnails", is_flag=True, help="Draw the images instead of points.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random seed for the projection and the sample.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Draw a sample of at most this many images. [default: 20000 with umap, 5000 with tsne]",
)
@click.option("--prompts", is_flag=True, help="Draw the run's prompts in, as stars (joint space only).")
@run_option
@where_option
@model_option
@device_option
@store_option
def map_(
    target: Path,
    method: str,
    space: str,
    colour: str,
    thumbnails: bool,
    seed: int,
    limit: int | None,
    prompts: bool,
    run: str | None,
    where: str | None,
    model: str | None,
    device: str,
    store_path: Path | None,
) -> None:
    """Draw every image near those it resembles. Coordinates are kept; drawing the same map again is quick."""
    figure = open_session(store_path, device).plot.map(
        method=method,
        seed=seed,
        color=colour,
        space=space,
        thumbnails=thumbnails,
        where=where,
        run=run,
        model=model,
        limit=limit,
        prompts=prompts,
        progress=True,
        note=note,
    )
    save_figure(figure, target)

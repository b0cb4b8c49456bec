"""`shotdex demo`: the whole loop, on what ships with the package, by the same calls as the other commands."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex import demo
from shotdex.formatting import shown_path
from shotdex.store.types import Query

from .demo_store import make_store
from .render import note, out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shotdex.analysis.maps import MapOptions
    from shotdex.models.transformers_encoder import TransformersEncoder
    from shotdex.store.store import Store

STATEMENT = """SELECT category, predicted, count(*) AS images
FROM outcomes WHERE run = 'names' AND NOT correct
GROUP BY ALL ORDER BY images DESC, category, predicted LIMIT 5"""

RUNS = ("names", "words")
"""The two shipped prompt sets, and the runs made with them."""

BASELINE = "toddlers"

SEARCHES = (("a bird", None), ("a dog", "condition = 'silhouettes'"))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo works: its store, its encoder, its folder."""

    store: Store
    encoder: TransformersEncoder
    folder: Path


@click.command("demo")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    metavar="DIR",
    help="Where the store and the images go; a store that an earlier demo left there is replaced.",
)
def command(folder: Path) -> None:
    """Index the shipped images, classify them with two prompt sets, compare, query, search and draw.

    Needs no network: the small model ships with shotdex. It knows emoji and little else.
    """
    started = time.monotonic()
    stage = _prepare(folder)
    _index(stage)
    _classify(stage)
    _compare(stage)
    _ask(stage)
    _search(stage)
    _draw(stage)
    out()
    out(f"All done in {time.monotonic() - started:.0f} s. Go on with, for example:")
    out(f"  export SHOTDEX_STORE={shown_path(str(stage.store.root))}")
    out('  shotdex search "a cat" --sheet cats.png')
    out('  shotdex sql "FROM accuracy_by_category"')


def _prepare(folder: Path) -> Stage:
    from shotdex.models.model_files import DEMO_MODEL
    from shotdex.models.transformers_encoder import load_encoder

    store = make_store((folder / "store").absolute())
    note("loading the demo model")
    return Stage(store, load_encoder(DEMO_MODEL), folder)


def _heading(text: str) -> None:
    out()
    out(text)
    out("=" * len(text))


def _index(stage: Stage) -> None:
    from shotdex.indexer.inventory import scan_source
    from shotdex.indexer.layout import parse_layout
    from shotdex.indexer.run import Indexing, IndexOptions
    from shotdex.media.sources import open_source
    from shotdex.models.text_tower_export import keep_tower

    from .progress import Bar

    _heading("1. Index the images, once")
    labelled = parse_layout("{condition}/{category}*", demo.CATEGORIES)
    for place, layout in ((demo.EVALUATION, labelled), (demo.GALLERY, parse_layout("*"))):
        with scan_source(open_source(str(place))) as scan, Bar(f"indexing {place.name}") as bar:
            report = Indexing(stage.store, stage.encoder, IndexOptions(layout), bar).run(scan)
        labels = "with category and condition" if layout is labelled else "without labels"
        out(f"{place.name}: {report.added:,} images {labels}, {report.failed} failed")
    keep_tower(stage.store, stage.encoder)


def _classify(stage: Stage) -> None:
    from shotdex.analysis.baselines.compare import compare_baseline
    from shotdex.analysis.baselines.importing import read_baseline, record_baseline
    from shotdex.analysis.classify import Classification, classify
    from shotdex.analysis.coverage import coverage
    from shotdex.analysis.prompts.files import read_prompts
    from shotdex.analysis.results import accuracy_by, overall
    from shotdex.formatting import estimate_cells, table

    _heading(
        "2. Classify them with two prompt sets; accuracy@1 per condition, 95 % Wilson intervals, compared with toddlers"
    )
    runs = [
        classify(stage.store, Classification(read_prompts(name), name=name), lambda _: stage.encoder) for name in RUNS
    ]
    toddlers = record_baseline(stage.store, read_baseline([demo.BASELINES / f"{BASELINE}.csv"]))
    said = {one.condition: one for one in compare_baseline(stage.store, toddlers, runs[0]).conditions}
    with stage.store.reading() as con:
        found = [accuracy_by(con, run, "condition") | {"all": overall(con, run)} for run in runs]
    rows: list[list[str | int]] = []
    for name in (*demo.CONDITIONS, "all"):
        first, second = (estimate_cells(estimates[name]) for estimates in found)
        people = [f"{said[name].baseline.value:.3f}", said[name].verdict.value] if name in said else ["", ""]
        rows.append([name, first[2], *first[:2], *second[:2], *people])
    spread = "95 % interval"
    out(table(["condition", "n", RUNS[0], spread, RUNS[1], spread, BASELINE, f"{RUNS[0]} is"], rows))
    out(str(coverage(runs[0])))
    out(f"toddlers: {toddlers.source}")
    for sentence in toddlers.note.split(". "):
        out(f"  {sentence.rstrip('.')}.")


def _compare(stage: Stage) -> None:
    from shotdex.analysis.compare import CompareOptions, compare_runs

    from .compare import comparison_table, reading_notes

    _heading("3. Is one prompt set better than the other? The same images, so the tests are paired")
    out(f"shotdex compare {' '.join(RUNS)} --by condition")
    found = compare_runs(stage.store, RUNS, CompareOptions(("condition",)))
    labelled = [one for one in found if one.group != "unlabelled"]
    out(comparison_table(labelled))
    for line in reading_notes(labelled):
        out(line)


def _ask(stage: Stage) -> None:
    from shotdex.formatting import table
    from shotdex.query.sql import run_statements

    _heading("4. Ask in SQL: what is taken for what?")
    out(STATEMENT)
    (answer,) = run_statements(stage.store, STATEMENT)
    out()
    out(table(answer.columns, answer.rows))


def _search(stage: Stage) -> None:
    from shotdex.analysis.plots import sheet_plot
    from shotdex.query.search import search

    from .search import render

    _heading("5. Search by text")
    for text, where in SEARCHES:
        condition = f' --where "{where}"' if where else ""
        out(f'shotdex search "{text}" -k 5{condition}')
        render(search(stage.store, Query((text,), where=where, k=5), lambda _: stage.encoder).hits, "table")
        out()
    text = SEARCHES[0][0]
    hits = search(stage.store, Query((text,), k=15), lambda _: stage.encoder).hits
    _save(stage, "sheet.png", sheet_plot(hits, text), "the 15 images nearest to that text")


def _draw(stage: Stage) -> None:
    from shotdex.analysis import plots
    from shotdex.analysis.maps import MapOptions

    _heading("6. Draw")
    store, runs = stage.store, RUNS
    _save(stage, "samples.png", plots.samples_plot(store), "an image of each category in each condition")
    _save(stage, "counts.png", plots.counts_plot(store, where="category IS NOT NULL"), "images per category")
    accuracy = plots.accuracy_plot(store, runs, baselines=[BASELINE])
    _save(stage, "accuracy.png", accuracy, "accuracy per condition, both prompt sets and toddlers")
    _save(
        stage, "confusion.png", plots.confusion_plot(store, plots.ConfusionOptions(runs[0])), "what is taken for what"
    )
    _save(stage, "topk.png", plots.topk_plot(store, runs), "accuracy among the k best")
    _save(stage, "reliability.png", plots.reliability_plot(store, runs[:1]), "is it right where it is sure?")
    labelled = "category IS NOT NULL"
    for name, request, caption in (
        (
            "map.png",
            MapOptions(where=labelled, run=runs[0], prompts=True),
            "every evaluation image, a point; the prompts, stars",
        ),
        (
            "map-thumbnails.png",
            MapOptions(where=labelled, colour="correct", thumbnails=True, run=runs[0]),
            "right, wrong",
        ),
        ("map-gallery.png", MapOptions(where="category IS NULL", thumbnails=True), "the gallery by what it resembles"),
    ):
        _map(stage, name, request, caption)


def _map(stage: Stage, name: str, request: MapOptions, caption: str) -> None:
    from shotdex.analysis.maps import draw_map

    figure, _ = draw_map(stage.store, request, lambda _: stage.encoder)
    _save(stage, name, figure, caption)


def _save(stage: Stage, name: str, figure: Figure, caption: str) -> None:
    from shotdex.analysis.figures.style import save

    target = stage.folder / name
    save(figure, target)
    out(f"wrote {shown_path(str(target))}: {caption}")

"""`shotdex demo`: the whole loop, on what ships with the package, by the same calls as the other commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex import demo
from shotdex.formatting import estimate_cells, shown_path
from shotdex.session import open_demo

from .compare import comparison_table, reading_notes
from .options import UserPath
from .render import out
from .rows import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shotdex import Session

STATEMENT = """SELECT category, predicted, count(*) AS images
FROM outcomes WHERE run = 'names' AND NOT correct
GROUP BY ALL ORDER BY images DESC, category, predicted LIMIT 5"""

RUNS = ("names", "words")
"""The two shipped prompt sets, and the runs made with them."""

BASELINE = "toddlers"

FIGURES = (
    "sheet", "samples", "counts", "accuracy", "confusion", "topk", "reliability", "map", "map-thumbnails", "map-gallery"
)  # fmt: skip
"""The names of the PNG files, which are drawn in this order."""

SEARCHES = (("a bird", None), ("a dog", "condition = 'silhouettes'"))


@click.command("demo")
@click.option(
    "--out",
    "folder",
    type=UserPath(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    metavar="DIR",
    help="Where to put the store and the figures; those of an earlier demo are replaced.",
)
def command(folder: Path) -> None:
    """Index the shipped images, classify them with two prompt sets, compare, query, search and draw.

    Needs no network: the small model ships with shotdex. It knows emoji and little else.
    """
    started = time.monotonic()
    session = open_demo(folder / "store", figures=[folder / f"{name}.png" for name in FIGURES])
    _index(session)
    _classify(session)
    _compare(session)
    _query(session)
    _search(session, folder)
    _draw(session, folder)
    out()
    out(f"All done in {time.monotonic() - started:.0f} s. Go on with, for example:")
    out(f"  export SHOTDEX_STORE={shown_path(str(session.path))}")
    out('  shotdex search "a cat" --sheet cats.png')
    out('  shotdex sql "FROM accuracy_by_category"')


def _heading(text: str) -> None:
    out()
    out(text)
    out("=" * len(text))


def _index(session: Session) -> None:
    _heading("1. Index the images, once")
    labelled: dict[str, Any] = {"layout": "{condition}/{category}*", "categories": demo.CATEGORIES}
    for place, labels in ((demo.EVALUATION, labelled), (demo.GALLERY, {"layout": "*"})):
        report = session.index(place, model="demo", progress=True, **labels)
        with_labels = "with category and condition" if labels is labelled else "without labels"
        out(f"{place.name}: {report.added:,} images {with_labels}, {report.failed} failed")


def _classify(session: Session) -> None:
    _heading(
        "2. Classify them with two prompt sets; accuracy@1 per condition, 95 % Wilson intervals, compared with toddlers"
    )
    runs = [session.classify(prompts=name, name=name) for name in RUNS]
    (toddlers,) = session.import_baseline(BASELINE)
    verdicts = {one.condition: one for one in session.compare_baseline(BASELINE, RUNS[0])}
    groups = [run.accuracy(by="condition") for run in runs]
    rows: list[list[str | int]] = []
    for name in (*demo.CONDITIONS, "all"):
        estimates = [run.accuracy() if name == "all" else found[name] for run, found in zip(runs, groups, strict=True)]
        first, second = map(estimate_cells, estimates)
        against = verdicts.get(name)
        people = [f"{against.baseline.value:.3f}", against.verdict.value] if against is not None else ["", ""]
        rows.append([name, first[2], *first[:2], *second[:2], *people])
    spread = "95 % interval"
    out(table(["condition", "n", RUNS[0], spread, RUNS[1], spread, BASELINE, f"{RUNS[0]} is"], rows))
    out(str(runs[0].coverage))
    out(f"toddlers: {toddlers.source}")
    for sentence in toddlers.note.split(". "):
        out(f"  {sentence.rstrip('.')}.")


def _compare(session: Session) -> None:
    _heading("3. Is one prompt set better than the other? The same images, so the tests are paired")
    out(f"shotdex compare {' '.join(RUNS)} --by condition")
    labelled = [one for one in session.compare(*RUNS, by="condition") if one.group != "unlabelled"]
    out(comparison_table(labelled))
    for line in reading_notes(labelled):
        out(line)


def _query(session: Session) -> None:
    _heading("4. Query with SQL: what is mistaken for what?")
    out(STATEMENT)
    found = session.sql(STATEMENT)
    out()
    out(table(found.columns, list(found)))


def _search(session: Session, folder: Path) -> None:
    from .search_output import render

    _heading("5. Search by text")
    for text, where in SEARCHES:
        condition = f' --where "{where}"' if where else ""
        out(f'shotdex search "{text}" -k 5{condition}')
        render(list(session.search(text, where=where, k=5)), "table")
        out()
    sheet = session.search(SEARCHES[0][0], k=15).sheet()
    _save(folder / "sheet.png", sheet, "the 15 images nearest to that text")


def _draw(session: Session, folder: Path) -> None:
    _heading("6. Draw")
    plot, labelled = session.plot, "category IS NOT NULL"
    drawn = (
        (plot.samples(), "an image of each category in each condition"),
        (plot.counts(where=labelled), "images per category"),
        (
            plot.accuracy(runs=RUNS, baselines=BASELINE),
            "accuracy per condition, both prompt sets and toddlers",
        ),
        (plot.confusion(run=RUNS[0]), "what is mistaken for what"),
        (plot.topk(runs=RUNS), "accuracy among the k best"),
        (plot.reliability(runs=RUNS[0]), "is it right where it is sure?"),
        (
            plot.map(where=labelled, run=RUNS[0], prompts=True),
            "every evaluation image, a point; the prompts, stars",
        ),
        (
            plot.map(where=labelled, color="correct", thumbnails=True, run=RUNS[0]),
            "right, wrong",
        ),
        (
            plot.map(where="category IS NULL", thumbnails=True),
            "the gallery by what it resembles",
        ),
    )
    for name, (figure, caption) in zip(FIGURES[1:], drawn, strict=True):
        _save(folder / f"{name}.png", figure, caption)


def _save(target: Path, figure: Figure, caption: str) -> None:
    from shotdex.figures import save

    save(figure, target)
    out(f"wrote {shown_path(str(target))}: {caption}")

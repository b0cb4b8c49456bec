"""`shotdex compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.analysis.side_by_side import MARK
from shotdex.formatting import estimate_cells, p_value, shown_path, signed_cells, small_sample, visible

from .options import anyway_option, by_option, json_option, open_session, resamples_option, seed_option, store_option
from .render import as_json as to_json
from .render import out, wrapped
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex.analysis.compare import ComparedRuns, Comparison

ALL = "all"
"""The group that is every image."""


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@by_option
@click.option(
    "--show",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Number of images to list that only one gets right.",
)
@resamples_option(2000)
@seed_option
@anyway_option
@store_option
@json_option
@format_option
def command(
    runs: tuple[str, ...],
    by: str | None,
    show: int,
    store_path: Path | None,
    as_json: bool,
    form: str | None,
    **options: Any,
) -> None:
    """Compare runs on the images that they share (models, prompt sets), or the conditions of one run.

    Two runs over the same images are compared image by image: exact McNemar test, paired bootstrap of the difference.
    One run with --by is compared across its own groups, which are different images: Fisher's exact test, Newcombe's
    interval. The p values are corrected by Holm's method for all comparisons in the table.

    \b
    shotdex compare names words
    shotdex compare names words --by condition
    shotdex compare names --by condition
    """
    compared = open_session(store_path).compare(*runs, by=by or (), show=show, **options)
    found = compared.details
    if not rows_printed(compared, form):
        out(to_json(_as_dict(found)) if as_json or form == "json" else wrapped(as_text(found, show)))


def _as_dict(found: ComparedRuns) -> dict[str, Any]:
    return {
        "coverage": found.coverage,
        "notes": found.notes,
        "comparisons": found.comparisons,
        "disagreements": found.disagreements,
    }


def as_text(found: ComparedRuns, show: int) -> str:
    """Return comparisons as a table, with coverage above and some images below."""
    lines = [*map(visible, found.notes), *(f"{visible(name)}: {met}" for name, met in found.coverage.items())]
    lines += ["", comparison_table(found.comparisons), *reading_notes(found.comparisons)]
    if len(found.runs) == 2 and show:
        lines += _disagreements(found)
    return "\n".join(lines)


def comparison_table(found: Sequence[Comparison]) -> str:
    """Return comparisons as a table; columns that would say the same in every row are left out."""
    within = found[0].only_a < 0
    first, second = found[0].name_a, found[0].name_b
    one_pair = all((one.name_a, one.name_b) == (first, second) for one in found)
    columns = ["a", "b"] * (not one_pair) + ["images"] * (not within)
    columns += [first, second] if one_pair else ["a", "b"]
    columns += ["difference", "95 % interval", "n"]
    columns += [] if within else [f"only {first}", f"only {second}"] if one_pair else ["only a", "only b"]
    columns += ["p", "p (Holm)", ""]
    return table(columns, [_row(one, within, one_pair) for one in found])


def _row(one: Comparison, within: bool, one_pair: bool) -> list[Any]:
    names = [] if one_pair else [one.name_a, one.name_b]
    group = [] if within else [one.group]
    difference, interval = signed_cells(one.difference)
    sizes = f"{one.a.n:,} and {one.b.n:,}" if within else one.a.n
    counts = [] if within else [one.only_a, one.only_b]
    values = [estimate_cells(one.a)[0], estimate_cells(one.b)[0]]
    p_values = [p_value(one.p_value), p_value(one.adjusted)]
    flag = small_sample(one.a) or small_sample(one.b)
    numbers = [*values, difference, interval, sizes, *counts, *p_values]
    return [*names, *group, *(numbers if one.same_classes else [f"{number}{MARK}" for number in numbers]), flag]


def reading_notes(found: Sequence[Comparison]) -> list[str]:
    """Return what a reader must know: the test, the correction, and what small n means."""
    tests = ", ".join(dict.fromkeys(one.test for one in found))
    methods = ", ".join(dict.fromkeys(one.difference.method.split(",")[0] for one in found))
    several = f"; Holm over {len(found)} comparisons" if len(found) > 1 else ""
    lines = [f"difference: second minus first, {methods}; p: {tests}{several}"]
    if any(small_sample(one.a) or small_sample(one.b) for one in found):
        lines.append("small n: under 30 images, a share is known to no better than a third of the range")
    if any(one.difference.low == one.difference.high for one in found):
        lines.append("an interval of zero width: within each class all images agree, so resampling changes nothing")
    if found[0].only_a >= 0 and len({one.group for one in found}) > 1:
        lines.append(f"the row {ALL!r} contains the images of the other rows, so these tests are not independent")
    return lines


def _disagreements(found: ComparedRuns) -> list[str]:
    whole = next(one for one in found.comparisons if one.group == ALL)
    apart = whole.only_a + whole.only_b
    if not apart:
        return ["", "They are right on the same images."]
    images = found.disagreements
    names = [run.name for run in found.runs]
    rows = [
        [one.category, one.condition, one.predicted_a, one.predicted_b, one.right, shown_path(one.path)]
        for one in images
    ]
    more = f"; these are the first {len(images)} (--show N)" if apart > len(images) else ""
    columns = ["category", "condition", names[0], names[1], "right", "path"]
    mark = "" if whole.same_classes else MARK
    return ["", f"{apart:,}{mark} images that only one of them gets right{more}:", table(columns, rows)]

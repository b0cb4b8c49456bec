"""The sections of a document: each says one thing about what was gathered, in words, tables and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shotdex.analysis.report import ClassRow
from shotdex.analysis.results import UNLABELLED
from shotdex.store.types import Estimate

from .gather import About, Material
from .parts import Block, Bullets, Cell, Chart, Explorable, Gallery, Interval, Paragraph, Section, Table
from .words import count, interval, number, signed

ROWS = 60
"""Rows of a table at most; what is left out is said below it."""

BARS = "Dot and line: the value and its 95 % interval from 0 to 1"


def numbers(about: About) -> Table:
    """Return every metric of a run over all its images."""
    named = {"accuracy@1": about.report.overall.accuracy} | about.report.overall.summary
    rows = tuple((name, *estimate_cells(one)) for name, one in named.items())
    return Table(f"Metrics of the run “{about.run.name}”.", ("metric", "value", "95 % interval", "n"), rows)


def estimate_cells(estimate: Estimate) -> tuple[Cell, ...]:
    """Return value, 95 % interval and n of an estimate."""
    return number(estimate.value), interval(estimate), estimate.n


def coverage(found: Material) -> Section:
    """Return which images the numbers speak of, and what must be kept in mind about each run."""
    rows = []
    for about in found.every:
        met = about.report.coverage
        rows.append((about.run.name, met.indexed, met.failed, met.unlabelled, met.other, met.evaluated))
    columns = ("run", "indexed", "failed", "unlabelled", "of another category", "evaluated")
    blocks: list[Block] = [Table("Images of each run; an accuracy is over the evaluated ones.", columns, tuple(rows))]
    for about in found.every:
        which = f"{about.run.name}: " if found.others else ""
        blocks += [Paragraph(which + note, caveat=True) for note in about.notes]
    if found.main.run.where:
        blocks.append(Paragraph(f"The run “{found.main.run.name}” is over images with: {found.main.run.where}"))
    return Section("coverage", "Coverage", tuple(blocks))


def model(found: Material) -> Section:
    """Return what the model is, in short."""
    encoder, parts = found.main.encoder, found.architecture
    identity = (
        f"{encoder.name}, revision {encoder.revision}, {encoder.precision} precision; vectors of {encoder.dim} numbers."
    )
    if isinstance(parts, str):
        return Section("model", "Model", (Paragraph(identity), Paragraph(f"Its parts are not known here: {parts}.")))
    rows = [
        (
            name,
            tower.layers,
            tower.width,
            tower.heads,
            tower.tokens,
            tower.output_dim,
            f"{tower.parameters / 1e6:.1f} M",
            f"{tower.flops / 1e9:.2f} G",
        )
        for name, tower in (("image", parts.vision), ("text", parts.text))
        if tower is not None
    ]
    columns = ("tower", "blocks", "width", "heads", "tokens", "output", "parameters", "FLOPs")
    how = "the logistic function of" if encoder.sigmoid else "the softmax over the classes of"
    scale = f"Probabilities are {how} the cosine times {encoder.logit_scale:.4g}"
    bias = f" plus {encoder.logit_bias:.4g}" if encoder.sigmoid else ""
    blocks = (
        Paragraph(identity),
        Paragraph(f"{parts.about} {parts.parameters / 1e6:.1f} million parameters in all. {scale}{bias}."),
        Table("Its towers; FLOPs are those of one image or text.", columns, tuple(rows)),
    )
    return Section("model", "Model", blocks)


def data(found: Material) -> Section:
    """Return how many images there are by category and condition."""
    named = {name for row in found.counts.values() for name in row}
    columns = sorted(named, key=lambda name: (name == UNLABELLED, name)) if named != {UNLABELLED} else []
    shown = columns if len(columns) <= COLUMNS else []
    rows: list[tuple[Cell, ...]] = [
        (name, *(row.get(column, 0) for column in shown), sum(row.values())) for name, row in found.counts.items()
    ]
    total = "all" if shown else "images"
    blocks: list[Block] = [
        Bullets(tuple(f"{source}: {count(n, 'image')}" for source, n in list(found.sources.items())[:20])),
        Table("Images in the store now, by category.", ("category", *shown, total), tuple(rows[:ROWS])),
        *left_out(len(rows), "categories"),
    ]
    if columns and not shown:
        sums = [(column, sum(row.get(column, 0) for row in found.counts.values())) for column in columns]
        blocks.append(Table("Images by condition.", ("condition", "images"), tuple(sums[:ROWS])))
        blocks += left_out(len(sums), "conditions")
    return Section("data", "Data", tuple(blocks))


COLUMNS = 8
"""Conditions that stand next to each other in a table; more do not fit on a printed page."""


def left_out(there: int, what: str) -> list[Block]:
    """Return a sentence where a table has fewer rows than there are."""
    more = there - ROWS
    return [Paragraph(f"The table has {ROWS} of {there:,} {what}.")] if more > 0 else []


def classes(found: Material) -> Section:
    """Return recall, precision and F1 of each class; of many classes those with the lowest recall."""
    every = found.main.report.classes
    kept: Sequence[ClassRow] = every
    if len(every) > ROWS:
        kept = sorted(every, key=lambda row: (row.recall.n == 0, row.recall.value if row.recall.n else 0))[:ROWS]
    rows = [
        (
            row.name,
            row.recall.n,
            number(row.recall.value),
            interval(row.recall),
            Interval(row.recall),
            row.precision.n,
            number(row.precision.value),
            interval(row.precision),
            number(row.f1.value),
            interval(row.f1),
            row.remark,
        )
        for row in kept
    ]
    spread = "95 % interval"
    columns = ("class", "n", "recall", spread, "0 to 1", "taken for it", "precision", spread, "F1", spread, "remark")
    which = f"The {ROWS} of {len(every):,} classes with the lowest recall." if len(every) > ROWS else "Every class."
    return Section("classes", "By class", (Table(f"{which} {BARS}, of the recall.", columns, tuple(rows)),))


def confusion(found: Material) -> Section:
    """Return which classes are taken for which."""
    out = found.found
    pairs = Counter(zip(out.truth[~out.correct].tolist(), out.predicted[~out.correct].tolist(), strict=True))
    rows = [
        (f"{out.classes[true]} taken for {out.classes[guess]}", n, int((out.truth == true).sum()))
        for (true, guess), n in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))[:12]
    ]
    blocks: list[Block] = [found.charts["confusion"]] if "confusion" in found.charts else []
    if rows:
        blocks.append(Table("The most frequent confusions.", ("confusion", "images", "of the class"), tuple(rows)))
    return Section("confusion", "Confusion", tuple(blocks))


def top_k(found: Material) -> Section:
    """Return how often the true class is among the k best."""
    own = found.main.report.top_k
    shown = (
        range(1, len(own) + 1) if len(own) <= 10 else [k for k in (1, 2, 3, 5, 10, 20, 50, 100, 500) if k <= len(own)]
    )
    rows = tuple((str(k), *estimate_cells(own[k - 1]), Interval(own[k - 1])) for k in shown)
    caption = f"Share of images whose class is among their k best. {BARS}."
    blocks: list[Block] = [Table(caption, ("k", "accuracy", "95 % interval", "n", "0 to 1"), rows)]
    return Section("topk", "Top-k accuracy", (*blocks, *_chart(found, "topk")))


def _chart(found: Material, name: str) -> list[Chart]:
    return [found.charts[name]] if name in found.charts else []


def calibration(found: Material) -> Section:
    """Return whether probabilities mean what they say."""
    error = found.main.report.overall.summary["expected calibration error"]
    said = (
        f"The expected calibration error is {number(error.value)} (95 % interval {interval(error)}, "
        f"{found.options.bins} bins): the mean gap between the probability of a prediction and how often such "
        "predictions are right. A small sample overstates it."
    )
    return Section("calibration", "Calibration", (Paragraph(said), *_chart(found, "reliability")))


def selective(found: Material) -> Section:
    """Return the error rate where the model may abstain, a temperature, and prediction sets."""
    own = found.selective
    rows = dict.fromkeys(  # of few images, several shares keep the same ones
        (f"{row.coverage:.3f}", number(row.threshold), number(row.risk.value), interval(row.risk), row.risk.n)
        for row in own.risk.rows
    )
    columns = ("share kept", "probability at least", "error rate", "95 % interval", "n")
    area = own.risk.aurc
    blocks: list[Block] = [
        Table("Error rate of the images that are kept when less probable ones are left out.", columns, tuple(rows)),
        Paragraph(
            f"The area under the risk-coverage curve is {number(area.value)} (95 % interval {interval(area)}); in a "
            f"random order it would be {number(own.risk.error_rate.value)}, the error rate."
        ),
        *_chart(found, "selective"),
    ]
    if (scaled := own.temperature) is not None:
        blocks.append(
            Paragraph(
                f"A temperature of {number(scaled.temperature.value)} (95 % interval {interval(scaled.temperature)}), "
                f"fitted on {count(scaled.fitted, 'image')} and reported on the other {scaled.reported:,} "
                f"({scaled.split}), takes the expected calibration error from {number(scaled.error_before.value)} to "
                f"{number(scaled.error_after.value)} (change {signed(scaled.error_change)}). It changes no "
                "prediction."
            )
        )
    if (sets := own.sets) is not None:
        blocks.append(
            Paragraph(
                f"Prediction sets of the classes with a probability of at least {number(sets.threshold)}, calibrated "
                f"on {count(sets.calibrated, 'image')} ({sets.split}), hold the true class with probability "
                f"{number(sets.exactly)} over random halves ({sets.stated:g} was stated; for 95 % of all calibration "
                f"parts of this size from {number(sets.low)} to {number(sets.high)}). Of the other "
                f"{sets.reported:,} images {number(sets.covered.value)} (95 % interval {interval(sets.covered)}) have "
                f"the true class in their set, which has {number(sets.size.value)} classes on average."
            )
        )
    blocks += [Paragraph(note[:1].upper() + note[1:] + ".", caveat=True) for note in own.notes]
    return Section("selective", "Selective prediction", tuple(blocks))


def map_section(found: Material) -> Section | None:
    """Return the newest map of these images, None where none was drawn."""
    return Section("map", "Map", (found.charts["map"],)) if "map" in found.charts else None


def mistakes(found: Material) -> Section | None:
    """Return the surest mistakes as images."""
    wrong = int((~found.found.correct).sum())
    if not found.mistakes:
        return None
    what = (
        f"The {len(found.mistakes):,} of {count(wrong, 'mistake')} with the highest probability, surest first: "
        "true class → predicted class."
    )
    return Section("mistakes", "Surest mistakes", (Gallery(what, found.mistakes),))


def explore(found: Material) -> Section:
    """Return what a reader can leave out, or why nothing can be."""
    heading, page = "Leave something out", found.explore
    if isinstance(page, str):
        return Section("explore", heading, (Paragraph(f"This section is left out: {page}."),))
    sampled = (
        f" This file holds a sample of {len(page.truth):,} of the {page.of:,} evaluated images, stratified by class."
        if len(page.truth) < page.of
        else ""
    )
    note = (
        "Without a prompt, its class is scored by its other prompts; without a class, its images are left out, too, "
        "and the others have fewer classes to choose from. With everything ticked this is the run as stored, which was "
        f"checked when the file was written.{sampled} A choice made after looking at the result has to be confirmed on "
        "other images."
    )
    shown = Explorable(found.main.run.name, found.main.prompts.classes, page.conditions, page.as_data(), note)
    return Section("explore", heading, (shown,))

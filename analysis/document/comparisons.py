"""The sections of a document that compare: conditions with each other, a run with baselines and with other runs."""

from __future__ import annotations

from shotdex.analysis.baselines.compare import BaselineComparison
from shotdex.analysis.compare import Comparison
from shotdex.analysis.metrics import registry
from shotdex.analysis.side_by_side import MARK
from shotdex.analysis.stats.proportions import small_sample
from shotdex.store.baselines import OVERALL

from .gather import Material
from .parts import Block, Bullets, Cell, Interval, Paragraph, Section, Table
from .sections import BARS, ROWS, estimate_cells, left_out
from .words import baseline_sentence, comparison_sentence, interval, number, p_value, signed

LEADING = 12
"""Conditions of a baseline whose sentences stand at the head of the document; those of others stand below its table."""


def groups(found: Material) -> Section:
    """Return the accuracy by condition where there are any, and the run compared with each baseline."""
    about, by = found.main, ", ".join(found.main.report.by)
    compared = [block for baseline in found.baselines for block in _baseline(found, baseline)]
    compared += [Paragraph(text) for text in found.beyond]
    if not about.report.groups:
        return Section("groups", "Compared with baselines", tuple(compared))
    chance = 1 / len(about.prompts.classes)
    rows: list[tuple[Cell, ...]] = [
        (
            row.name,
            *estimate_cells(row.accuracy),
            Interval(row.accuracy, (chance,)),
            *(number(row.summary[metric.name].value) for metric in registry.METRICS),
            small_sample(row.accuracy),
        )
        for row in about.report.groups
    ]
    columns = (by, "accuracy@1", "95 % interval", "n", "0 to 1", *(m.short for m in registry.METRICS), "remark")
    caption = f"Accuracy of the run “{about.run.name}” by {by}. {BARS}; dashed: chance ({number(chance)})."
    blocks: list[Block] = [Table(caption, columns, tuple(rows[:ROWS])), *left_out(len(rows), "groups")]
    blocks += [found.charts["accuracy"]] if "accuracy" in found.charts else []
    return Section("groups", f"Accuracy by {by}", (*blocks, *compared))


def _baseline(found: Material, compared: BaselineComparison) -> list[Block]:
    name = compared.baseline.name
    rows = [
        (
            "all images" if row.condition == OVERALL else row.condition,
            number(row.model.value),
            number(row.baseline.value),
            interval(row.baseline),
            Interval(row.model, (row.baseline.value,)),
            signed(row.difference),
            str(row.verdict),
            "; ".join(row.remarks),
        )
        for row in compared.conditions
    ]
    columns = ("condition", "run", name, "its 95 % interval", "0 to 1", "difference", "the run is", "remark")
    caption = f"The run “{found.main.run.name}” against the baseline “{name}”. {BARS} of the run; dashed: the baseline."
    known = [text for text in (compared.baseline.source and f"Source: {compared.baseline.source}.",) if text]
    caveats = [text for text in (compared.baseline.note, *compared.notes) if text]
    return [
        Table(caption, columns, tuple(rows)),
        Bullets(tuple(baseline_sentence(found.main.run.name, name, row) for row in compared.conditions[LEADING:])),
        *(Paragraph(text) for text in known),
        *(Paragraph(text, caveat=True) for text in caveats),
    ]


def compared_runs(found: Material) -> Section | None:
    """Return how the runs compare, None for a single one."""
    if found.compared is None:
        return None
    made = found.compared.comparisons
    rows = [
        (
            f"{row.name_b} - {row.name_a}",
            "all images" if row.group == OVERALL else row.group,
            *(f"{cell}{'' if row.same_classes else MARK}" for cell in _compared_cells(row)),
        )
        for row in made
    ]
    columns = ("B - A", "images", "A", "B", "difference", "only A", "only B", "p", "p (Holm)", "n")
    summary = [
        (about.run.name, about.encoder.name, about.prompts.name, *estimate_cells(about.report.overall.accuracy))
        for about in found.every
    ]
    blocks: list[Block] = [
        *(Paragraph(note, caveat=True) for note in found.compared.notes),
        Table("The runs.", ("run", "model", "prompts", "accuracy@1", "95 % interval", "n"), tuple(summary)),
        Bullets(tuple(comparison_sentence(row) for row in made if row.group == OVERALL)),
        Table(
            f"{made[0].test}, on the images that both evaluated"
            + (f"; p (Holm) is adjusted for {len(made)} comparisons." if len(made) > 1 else "."),
            columns,
            tuple(rows[:ROWS]),
        ),
        *left_out(len(rows), "comparisons"),
    ]
    return Section("compared", "Runs compared", tuple(blocks))


def _compared_cells(row: Comparison) -> tuple[str, ...]:
    return (
        number(row.a.value),
        number(row.b.value),
        signed(row.difference),
        f"{row.only_a:,}",
        f"{row.only_b:,}",
        p_value(row.p_value),
        p_value(row.adjusted),
        f"{row.a.n:,}",
    )

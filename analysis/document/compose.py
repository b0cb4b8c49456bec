"""The order of a document: as a report, or as the paper that a course asks for."""

from __future__ import annotations

from collections.abc import Sequence

from shotdex.store.baselines import OVERALL

from . import closing, comparisons, sections
from .gather import Material
from .parts import Block, Document, Listing, Paragraph, Section, ToFill
from .words import accuracy_sentence, baseline_sentence, comparison_sentence, count, joined


def compose(found: Material) -> Document:
    """Return the document in the style that was chosen."""
    course = found.options.style == "course"
    said = lead(found)
    summary = closing.summary(found, said)
    parts = _course(found) if course else _report(found, summary)
    runs = tuple(about.run.name for about in found.every)
    kind = "Zero-shot classification" if course else "Report"
    return Document(
        f"{kind}: {joined(runs)}",
        tuple(said),
        tuple(part for part in parts if part is not None and part.blocks),
        found.store,
        runs,
        summary,
    )


def lead(found: Material) -> list[str]:
    """Return what each run reaches, and one sentence for each comparison."""
    said = [
        accuracy_sentence(about.run.name, about.report.overall.accuracy, len(about.prompts.classes))
        for about in found.every
    ]
    if found.compared is not None:
        said += [comparison_sentence(row) for row in found.compared.comparisons if row.group == OVERALL]
    for one in found.baselines:
        leading = one.conditions[: comparisons.LEADING]
        said += [baseline_sentence(found.main.run.name, one.baseline.name, row) for row in leading]
    return said


def _results(found: Material, title: str) -> list[Section | None]:
    """Return the sections with numbers and figures, in the order of both styles; `title` is that of the metrics."""
    return [
        Section("metrics", title, tuple(sections.numbers(about) for about in found.every)),
        comparisons.groups(found),
        comparisons.compared_runs(found),
        sections.classes(found),
        sections.confusion(found),
        sections.top_k(found),
        sections.calibration(found),
        sections.selective(found),
        sections.map_section(found),
        sections.mistakes(found),
        sections.explore(found),
    ]


def _report(found: Material, summary: str) -> list[Section | None]:
    return [
        sections.coverage(found),
        sections.model(found),
        sections.data(found),
        *_results(found, "Metrics"),
        closing.prompts(found),
        closing.again(found),
        closing.methods(found),
        closing.cite(found),
        Section("summary", "Summary as plain text", (Listing("To copy into a mail", summary),)),
    ]


def _course(found: Material) -> list[Section | None]:
    """Return Introduction, Methods and Results, written from the record, and Discussion, which has questions only."""
    methods = [sections.data(found), sections.model(found), sections.coverage(found), closing.methods(found)]
    return [
        Section("introduction", "Introduction", _introduction(found)),
        _joined("methods", "Methods", methods),
        _joined("results", "Results", _results(found, "")),
        Section("discussion", "Discussion", tuple(ToFill(question) for question in _questions(found))),
        _joined("appendix", "Appendix", [closing.prompts(found), closing.again(found), closing.cite(found)]),
    ]


def _joined(key: str, heading: str, parts: Sequence[Section | None]) -> Section:
    """Return one section of several, each below a heading of its own."""
    blocks: list[Block] = []
    for part in parts:
        if part is not None and part.blocks:
            blocks += [part] if part.heading else part.blocks
    return Section(key, heading, tuple(blocks))


def _introduction(found: Material) -> tuple[Block, ...]:
    about = found.main
    against = [f"the baseline “{one.baseline.name}”" for one in found.baselines]
    against += [f"the run “{other.run.name}”" for other in found.others]
    compared = f" It is compared with {joined(against)}." if against else ""
    images = count(about.report.overall.accuracy.n, "image")
    asked = (
        f"This document reports how well {about.encoder.name} classifies {images} into "
        f"{len(about.prompts.classes):,} classes without being trained on them: each image is assigned the class "
        f"whose description is nearest to it (zero-shot classification, Radford et al. 2021).{compared}"
    )
    named = list(about.prompts.classes)
    listed = joined(named) if len(named) <= 30 else f"{', '.join(named[:30])} and {len(named) - 30:,} more"
    return (
        Paragraph(asked),
        Paragraph(f"The classes are {listed}."),
        ToFill("Why is this question asked, and what did you expect before you saw the results?"),
    )


def _questions(found: Material) -> list[str]:
    """Return what a discussion should answer, naming what the run met but no conclusion."""
    questions = ["What do the results say about what the introduction asks? Name the number and its interval."]
    for compared in found.baselines:
        conditions = [row.condition for row in compared.conditions if row.condition != OVERALL]
        where = f" in {joined(conditions)}" if conditions else ""
        questions.append(f"Where do the model and “{compared.baseline.name}” differ{where}, and what could explain it?")
        if compared.notes or compared.baseline.note:
            questions.append(f"Which of the caveats about “{compared.baseline.name}” could change that conclusion?")
    if found.compared is not None:
        questions.append("Which run would you choose, and is the evidence sufficient to prefer it?")
    questions += [
        "Which classes are confused, and what do the surest mistakes have in common?",
        "Can the probabilities be trusted, given the calibration?",
        "What are the limits of these images, labels and prompts, and what would you do next?",
    ]
    return questions

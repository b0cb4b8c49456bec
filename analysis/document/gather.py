"""Everything that a document about runs says, read from the store and computed by the analyses that also print it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shotdex.analysis.baselines.compare import BaselineComparison, compare_baseline
from shotdex.analysis.classify import alike_notes
from shotdex.analysis.compare import ComparedRuns, CompareOptions, compare
from shotdex.analysis.coverage import classes_without_images
from shotdex.analysis.metrics.metric import Outcomes
from shotdex.analysis.report import Report, ReportOptions, report
from shotdex.analysis.results import count_by, outcomes, outside_labels
from shotdex.analysis.scoring import ClassTexts
from shotdex.analysis.selective import Selective, SelectiveOptions, selective
from shotdex.analysis.side_by_side import same_classes
from shotdex.models.protocols import LoadEncoder
from shotdex.query.text_lookup import text_vectors, texts_cut
from shotdex.store.baselines import list_baselines
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import OptionError, ShotdexError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, PromptSet, Run

from .explore import Cosines, cosines, text_order
from .figures import charts
from .mistakes import surest_mistakes
from .parts import Chart, Shown

if TYPE_CHECKING:
    from shotdex.models.architecture.types import Architecture

STYLES = ("report", "course")


@dataclass(frozen=True, slots=True)
class DocumentOptions:
    """What a document has: the columns of `images` that it reports by, the most mistakes
    that it shows as `images`, its style.

    `anyway` also compares runs that chose among different classes. `resamples`, `seed` and `bins` are as in a report,
    `coverage` is that of the prediction sets, in (0, 1).
    """

    by: tuple[str, ...] = ()
    images: int = 24
    style: str = "report"
    anyway: bool = False
    resamples: int = 1000
    seed: int | None = None
    bins: int = 15
    coverage: float = 0.9

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise OptionError(f"there is no style {self.style!r}", f"choose one of: {', '.join(STYLES)}")
        if self.images < 0:
            raise OptionError(f"cannot show {self.images} images", "pass a number from 0")


@dataclass(frozen=True, slots=True)
class About:
    """One run: its record, prompts, encoder and numbers; `notes` are what its record and its prompts call for."""

    run: Run
    prompts: PromptSet
    encoder: EncoderId
    report: Report
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What a document is written from. `main` is the run that it is about, `others` those compared with it.

    `explore` is what its page computes with, or why it cannot. `beyond` says why a baseline is not in it.
    """

    store: str
    main: About
    others: tuple[About, ...]
    found: Outcomes
    baselines: tuple[BaselineComparison, ...]
    beyond: tuple[str, ...]
    compared: ComparedRuns | None
    architecture: Architecture | str
    sources: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    charts: Mapping[str, Chart]
    selective: Selective
    mistakes: tuple[Shown, ...]
    explore: Cosines | str
    options: DocumentOptions = field(default_factory=DocumentOptions)

    @property
    def every(self) -> tuple[About, ...]:
        """All runs, the main one first."""
        return (self.main, *self.others)


def gather(store: Store, names: Sequence[str], options: DocumentOptions, load: LoadEncoder) -> Material:
    """Return what a document about some runs says; about the newest one where none is named.

    Raises:
        OptionError: there is no such run or column, or a run is named twice.
        MissingLabels: no image of a run has a category among its classes.
        EvaluationError: the runs chose among different classes, and not `anyway`, or share no image.
    """
    with store.reading() as con:
        runs = [find_run(con, name) for name in names] or [find_run(con, None)]
        if len({run.run_id for run in runs}) < len(runs):
            raise OptionError("the same run is named twice", "name each run once")
        same_classes(con, runs, options.anyway)
        found = outcomes(con, runs[0])
        sources = dict(con.rows("SELECT source, count(*) FROM images GROUP BY source ORDER BY source"))
        labelled = bool(con.value("SELECT count(condition) FROM images"))
        counts = count_by(con, "category", "condition" if labelled else "split", runs[0].where)
    by = options.by or (("condition",) if labelled else ())
    every = tuple(_about(store, run, options, by if run is runs[0] else (), load) for run in runs)
    main, texts = every[0], None
    compared = None
    if len(runs) > 1:
        how = CompareOptions(by, max(options.resamples, 100), runs[0].seed, options.anyway)
        compared = compare(store, [run.name for run in runs], how)
    baselines, beyond = _baselines(store, runs[0], options)
    try:
        texts = text_vectors(store, main.run.encoder_id, main.encoder, text_order(main.prompts), load)
        page = cosines(store, main.run, main.prompts, found, main.encoder, texts)
    except ShotdexError as error:
        page = f"its prompts cannot be encoded: {error}"
    further = SelectiveOptions(options.coverage, max(options.resamples, 100), options.seed, options.bins)
    return Material(
        store=str(store.root),
        main=main,
        others=every[1:],
        found=found,
        baselines=baselines,
        beyond=beyond,
        compared=compared,
        architecture=_architecture(main.encoder),
        sources=sources,
        counts=counts,
        charts=charts(store, runs, found, by, [one.baseline.name for one in baselines], options),
        selective=selective(store, runs[0].name, further),
        mistakes=surest_mistakes(store, runs[0], options.images),
        explore=page,
        options=options,
    )


def _about(store: Store, run: Run, options: DocumentOptions, by: tuple[str, ...], load: LoadEncoder) -> About:
    numbers = report(store, run.name, ReportOptions(by, options.resamples, options.seed, options.bins))
    with store.reading() as con:
        prompts = load_prompt_set(con, run.prompt_set_id)
        encoder = list_encoders(con)[run.encoder_id]
        notes = _record_notes(numbers, outside_labels(con, run), classes_without_images(con, run))
    try:
        texts = text_order(prompts)
        sizes = [len(own) for own in prompts.classes.values()]
        vectors = text_vectors(store, run.encoder_id, encoder, texts, load)
        alike = ClassTexts(vectors, sizes, prompts.combine).alike()
        notes += [*texts_cut(encoder, texts, load), *alike_notes(alike, list(prompts.classes))]
    except ShotdexError as error:
        notes.append(f"the prompts could not be checked: {error}")
    return About(run, prompts, encoder, numbers, tuple(note[:1].upper() + note[1:] + "." for note in notes))


def _record_notes(numbers: Report, outside: Sequence[tuple[str, int]], empty: Sequence[str]) -> list[str]:
    met, notes = numbers.coverage, []
    if met.categories:
        notes.append(
            f"every number is about {met.categories[0]:,} of {met.categories[1]:,} categories: images of the others "
            "are neither right nor wrong"
        )
    if outside:
        named = ", ".join(f"{name} ({n:,})" for name, n in outside[:10])
        notes.append(f"images of these categories have no class: {named}{_more(len(outside) - 10)}")
    if empty:
        notes.append(f"no image is of these classes: {', '.join(empty[:10])}{_more(len(empty) - 10)}")
    if met.failed:
        notes.append(f"{met.failed:,} images could not be scored and are in no accuracy")
    return notes


def _more(left: int) -> str:
    return f" and {left:,} more" if left > 0 else ""


def _baselines(
    store: Store, run: Run, options: DocumentOptions
) -> tuple[tuple[BaselineComparison, ...], tuple[str, ...]]:
    """Return the run against each baseline that shares a condition with it, and of the others why they are left out."""
    with store.reading() as con:
        baselines = list_baselines(con)
    compared, beyond = [], []
    for baseline in baselines:
        try:
            compared.append(compare_baseline(store, baseline, run, options.resamples))
        except OptionError as error:
            beyond.append(f"The baseline {baseline.name} is left out: {error}.")
    return tuple(compared), tuple(beyond)


def _architecture(encoder: EncoderId) -> Architecture | str:
    from shotdex.models.architecture.describe import describe

    try:
        return describe(encoder.name)
    except ShotdexError as error:
        return str(error)

"""`/api/runs`, `/api/compare` and `/api/baselines`: what runs reached, and how they differ."""

from __future__ import annotations

from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from shotdex.outcomes import Selection
from shotdex.outcomes import cell as cell_of
from shotdex.outcomes import confusion as confusion_of
from shotdex.snapshot import RunOutcomes
from shotdex.store.errors import OptionError

from .filters import LabelFilters, Name
from .problems import Problem
from .served import Served

RunName = Annotated[str, Path(max_length=1_000, description="A run's name or number.")]


class ReportQuery(LabelFilters):
    """`by` are columns of `images` to group by, separated by commas. With a filter `filtered` is about those images."""

    by: Name = ""
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 1000


class ConfusionQuery(LabelFilters):
    """`against` is another run, over the images that both judged."""

    against: Name | None = None


class DocumentQuery(BaseModel):
    """`against` is a run to compare with; `images` is how many mistakes are shown."""

    model_config = ConfigDict(extra="forbid")

    against: Name | None = None
    images: Annotated[int, Field(ge=0, le=200)] = 24


class CellQuery(BaseModel):
    """A cell of the confusion matrix."""

    model_config = ConfigDict(extra="forbid")

    truth: Name
    predicted: Name


class CompareQuery(BaseModel):
    """Runs to compare; `by` are columns of `images` to group by; `show` is how many disagreements are listed."""

    model_config = ConfigDict(extra="forbid")

    run: list[Name] = Field(min_length=1, max_length=10)
    by: Name = ""
    show: Annotated[int, Field(ge=0, le=500)] = 20
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 2000
    anyway: bool = False


def router(served: Served) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["runs"], dependencies=[Depends(served.unchanged)])
    writing = Lock()  # a report reads the catalog in short turns, between which others have theirs

    @routes.get("/runs/{run}")
    def report(run: RunName, query: Annotated[ReportQuery, Query()]) -> Response:
        """Return the numbers of `shotdex report --json`, the reliability, and with filters what those images reach."""
        chosen = find_run(served, run)
        number, by = str(chosen.record.run_id), query.by
        body: dict[str, Any] = served.kept(
            ("report", number, by, query.resamples),
            lambda session: session.report(number, by=by, resamples=query.resamples).details,
        )
        further = {"reliability": _reliability(chosen), "filtered": _filtered(served, chosen, query)}
        return served.answer(served.plain(body) | further)

    @routes.get("/runs/{run}/document", responses={200: {"content": {"text/html": {}}}}, response_class=Response)
    def document(run: RunName, query: Annotated[DocumentQuery, Query()]) -> Response:
        """Return the report of a run as one HTML file to hand on, as `shotdex report --out report.html` writes it."""
        chosen = [find_run(served, name) for name in (run, query.against) if name is not None]
        numbers = [str(one.record.run_id) for one in chosen]
        if not writing.acquire(blocking=False):
            raise Problem(503, "a report is being written already", "try again in a minute", {"Retry-After": "30"})
        try:
            with TemporaryDirectory() as folder:
                file = FilePath(folder) / "report.html"
                served.session.report(numbers, out=file, images=query.images)
                data = file.read_bytes()
        finally:
            writing.release()
        name = f"attachment; filename*=UTF-8''{quote(f'report of {chosen[0].record.name}.html', safe='')}"
        return Response(data, media_type="text/html", headers={"Content-Disposition": name})

    @routes.get("/runs/{run}/confusion")
    def confusion(run: RunName, query: Annotated[ConfusionQuery, Query()]) -> Response:
        """Return how many images of each category a run takes for what; with `against` for two runs."""
        chosen = find_run(served, run)
        other = None if query.against is None else find_run(served, query.against)
        kept = served.select(query.selection())
        found = confusion_of(chosen, other, kept)
        own = {"truths": found.truths, "classes": found.classes}
        against = None if found.against is None else own | {"cells": found.against}
        return served.answer(served.plain(found) | {"run": chosen.record.name, "against": against})

    @routes.get("/runs/{run}/cell")
    def cell(run: RunName, query: Annotated[CellQuery, Query()]) -> Response:
        """Return why images of a category are taken for another: the cosine gap, and which prompts are nearest."""
        return served.answer(cell_of(find_run(served, run), query.truth, query.predicted))

    @routes.get("/compare")
    def compare(query: Annotated[CompareQuery, Query()]) -> Response:
        """Compare runs as `shotdex compare --json` does; `sentences` say each comparison in words."""
        names = tuple(str(find_run(served, name).record.run_id) for name in query.run)
        found = served.kept(
            ("compare", names, query.by, query.show, query.resamples, query.anyway),
            lambda session: (
                session.compare(
                    *names, by=query.by, show=query.show, resamples=query.resamples, anyway=query.anyway
                ).details
            ),
        )
        from shotdex.analysis.document.words import comparison_sentence

        sentences = [comparison_sentence(one) for one in found.comparisons]
        return served.answer(
            {
                "sentence": next(iter(sentences), ""),
                "coverage": found.coverage,
                "notes": found.notes,
                "comparisons": found.comparisons,
                "disagreements": found.disagreements,
                "sentences": sentences,
            }
        )

    @routes.get("/baselines/{name}/{run}")
    def baseline(name: Annotated[str, Path(max_length=1_000)], run: RunName) -> Response:
        """Compare a run with a baseline, by name or number: verdicts, and whether both err on the same images."""
        known = {str(one.baseline_id): one.name for one in served.snapshot.baselines}
        if name not in known.values():
            if name not in known:
                raise Problem(404, f"there is no baseline {name!r}")
            name = known[name]
        number = str(find_run(served, run).record.run_id)
        found = served.kept(("baseline", name, number), lambda session: session.compare_baseline(name, number).details)
        sentences = [row.sentence() for row in found.conditions]
        return served.answer(served.plain(found) | {"sentences": sentences})

    return routes


def find_run(served: Served, name: str) -> RunOutcomes:
    """Return a run by its name or number.

    Raises:
        Problem: there is none, which is a 404.
    """
    try:
        return served.snapshot.run(name)
    except OptionError as error:
        raise Problem(404, str(error), error.hint) from error


def _reliability(run: RunOutcomes) -> list[dict[str, Any]]:
    """Return for each range of probabilities with images how many there are, and how many of them are right."""
    from shotdex.analysis.metrics.calibration import reliability
    from shotdex.analysis.stats.proportions import wilson

    found = reliability(run.probability[run.known], run.correct[run.known])
    return [
        {"low": found.edges[bin_], "high": found.edges[bin_ + 1], "confidence": found.confidence[bin_]}
        | {"accuracy": wilson(round(found.accuracy[bin_] * found.counts[bin_]), int(found.counts[bin_]))}
        for bin_ in np.flatnonzero(found.counts).tolist()
    ]


def _filtered(served: Served, run: RunOutcomes, query: ReportQuery) -> dict[str, Any] | None:
    from shotdex.analysis.stats.proportions import wilson

    selection = query.selection()
    if selection == Selection():
        return None
    kept = served.select(selection)
    within = run.known if kept is None else run.known & np.isin(run.ids, kept)
    return {"accuracy": wilson(int((run.correct & within).sum()), int(within.sum()))}

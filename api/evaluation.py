"""The part of a session that evaluates: classify, runs, report, compare, probe, prompt sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import TYPE_CHECKING, Any, Unpack

from shotdex.store.errors import OptionError
from shotdex.store.location import user_path
from shotdex.store.progress import Progress
from shotdex.store.types import Estimate, PromptSet, Space

from .filters import where as all_of
from .keywords import FilterKeywords, filled, takes
from .opened import Opened
from .progress import shown
from .results import Findings
from .runs import Run, Runs

if TYPE_CHECKING:
    from shotdex.analysis.rerun import Rerun
    from shotdex.models.own_encoder import AnyModel


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report for one group of images, with its 95 % interval and n."""

    group: str
    metric: str
    estimate: Estimate


class Evaluation(Opened):
    """Mixed into `Session`."""

    @takes(FilterKeywords)
    def classify(
        self,
        classes: Sequence[str] | str | None = None,
        *,
        templates: Sequence[str] = (),
        prompts: str | PromptSet | None = None,
        where: str | None = None,
        k: int = 5,
        name: str | None = None,
        model: AnyModel | None = None,
        replace: bool = False,
        partial: bool = False,
        predictions: str | os.PathLike[str] | None = None,
        command: str = "",
        **filters: Unpack[FilterKeywords],
    ) -> Run:
        """Score every image against every class, record the predictions as a run, and return it.

        Args:
            classes: names of the classes, or one text: "cat,dog", or a published list such as "classes.json#NAME"; the
                categories of all indexed images, whatever the filter, if not given.
            templates: texts with `{}` for the class, averaged, or published lists of them, such as
                "templates.json#NAME"; the bare names if not given.
            prompts: instead of both, a prompt set: a TOML file, a name from `shotdex prompts list`, or a `PromptSet`.
            where: a SQL condition on the columns of `images`.
            k: how many predictions to keep for each image, at least 1.
            name: the run's name, not yet taken; `run-N` if not given.
            model: one of the store's encoders, by name, number or object; needed where there are several.
            replace: delete the run that has this name once the new one is complete.
            partial: leave images whose category has no class out of the accuracy; otherwise they are an error.
            predictions: a folder; the predictions are written there as Parquet files, in a new folder `run=NAME`,
                instead of into the catalog, and answer like those of any other run. For millions of images.
            command: how the run was started, for its record.
            filters: the keywords of `FilterKeywords`.

        Returns:
            The run. Its `summary` has the accuracies by category, condition and split and the images that could not be
            scored; its `notes` say which texts are longer than the model reads and which classes it cannot tell apart.

        Raises:
            OptionError: options that do not go together.
            MissingLabels: no classes are given and no image has a category.
            UnknownClass: categories without a class, all of them listed, unless `partial`.
            StoreError: `predictions` cannot be written to.
            EmptyStore, BadSql, EncoderMismatch, ModelUnavailable.

        >>> store.classify(["duck", "hat"], where="condition = 'realistic'", partial=True).record.scored
        64
        """
        from shotdex.analysis.classify import Classification, classify_in_full

        from .prompts import choose_prompts

        where = all_of(where, **filled(Evaluation.classify, filters))
        chosen = choose_prompts(prompts, templates, classes)
        options = {
            "prompts": prompts if isinstance(prompts, str) else None,
            "templates": list(templates),
            "classes": classes if isinstance(classes, str) or classes is None else ",".join(classes),
            "model": model if isinstance(model, str) else None,
        }
        model = self.encoders.recognised(model)
        place = None if predictions in (None, "catalog") else predictions
        wanted = Classification(
            chosen, name, where, k, model, options, command, replace=replace, partial=partial, place=place
        )
        found = classify_in_full(self.store, wanted, self.encoders)
        return Run(self._session(), found.run, found.prompts, found)

    def run(self, name: str | None = None) -> Run:
        """Return the run of a name, or the newest.

        Raises:
            OptionError: there is no such run.

        >>> store.run("photo").name
        'photo'
        """
        from shotdex.store.prompt_sets import load_prompt_set
        from shotdex.store.runs import find_run

        with self.store.reading() as con:
            record = find_run(con, name)
            return Run(self._session(), record, load_prompt_set(con, record.prompt_set_id))

    def runs(self) -> Runs:
        """Return all runs, oldest first, each with its model, number of classes, chance, accuracy and n.

        >>> "photo" in [run.name for run in store.runs()]
        True
        """
        from shotdex.analysis.results import overall
        from shotdex.store.encoders import list_encoders
        from shotdex.store.prompt_sets import load_prompt_set
        from shotdex.store.runs import list_runs

        with self.store.reading() as con:
            records = list_runs(con)
            accuracies = {record.run_id: overall(con, record) for record in records}
            found = [Run(self._session(), one, load_prompt_set(con, one.prompt_set_id)) for one in records]
            models = {number: encoder.name for number, encoder in list_encoders(con).items()}
        return Runs(found, accuracies, models)

    def report(
        self,
        run: str | Sequence[str] | None = None,
        *,
        by: str | Sequence[str] = (),
        resamples: int = 1000,
        seed: int | None = None,
        bins: int = 15,
        out: str | os.PathLike[str] | None = None,
        style: str = "report",
        images: int = 24,
        anyway: bool = False,
        coverage: float = 0.9,
    ) -> Findings:
        """Return every metric of a run, the newest where none is named, over all images and for each group.

        `details` is the whole report: coverage, top-k, and recall, precision and F1 of each class. With `out` a
        document about the run is written, too, compared with further runs and with the store's baselines; see
        docs/report.md.

        Args:
            run: a name or number; for a document also several, of which the first is the one that it is about.
            by: columns of `images` to group by; in a document the condition, where none is given.
            resamples: how often the bootstrap draws, from 100.
            seed: random seed for the bootstrap, from 0; the run's own where None.
            bins: number of bins of equal width of the calibration error, from 1.
            out: where to write a document: `report.html` (one file that asks no server for anything), `report.ipynb`,
                `tables.tex`, or a folder, `report/`, for Markdown and PNGs.
            style: of the document: "report", or "course" for Introduction, Methods, Results and a Discussion that
                consists of questions.
            images: the most mistakes that the document shows as images, from 0.
            anyway: also compare runs that chose among different classes.
            coverage: of the document's prediction sets, between 0 and 1.

        Returns:
            A row for each group and metric of the first run, "all" first. `written` says what was written where.

        Raises:
            OptionError: there is no such run or column, several runs without `out`, or `out` cannot be written.
            MissingLabels: no image of the run has a category.
            EvaluationError: the runs chose among different classes, or share no image.

        >>> store.report("photo")[0].metric
        'accuracy@1'
        >>> store.report(["photo", "names"], out=store.path.parent / "report.html").written.path.name
        'report.html'
        """
        from shotdex.analysis.report import ReportOptions, report

        runs = (run,) if isinstance(run, str) else tuple(run or ())
        if out is None and len(runs) > 1:
            raise OptionError(
                "several runs are reported together in a document only",
                f"write one: --out report.html   or compare them: shotdex compare {' '.join(runs)}",
            )
        written = None
        if out is None:
            found = report(self.store, runs[0] if runs else None, ReportOptions(_columns(by), resamples, seed, bins))
        else:
            from shotdex.analysis.document.gather import DocumentOptions
            from shotdex.analysis.document.write import write_document

            options = DocumentOptions(_columns(by), images, style, anyway, resamples, seed, bins, coverage)
            target = f"{user_path(out)}{'/' if str(out).endswith('/') else ''}"
            written = write_document(self.store, runs, target, options, self.encoders)
            found = written.report
        rows = [
            Metric(row.name, metric, estimate)
            for row in (found.overall, *found.groups)
            for metric, estimate in ({"accuracy@1": row.accuracy} | row.summary).items()
        ]
        return Findings(f"report of run {found.run.name}", rows, found, Metric, written)

    def compare(
        self,
        *runs: str,
        by: str | Sequence[str] = (),
        resamples: int = 2000,
        seed: int = 0,
        show: int = 5,
        anyway: bool = False,
    ) -> Findings:
        """Compare runs on the images that they share, or with `by` the groups of a single run.

        The p values are those of McNemar's exact test (Fisher's for groups), adjusted by Holm's method.

        Args:
            runs: names or numbers of two runs or more; of one with `by`.
            by: columns of `images` to group by.
            resamples: how often the bootstrap draws, from 100.
            seed: random seed for the bootstrap, from 0.
            show: of two runs, how many images that only one gets right `details.disagreements` has at most.
            anyway: also compare runs that chose among different classes, which says little: `same_classes` is False.

        Returns:
            A row for each pair and group. `details` also has each run's coverage.

        Raises:
            OptionError: there is no such run or column, or nothing to compare.
            EvaluationError: the runs chose among different classes, or share no image.

        >>> comparison = store.compare("photo", "names")
        >>> comparison[0].test
        'McNemar, exact'
        """
        from shotdex.analysis.compare import CompareOptions, compare

        found = compare(self.store, runs, CompareOptions(_columns(by), resamples, seed, anyway), show)
        title = "; ".join([f"comparison of {' and '.join(runs)}", *found.notes])
        return Findings(title, found.comparisons, found)

    def probe(
        self,
        *,
        train_where: str | None = None,
        test_where: str | None = None,
        few_shot: str | Sequence[int] = (1, 2, 4, 8, 16),
        draws: int = 10,
        space: str = "joint",
        seed: int = 0,
        run: str | Sequence[str] = (),
        outside: str | Sequence[str] = (),
        model: AnyModel | None = None,
        progress: bool | Progress = False,
    ) -> Findings:
        """Compare zero-shot accuracy with k-NN and linear probes trained on the stored vectors.

        Args:
            train_where, test_where: SQL conditions for the training and the test images; the images' own splits, or
                random halves, where None.
            few_shot: numbers of training images per class, each from 1; empty, or "none", leaves few-shot out.
            draws: how many times those few images are drawn, from 1.
            space: "joint" or "vision".
            seed: random seed for the splits, the draws and the bootstrap, from 0.
            run: zero-shot runs, by name; the newest of the same encoder where there are none.
            outside: results from elsewhere: "NAME=VALUE", "NAME=VALUE:N", or the name of an imported baseline.
            model: one of the store's encoders, by name, number or object; needed where there are several.

        Returns:
            A row for each method; `details` has the options, the split, the coverage and the notes, and
            `store.plot.probe(...)` draws what this returns.

        Raises:
            OptionError: options that do not go together. MissingLabels, EmptyStore, BadSql, EncoderMismatch.

        >>> probed = store.probe(few_shot=[1], draws=2)
        >>> [row.kind for row in probed]
        ['zero-shot', 'few-shot', 'trained', 'trained']
        """
        from shotdex.analysis.probe.compare import probe
        from shotdex.analysis.probe.problem import ProbeOptions, parse_shots

        shots = parse_shots(few_shot) if isinstance(few_shot, str) else tuple(sorted(set(few_shot)))
        named = self.encoders.recognised(model)
        options = ProbeOptions(
            train_where, test_where, shots, draws, Space(space), seed, _names(run), _names(outside), named
        )
        with shown(progress, "training", " fits") as bar:
            found = probe(self.store, options, bar)
        return Findings(f"probe of {found.encoder.name}", found.rows, found)

    def rerun(self, run: str, *, name: str | None = None, replace: bool = False, command: str = "") -> Rerun:
        """Make a run again from its record, and return whether the predictions are the same and what changed.

        Args:
            run: the run's name or number.
            name: also keep the new predictions as a run of this name.
            replace: delete the run that has this name once the new one is complete.
            command: how the run was started, for the record of the new run.

        Raises:
            OptionError: there is no such run, or the name is taken.
            EmptyStore, UnknownClass, EncoderMismatch, ModelUnavailable: it cannot be made any more.

        >>> store.rerun("photo").identical
        True
        """
        from shotdex.analysis.classify import classify
        from shotdex.analysis.rerun import rerun, wanted_again
        from shotdex.store.runs import find_run, next_run

        with self.store.reading() as con:
            recorded = find_run(con, run)
            next_run(con, name, replace=replace)  # a name already taken is said before the work, not after
            again = wanted_again(con, recorded, name, command)
        found = rerun(self.store, recorded, self.encoders.model)
        if name is not None:
            classify(self.store, with_changes(again, replace=replace), self.encoders.model)
        return found

    def diff(self, first: str, second: str, *, anyway: bool = False) -> Findings:
        """Return how two runs differ in encoder, prompts, filter, images and versions; `details` counts the outcomes.

        >>> [row.what for row in store.diff("names", "photo")][:1]
        ['prompt set']
        """
        from shotdex.analysis.rerun import diff

        found = diff(self.store, first, second, anyway)
        return Findings(f"differences of {first} and {second}", found.differences, found)

    def _session(self) -> Any:
        return self


def _columns(by: str | Sequence[str]) -> tuple[str, ...]:
    from shotdex.analysis.results import split_columns

    return tuple(split_columns(by)) if isinstance(by, str) else tuple(by)


def _names(named: str | Sequence[str]) -> tuple[str, ...]:
    return (named,) if isinstance(named, str) else tuple(named)

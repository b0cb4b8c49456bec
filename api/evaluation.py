"""The part of a session that evaluates: classify, runs, report, compare, probe, prompt sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import TYPE_CHECKING, Any, Unpack

from shotdex.store.errors import OptionError
from shotdex.store.location import user_path
from shotdex.store.types import Estimate, Space

from .filters import where as all_of
from .keywords import FilterKeywords, chosen, columns_of, filled, several, takes
from .opened import Opened
from .progress import shown
from .result_keywords import ClassifyKeywords, ProbeKeywords, ReportKeywords
from .results import Findings
from .runs import Run, Runs

if TYPE_CHECKING:
    from shotdex.analysis.rerun import Rerun


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report for one group of images, with its 95 % interval and n."""

    group: str
    metric: str
    estimate: Estimate


class Evaluation(Opened):
    """Mixed into `Session`."""

    @takes(ClassifyKeywords, FilterKeywords)
    def classify(self, classes: Sequence[str] | str | None = None, **options: Unpack[ClassifyKeywords]) -> Run:
        """Score every image against every class, record the predictions as a run, and return it.

        Args:
            classes: names of the classes, or one text: "cat,dog", or a published list such as "classes.json#NAME";
                default: the categories of all indexed images, regardless of the filter.
            options: the keywords of `ClassifyKeywords`.

        Returns:
            The run. Its `summary` has the accuracies by category, condition and split, and the images that could not be
            scored. Its `notes` list texts that are longer than the model reads and classes that it cannot tell apart.

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

        given = filled(Evaluation.classify, options)
        prompts, templates, model, place = given["prompts"], given["templates"], given["model"], given["predictions"]
        record = {
            "prompts": prompts if isinstance(prompts, str) else None,
            "templates": [templates] if isinstance(templates, str) else list(templates),
            "classes": classes if isinstance(classes, str) or classes is None else ",".join(classes),
            "model": model if isinstance(model, str) else None,
        }
        wanted = Classification(
            choose_prompts(prompts, templates, classes),
            given["name"],
            all_of(given["where"], **chosen(given, FilterKeywords)),
            given["k"],
            self.encoders.recognised(model),
            record,
            given["command"],
            replace=given["replace"],
            partial=given["partial"],
            place=None if place == "catalog" else place,
        )
        found = classify_in_full(self.store, wanted, self.encoders)
        return Run(self._session(), found.run, found.prompts, found)

    def run(self, name: str | None = None) -> Run:
        """Return the run with this name, or the newest.

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

    @takes(ReportKeywords)
    def report(self, run: str | Sequence[str] | None = None, **options: Unpack[ReportKeywords]) -> Findings:
        """Return every metric of a run (default: the newest), over all images and for each group.

        `details` is the whole report: coverage, top-k, and recall, precision and F1 of each class. With `out`, a
        document is written, too, which compares the run with further runs and the store's baselines; see
        docs/report.md.

        Args:
            run: a name or number; for a document, possibly several, the first of which is its subject.
            options: the keywords of `ReportKeywords`.

        Returns:
            A row for each group and metric of the first run, "all" first. `written` lists what was written where.

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

        given = filled(Evaluation.report, options)
        runs, out, by = several(run or ()), given["out"], columns_of(given["by"])
        resamples, seed, bins = given["resamples"], given["seed"], given["bins"]
        if out is None and len(runs) > 1:
            raise OptionError(
                "several runs are reported together in a document only",
                f"write one: --out report.html   or compare them: shotdex compare {' '.join(runs)}",
            )
        written = None
        if out is None:
            found = report(self.store, runs[0] if runs else None, ReportOptions(by, resamples, seed, bins))
        else:
            from shotdex.analysis.document.gather import DocumentOptions
            from shotdex.analysis.document.write import write_document

            layout = given["images"], given["style"], given["anyway"]
            document = DocumentOptions(by, *layout, resamples, seed, bins, given["coverage"])
            target = f"{user_path(out)}{'/' if str(out).endswith('/') else ''}"
            written = write_document(self.store, runs, target, document, self.encoders)
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
        """Compare runs on the images that they share, or, with `by`, the groups of a single run.

        The p values are those of McNemar's exact test (Fisher's for groups), adjusted by Holm's method.

        Args:
            runs: names or numbers of two or more runs; with `by`, of one or more.
            by: columns of `images` to group by.
            resamples: number of bootstrap resamples, from 100.
            seed: random seed for the bootstrap, from 0.
            show: for two runs, the maximum number of images in `details.disagreements`, which only one gets right.
            anyway: allow runs that chose among different classes, although this says little; `same_classes` is False.

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

        found = compare(self.store, runs, CompareOptions(columns_of(by), resamples, seed, anyway), show)
        title = "; ".join([f"comparison of {' and '.join(runs)}", *found.notes])
        return Findings(title, found.comparisons, found)

    @takes(ProbeKeywords)
    def probe(self, **options: Unpack[ProbeKeywords]) -> Findings:
        """Compare zero-shot accuracy with k-NN and linear probes trained on the stored vectors.

        Args:
            options: the keywords of `ProbeKeywords`.

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

        given = filled(Evaluation.probe, options)
        few_shot = given["few_shot"]
        probed = ProbeOptions(
            given["train_where"],
            given["test_where"],
            parse_shots(few_shot) if isinstance(few_shot, str) else tuple(sorted(set(few_shot))),
            given["draws"],
            Space(given["space"]),
            given["seed"],
            several(given["run"]),
            several(given["outside"]),
            self.encoders.recognised(given["model"]),
            given["where"],
        )
        with shown(given["progress"], "training", " fits") as bar:
            found = probe(self.store, probed, bar)
        return Findings(f"probe of {found.encoder.name}", found.rows, found)

    def rerun(self, run: str, *, name: str | None = None, replace: bool = False, command: str = "") -> Rerun:
        """Repeat a run from its record, and return whether the predictions are the same and what changed.

        Args:
            run: the run's name or number.
            name: also save the new predictions as a run with this name.
            replace: delete the run that has this name once the new one is complete.
            command: how the run was started, for the record of the new run.

        Raises:
            OptionError: there is no such run, or the name is taken.
            EmptyStore, UnknownClass, EncoderMismatch, ModelUnavailable: it can no longer be repeated.

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

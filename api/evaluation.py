"""The part of a session that evaluates: classify, runs, report, compare, probe, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shotdex.store.progress import Progress
from shotdex.store.types import Estimate, PromptSet, Space

from .progress import shown
from .results import Findings
from .runs import Run, Runs

if TYPE_CHECKING:
    from shotdex.analysis.rerun import Rerun
    from shotdex.models.encoder_pool import EncoderPool
    from shotdex.store.store import Store


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report for one group of images, with its 95 % interval and n."""

    group: str
    metric: str
    estimate: Estimate


class Evaluation:
    """Mixed into `Session`."""

    store: Store
    encoders: EncoderPool

    def classify(
        self,
        classes: Sequence[str] | str | None = None,
        *,
        templates: Sequence[str] = (),
        prompts: str | PromptSet | None = None,
        where: str | None = None,
        k: int = 5,
        name: str | None = None,
        model: str | None = None,
        replace: bool = False,
        partial: bool = False,
        command: str = "",
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
            model: one of the store's encoders, by name or number; needed where there are several.
            replace: delete the run that has this name once the new one is complete.
            partial: leave images whose category has no class out of the accuracy; otherwise they are an error.
            command: how the run was started, for its record.

        Returns:
            The run. Its `summary` has the accuracies by category, condition and split and the images that could not be
            scored; its `notes` say which texts are longer than the model reads and which classes it cannot tell apart.

        Raises:
            OptionError: options that do not go together.
            MissingLabels: no classes are given and no image has a category.
            UnknownClass: categories without a class, all of them listed, unless `partial`.
            EmptyStore, BadSql, EncoderMismatch, ModelUnavailable.

        >>> store.classify(["duck", "hat"], where="condition = 'realistic'", partial=True).record.scored
        64
        """
        from shotdex.analysis.classify import Classification, classify_in_full

        from .prompts import choose_prompts

        chosen = choose_prompts(prompts, templates, classes)
        options = {
            "prompts": prompts if isinstance(prompts, str) else None,
            "templates": list(templates),
            "classes": classes if isinstance(classes, str) or classes is None else ",".join(classes),
            "model": model,
        }
        wanted = Classification(chosen, name, where, k, model, options, command, replace=replace, partial=partial)
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
        self, run: str | None = None, *, by: str | Sequence[str] = (), resamples: int = 1000, seed: int | None = None
    ) -> Findings:
        """Return every metric of a run, the newest where none is named, over all images and for each group.

        `details` is the whole report: coverage, top-k, and recall, precision and F1 of each class.

        Args:
            by: columns of `images` to group by.
            resamples: how often the bootstrap draws, from 100.
            seed: random seed for the bootstrap; the run's own where None.

        >>> store.report("photo")[0].metric
        'accuracy@1'
        """
        from shotdex.analysis.report import ReportOptions, report

        found = report(self.store, run, ReportOptions(_columns(by), resamples, seed))
        rows = [
            Metric(row.name, metric, estimate)
            for row in (found.overall, *found.groups)
            for metric, estimate in ({"accuracy@1": row.accuracy} | row.summary).items()
        ]
        return Findings(f"report of run {found.run.name}", rows, found, Metric)

    def compare(
        self,
        *runs: str,
        by: str | Sequence[str] = (),
        resamples: int = 2000,
        seed: int = 0,
        anyway: bool = False,
    ) -> Findings:
        """Compare runs on the images that they share, or with `by` the groups of a single run.

        The p values are those of McNemar's exact test (Fisher's for groups), adjusted by Holm's method. `anyway`
        compares runs that chose among different classes, too, which says little: `same_classes` is False then.

        Raises:
            EvaluationError: the runs chose among different classes, or share no image.

        >>> comparison = store.compare("photo", "names")
        >>> comparison[0].test
        'McNemar, exact'
        """
        from shotdex.analysis.compare import CompareOptions, compare_groups, compare_runs, comparison_notes

        options = CompareOptions(_columns(by), resamples, seed, anyway)
        found = (
            compare_groups(self.store, runs[0], options) if len(runs) == 1 else compare_runs(self.store, runs, options)
        )
        title = "; ".join([f"comparison of {' and '.join(runs)}", *comparison_notes(found)])
        return Findings(title, found, found)

    def probe(self, *, progress: bool | Progress = False, **options: Any) -> Findings:
        """Compare zero-shot accuracy with k-NN and linear probes trained on the stored vectors.

        `options` are the fields of `ProbeOptions`: train_where, test_where, shots, draws, space, seed, runs, outside,
        encoder_name. `details` has the choices, the coverage and the notes.
        """
        from shotdex.analysis.probe.compare import probe
        from shotdex.analysis.probe.problem import ProbeOptions

        options = options | {"space": Space(options.get("space", "joint"))}
        found = probe(self.store, ProbeOptions(**options), shown(progress, "training", " fits"))
        return Findings(f"probe of {found.encoder.name}", found.rows, found)

    def rerun(self, run: str, *, name: str | None = None) -> Rerun:
        """Make a run again from its record, and return whether the predictions are the same and what changed.

        Args:
            run: the run's name or number.
            name: also keep the new predictions as a run of this name.

        >>> store.rerun("photo").identical
        True
        """
        from shotdex.analysis.classify import classify
        from shotdex.analysis.rerun import rerun, wanted_again
        from shotdex.store.runs import find_run, next_run

        with self.store.reading() as con:
            recorded = find_run(con, run)
            next_run(con, name)  # a name already taken is said before the work, not after
            again = wanted_again(con, recorded, name)
        found = rerun(self.store, recorded, self.encoders.model)
        if name is not None:
            classify(self.store, again, self.encoders.model)
        return found

    def diff(self, first: str, second: str, *, anyway: bool = False) -> Findings:
        """Return how two runs differ in encoder, prompts, filter, images and versions; `details` counts the outcomes.

        >>> [row.what for row in store.diff("names", "photo")][:1]
        ['prompt set']
        """
        from shotdex.analysis.rerun import diff

        found = diff(self.store, first, second, anyway)
        return Findings(f"differences of {first} and {second}", found.differences, found)

    def check_prompts(self, prompts: str | PromptSet, *, where: str | None = None) -> Findings:
        """Return what is wrong or odd about a prompt set, given the categories of the images; problems first."""
        from shotdex.analysis.prompts.check import check_prompts
        from shotdex.analysis.results import category_counts

        from .prompts import prompt_set

        chosen = prompt_set(self.store, prompts, (), None)
        with self.store.reading() as con:
            counts = category_counts(con, where)
        found = check_prompts(chosen, counts)
        return Findings(f"check of prompt set {chosen.name}", found, found)

    def sweep_prompts(
        self,
        templates: Sequence[str],
        *,
        classes: Sequence[str] | None = None,
        where: str | None = None,
        **options: Any,
    ) -> Findings:
        """Score each template alone and left out: some images choose the best ones, others report how good they are.

        `options` are fields of `SweepOptions`: choose_where, report_where, encoder_name, seed. Nothing is recorded.
        """
        from shotdex.analysis.prompt_sweep import SweepOptions, sweep

        from .prompts import prompt_set

        chosen = prompt_set(self.store, None, templates, classes)
        found = sweep(self.store, chosen, SweepOptions(where=where, **options), self.encoders)
        return Findings(f"sweep of {len(templates)} templates", found.trials, found)

    def baselines(self) -> Findings:
        """Return the imported baselines: what people or other models reach."""
        from shotdex.store.baselines import list_baselines

        with self.store.reading() as con:
            found = list_baselines(con)
        return Findings("baselines", found, found)

    def import_baseline(self, *files: str | Path, name: str | None = None, source: str | None = None) -> Findings:
        """Import a baseline from CSV files, or one that ships: toddlers, fashion-mnist-people, fashion-mnist-cnn."""
        from shotdex.analysis.baselines.importing import read_baseline, record_baseline

        read = read_baseline([Path(file) for file in files], name, source)
        found = record_baseline(self.store, read)
        return Findings(f"baseline {found.name}", [found], read)

    def compare_baseline(self, name: str, run: str | None = None) -> Findings:
        """Compare a run, the newest where none is named, with a baseline: better, worse or not distinguishable."""
        from shotdex.analysis.baselines.compare import compare_baseline
        from shotdex.store.baselines import find_baseline
        from shotdex.store.runs import find_run

        with self.store.reading() as con:
            baseline, chosen = find_baseline(con, name), find_run(con, run)
        found = compare_baseline(self.store, baseline, chosen)
        return Findings(f"run {chosen.name} against baseline {baseline.name}", found.conditions, found)

    def _session(self) -> Any:
        return self


def _columns(by: str | Sequence[str]) -> tuple[str, ...]:
    from shotdex.analysis.results import split_columns

    return tuple(split_columns(by)) if isinstance(by, str) else tuple(by)

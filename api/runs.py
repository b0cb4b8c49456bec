"""A classification run: what was classified with which prompts, and its numbers, each with its interval and n."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from shotdex.store.types import EncoderId, Estimate, PromptSet
from shotdex.store.types import Run as RunRecord

from .formatting import estimate_cells
from .results import Estimates, Findings, SqlResult
from .tabular import Tabular

if TYPE_CHECKING:
    from pathlib import Path

    from shotdex.analysis.classify import Classified
    from shotdex.analysis.coverage import Coverage

    from .session import Session


class Run:
    """A recorded run of a store. SQL can read its predictions as rows: `outcomes()`.

    `record` has everything recorded about it, `prompts` every text that was used. A new run also has a `summary`, with
    its accuracies and the images that could not be scored, and `notes` about its prompts.
    """

    def __init__(
        self, session: Session, record: RunRecord, prompts: PromptSet, summary: Classified | None = None
    ) -> None:
        self._session = session
        self.record = record
        self.prompts = prompts
        self.summary = summary
        self.notes: tuple[str, ...] = () if summary is None else summary.notes

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.name

    @property
    def encoder(self) -> EncoderId:
        """The encoder of the vectors that the run compared."""
        from shotdex.store.encoders import list_encoders

        with self._session.store.reading() as con:
            return list_encoders(con)[self.record.encoder_id]

    @property
    def coverage(self) -> Coverage:
        """How many images were indexed, failed, unlabelled, of another category, and evaluated."""
        from shotdex.analysis.coverage import coverage

        return coverage(self.record)

    @overload
    def accuracy(self, by: None = None) -> Estimate: ...
    @overload
    def accuracy(self, by: str | Sequence[str]) -> Estimates: ...
    def accuracy(self, by: str | Sequence[str] | None = None) -> Estimate | Estimates:
        """Return accuracy@1 with its 95 % Wilson interval: over all images, or for each group of them.

        Args:
            by: a column of `images`, such as "condition", or several.

        Returns:
            An `Estimate`, or with `by` one row for each group, in the order of the groups' names.

        Raises:
            OptionError: there is no such column.
            MissingLabels: no image of the run has a category among its classes.

        >>> store.run("photo").accuracy(by="condition").groups
        ('blurred', 'features', 'geons', 'realistic', 'silhouettes')
        """
        if by is None and self.summary is not None:
            return self.summary.accuracy
        from shotdex.analysis.results import accuracy_groups, outcomes, overall

        with self._session.store.reading() as con:
            if by is None:
                return overall(con, self.record)
            columns = (by,) if isinstance(by, str) else tuple(by)
            found = accuracy_groups(con, outcomes(con, self.record), columns)
        return Estimates(f"accuracy@1 of run {self.name} by {', '.join(columns)}", found)

    def outcomes(self) -> SqlResult:
        """Return a row for each scored image: path, labels, predicted class, probability, rank of the true class.

        >>> "predicted" in store.run("photo").outcomes().columns
        True
        """
        return self._session.sql("FROM outcomes WHERE run_id = $run ORDER BY image_id", run=self.record.run_id)

    def mistakes(self, n: int = 10) -> SqlResult:
        """Return the `n` most confident wrong predictions, highest probability first; ties by image id.

        >>> len(store.run("photo").mistakes(3))
        3
        """
        return self._session.sql(
            "SELECT path, category, condition, predicted, probability, true_rank FROM outcomes "
            "WHERE run_id = $run AND NOT correct ORDER BY probability DESC, image_id LIMIT $n",
            run=self.record.run_id,
            n=n,
        )

    def rename(self, name: str) -> Run:
        """Rename the run, and return the renamed run.

        Raises:
            OptionError: the name is empty, or another run has it.

        >>> store.classify(name="frist").rename("first").name
        'first'
        """
        from shotdex.store.runs import rename_run

        with self._session.store.writing() as con:
            record = rename_run(con, self.record, name)
        return Run(self._session, record, self.prompts)

    @property
    def folder(self) -> Path | None:
        """The folder with the files of the run's predictions; None if they are in the catalog.

        >>> store.run("photo").folder is None
        True
        """
        with self._session.store.reading() as con:
            files = con.run_files.get(self.record.run_id)
        return None if files is None else files.folder

    def moved(self, folder: str | os.PathLike[str]) -> None:
        """Record the new folder of the files with the run's predictions.

        Raises:
            OptionError: the predictions are in the catalog.
            StoreError: a file is missing, or is not the one that was written.

        >>> run = store.classify(name="moving", predictions=store.path.parent / "predictions")
        >>> run.moved(run.folder.rename(store.path.parent / "moved"))
        >>> run.folder.name
        'moved'
        """
        from shotdex.store.location import user_path
        from shotdex.store.prediction_files import move_files

        store = self._session.store
        with store.writing() as con:
            move_files(con, store.root, self.record, user_path(folder))

    def remove(self) -> None:
        """Delete the run with its predictions. The images, their vectors, the prompt set and prediction files are kept.

        >>> store.classify(name="trial").remove()
        """
        from shotdex.store.runs import remove_run

        with self._session.store.writing() as con:
            remove_run(con, self.record)

    def classes_without_images(self) -> list[str]:
        """Return the classes for which the run scored no image, such as those excluded by its filter.

        >>> store.run("photo").classes_without_images()
        []
        """
        from shotdex.analysis.coverage import classes_without_images

        with self._session.store.reading() as con:
            return classes_without_images(con, self.record)

    def report(
        self,
        by: str | Sequence[str] = (),
        resamples: int = 1000,
        seed: int | None = None,
        out: str | os.PathLike[str] | None = None,
        style: str = "report",
    ) -> Findings:
        """Return every metric of the run, and write a document about it with `out`; see `Session.report`."""
        return self._session.report(self.name, by=by, resamples=resamples, seed=seed, out=out, style=style)

    def selective(
        self, *, coverage: float = 0.9, resamples: int = 1000, seed: int | None = None, bins: int = 15
    ) -> Findings:
        """Evaluate the run's probabilities: risk against coverage, temperature scaling, and prediction sets.

        The temperature is fitted on one half of each class and reported on the other; the prediction sets are
        calibrated on a random half of all images and evaluated on the other. `details` has the number of images in each
        part and, in `notes`, what could not be computed, for example because of too few images.

        Args:
            coverage: of the prediction sets, between 0 and 1: the probability with which a set has the true class.
            resamples: number of bootstrap resamples, from 100.
            seed: random seed for the halves and the bootstrap, from 0; None: the run's own.
            bins: number of equal-width bins for the calibration error, from 1.

        Returns:
            A row for each number, with its 95 % interval and n.

        Raises:
            OptionError: the coverage is not between 0 and 1. MissingLabels: no image of the run has a category.

        >>> store.run("photo").selective(resamples=100).details.sets.calibrated
        160
        """
        from shotdex.analysis.selective import SelectiveOptions, selective

        found = selective(self._session.store, self.name, SelectiveOptions(coverage, resamples, seed, bins))
        return Findings(f"selective prediction of run {self.name}", found.numbers(), found)

    def __repr__(self) -> str:
        value, interval, n = estimate_cells(self.accuracy())
        texts = sum(map(len, self.prompts.classes.values()))
        return (
            f"Run {self.name}: accuracy@1 {value} (95 % interval {interval}, n={n}), "
            f"{texts} prompts for {len(self.prompts.classes)} classes\n{self.coverage}"
        )

    def _repr_html_(self) -> str:
        """Return the run with its accuracy by condition for a notebook."""
        import html

        from shotdex.store.errors import ShotdexError

        try:
            table = self.accuracy(by="condition")._repr_html_()
        except ShotdexError:
            table = ""
        return f"<p>{html.escape(repr(self))}</p>{table}"


class Runs(Tabular[Run]):
    """The runs of a store, oldest first; `runs["photo"]` is the one of that name."""

    columns = (
        *("run_id", "name", "model", "prompts", "classes", "chance", "where"),
        *("accuracy", "accuracy_low", "accuracy_high", "n"),
    )

    def __init__(self, runs: Sequence[Run], accuracies: Mapping[int, Estimate], models: Mapping[int, str]) -> None:
        self._runs = tuple(runs)
        self._accuracies = accuracies
        self._models = models

    def _rows(self) -> Sequence[Run]:
        return self._runs

    def _values(self, row: Run) -> Sequence[Any]:
        found = self._accuracies[row.record.run_id]
        return [
            row.record.run_id,
            row.name,
            self._models[row.record.encoder_id],
            row.prompts.name,
            len(row.prompts.classes),
            1 / len(row.prompts.classes),
            row.record.where,
            found.value,
            found.low,
            found.high,
            found.n,
        ]

    @property
    def accuracies(self) -> list[Estimate]:
        """The accuracy@1 of each run, in the same order, as `Run.accuracy` returns it."""
        return [self._accuracies[run.record.run_id] for run in self._runs]

    @property
    def models(self) -> list[str]:
        """The name of each run's encoder, in the same order."""
        return [self._models[run.record.encoder_id] for run in self._runs]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __getitem__(self, index: Any) -> Any:
        """Return a run by its number in this list, or by its name."""
        if not isinstance(index, str):
            return super().__getitem__(index)
        for run in self._runs:
            if run.name == index:
                return run
        raise KeyError(f"there is no run {index!r}; there are: {', '.join(run.name for run in self._runs)}")

"""The part of a session that knows baselines: accuracies of people or other models, imported and compared with runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shotdex.store.location import user_path

from .opened import Opened
from .results import Findings

if TYPE_CHECKING:
    from shotdex.analysis.baselines.file_formats import TrialCounts
    from shotdex.store.baselines import Baseline
    from shotdex.store.connection import Connection


@dataclass(frozen=True, slots=True)
class BaselineDetails:
    """A baseline with the counts of its trials, None where it has none, and what was noticed when it was imported."""

    baseline: Baseline
    counts: TrialCounts | None
    notes: tuple[str, ...] = ()


class Baselines(Opened):
    """Mixed into `Session`."""

    def baselines(self) -> Findings:
        """Return the imported baselines, oldest first; `details` has the counts of each one's trials.

        >>> all(baseline.accuracies for baseline in store.baselines())
        True
        """
        from shotdex.store.baselines import list_baselines

        with self.store.reading() as con:
            details = [_details(con, baseline) for baseline in list_baselines(con)]
        return Findings("baselines", [one.baseline for one in details], tuple(details))

    def baseline(self, name: str) -> Findings:
        """Return a baseline by its name or number; `details` also counts its trials.

        Raises:
            OptionError: there is no such baseline.
        """
        from shotdex.store.baselines import find_baseline

        with self.store.reading() as con:
            details = _details(con, find_baseline(con, name))
        return Findings(f"baseline {details.baseline.name}", [details.baseline], details)

    def import_baseline(self, *files: str | Path, name: str | None = None, source: str | None = None) -> Findings:
        """Import a baseline from CSV files, or one that ships: toddlers, fashion-mnist-people, fashion-mnist-cnn.

        Args:
            files: a table `condition,accuracy,n,low,high,source,note` with accuracies in [0, 1]; or trials, one row for
                each decision, as written by the model-vs-human toolbox, in one or more files.
            name: the baseline's name; None: the file's name.
            source: where the numbers come from; None: the file's column `source`.

        Returns:
            The baseline; `details` also has the counts of its trials, and notes about the files.

        Raises:
            OptionError: the files cannot be read as a baseline, or the name is taken.

        >>> store.import_baseline("toddlers", name="two-year-olds")[0].name
        'two-year-olds'
        >>> removed = store.remove_baseline("two-year-olds")
        """
        from shotdex.analysis.baselines.file_formats import count_trials
        from shotdex.analysis.baselines.importing import read_baseline, record_baseline

        read = read_baseline([user_path(file) for file in files], name, source)
        found = record_baseline(self.store, read)
        counts = count_trials(read.trials) if read.trials is not None else None
        return Findings(f"baseline {found.name}", [found], BaselineDetails(found, counts, tuple(read.notes)))

    def compare_baseline(self, name: str, run: str | None = None) -> Findings:
        """Compare a run (default: the newest) with a baseline: better, worse or not distinguishable.

        Returns:
            A row for each condition that both have: the two accuracies and their difference, model minus baseline, with
            its 95 % interval. With trials, `details.consistency` says whether both err on the same images.

        Raises:
            OptionError: there is no such baseline or run, or they have no condition in common.
            MissingLabels: no image of the run has a category.
        """
        from shotdex.analysis.baselines.compare import compare_baseline
        from shotdex.store.baselines import find_baseline
        from shotdex.store.runs import find_run

        with self.store.reading() as con:
            baseline, chosen = find_baseline(con, name), find_run(con, run)
        found = compare_baseline(self.store, baseline, chosen)
        return Findings(f"run {chosen.name} against baseline {baseline.name}", found.conditions, found)

    def remove_baseline(self, name: str) -> Findings:
        """Remove a baseline with its trials, and return it; the imported files are not touched.

        Raises:
            OptionError: there is no such baseline.
        """
        from shotdex.store.baselines import find_baseline, remove_baseline

        with self.store.writing() as con:
            details = _details(con, find_baseline(con, name))
            remove_baseline(con, name)
        return Findings(f"removed baseline {details.baseline.name}", [details.baseline], details)


def _details(con: Connection, baseline: Baseline) -> BaselineDetails:
    from shotdex.analysis.baselines.file_formats import count_trials
    from shotdex.store.baselines import Kind, load_trials

    trials = load_trials(con, baseline.baseline_id) if baseline.kind is Kind.TRIALS else None
    return BaselineDetails(baseline, count_trials(trials) if trials is not None else None)

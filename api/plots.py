"""Figures of a store: each function returns a matplotlib Figure, which a notebook shows as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shotdex.store.errors import OptionError
from shotdex.store.progress import Progress
from shotdex.store.types import Space

from .progress import shown
from .results import Findings
from .tabular import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .session import Session

KINDS = ("samples", "counts", "accuracy", "confusion", "reliability", "topk", "map")


class Plots:
    """The figures of a session: `store.plot.confusion(run="photo")`, or `store.plot("confusion", run="photo")`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, kind: str, **options: Any) -> Figure:
        """Return a figure by the name of its kind.

        Raises:
            OptionError: there is no such kind.
        """
        if kind not in KINDS:
            raise OptionError(f"there is no plot {kind!r}", f"choose one of: {', '.join(KINDS)}")
        figure: Figure = getattr(self, kind)(**options)
        return figure

    def samples(self, *, where: str | None = None) -> Figure:
        """Return one sample image for each category and condition.

        Raises:
            EmptyStore: no image passes the SQL condition `where`. BadSql.

        >>> figure = store.plot.samples(where="category = 'hat'")
        """
        from shotdex.analysis.plots import samples_plot

        return samples_plot(self._session.store, where)

    def counts(self, *, by: str = "condition", where: str | None = None) -> Figure:
        """Return how many images each category has, stacked by condition or split; `counts_table` has the numbers."""
        from shotdex.analysis.plots import counts_plot

        return counts_plot(self._session.store, by, where)

    def counts_table(self, *, by: str = "condition", where: str | None = None) -> Table:
        """Return a row for each category with its numbers of images: one for each condition or split, and all.

        >>> store.plot.counts_table(where="category = 'hat'").to_dicts()[0]["all"]
        40
        """
        from shotdex.analysis.plots import counts_table

        return Table("images per category", *counts_table(self._session.store, by, where))

    def accuracy(
        self,
        *,
        runs: str | Sequence[str] = (),
        by: str | Sequence[str] = "condition",
        baselines: str | Sequence[str] = (),
        anyway: bool = False,
    ) -> Figure:
        """Return accuracy@1 with 95 % intervals by columns of `images`, compared with imported baselines.

        Several runs are drawn on the images that all of them scored.

        Args:
            runs: names or numbers; the newest run where there are none.
            by: columns of `images`.
            baselines: names of imported baselines.
            anyway: also draw runs that chose among different classes, with every number marked; otherwise they are an
                error, as in the other figures.

        Raises:
            OptionError: there is no such run, column or baseline. MissingLabels: no image has a category.
            EvaluationError: the runs chose among different classes.

        >>> figure = store.plot.accuracy(runs=["names", "photo"])
        """
        from shotdex.analysis.plots import accuracy_plot
        from shotdex.analysis.results import split_columns

        columns = split_columns(by) if isinstance(by, str) else tuple(by)
        return accuracy_plot(self._session.store, _names(runs), columns, _names(baselines), anyway)

    def confusion(
        self,
        *,
        run: str | None = None,
        k: int = 1,
        cells: Literal["both", "rates", "counts"] = "both",
        order: Literal["given", "clustered"] | None = None,
    ) -> Figure:
        """Return which categories are taken for which.

        Args:
            run: a name or number; the newest run where None.
            k: the true category counts as predicted where it is among the k best, from 1.
            cells: what each cell shows.
            order: the order of the classes; clustered if there are more than 12, where None.

        >>> figure = store.plot.confusion(run="photo", cells="counts")
        """
        from shotdex.analysis.plots import ConfusionOptions, confusion_plot

        return confusion_plot(self._session.store, ConfusionOptions(run, k, cells, order))

    def reliability(
        self, *, runs: str | Sequence[str] = (), bins: int = 15, where: str | None = None, anyway: bool = False
    ) -> Figure:
        """Return how often the model is right at each confidence, in `bins` bins of equal width, 1 to 100.

        `runs`, `where` and `anyway` are as in `accuracy`.

        >>> figure = store.plot.reliability(runs="photo")
        """
        from shotdex.analysis.plots import reliability_plot

        return reliability_plot(self._session.store, _names(runs), bins, where, anyway)

    def topk(self, *, runs: str | Sequence[str] = (), anyway: bool = False) -> Figure:
        """Return how often the true category is among an image's k best, for every k; see `accuracy` for the rest."""
        from shotdex.analysis.plots import topk_plot

        return topk_plot(self._session.store, _names(runs), anyway)

    def probe(self, found: Findings) -> Figure:
        """Return the figure of a `store.probe(...)`: the accuracy of each method with its 95 % interval.

        >>> figure = store.plot.probe(store.probe(few_shot=[1], draws=2))
        """
        from shotdex.analysis.probe.compare import comparison_plot

        return comparison_plot(found.details)

    def map(
        self,
        *,
        method: str = "umap",
        seed: int = 0,
        color: str = "category",
        space: str = "joint",
        thumbnails: bool = False,
        where: str | None = None,
        run: str | None = None,
        model: str | None = None,
        limit: int | None = None,
        prompts: bool = False,
        progress: bool | Progress = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> Figure:
        """Return a map in which images lie near those that they resemble; the coordinates are kept in the store.

        Args:
            method: "umap" or "tsne".
            seed: random seed for the projection and the sample, from 0.
            color: what colours stand for: "category", "condition", "split", or "correct" by a run.
            space: "joint" or "vision".
            thumbnails: draw the images instead of points.
            where: a SQL condition on the columns of `images`.
            run: the run whose predictions or prompts are drawn; the newest where None.
            model: one of the store's encoders, by name or number; needed where there are several.
            limit: the most images to draw, from 1; of more a sample is drawn. None is 20,000 with umap, 5,000
                with tsne.
            prompts: draw the run's prompts as stars (joint space only).
            progress: True shows a bar; or an object with `start(total)` and `advance(count)`.
            note: called with sentences about the map, such as how many images it leaves out.

        Raises:
            OptionError: options that do not go together. EmptyStore: there are no images. BadSql, EncoderMismatch.
        """
        from shotdex.analysis.maps import MapOptions, draw_map
        from shotdex.analysis.projections import ProjectionOptions

        how = MapOptions(
            Space(space), ProjectionOptions(method, seed), color, thumbnails, where, run, model, limit, prompts
        )
        with shown(progress, "placing", " rounds") as bar:
            figure, placed = draw_map(self._session.store, how, self._session.encoders, bar)
        if placed.caption:
            note(placed.caption)
        note("coordinates from the store" if placed.reused else f"projected {len(placed.ids):,} images")
        if len(placed.ids) < placed.of:
            left_out = placed.of - len(placed.ids)
            note(f"a sample of {placed.of:,} images (seed {seed}); left out {left_out:,}; all: --limit {placed.of}")
        return figure


def _names(named: str | Sequence[str]) -> tuple[str, ...]:
    return (named,) if isinstance(named, str) else tuple(named)


def check_target(path: Path) -> None:
    """Raise an error if `save` could not write a figure to `path`, before the figure is drawn.

    Raises:
        OptionError: an extension other than .png, .svg and .pdf, or the folder does not exist.
    """
    from shotdex.analysis.figures.style import check_target

    check_target(path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the extension, at 200 dots per inch; the same figure gives the same bytes.

    Raises:
        OptionError: another extension, or a place that cannot be written to.
    """
    from shotdex.analysis.figures.style import save

    save(figure, path)

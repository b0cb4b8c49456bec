"""Figures of a store: each function returns a matplotlib Figure, which a notebook shows as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from shotdex.store.errors import OptionError
from shotdex.store.types import Space

from .figures import FigureKeywords, drawn, style_of, tell
from .keywords import columns_of, filled, several, takes
from .progress import shown
from .result_keywords import MapKeywords
from .results import Findings
from .tabular import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .session import Session


KINDS = (
    "samples", "counts", "accuracy", "confusion", "reliability", "selective", "topk", "map", "umap", "tsne", "mistakes",
    "agreement",
)  # fmt: skip


class Plots:
    """The figures of a session: `store.plot.confusion(run="photo")`, or `store.plot("confusion", run="photo")`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        """Name the kinds: what a notebook shows for `store.plot` alone."""
        return f"Plots: {', '.join(KINDS)}; for example: store.plot.{KINDS[0]}()"

    def __call__(self, kind: str, **options: Any) -> Figure:
        """Return a figure by the name of its kind.

        Raises:
            OptionError: there is no such kind.
        """
        if kind not in KINDS:
            raise OptionError(f"there is no plot {kind!r}", f"choose one of: {', '.join(KINDS)}")
        figure: Figure = getattr(self, kind)(**options)
        return figure

    def samples(
        self,
        *,
        n: int | None = None,
        random: bool = False,
        seed: int = 0,
        where: str | None = None,
        run: str | None = None,
        **how: Unpack[FigureKeywords],
    ) -> Figure:
        """Return one sample image for each category and condition; or `n` images in rows, with their categories.

        Args:
            n: how many images, from 1; those of the lowest ids.
            random: `n` images (16 if not given) drawn at random instead.
            seed: random seed for that draw, from 0.
            where: a SQL condition on the columns of `images`.
            run: the name or number of a run; with `n` its predictions stand below the images.

        Raises:
            EmptyStore: no image passes `where`. BadSql, MissingLabels. OptionError: `n` is below 1, or no such run.

        >>> figure = store.plot.samples(where="category = 'hat'")
        >>> figure = store.plot.samples(n=16, random=True, run="photo")
        """
        from shotdex.analysis.image_plots import sample_sheet, samples_plot

        store = self._session.store
        if n is None and not random and run is None:
            return drawn(how, lambda: samples_plot(store, where))
        count = 16 if n is None else n
        return drawn(how, lambda: sample_sheet(store, count, seed if random else None, where, run))

    def mistakes(
        self,
        *,
        run: str | None = None,
        n: int = 16,
        sort: Literal["confidence", "margin"] = "confidence",
        by: str | Sequence[str] = (),
        where: str | None = None,
        **how: Unpack[FigureKeywords],
    ) -> Figure:
        """Return the surest mistakes as images: the true and the predicted class, their probabilities, the condition.

        Args:
            run: a name or number; the newest run where None.
            n: how many, of each group if there are groups, from 1.
            sort: "confidence", the probability of the predicted class; "margin", that minus the true class's.
            by: columns of `images`, such as "condition", that group the mistakes.
            where: a SQL condition on the columns of `images`.

        Raises:
            EmptyStore: there is no mistake. OptionError: no such run or column, or `n` below 1. BadSql, MissingLabels.

        >>> figure = store.plot.mistakes(run="photo", n=4, by="condition")
        """
        from shotdex.analysis.image_plots import MistakeOptions, mistakes_plot

        named = self._named(run or (), how)
        options = MistakeOptions(named[0], n, sort, columns_of(by), where)
        return drawn(how, lambda: mistakes_plot(self._session.store, options))

    def agreement(self, a: str, b: str, **how: Unpack[FigureKeywords]) -> Figure:
        """Return where two runs differ: the confusion matrix of `b` minus that of `a`, on the images that both scored.

        Raises:
            OptionError: no such run, or one run twice. EvaluationError: they chose among different classes.

        >>> figure = store.plot.agreement("names", "photo")
        """
        from shotdex.analysis.image_plots import agreement_plot

        return drawn(how, lambda: agreement_plot(self._session.store, a, b))

    def counts(self, *, by: str = "condition", where: str | None = None, **how: Unpack[FigureKeywords]) -> Figure:
        """Return how many images each category has, stacked by condition or split; `counts_table` has the numbers."""
        from shotdex.analysis.plots import counts_plot

        return drawn(how, lambda: counts_plot(self._session.store, by, where))

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
        **how: Unpack[FigureKeywords],
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
        from shotdex.analysis.accuracy_plots import accuracy_plot

        named, columns = self._named(runs, how), columns_of(by)
        return drawn(how, lambda: accuracy_plot(self._session.store, named, columns, several(baselines), anyway))

    def confusion(
        self,
        *,
        run: str | None = None,
        k: int = 1,
        cells: Literal["both", "rates", "counts"] = "both",
        where: str | None = None,
        by: str | Sequence[str] = (),
        **how: Unpack[FigureKeywords],
    ) -> Figure:
        """Return which categories are mistaken for which.

        Args:
            run: a name or number; the newest run where None.
            k: the true category counts as predicted where it is among the k best, from 1.
            cells: what each cell shows.
            where: a SQL condition on the columns of `images`.
            by: columns of `images`, such as "condition": a matrix for each group, side by side.
            how: as for all figures; the `order` of the classes may also be "given" or "clustered", which is the default
                for more than 12.

        >>> figure = store.plot.confusion(run="photo", cells="counts")
        """
        from shotdex.analysis.plots import ConfusionOptions, confusion_plot

        named = self._named(run or (), how)
        given = how.get("order")
        order: Literal["given", "clustered"] | None = None
        if given == "given" or given == "clustered":
            order = cast(Literal["given", "clustered"], how.pop("order"))
        columns = columns_of(by)
        options = ConfusionOptions(named[0], k, cells, order, where, columns)
        return drawn(how, lambda: confusion_plot(self._session.store, options))

    def reliability(
        self,
        *,
        runs: str | Sequence[str] = (),
        bins: int = 15,
        where: str | None = None,
        anyway: bool = False,
        **how: Unpack[FigureKeywords],
    ) -> Figure:
        """Return how often the model is right at each confidence, in `bins` bins of equal width, 1 to 100.

        `runs` and `anyway` are as in `accuracy`, `where` as in `confusion`.

        >>> figure = store.plot.reliability(runs="photo")
        """
        from shotdex.analysis.plots import reliability_plot

        named = self._named(runs, how)
        return drawn(how, lambda: reliability_plot(self._session.store, named, bins, where, anyway))

    def selective(
        self,
        *,
        runs: str | Sequence[str] = (),
        where: str | None = None,
        anyway: bool = False,
        **how: Unpack[FigureKeywords],
    ) -> Figure:
        """Return the error rate of the surest images against their share, with the area under the curve (AURC).

        `runs` and `anyway` are as in `accuracy`, `where` as in `confusion`; `Run.selective` has the numbers.

        >>> figure = store.plot.selective(runs="photo")
        """
        from shotdex.analysis.plots import selective_plot

        named = self._named(runs, how)
        return drawn(how, lambda: selective_plot(self._session.store, named, where, anyway))

    def topk(self, *, runs: str | Sequence[str] = (), anyway: bool = False, **how: Unpack[FigureKeywords]) -> Figure:
        """Return how often the true category is among an image's k best, for every k; see `accuracy` for the rest."""
        from shotdex.analysis.plots import topk_plot

        named = self._named(runs, how)
        return drawn(how, lambda: topk_plot(self._session.store, named, anyway))

    def probe(self, found: Findings, **how: Unpack[FigureKeywords]) -> Figure:
        """Return the figure of a `store.probe(...)`: the accuracy of each method with its 95 % interval.

        >>> figure = store.plot.probe(store.probe(few_shot=[1], draws=2))
        """
        from shotdex.analysis.probe.compare import comparison_plot

        return drawn(how, lambda: comparison_plot(found.details))

    @takes(MapKeywords, FigureKeywords)
    def map(self, **options: Unpack[MapKeywords]) -> Figure:
        """Return a map in which images lie near those that they resemble; the coordinates are kept in the store.

        Args:
            options: the keywords of `MapKeywords`; `note` also hears how many images are left out.

        Raises:
            OptionError: options that do not go together. EmptyStore: there are no images. BadSql, EncoderMismatch.
        """
        from shotdex.analysis.figures.drawing import styled
        from shotdex.analysis.maps import MapOptions, draw_map
        from shotdex.analysis.projections import ProjectionOptions

        given = filled(Plots.map, options)
        where, run, color, seed = given["where"], given["run"], given["color"], given["seed"]
        if color in ("correct", "predicted", "confidence", "agreement") or given["prompts"]:
            run = self._named(run or (), options)[0]
        umap = given["neighbors"], given["min_dist"]
        mapped = MapOptions(
            Space(given["space"]),
            ProjectionOptions(given["method"], seed, *umap, given["perplexity"], metric=given["metric"]),
            color,
            given["thumbnails"],
            where,
            run,
            self._session.encoders.recognised(given["model"]),
            given["limit"],
            given["prompts"],
            given["against"],
        )
        with shown(given["progress"], "placing", " rounds") as bar, styled(style_of(options)) as drawing:
            figure, placed = draw_map(self._session.store, mapped, self._session.encoders, bar)
        tell(drawing, options)
        note = options.get("note") or _silent
        if placed.caption:
            note(placed.caption)
        note("coordinates from the store" if placed.reused else f"projected {len(placed.ids):,} images")
        if len(placed.ids) < placed.of:
            left_out = placed.of - len(placed.ids)
            note(f"a sample of {placed.of:,} images (seed {seed}); left out {left_out:,}; all: --limit {placed.of}")
        return figure

    def umap(self, **options: Any) -> Figure:
        """Return `map` with the method "umap"."""
        return self.map(method="umap", **options)

    def tsne(self, **options: Any) -> Figure:
        """Return `map` with the method "tsne"."""
        return self.map(method="tsne", **options)

    def _named(self, runs: str | Sequence[str], how: FigureKeywords) -> tuple[str, ...]:
        """Return the names of runs, or that of the newest, which is then said."""
        if names := several(runs):
            return names
        from shotdex.store.runs import find_run

        with self._session.store.reading() as con:
            newest = find_run(con, None).name
        how.get("note", _silent)(f"of the newest run: {newest}")
        return (newest,)


def _silent(_: str) -> None:
    pass

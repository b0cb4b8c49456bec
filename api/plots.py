"""Figures of a store: each function returns a matplotlib Figure, which a notebook shows as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shotdex.store.errors import OptionError
from shotdex.store.progress import Progress
from shotdex.store.types import Space

from .progress import shown

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
        """Return one sample image for each category and condition."""
        from shotdex.analysis.plots import samples_plot

        return samples_plot(self._session.store, where)

    def counts(self, *, by: str = "condition", where: str | None = None) -> Figure:
        """Return how many images each category has, stacked by condition or split."""
        from shotdex.analysis.plots import counts_plot

        return counts_plot(self._session.store, by, where)

    def accuracy(
        self,
        *,
        runs: Sequence[str] = (),
        by: Sequence[str] = ("condition",),
        baselines: Sequence[str] = (),
        anyway: bool = False,
    ) -> Figure:
        """Return accuracy@1 with 95 % intervals by columns of `images`, compared with imported baselines.

        Several runs are drawn on the images that all of them scored. `anyway` also draws those that chose among
        different classes, with every number marked; otherwise they are an error, as in the other figures.
        """
        from shotdex.analysis.plots import accuracy_plot

        return accuracy_plot(self._session.store, runs, (by,) if isinstance(by, str) else tuple(by), baselines, anyway)

    def confusion(self, *, run: str | None = None, k: int = 1, **options: Any) -> Figure:
        """Return which categories are taken for which; with `k` above 1 the truth counts if among the k best."""
        from shotdex.analysis.plots import ConfusionOptions, confusion_plot

        return confusion_plot(self._session.store, ConfusionOptions(run, k, **options))

    def reliability(
        self, *, runs: Sequence[str] = (), bins: int = 15, where: str | None = None, anyway: bool = False
    ) -> Figure:
        """Return how often the model is right at each confidence, in `bins` bins of equal width."""
        from shotdex.analysis.plots import reliability_plot

        return reliability_plot(self._session.store, runs, bins, where, anyway)

    def topk(self, *, runs: Sequence[str] = (), anyway: bool = False) -> Figure:
        """Return how often the true category is among an image's k best, for every k."""
        from shotdex.analysis.plots import topk_plot

        return topk_plot(self._session.store, runs, anyway)

    def map(
        self,
        *,
        method: str = "umap",
        seed: int = 0,
        color: str = "category",
        space: str = "joint",
        progress: bool | Progress = False,
        **options: Any,
    ) -> Figure:
        """Return a map in which images lie near those that they resemble.

        `method` is umap or tsne, `color` category, condition, split or correct, `space` joint or vision; the other
        `options` are fields of `shotdex.analysis.maps.MapOptions`: thumbnails, where, run, limit, prompts.
        """
        from shotdex.analysis.maps import MapOptions, draw_map
        from shotdex.analysis.projections import ProjectionOptions

        how = MapOptions(Space(space), ProjectionOptions(method, seed), color, **options)
        return draw_map(self._session.store, how, self._session.encoders, shown(progress, "placing", " rounds"))[0]

"""From many dimensions to two: t-SNE and UMAP over unit vectors, the same map every time."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.engines.flat import faiss_module
from shotdex.store.errors import OptionError
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.types import Vectors

Points = npt.NDArray[np.float64]
"""Places in the plane, shape (N, 2)."""

METHODS = ("umap", "tsne")

METRICS = ("euclidean", "cosine")

FEWEST = 10
"""Below this many images a neighbourhood says nothing: their first two principal components are drawn instead."""

TSNE_ROUNDS = 1000
"""Scikit-learn's default."""

ALL_PAIRS = 4096
"""Up to here neighbours are what UMAP itself finds, to the last bit; beyond, it would look for them approximately."""

CELLS = 2**22
"""Numbers of neighbours that are compared at a time, 32 MB of them."""

SPARE = 8
"""Neighbours that are found beyond those that are needed: near ties may stand in another order after rounding."""


@dataclass(frozen=True, slots=True)
class ProjectionOptions:
    """How to project. `neighbours` and `min_dist` are UMAP's, `perplexity` is t-SNE's; both take `seed` and `pca`.

    `neighbours` and `perplexity` are clipped to what N images allow. `pca` is the number of principal components
    that either method starts from (t-SNE's authors use 30 to 50; it removes noise and most of the time). `metric` is
    between them; with `cosine` they are made unit length, on which Euclidean distance has the same order.

    Raises:
        OptionError: an unknown method or a value out of range.
    """

    method: str = "umap"
    seed: int = 0
    neighbours: int = 15
    min_dist: float = 0.1
    perplexity: float = 30.0
    pca: int = 50
    metric: str = "euclidean"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise OptionError(f"unknown metric {self.metric!r}", f"choose one of {', '.join(METRICS)}")
        if self.method not in METHODS:
            raise OptionError(f"unknown projection {self.method!r}", f"choose one of {', '.join(METHODS)}")
        if self.neighbours < 2 or self.perplexity <= 1 or self.pca < 2:
            raise OptionError("a projection needs neighbours >= 2, perplexity > 1 and pca >= 2")
        if not 0 <= self.min_dist <= 1:
            raise OptionError(f"min_dist is {self.min_dist}, outside 0 to 1")
        if not 0 <= self.seed < 2**32:
            raise OptionError(f"seed is {self.seed}, outside 0 to 2**32 - 1")

    @property
    def key(self) -> dict[str, Any]:
        """What decides a kept projection, without the default metric: maps were kept before there was another."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("metric", "euclidean")}

    def describe(self, width: int) -> str:
        """Return in words what was done to vectors of `width` numbers."""
        before = f"reduced to {self.pca} principal components" if width > self.pca else f"{width} numbers each"
        how = (
            f"UMAP with {self.neighbours} neighbors and min_dist {self.min_dist:g}"
            if self.method == "umap"
            else f"t-SNE with perplexity {self.perplexity:g}"
        )
        return f"Vectors of unit length, {before}; {how}, {self.metric} distance, seed {self.seed}."


def project(vectors: Vectors, options: ProjectionOptions | None = None, progress: Progress | None = None) -> Points:
    """Place N vectors in the plane so that neighbours by cosine stay neighbours.

    Rows are made unit length first: then squared Euclidean distance is 2 - 2 cosine, and Euclidean neighbours, which
    both methods look for, are the cosine neighbours. Zero rows stay zero. The same input and options give the same
    output to the last bit on one machine. All N are projected: to draw fewer, pass fewer.

    Degenerate cases: no image gives (0, 2); one image, or images that are all the same, lie at the origin; two
    lie on a line; fewer than `FEWEST` are placed by principal components.

    Args:
        vectors: (N, D) float, finite.
        options: by default UMAP with its own defaults.
        progress: counts the rounds in which UMAP moves the points, after it has found neighbours; t-SNE is one step.

    Returns:
        (N, 2) float64, in no particular unit.

    Raises:
        ValueError: `vectors` is not a finite matrix.

    Sources: McInnes, Healy and Melville (2018), arXiv:1802.03426; van der Maaten and Hinton (2008), JMLR 9.
    """
    chosen = options or ProjectionOptions()
    rows = _unit(vectors)
    count = len(rows)
    if count < 2 or np.ptp(rows, axis=0).max(initial=0.0) < 1e-6:
        return np.zeros((count, 2))
    if count < FEWEST:
        return _padded(_principal(rows, 2, chosen.seed))
    reduced = _principal(rows, chosen.pca, chosen.seed) if rows.shape[1] > chosen.pca else rows
    if chosen.metric == "cosine":
        reduced = reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-12)
    return _umap(reduced, chosen, progress) if chosen.method == "umap" else _tsne(reduced, chosen, progress)


def _unit(vectors: Vectors) -> Vectors:
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(f"vectors of shape {rows.shape} are not a finite matrix")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _principal(rows: Vectors, components: int, seed: int) -> Vectors:
    from sklearn.decomposition import PCA

    pca = PCA(n_components=min(components, *rows.shape), random_state=seed)
    scores: Vectors = pca.fit_transform(rows)
    return scores


def _padded(scores: Vectors) -> Points:
    """Give one-dimensional scores a second coordinate of zero."""
    return np.pad(scores.astype(np.float64), ((0, 0), (0, 2 - scores.shape[1])))


class _Rounds(io.TextIOBase):
    """The file to which UMAP's tqdm bar writes `done/total`; passes it on to a `Progress`. UMAP has no callback."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = -1

    def write(self, text: str, /) -> int:
        """Take what tqdm writes; cursor movements are ignored."""
        done, _, total = text.strip().partition("/")
        if total:
            if self._done < 0:
                self._progress.start(int(total))
                self._done = 0
            self._progress.advance(int(done) - self._done)
            self._done = int(done)
        return len(text)


def _tqdm_arguments(progress: Progress) -> dict[str, Any]:
    return {"file": _Rounds(progress), "disable": False, "bar_format": "{n_fmt}/{total_fmt}", "mininterval": 0.1}


def _umap(rows: Vectors, options: ProjectionOptions, progress: Progress | None) -> Points:
    # UMAP warns of a missing TensorFlow, of its own thread count and of spectral fallbacks on tied rows: nothing that
    # a user of ours can act on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        _keep_compiled()
        neighbours = min(options.neighbours, len(rows) - 1)
        reducer = UMAP(
            n_neighbors=neighbours,
            min_dist=options.min_dist,
            metric="euclidean",
            random_state=options.seed,
            n_jobs=1,  # what a fixed random_state forces anyway
            # UMAP itself calls a Python function for each pair of few, and of many compiles its search for 20 to 60 s.
            precomputed_knn=(_nearest if len(rows) < ALL_PAIRS else _nearest_of_many)(rows, neighbours),
            tqdm_kwds=None if progress is None else _tqdm_arguments(progress),
        )
        return np.asarray(reducer.fit_transform(rows), dtype=np.float64)


def _nearest(rows: Vectors, count: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the numbers of each row's nearest rows, itself among them, and their distances; of equal ones the first.

    They are what UMAP itself finds, to the last bit: a rounding would end in another map.
    """
    from scipy.spatial.distance import cdist
    from umap.distances import named_distances

    found = np.empty((len(rows), count), dtype=np.int32)
    distances = np.empty((len(rows), count), dtype=np.float32)
    for row, vector in enumerate(rows):
        near = np.sort(cdist(vector[None], rows)[0].argsort(kind="stable")[: count + SPARE])
        exact = np.array([named_distances["euclidean"](vector, rows[other]) for other in near])
        order = exact.argsort(kind="stable")[:count]
        found[row], distances[row] = near[order], exact[order]
    return found, distances


def _nearest_of_many(rows: Vectors, count: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the same, but of more than `SPARE` equal ones any: found by FAISS, measured again without its rounding."""
    index = faiss_module().IndexFlatL2(rows.shape[1])
    index.add(np.ascontiguousarray(rows, dtype=np.float32))
    found = np.empty((len(rows), count), dtype=np.int32)
    distances = np.empty((len(rows), count), dtype=np.float32)
    more = min(count + SPARE, len(rows))
    step = max(1, CELLS // (more * rows.shape[1]))
    for start in range(0, len(rows), step):
        part = np.ascontiguousarray(rows[start : start + step], dtype=np.float32)
        near = np.sort(index.search(part, more)[1], axis=1)
        exact = np.linalg.norm(rows[near].astype(np.float64) - part[:, None], axis=2)
        order = exact.argsort(axis=1, kind="stable")[:, :count]
        found[start : start + step] = np.take_along_axis(near, order, axis=1)
        distances[start : start + step] = np.take_along_axis(exact, order, axis=1)
    return found, distances


def _keep_compiled() -> None:
    """Cache on disk what UMAP would compile again in every process, in 10 to 20 s; it caches its other parts itself."""
    from umap import layouts, umap_

    for name in ("smooth_knn_dist", "compute_membership_strengths"):
        # Another version of UMAP may name them differently, and the cache may not be writable.
        with suppress(AttributeError, RuntimeError):
            getattr(umap_, name).enable_caching()
    with suppress(AttributeError, RuntimeError):
        layouts._nb_optimize_layout_euclidean_single_epoch.enable_caching()


def _tsne(rows: Vectors, options: ProjectionOptions, progress: Progress | None) -> Points:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # t-SNE looks at 3 x perplexity neighbours, so more than (N - 1) / 3 cannot be met.
    perplexity = min(options.perplexity, (len(rows) - 1) / 3)
    tsne = TSNE(
        perplexity=perplexity, init="pca", learning_rate="auto", random_state=options.seed, max_iter=TSNE_ROUNDS
    )
    # scikit-learn has no callback and no bar for the rounds, only printed lines: they are one step of the progress.
    shown = progress or NoProgress()
    shown.start(1)
    # Threads add up their parts of the gradient in the order in which they finish: with one the sum is always the same.
    with threadpool_limits(1, user_api="openmp"):
        points = np.asarray(tsne.fit_transform(rows), dtype=np.float64)
    shown.advance(1)
    return points

"""The map: every image a point or a thumbnail, near what it resembles; coordinates are cached in the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shotdex.models.protocols import Encoder, LoadEncoder
from shotdex.query.text_lookup import text_vectors
from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder, list_encoders
from shotdex.store.errors import ModelUnavailable, OptionError, StoreError
from shotdex.store.ids import encoded_ids
from shotdex.store.progress import Progress
from shotdex.store.projections import ProjectionKey, digest_ids, load_projection, save_projection
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Combine, EncoderId, Ids, Run, Space, Vectors
from shotdex.store.vectors import load_vectors

from .drawn_runs import about_images, about_runs, no_images
from .figures.drawing import About, check_order, signed
from .figures.map_extras import MapExtras
from .figures.map_points import CONFIDENCES, point_map
from .figures.map_thumbnails import thumbnail_map
from .modality import modality_gap
from .projections import ProjectionOptions, project
from .scoring import class_means
from .thumbnails import load_thumbnails

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST = 40
"""More texts than this cannot be distinguished on a map."""


@dataclass(frozen=True, slots=True)
class MapTexts:
    """T texts and what they are compared with as: `labels`, and `vectors` (T, D) of unit rows."""

    labels: tuple[str, ...]
    vectors: Vectors


def map_texts(store: Store, run_name: str | None, encoder_id: int, load: LoadEncoder) -> MapTexts:
    """Return what a run's images were compared with: one vector a class, or with `max` every prompt.

    Raises:
        OptionError: no such run, one of another encoder, or more than `MOST` texts.
    """
    with store.reading() as con:
        run = find_run(con, run_name)
        prompts = load_prompt_set(con, run.prompt_set_id)
        encoder = list_encoders(con)[encoder_id]
    if run.encoder_id != encoder_id:
        raise OptionError(
            f"the run {run.name!r} was made with a different encoder than the map",
            "choose a run of this encoder: --run RUN",
        )
    texts = [text for own in prompts.classes.values() for text in own]
    whole = prompts.combine is Combine.MEAN
    labels = tuple(prompts.classes) if whole else tuple(texts)
    if len(labels) > MOST:
        raise OptionError(
            f"a map shows at most {MOST} prompts, and the run has {len(labels)}",
            "choose a run with fewer prompts: --run RUN",
        )
    vectors = text_vectors(store, encoder_id, encoder, texts, load)
    sizes = [len(own) for own in prompts.classes.values()]
    return MapTexts(labels, class_means(vectors, sizes) if whole else vectors)


COLOURS = ("category", "condition", "split", "correct", "predicted", "confidence", "agreement")
THUMBNAIL = 200
"""Pixels: the longest side at which images are read for a map; none is drawn larger."""


LIMITS = {"umap": 20_000, "tsne": 5_000}
"""Images that a map has at most by default: some to place in a minute or two on two cores."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """Which map. Above `limit` images a seeded sample of that many is drawn, and the title says so; see `LIMITS`.

    `against` is the second run where colours stand for the agreement of two.
    With `prompts` the texts of the run are projected together with the images and drawn in.
    """

    space: Space = Space.JOINT
    projection: ProjectionOptions = field(default_factory=ProjectionOptions)
    colour: str = "category"
    thumbnails: bool = False
    where: str | None = None
    run: str | None = None
    encoder_name: str | None = None
    limit: int | None = None
    prompts: bool = False
    against: str | None = None


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Images placed in the plane: ids (N,), xy (N, 2), of how many in all, and whether they were kept already.

    `texts` are prompts with their places, and `caption` says what to make of them, where they were asked for.
    """

    ids: Ids
    xy: npt.NDArray[np.float64]
    of: int
    reused: bool
    encoder: str
    texts: tuple[tuple[str, tuple[float, float]], ...] = ()
    caption: str = ""


def coordinates(store: Store, options: MapOptions, progress: Progress | None = None) -> Coordinates:
    """Return the coordinates of a map, from the catalog where the same map was made before.

    Raises:
        EmptyStore: the filter leaves no image.
        OptionError, BadSql.
    """
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, options.encoder_name)
        every = encoded_ids(con, encoder_id, options.where)
        if not len(every):
            raise no_images(con, options.where)
        ids = _drawn(every, options)
        key = ProjectionKey(
            encoder_id,
            options.space,
            options.projection.method,
            options.projection.key,
            options.where,
            digest_ids(ids),
        )
        kept = load_projection(con, key)
        if kept is not None:
            return Coordinates(ids, kept, len(every), True, encoder.name)
        _, vectors = load_vectors(con, encoder_id, encoder, options.space, ids)
    xy = project(vectors, options.projection, progress)
    try:
        with store.writing() as con:
            save_projection(con, key, ids, xy)
    except StoreError:  # a store that cannot be written to can still be drawn
        pass
    return Coordinates(ids, xy, len(every), False, encoder.name)


def _drawn(ids: Ids, options: MapOptions) -> Ids:
    limit = LIMITS[options.projection.method] if options.limit is None else options.limit
    if limit < 1:
        raise OptionError(f"cannot draw {limit} images", "pass a limit of at least 1")
    if len(ids) <= limit:
        return ids
    return np.sort(np.random.default_rng(options.projection.seed).choice(ids, limit, replace=False))


def _no_model(encoder: EncoderId) -> Encoder:
    raise ModelUnavailable(f"the prompts must be encoded with {encoder.name}", "pass `load` to draw_map")


def coordinates_with_prompts(
    store: Store, options: MapOptions, load: LoadEncoder, progress: Progress | None = None
) -> Coordinates:
    """Return the coordinates of images and of a run's prompts, projected together; they are not kept.

    Raises:
        OptionError: another space than `joint`, in which alone texts have vectors, or no fitting run.
        EmptyStore, BadSql.
    """
    if options.space is not Space.JOINT:
        raise OptionError("prompts have no place in the vision space", "use --space joint, or leave out --prompts")
    with store.reading() as con:
        encoder_id, encoder = choose_encoder(con, options.encoder_name)
        every = encoded_ids(con, encoder_id, options.where)
        if not len(every):
            raise no_images(con, options.where)
    ids = _drawn(every, options)
    texts = map_texts(store, options.run, encoder_id, load)
    with store.reading() as con:
        ids, images = load_vectors(con, encoder_id, encoder, Space.JOINT, ids)
    xy = project(np.concatenate([images, texts.vectors]), options.projection, progress)
    places = [(float(x), float(y)) for x, y in xy[len(ids) :]]
    drawn = tuple(zip(texts.labels, places, strict=True))
    caption = str(modality_gap(images, texts.vectors))
    return Coordinates(ids, xy[: len(ids)], len(every), False, encoder.name, drawn, caption)


def draw_map(
    store: Store, options: MapOptions, load: LoadEncoder | None = None, progress: Progress | None = None
) -> tuple[Figure, Coordinates]:
    """Draw a map and return it with its coordinates.

    `load` is needed for prompts that the store has not met; `progress` counts the rounds of the projection.

    Raises:
        OptionError: nothing to colour by, or no run to say what is correct.
        EmptyStore, BadSql; UnreadableImage only where no image at all can be read.
    """
    if options.colour not in COLOURS:
        raise OptionError(f"cannot colour by {options.colour!r}", f"colour by one of: {', '.join(COLOURS)}")
    labels_of, run_name = _labels(store, options)
    if options.prompts:
        placed = coordinates_with_prompts(store, options, load or _no_model, progress)
    else:
        placed = coordinates(store, options, progress)
    labels = [labels_of.get(image_id) for image_id in placed.ids.tolist()]
    check_order(sorted({name for name in labels if name is not None}))
    title = _title(options, placed, "")
    about = _about(store, options, placed, run_name)
    caption = " ".join(part for part in (options.projection.describe(_width(store, options)), placed.caption) if part)
    extras = MapExtras(placed.texts, caption)
    if not options.thumbnails:
        with signed(about):
            return point_map(placed.xy, labels, title, options.colour, extras), placed
    thumbnails = load_thumbnails(store, placed.ids, THUMBNAIL)
    drawn = [i for i, thumbnail in enumerate(thumbnails) if thumbnail is not None]
    images = [thumbnail for thumbnail in thumbnails if thumbnail is not None]
    frames = [labels[i] for i in drawn] if any(labels) else None  # without labels frames would say nothing
    with signed(about):
        return thumbnail_map(placed.xy[drawn], images, frames, title, options.colour, extras), placed


def _about(store: Store, options: MapOptions, placed: Coordinates, run_name: str) -> About:
    with store.reading() as con:
        if run_name or options.prompts:
            return about_runs(con, [find_run(con, options.run)], len(placed.ids), where=options.where)
        return about_images(con, len(placed.ids), options.where, placed.encoder)


def _labels(store: Store, options: MapOptions) -> tuple[dict[int, str | None], str]:
    with store.reading() as con:
        if options.colour in ("category", "condition", "split"):
            return dict(con.rows(f"SELECT image_id, {options.colour} FROM images")), ""
        run = find_run(con, options.run)
        query = "SELECT image_id, correct, predicted, probability FROM outcomes WHERE run_id = $run"
        rows: Sequence[tuple[int, bool | None, str, float]] = con.rows(query, {"run": run.run_id})
        if options.colour == "agreement":
            return _agreement(con, run, rows, options.against), run.name
    words = {True: "correct", False: "wrong", None: None}
    if options.colour == "correct":
        return {image_id: words[correct] for image_id, correct, _, _ in rows}, run.name
    if options.colour == "predicted":
        return {image_id: predicted for image_id, _, predicted, _ in rows}, run.name
    return {image_id: CONFIDENCES[min(int(sure * 5), 4)] for image_id, _, _, sure in rows}, run.name


def _agreement(
    con: Connection, run: Run, rows: Sequence[tuple[int, bool | None, str, float]], against: str | None
) -> dict[int, str | None]:
    """Return for each image which of two runs is right; None where that is not known.

    Raises:
        OptionError: no second run is named.
    """
    if against is None:
        raise OptionError("colouring by agreement needs two runs", "choose the second: --against RUN")
    other = find_run(con, against)
    query = "SELECT image_id, correct FROM outcomes WHERE run_id = $run"
    second: dict[int, bool | None] = dict(con.rows(query, {"run": other.run_id}))
    words = {
        (True, True): "both right",
        (True, False): f"only {run.name} right",
        (False, True): f"only {other.name} right",
        (False, False): "both wrong",
    }
    return {
        image_id: words.get((right, second[image_id]))  # type: ignore[arg-type]
        for image_id, right, _, _ in rows
        if image_id in second
    }


def _width(store: Store, options: MapOptions) -> int:
    """Return how many numbers the vectors of a map have."""
    with store.reading() as con:
        _, encoder = choose_encoder(con, options.encoder_name)
    return encoder.dim if options.space is Space.JOINT else encoder.vision_dim


def _title(options: MapOptions, placed: Coordinates, run_name: str) -> str:
    method = {"umap": "UMAP", "tsne": "t-SNE"}[options.projection.method]
    drawn = f"{len(placed.ids):,}" + (f" of {placed.of:,}" if len(placed.ids) < placed.of else "")
    run = f", run “{run_name}”" if run_name else ""
    return f"{method} of {drawn} images, {options.space} space of {placed.encoder.rsplit('/', 1)[-1]}{run}"

"""Keywords that several methods take: each has its type, default and meaning here, once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

from shotdex.store.progress import Progress
from shotdex.store.types import PIXEL_LIMIT, WEB_FILES, WEB_SECONDS, Limits

if TYPE_CHECKING:
    from shotdex.models.own_encoder import AnyModel, NewModel

Note = Callable[[str], None]

ImageSource = str | os.PathLike[str] | bytes
"""A path or URL of an image, or the bytes of its file."""


class SourceKeywords(TypedDict, total=False):
    """How the images of a source are read, labelled and encoded.

    model: a hub name, a local folder, "demo", or an object with `id`, `encode_images` and `encode_texts`; None: the
        store's, or the default model if it has none.
    layout: the meaning of path parts, such as "{condition}/{category}*".
    categories: the category is the longest of these that a file's name starts with as a word, else the nearest folder
        of that name; with a layout, the possible values of its {category}.
    category, condition, split: the label of all images.
    columns: which columns of a manifest have which role: {"image": "file", "category": "label"}.
    labels_as_written: keep the text of cells: nan, NA, N/A, null and None are labels, 3.0 is not 3. None, here and for
        the next two: as last time, or the default.
    all_folders: include hidden folders and the system folders of NAS devices, phones and desktops.
    zip_names: the encoding of names in zip files that do not say theirs: "gbk".
    exclude: glob patterns of images to leave out, as in .gitignore: "*.png" and "drafts" match names anywhere,
        "2021/raw/*" starts at the source, and `**` also matches slashes; "" excludes none. None: as last time.
    precision: float32, bf16, fp16 or auto. None: the store's, else float32.
    batch_size: number of images that the model encodes at once; None chooses automatically.
    max_pixels: larger images become failures; 0 lifts the limit.
    max_seconds: time limit for decoding an image, in seconds; 0 lifts it.
    all_formats: read every format that Pillow can open, including those whose damage cannot be detected.
    web_timeout: seconds within which a web server must begin its response, which must then continue at 10 kB per
        second; a whole response may take 120 times as long. 0 lifts these limits.
    web_files: how many files and folders a folder on a web server may list in total. 0 lifts this limit, and those on
        the size of a page, on nested folders and on archives whose size the server does not state.
    progress: True shows a progress bar; or an object with `start(total)` and `advance(count)`.
    note: called with sentences about the work: which model is loaded, how the first images are labelled.
    """

    model: NewModel | None
    layout: str | None
    categories: Sequence[str] | None
    category: str | None
    condition: str | None
    split: str | None
    columns: Mapping[str, str] | None
    labels_as_written: bool | None
    all_folders: bool | None
    zip_names: str | None
    exclude: str | Sequence[str] | None
    precision: str | None
    batch_size: int | None
    max_pixels: int
    max_seconds: float
    all_formats: bool
    web_timeout: float
    web_files: int
    progress: bool | Progress
    note: Note | None


class PreviewKeywords(SourceKeywords, total=False):
    """What `Session.preview` takes, too.

    compile: compile the model first, which pays off on a GPU.
    max_failures: stop after more than this many failures; `strict` stops at the first.
    strict: stop at the first failure.
    prune: afterwards delete what has disappeared from its source.
    gone: accept that the source, or a folder in it, has disappeared or lost most of its images. Without it, that is an
        error and nothing changes, since a disk may not be mounted; and `prune` never deletes most of a source.
    refresh: "metadata" only rereads the EXIF data of indexed files, and encodes nothing; options other than `exclude`
        then have no effect.
    """

    compile: bool
    max_failures: int | None
    strict: bool
    prune: bool
    gone: bool
    refresh: str | None


class IndexKeywords(PreviewKeywords, total=False):
    """What only `Session.index` takes.

    vectors_from: vectors computed elsewhere: a column of `source`, which is then a Parquet, CSV or JSONL file of
        images, or a .npy file with a row of numbers for each of its rows; no model is loaded. Of the other arguments,
        only `encoder`, `columns` and `progress` have an effect; see docs/exchange.md.
    encoder: the encoder of these vectors: the name of one in the store, of a model, or any new name.
    vectors: where to keep the vectors of shards: "catalog", or "shards", for which `source` is a folder or bucket with
        shards that stay in place: the catalog then records the file and row of each; see docs/shards.md.
    runner: who computes: "local" is this process, "ray" the workers of a Ray cluster; see docs/shards.md.
    ray_address: the address of that cluster: "127.0.0.1:6379" or "auto"; None starts one on this machine for this call.
        An address outside this machine needs Ray's token authentication (`RAY_AUTH_MODE=token`).
    workers: maximum number of workers, from 1; None: as many as fit.
    gpus_per_worker: GPUs of each worker, from 0, possibly a fraction; None: 1 if the cluster has GPUs, else 0.
    cpus_per_worker: CPUs of each worker, from 1; None: 1. This is also the number of images decoded at once (at least
        two) and of the model's threads. An A100 with ViT-B/32 needs about 20.
    out: where workers write shards: a folder visible to all nodes, or an s3:// or gs:// prefix; None: the folder
        `shards` of the store.
    part_rows: number of images in a worker's task, from 1 to 262,144; None: a 64th of the source, from 256 to 16,384.
    """

    vectors_from: str | os.PathLike[str] | None
    encoder: str | None
    vectors: str
    runner: str
    ray_address: str | None
    workers: int | None
    gpus_per_worker: float | None
    cpus_per_worker: int | None
    out: str | os.PathLike[str] | None
    part_rows: int | None


class FilterKeywords(TypedDict, total=False):
    """Which images: the keywords of `shotdex.where`; all of them must hold.

    after: the earliest time at which an image was taken, by its camera's clock: the start of a year, month, day or
        minute, such as "2021", "2021-07", "2021-07-04" or "2021-07-04T12:30".
    before: the time before which it was taken, not including that year, month or day.
    camera: a part of the camera's name, ignoring case; if there are several, any of them.
    near: a latitude and a longitude in degrees, negative for south and west: "48.86,2.29".
    within: the distance from there, a number of kilometres or a string with a unit: "2km", "500m", "1mi". None: 1 km.
    folder: a folder or archive (if it no longer exists, its name or the end of its path), or "@name", a saved
        selection. Several: any of them.
    category, condition: a label, or several, any of which must match.
    run: a run that classified the image, by name or number.
    wrong, right: only images that the run (default: the newest) got wrong, or right.
    """

    after: str | datetime | None
    before: str | datetime | None
    camera: str | Sequence[str]
    near: str | tuple[float, float] | None
    within: str | float | None
    folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    category: str | Sequence[str]
    condition: str | Sequence[str]
    run: str | int | None
    wrong: bool
    right: bool


class SearchKeywords(FilterKeywords, total=False):
    """What `Session.search` takes.

    minus: texts to subtract.
    image: a path, a URL or the bytes of an image file to look for, or several.
    like: the id of an indexed image to look for, the name of a saved selection, or several.
    where: a SQL condition on the columns of `images`; `@name` in it stands for a saved selection.
    k: number of hits, at least 1; there are fewer only if the filter or a threshold leaves fewer.
    least: find the least similar images instead, lowest cosine first.
    min_score: leave out hits with a lower cosine, in [-1, 1].
    min_z: leave out hits with a lower `z`: the number of standard deviations above the mean of all images for this
        query, which is comparable between texts, images and models; 3 is a strict bound.
    space: "joint", or "vision", where images that look alike are near, regardless of their subject; it has no texts.
    with_itself: keep the query images among the hits.
    model: one of the store's encoders, by name, number or object; required if there are several.
    exact: compare with every image, even if there is an approximate index.
    engine: "faiss", "milvus" (see `add_engine`), or "auto": Milvus if it was added and is ready, else FAISS, as the
        result's `notes` say.
    max_pixels: a larger `image` is an error, unless it or one as large is indexed; 0 lifts the limit.
    skip: number of best hits to skip, for the next page.
    sort: the order of the k hits: "score", "taken_at" (oldest first) or "path".
    group_by: "category", "condition" or "split": hits with the same label are together, the group of the best hit
        first.
    collapse: show only the best hit of near-duplicates; the result's `more` has the number of others. These are hits
        whose cosine with it reaches the threshold of `duplicates`.
    """

    minus: str | Sequence[str]
    image: ImageSource | Sequence[ImageSource]
    like: int | str | Sequence[int | str]
    where: str | None
    k: int
    least: bool
    min_score: float | None
    min_z: float | None
    space: str
    with_itself: bool
    model: AnyModel | None
    exact: bool
    engine: str
    max_pixels: int
    skip: int
    sort: str
    group_by: str | None
    collapse: bool


DEFAULTS: dict[type, dict[str, Any]] = {
    SourceKeywords: {
        "max_pixels": Limits().pixels,
        "max_seconds": Limits().seconds,
        "web_timeout": WEB_SECONDS,
        "web_files": WEB_FILES,
        "progress": False,
    },
    IndexKeywords: {"runner": "local", "vectors": "catalog"},
    FilterKeywords: dict.fromkeys(("camera", "folder", "category", "condition"), ()),
    SearchKeywords: dict.fromkeys(("minus", "image", "like"), ())
    | {"k": 10, "space": "joint", "engine": "auto", "max_pixels": PIXEL_LIMIT, "skip": 0, "sort": "score"},
}
"""Defaults other than None, and False for what is True or False."""

Method = TypeVar("Method", bound=Callable[..., Any])
Keywords = TypeVar("Keywords", bound=Mapping[str, object])


def takes(*kinds: type) -> Callable[[Method], Method]:
    """Return a decorator that spells out a function's `**options` in its signature and docstring, for `help`.

    The body calls `filled`. A line that begins with `options:` in the docstring is replaced by their meanings.
    """
    names = [kind.__annotations__.keys() for kind in kinds]
    spelled: list[inspect.Parameter] = []
    meanings: list[str] = []
    for kind in kinds:
        inherited = {name for other in names if other < kind.__annotations__.keys() for name in other}
        for name in (name for name in kind.__annotations__ if name not in inherited):
            annotation = kind.__annotations__[name].__forward_arg__
            default = DEFAULTS.get(kind, {}).get(name, False if annotation == "bool" else None)
            spelled.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )
        meanings += (inspect.getdoc(kind) or "").splitlines()[2:]

    def spell_out(function: Method) -> Method:
        signature = inspect.signature(function)
        *own, options = signature.parameters.values()
        vars(function)["__signature__"] = signature.replace(parameters=[*own, *spelled])
        vars(function)["defaults"] = {one.name: one.default for one in spelled}
        lines = (function.__doc__ or "").split("\n")
        for place, line in enumerate(lines):
            if line.lstrip().startswith(f"{options.name}: "):
                indent = line[: len(line) - len(line.lstrip())]
                lines[place : place + 1] = [indent + one for one in meanings]
                break
        function.__doc__ = "\n".join(lines)
        return function

    return spell_out


def filled(function: Callable[..., Any], given: Keywords) -> Keywords:
    """Return the `**options` of a function with `takes`, those that were not given with their defaults.

    Raises:
        TypeError: it takes no such keyword.
    """
    defaults = vars(function)["defaults"]
    for name in given:
        if name not in defaults:
            near = get_close_matches(name, inspect.signature(function).parameters, 2, 0.7)
            meant = f". Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise TypeError(f"{function.__qualname__}() got an unexpected keyword argument {name!r}{meant}")
    return cast("Keywords", {**defaults, **given})


def chosen(given: Mapping[str, object], kind: type) -> dict[str, Any]:
    """Return those of some keywords that are fields of `kind`, a dataclass or further keywords."""
    return {name: given[name] for name in kind.__annotations__ if name in given}


def several(named: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names that a keyword was given, one or several."""
    return (named,) if isinstance(named, str) else tuple(named)


def columns_of(by: str | Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a keyword was given: several, or one text with commas."""
    from shotdex.analysis.results import split_columns

    return split_columns(by) if isinstance(by, str) else tuple(by)

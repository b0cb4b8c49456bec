"""The types of shotdex: small, frozen, typed. Every layer uses these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Rows of float32, shape (N, D)."""

Ids = npt.NDArray[np.int64]
"""Image ids, shape (N,)."""


class Space(StrEnum):
    """Which vectors: `joint` is compared with text; `vision` is the image tower before its projection."""

    JOINT = "joint"
    VISION = "vision"


class Precision(StrEnum):
    """The number format that a model computes in; stored vectors are always float32."""

    FLOAT32 = "float32"
    BF16 = "bf16"
    FP16 = "fp16"


class Pooling(StrEnum):
    """How the image tower's tokens become its `vision` vector: their mean, or the tower's own pooled token."""

    MEAN = "mean"
    CLS = "cls"


class Combine(StrEnum):
    """How several prompts of one class become one score: mean of unit vectors, made unit again, or the best prompt."""

    MEAN = "mean"
    MAX = "max"


class Reason(StrEnum):
    """Why an image could not be indexed: the whole list."""

    EMPTY = "empty file"
    NOT_AN_IMAGE = "not an image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    UNSUPPORTED = "unsupported format"
    UNREADABLE = "unreadable"
    BAD_NAME = "name is not UTF-8"
    MODEL_OUTPUT = "model output invalid"


BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes above which a file or an archive's member is not read as an image: half a GiB, far above any camera's."""

PIXEL_LIMIT = 178_956_970
"""Pixels above which an image is refused: Pillow's own bound for a decompression bomb."""


WEB_SECONDS, WEB_FILES = 30.0, 100_000
"""How long a web server may take to begin its answer, and how many files and folders a folder there may list."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image may cost: `pixels` it may have, `seconds` to decode it, `bytes` of its file; None means no limit.

    The seconds count where images are decoded in processes of their own, while indexing. With `all_formats` Pillow
    decides which formats are read, instead of the list of those that are checked for being whole.
    """

    pixels: int | None = PIXEL_LIMIT
    seconds: float | None = 30.0
    bytes: int | None = BYTES_LIMIT
    all_formats: bool = False


def over(count: int, limit: int, what: str) -> str:
    """Return the detail of a failure: so many pixels or bytes are more than a limit, and which option lifts it."""
    return f"{count:,} {what} are more than {limit:,}; --max-pixels 0 lifts the limit"


@dataclass(frozen=True, slots=True)
class EncoderId:
    """What makes two vectors comparable: everything that, changed, changes a vector.

    `weights_sha256` and `preprocessing_sha256` are hex digests; `dim` and `vision_dim` the lengths of joint and vision
    vectors; `pooling` says how the vision vector was made. `logit_scale` (already exponentiated, > 0) and `logit_bias`
    turn cosines into probabilities, with softmax or, where `sigmoid`, the logistic function (SigLIP).
    """

    name: str
    revision: str
    weights_sha256: str
    preprocessing_sha256: str
    precision: Precision
    dim: int
    vision_dim: int
    pooling: Pooling = Pooling.MEAN
    logit_scale: float = 100.0
    logit_bias: float = 0.0
    sigmoid: bool = False

    def key(self) -> tuple[str, str, str, str]:
        """Return the part that decides equality: weights, preprocessing, precision, pooling."""
        return (self.weights_sha256, self.preprocessing_sha256, self.precision.value, self.pooling.value)

    def __str__(self) -> str:
        return f"{self.name} ({self.precision}, {self.dim}-d, weights {self.weights_sha256[:8]})"


@dataclass(frozen=True, slots=True)
class Photo:
    """What a camera wrote into an image's file (EXIF); None where it says nothing, or nothing that can be true.

    `taken_at` is what the camera's clock showed, without a zone. `latitude` and `longitude` are in degrees, south and
    west below zero; both are there, or neither. `exif` is the rest, as the text of a JSON object.
    """

    taken_at: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    exif: str = "{}"


NOTHING_SAID = Photo()
"""Of a file without a block that can be read."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be indexed: a row, not a log line. `stage` is scan, read, decode or encode."""

    path: str
    stage: str
    reason: Reason
    detail: str


@dataclass(slots=True)
class LeftOut:
    """What an indexing left out: `kind` is a value of `media.sources.left_out.Left`.

    `paths` are the first ten thousand; `extensions` counts other files by the ends of their names, the most frequent.
    """

    kind: str
    count: int = 0
    paths: list[str] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class IndexReport:
    """What one indexing did, in images. `seconds` is wall-clock time; `notes` say what was assumed.

    `failures` are the first thousand of the `failed`; `reasons` counts them all by reason. `unlabelled` are the
    source's images in the store that have no category; `relabelled` are unchanged but for what their source says;
    `encoded` are unchanged, too, and have the vectors of a further encoder now. `source` and `kind` say what was
    indexed, `encoder` with what. `left_out` is what was not taken for an image. `unlabelled_files` are the paths of the
    first hundred thousand `unlabelled`.
    """

    added: int = 0
    unchanged: int = 0
    moved: int = 0
    changed: int = 0
    removed: int = 0
    failed: int = 0
    unlabelled: int = 0
    ignored: int = 0
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    reasons: Mapping[str, int] = field(default_factory=dict)
    relabelled: int = 0
    encoded: int = 0
    source: str = ""
    kind: str = ""
    encoder: EncoderId | None = None
    left_out: tuple[LeftOut, ...] = ()
    unlabelled_files: tuple[str, ...] = ()

    @property
    def counts(self) -> str:
        """How many images were added, changed and so on, and in how many seconds, in one line."""
        counts = {
            "added": self.added,
            "unchanged": self.unchanged,
            "changed": self.changed,
            "moved": self.moved,
            "unchanged and encoded with another model": self.encoded,
            "with other labels": self.relabelled,
            "gone": self.removed,
            "failed": self.failed,
        }
        shown = ", ".join(f"{n:,} {word}" for word, n in counts.items() if n or word in ("added", "unchanged"))
        return f"{shown} in {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"<IndexReport of {self.source!r}: {self.counts}>"


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Classes with their prompts, spelled out: `classes` maps a class to the texts that stand for it, in order.

    `templates` and `source` record where the texts came from. `aliases` maps a class to further labels under which
    images have it. `sha256` is over what decides the numbers: classes, prompts, `combine` and aliases.
    """

    name: str
    classes: Mapping[str, tuple[str, ...]]
    combine: Combine = Combine.MEAN
    templates: tuple[str, ...] = ()
    source: str = ""
    sha256: str = ""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One classification: which encoder, which prompts, which images, and what it counted.

    `images` were in the filter, `scored` have predictions, `unlabelled` of them have no category, `outside` have one
    that is not among the classes, `failed` could not be indexed and so could not be scored. `data_sha256` is over the
    scored images' contents, `labels_sha256` over their contents and categories (see `analysis/run_digests.py`);
    both are empty in runs older than they are. `seed` is that of every random draw made about the run.
    """

    run_id: int
    name: str
    encoder_id: int
    prompt_set_id: int
    where: str | None
    k: int
    images: int
    scored: int
    unlabelled: int
    outside: int
    failed: int
    started_at: datetime
    seconds: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    data_sha256: str = ""
    labels_sha256: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its uncertainty: `low` and `high` bound the 95 % interval that `method` gives; `n` is the count."""

    value: float
    low: float
    high: float
    n: int
    method: str


@dataclass(frozen=True, slots=True)
class ImageVectors:
    """Both spaces of a batch: `joint` (N, D) float32 with unit rows, `vision` (N, V) float32 as the tower gives it."""

    joint: Vectors
    vision: Vectors

"""Images classified as they are, without a store: `classify_images`, and what it returns."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from shotdex.store.errors import (
    EmptyStore,
    EncoderMismatch,
    ModelUnavailable,
    OptionError,
    ShotdexError,
    UnreadableImage,
)
from shotdex.store.types import EncoderId, PromptSet

from .formatting import bars, shown_path, visible
from .hits import THUMBNAILS, encoded_thumbnails
from .keywords import filled, takes
from .result_keywords import ClassifyImagesKeywords
from .tabular import Tabular

if TYPE_CHECKING:
    from PIL import Image

    from shotdex.models.own_encoder import AnyModel
    from shotdex.models.protocols import ImageEncoder

    from .session import Session

AT_ONCE = 64
"""Images that are in memory at a time."""

IS_FOLDER = "is a folder, not an image"


@dataclass(frozen=True, slots=True)
class ImagePrediction:
    """One of the best classes of an image: its rank from 1, its probability, and the cosine of the class.

    `prompt` is the text of the class that is nearest to the image.
    """

    image: str
    rank: int
    category: str
    probability: float
    cosine: float
    prompt: str


class ClassifiedImages(Tabular[ImagePrediction]):
    """The best classes of some images: for each image, in the order given, a row for each class, best first.

    `model` is the encoder, `prompts` are the texts that were compared, `failures` are the images that cannot be read,
    each with the reason, and `notes` list texts that are longer than the model reads and classes that it cannot tell
    apart.
    """

    columns = ("image", "rank", "category", "probability", "cosine", "prompt")

    def __init__(
        self,
        rows: Sequence[ImagePrediction],
        model: EncoderId,
        prompts: PromptSet,
        failures: Sequence[tuple[str, str]] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self._kept = tuple(rows)
        self.model = model
        self.prompts = prompts
        self.failures = tuple(failures)
        self.notes = tuple(notes)

    def _rows(self) -> Sequence[ImagePrediction]:
        return self._kept

    def _values(self, row: ImagePrediction) -> Sequence[Any]:
        return [getattr(row, name) for name in self.columns]

    def by_image(self) -> list[tuple[str, list[ImagePrediction]]]:
        """Return each image with its rows; an image passed twice is returned twice."""
        found: list[tuple[str, list[ImagePrediction]]] = []
        for row in self:
            if row.rank == 1:
                found.append((row.image, []))
            found[-1][1].append(row)
        return found

    def bars(self, columns: int = 80, *, ascii_only: bool = False) -> str:
        """Return each image's classes with bars of their probabilities, as text `columns` characters wide."""
        parts = [f"{visible(self._headline())}", *(f"  {visible(note)}" for note in self.notes)]
        for image, rows in self.by_image():
            found = {row.category: row.probability for row in rows}
            parts += ["", visible(shown_path(image)), bars(found, columns, "#" if ascii_only else "█")]
        parts += [f"  not read: {visible(shown_path(image))} ({visible(reason)})" for image, reason in self.failures]
        return "\n".join(parts)

    def _headline(self) -> str:
        kind = "each class by itself" if self.model.sigmoid else f"over {len(self.prompts.classes)} classes"
        return f"{self.model.name}, prompts {self.prompts.name!r}: probability {kind}"

    def __repr__(self) -> str:
        return self.bars()

    def _repr_html_(self) -> str:
        """Return the images as thumbnails next to their bars, for a notebook; all text in it is escaped."""
        shown = self.by_image()[:THUMBNAILS]
        thumbnails = encoded_thumbnails([image for image, _ in shown])
        body = "".join(_figure(*one, source) for one, source in zip(shown, thumbnails, strict=True))
        rest = len(self.by_image()) - len(shown)
        lines = [*self.notes, *(f"not read: {image} ({reason})" for image, reason in self.failures)]
        lines += [f"... and {rest:,} more images"] if rest else []
        after = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        return f"<p>{html.escape(self._headline())}</p>{body}{after}"


def _figure(image: str, rows: Sequence[ImagePrediction], source: str | None) -> str:
    name = html.escape(shown_path(image), quote=True)
    thumbnail = f'<img src="{source}" alt="{name}" title="{name}">' if source else ""
    cells = "".join(
        f"<tr><td>{html.escape(row.category)}</td><td>{row.probability:.3f}</td><td style='min-width:160px'>"
        f"<div style='background:#0072B2;height:10px;width:{100 * row.probability:.1f}%'></div></td></tr>"
        for row in rows
    )
    return (
        f'<figure style="display:flex;gap:12px;align-items:center;margin:8px 0">{thumbnail}'
        f"<figcaption>{name}<table>{cells}</table></figcaption></figure>"
    )


@takes(ClassifyImagesKeywords)
def classify_images(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    classes: Sequence[str] | str | os.PathLike[str] | None = None,
    **options: Unpack[ClassifyImagesKeywords],
) -> ClassifiedImages:
    """Return the `k` best classes of images with their probabilities; needs no store, and records nothing.

    The probabilities equal those of `Session.classify` for an indexed image with the same model and prompts.

    Args:
        images: the path or URL of an image, or several; images in archives are accepted, too.
        classes: names of the classes, or one string: "cat,dog", a text file with one class per line ("classes.txt"), or
            a published list such as "classes.json#NAME". Default: the categories of the store's images.
        options: the keywords of `ClassifyImagesKeywords`.

    Returns:
        A row for each image and class. Images that cannot be read are its `failures`.

    Raises:
        UnreadableImage: none of the images can be read.
        OptionError: no image, no classes, fewer than two of them, or options that do not go together.
        ModelUnavailable, EncoderMismatch, MissingLabels.

    >>> found = shotdex.classify_images(demo.EVALUATION / "realistic/Duck02-noto.png", ["duck", "hat"], model="demo")
    >>> found[0].category
    'duck'
    """
    given = filled(classify_images, options)
    k, store = given["k"], given["store"]
    addresses = [os.fspath(one) for one in ([images] if isinstance(images, (str, os.PathLike)) else images)]
    if not addresses or k < 1:
        raise OptionError("there is no image" if k > 0 else f"cannot return {k} classes", "classify photo.jpg -k 5")
    chosen = _chosen_prompts(given["prompts"], given["templates"], classes, store)
    failures: list[tuple[str, str]] = []
    opened = _opened(addresses, given["max_pixels"], failures)
    first = list(islice(opened, AT_ONCE))  # before a model is loaded for nothing
    if not first:
        raise _unreadable(failures)
    encoder = _encoder(given["model"], store, given["device"])
    rows, scoring = [], _Scoring(chosen, encoder, k)
    while first:
        rows += scoring.predictions(first)
        first = list(islice(opened, AT_ONCE))
    return ClassifiedImages(rows, encoder.id, chosen, failures, scoring.notes)


def _chosen_prompts(
    prompts: str | PromptSet | None,
    templates: Sequence[str],
    classes: Sequence[str] | str | os.PathLike[str] | None,
    session: Session | None,
) -> PromptSet:
    from shotdex.analysis.prompts.files import read_prompts

    from .prompts import choose_prompts, prompt_set

    named = os.fspath(classes) if isinstance(classes, os.PathLike) else classes
    if session is not None:
        return prompt_set(session.store, prompts, templates, named)
    found = choose_prompts(prompts, templates, named)
    if isinstance(found, PromptSet):
        return found
    if isinstance(prompts, str):
        return read_prompts(prompts)  # which says why there is no such set
    raise OptionError("there are no classes to choose from", "pass them: --classes cat,dog   or --classes FILE.txt")


def _opened(
    addresses: Sequence[str], max_pixels: int, failures: list[tuple[str, str]]
) -> Iterator[tuple[str, Image.Image]]:
    """Yield the images that can be read; append the others to `failures`."""
    from shotdex.media.decoding.decode import quiet_pillow
    from shotdex.media.open_image import open_image

    quiet_pillow()
    for address in addresses:
        try:
            yield address, open_image(address, max_pixels)
        except ShotdexError as error:
            folder = address != "" and Path(address).is_dir()
            failures.append((address, IS_FOLDER if folder else str(error).removeprefix(address).strip()))


def _unreadable(failures: Sequence[tuple[str, str]]) -> UnreadableImage:

    image, reason = failures[0]
    more = f"; nor can the other {len(failures) - 1:,} images be read" if len(failures) > 1 else ""
    hint = (
        f"index it: shotdex index {shlex.quote(image)}" if reason == IS_FOLDER else "pass the path or URL of an image"
    )
    return UnreadableImage(f"{image or 'an empty path'} {reason}{more}", hint)


def _encoder(model: AnyModel | None, session: Session | None, device: str) -> ImageEncoder:
    """Return one of the store's encoders, else any model."""
    from shotdex.models.loaders import load_encoder, loader_of
    from shotdex.models.model_files import DEFAULT_MODEL
    from shotdex.models.own_encoder import as_encoder
    from shotdex.models.protocols import EncoderOptions
    from shotdex.store.encoders import choose_encoder

    if isinstance(model, int):
        model = str(model)
    if model is not None and not isinstance(model, str):
        return as_encoder(model, ())
    if session is not None:
        name = session.encoders.recognised(model)
        known = name if name is None or name.isdecimal() else loader_of(name).canonical_name(name)
        try:
            with session.store.reading() as con:
                return session.encoders(choose_encoder(con, known)[1])
        except EmptyStore:
            pass
        except EncoderMismatch:  # the model that was named need not be one of the store's
            assert model is not None
    return load_encoder(model or DEFAULT_MODEL, EncoderOptions(device))


class _Scoring:
    """Turns images into rows, with the arithmetic of `classify`."""

    def __init__(self, prompts: PromptSet, encoder: ImageEncoder, k: int) -> None:
        from shotdex.analysis.classify import alike_notes
        from shotdex.analysis.scorer import Scorer
        from shotdex.models.model_files import token_reader
        from shotdex.models.protocols import finite
        from shotdex.query.text_lookup import cut_notes

        texts = [text for own in prompts.classes.values() for text in own]
        matrix = finite(encoder.encode_texts(texts), encoder.id)
        self._encoder = encoder
        self._scorer = Scorer(prompts, matrix, encoder.id, min(k, len(prompts.classes)), [])
        self.notes = [*alike_notes(self._scorer.class_texts.alike(), list(prompts.classes))]
        with suppress(ModelUnavailable):  # the tokens of a model of another library are not counted
            read_tokens = token_reader(encoder.id.name)
            read = [(text, *read_tokens(text)) for text in dict.fromkeys(texts)]
            self.notes += cut_notes([(text, tokens, len(ids)) for text, tokens, ids in read if tokens > len(ids)])

    def predictions(self, images: Sequence[tuple[str, Image.Image]]) -> list[ImagePrediction]:
        """Return the best classes of some images, each of which comes with its address."""
        import numpy as np

        from shotdex.models.protocols import finite

        vectors = finite(self._encoder.encode_images([image for _, image in images]), self._encoder.id)
        places = np.arange(len(images), dtype=np.int64)
        found = self._scorer.score(places, vectors, np.full(len(images), -1)).predictions
        return [
            ImagePrediction(
                images[row["image_id"]][0],
                *(row[name] for name in ("rank", "category", "probability", "cosine", "prompt")),
            )
            for row in found.to_pylist()
        ]

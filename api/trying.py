"""The part of a session in which prompts are tried: their numbers while they are being typed, and runs made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdex.store.errors import OptionError
from shotdex.store.types import EncoderId, Ids, PromptSet, Vectors

from .exploring import Exploring

if TYPE_CHECKING:
    from PIL import Image

    from shotdex.analysis.live import LiveClassifier, LiveOutcomes, Looks
    from shotdex.analysis.metrics.metric import Flags
    from shotdex.models.own_encoder import AnyModel

    from .live import LiveAnswer
    from .runs import Run
    from .snapshot import Snapshot

HALVES = ("explore", "confirm", "all")

NEAREST = 20
"""Images of a map that are near enough to a text to say where its place is."""


class Trying(Exploring):
    """Mixed into `Session`."""

    def try_prompts(
        self,
        prompts: PromptSet,
        *,
        against: str | None = None,
        half: str = "explore",
        without: str | None = None,
        model: AnyModel | None = None,
    ) -> LiveAnswer:
        """Classify all images with other prompts, in memory; nothing is recorded.

        Args:
            prompts: the classes with their prompts.
            against: a run to compare with, by name or number.
            half: "explore", a fixed random half of each category; "confirm", the other half; or "all".
            without: a class, each of whose prompts is left out once.
            model: an encoder by name, number or object; None: the first.

        Raises:
            OptionError: there is no such run or half. EmptyStore, ModelUnavailable.

        >>> from shotdex.analysis.prompts.build import from_names
        >>> names = from_names(["duck", "hat", "cup"])
        >>> store.try_prompts(names, half="all").accuracy.n
        120
        """
        from .live import compared_with, live_answer, without_prompts

        if half not in HALVES:
            raise OptionError(f"there is no half {half!r}", f"choose one of: {', '.join(HALVES)}")
        snapshot, live = self._live(model)
        texts = self.text_vectors([text for own in prompts.classes.values() for text in own], model)
        found = live.classify(prompts, texts)
        kept = self._half(live, half) & found.known
        digest = prompts.sha256 or repr(prompts.classes)
        looks = self.looks.look(digest) if half == "explore" else len(self.looks.seen)
        compared = None
        if against is not None:
            compared = compared_with(snapshot, snapshot.run(against), found, kept)
            if half == "confirm":
                compared = replace(compared, adjusted=self.looks.confirm(digest, compared.p_value))
        left_out = () if without is None else without_prompts(live, prompts, texts, without, found, kept)
        return live_answer(snapshot, half, found, kept, looks, compared, left_out)

    def try_places(
        self, projection_id: int, texts: Mapping[str, Sequence[str]], model: AnyModel | None = None
    ) -> list[Any]:
        """Return the positions of texts on a map, among their nearest images: dicts with `name`, `x`, `y`.

        Args:
            projection_id: the map's number.
            texts: name -> the texts whose mean is placed.
            model: an encoder by name, number or object; None: the first.

        Raises:
            OptionError: there is no such map.
        """
        live = self._live(model)[1]
        ids, points = self.map_points(projection_id)
        shared, at, on = np.intersect1d(live.images.ids, ids, assume_unique=True, return_indices=True)
        if not len(shared):
            return []
        vectors = self.text_vectors([text for own in texts.values() for text in own], model)
        found = []
        for name, own in texts.items():
            mean = np.mean([vectors[text] for text in own], axis=0)
            cosines = live.images.vectors[at] @ (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
            nearest = np.argsort(-cosines, kind="stable")[:NEAREST]
            x, y = _middle(points[on[nearest]])
            found.append({"name": name, "x": x, "y": y, "cosine": float(cosines[nearest[0]])})
        return found

    def save_prompts(self, prompts: PromptSet, name: str, looks: int = 0, model: AnyModel | None = None) -> Run:
        """Save the tried prompts as a run, with the vectors that were tried; its settings record the number of looks.

        Raises:
            OptionError: the name is taken. EmptyStore, UnknownClass, StoreLocked.
        """
        from shotdex.analysis.classify import Classification, classify_in_full

        from .runs import Run

        if not name.strip():
            raise OptionError("the run needs a name", "choose one")
        number, _ = self.snapshot().encoder(self.encoders.recognised(model))
        settings = {"prompts": prompts.name, "looks": looks}
        wanted = Classification(prompts, name, encoder_name=str(number), settings=settings, command="shotdex serve")
        found = classify_in_full(self.store, wanted, lambda encoder: _Tried(self, encoder, str(number)))
        return Run(self, found.run, found.prompts, found)  # type: ignore[arg-type]

    def forget_tried(self) -> None:
        """Release the vectors of tried texts and everything computed with them."""
        self._classifiers.clear()
        self._text_memory.clear()

    @cached_property
    def looks(self) -> Looks:
        """How many prompt sets were tried in this session, and which of them were confirmed."""
        from shotdex.analysis.live import Looks

        return Looks()

    def predictions_of(self, found: LiveOutcomes) -> Ids:
        """Return the predicted class of each image of the snapshot, in its order; -1 for those without a vector."""
        images = self.snapshot().images
        codes = np.full(len(images.ids), -1, np.int64)
        kept = np.isin(found.ids, images.ids)
        codes[images.places(found.ids)] = found.predicted[kept]
        return codes

    @cached_property
    def _classifiers(self) -> dict[int, tuple[Any, LiveClassifier, Flags]]:
        return {}

    @cached_property
    def _classifier_lock(self) -> Lock:
        return Lock()

    def _live(self, model: AnyModel | None) -> tuple[Snapshot, LiveClassifier]:
        """Return the snapshot and a classifier of its images, the same one for as long as these are the same."""
        from shotdex.analysis.live import LiveClassifier, LiveImages, exploring_half

        snapshot, index = self.snapshot_with_index(model)
        number, _ = snapshot.encoder(self.encoders.recognised(model))
        with self._classifier_lock:
            known = self._classifiers.get(number)
            if known is None or known[0] is not snapshot.images:
                rows = index.rows()
                codes, names = snapshot.images.labels["category"]
                kept = np.isin(rows.ids, snapshot.images.ids)
                ids, vectors = (rows.ids, rows.vectors) if kept.all() else (rows.ids[kept], rows.vectors[kept])
                images = LiveImages(ids, vectors, codes[snapshot.images.places(ids)], names)
                known = self._classifiers[number] = snapshot.images, LiveClassifier(images), exploring_half(images)
            return snapshot, known[1]

    def _half(self, live: LiveClassifier, half: str) -> Flags:
        exploring = next(one for _, classifier, one in self._classifiers.values() if classifier is live)
        if half == "all":
            return np.ones(len(exploring), bool)
        return exploring if half == "explore" else ~exploring & (live.images.codes >= 0)


class _Tried:
    """An encoder whose text vectors are those that were tried, so that the run has the numbers that were seen."""

    def __init__(self, session: Trying, identity: EncoderId, model: str) -> None:
        self.id = identity
        self._session, self._model = session, model

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        found = self._session.text_vectors(texts, self._model)
        return np.stack([found[text] for text in texts])

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        return self._session.encoders(self.id).encode_images(images)


def _middle(points: Vectors) -> tuple[float, float]:
    """Return the middle of the half of some points (N, 2) that lies densest, so that it is never in empty space."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    centre = int(np.sort(apart, axis=1)[:, : max(1, len(points) // 2)].sum(axis=1).argmin())
    near = np.argsort(apart[centre], kind="stable")[: max(1, len(points) // 2)]
    x, y = points[near].mean(axis=0).tolist()
    return x, y

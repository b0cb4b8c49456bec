"""The prompts of a run as points of a map."""

from __future__ import annotations

from dataclasses import dataclass

from shotdex.indexer.protocols import LoadEncoder
from shotdex.query.texts import text_vectors
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import SettingsError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.words import Combine, Vectors

from .scoring import class_means

MOST = 40
"""More texts than this cannot be told apart on a map."""


@dataclass(frozen=True, slots=True)
class MapTexts:
    """T texts and what they are compared with as: `labels`, and `vectors` (T, D) of unit rows."""

    labels: tuple[str, ...]
    vectors: Vectors


def map_texts(store: Store, run_name: str | None, encoder_id: int, load: LoadEncoder) -> MapTexts:
    """Return what a run's images were compared with: one vector a class, or with `max` every prompt.

    Raises:
        SettingsError: no such run, one of another encoder, or more than `MOST` texts.
    """
    with store.reading() as con:
        run = find_run(con, run_name)
        prompts = load_prompt_set(con, run.prompt_set_id)
        encoder = list_encoders(con)[encoder_id]
    if run.encoder_id != encoder_id:
        raise SettingsError(
            f"the run {run.name!r} is of another encoder than the map", "name one of this encoder's runs: --run RUN"
        )
    texts = [text for own in prompts.classes.values() for text in own]
    whole = prompts.combine is Combine.MEAN
    labels = tuple(prompts.classes) if whole else tuple(texts)
    if len(labels) > MOST:
        raise SettingsError(
            f"{len(labels)} prompts cannot be told apart on a map; {MOST} can", "name a run with fewer: --run RUN"
        )
    vectors = text_vectors(store, encoder_id, encoder, texts, load)
    sizes = [len(own) for own in prompts.classes.values()]
    return MapTexts(labels, class_means(vectors, sizes) if whole else vectors)

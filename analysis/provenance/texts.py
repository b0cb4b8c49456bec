"""Whether the model at hand still gives the text vectors that the store remembers."""

from __future__ import annotations

import numpy as np

from shotdex.indexer.protocols import LoadEncoder
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import EncoderError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.store import Store
from shotdex.store.texts import remembered_texts
from shotdex.store.words import Run

SAME = 1e-5
"""The largest difference of a component that rounding explains: another number of threads gives up to 1e-6."""


def text_changes(store: Store, run: Run, load: LoadEncoder) -> tuple[list[str], list[str]]:
    """Return what changed about the model behind a run's texts, and what could not be looked at, in words.

    The model is loaded, its identity compared, and the run's prompts are encoded again and compared with what the store
    remembers of them; images are not encoded again.
    """
    with store.reading() as con:
        encoder = list_encoders(con)[run.encoder_id]
        prompts = load_prompt_set(con, run.prompt_set_id)
        texts = list(dict.fromkeys(text for own in prompts.classes.values() for text in own))
        kept = remembered_texts(con, run.encoder_id, texts)
    try:
        loaded = load(encoder)
    except EncoderError as error:
        return [], [f"{error}; so its texts were taken as the store remembers them"]
    if loaded.id.key() != encoder.key():
        return [f"the encoder's files: {encoder} then, {loaded.id} now; the texts are those of then"], []
    known = [text for text in texts if text in kept]
    if not known:
        return [], []
    apart = float(np.abs(loaded.encode_texts(known) - np.stack([kept[text] for text in known])).max())
    return ([f"the text vectors, by up to {apart:.1g}"] if apart > SAME else []), []

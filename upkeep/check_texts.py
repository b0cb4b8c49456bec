"""Texts: remembered vectors are finite and of length 1, kept text towers are whole, the model still agrees."""

from __future__ import annotations

import numpy as np

from shotdex.models.protocols import SAME_TEXT, LoadEncoder, checked
from shotdex.models.text_tower_file import tower_fault, tower_file
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.faiss_file import remove_file
from shotdex.store.errors import EncoderError, EncoderMismatch
from shotdex.store.schema import texts_table
from shotdex.store.store import Store
from shotdex.store.types import EncoderId
from shotdex.store.vectors import forget_texts, remembered_texts

from .check import REPAIR, Check, Fault, of_each_encoder, verdict
from .check_images import UNIT, length


def unusable_text(encoder: EncoderId) -> str:
    """Return the SQL condition for a remembered text whose vector is not finite or not of length 1, or without text."""
    return f"NOT coalesce(abs({length('vector', encoder.dim)} - 1) <= {UNIT} AND text IS NOT NULL, false)"


@of_each_encoder
def text_vectors(con: Connection, number: int, encoder: EncoderId) -> Check:
    """Check the vectors of the texts that are remembered."""
    rows, twice, broken = con.rows(
        f"SELECT count(*), count(text) - count(DISTINCT text), count(*) FILTER ({unusable_text(encoder)}) "
        f"FROM {texts_table(number)}"
    )[0]
    return verdict(
        f"texts of encoder {number}",
        f"{rows:,} remembered, each once; vectors finite, of length 1 within {UNIT:g}, {encoder.dim} numbers long",
        [
            Fault("texts remembered more than once", twice, REPAIR),
            Fault(f"texts whose vector is not finite, or not of length 1 within {UNIT:g}", broken, REPAIR),
        ],
    )


def text_towers(store: Store, con: Connection) -> list[Check]:
    """Check the text tower of every encoder that has one."""
    checks = []
    for number, encoder in list_encoders(con).items():
        name, path = f"text tower of encoder {number}", tower_file(store, encoder)
        fault = tower_fault(store, encoder)
        if fault is not None:
            hint = f"move {path} away" if path.is_dir() and not path.is_symlink() else REPAIR
            checks.append(Check(name, False, f"{path.name} is not used: {fault}", hint))
        elif path.is_file():
            checks.append(Check(name, True, f"{path.name} is whole"))
    return checks


def drop_broken_towers(store: Store, con: Connection) -> dict[int, str]:
    """Delete the text towers that are not whole; the next new text makes them again. Return a line for each encoder."""
    if store.index_folder.is_symlink():
        return {}
    done = {}
    for number, encoder in list_encoders(con).items():
        if tower_fault(store, encoder) is not None:
            path = tower_file(store, encoder)
            remove_file(path)
            done[number] = f"removed {path.name}, which was not whole; a search makes it again"
            if path.exists():
                done[number] = f"left {path.name} as it is: it is a folder, which shotdex does not make; move it away"
    return done


TEXTS = 16
"""How many remembered texts are encoded again."""

FORGET = "forget them with: shotdex verify --repair --model-check   (they are encoded again when they are asked)"


def check_models(store: Store, load: LoadEncoder) -> list[Check]:
    """Load every encoder's model, compare its identity, and encode some remembered texts again.

    Raises:
        OptionError: there is no such device here.
    """
    with store.reading() as con:
        encoders = list_encoders(con)
    return [_check(store, number, encoder, load) for number, encoder in encoders.items()]


def _check(store: Store, number: int, encoder: EncoderId, load: LoadEncoder) -> Check:
    name, allowed = f"model of encoder {number}", SAME_TEXT[encoder.precision]
    try:
        apart = _apart(store, number, encoder, load, f"LIMIT {TEXTS}")
    except (EncoderError, EncoderMismatch) as error:
        return Check(name, False, str(error), error.hint)
    wrong = [text for text, difference in apart.items() if not difference <= allowed]
    if wrong:
        text = f"{len(wrong):,} of {len(apart):,} remembered texts get other vectors now (such as {wrong[0]!r})"
        return Check(name, False, text, FORGET)
    largest = max(apart.values(), default=0.0)
    tried = f"{len(apart):,} remembered texts encoded again differ by at most {largest:.1g} (allowed: {allowed:g})"
    text = f"{encoder.name} has the weights and preprocessing on record; "
    return Check(name, True, text + (tried if apart else "no text is remembered to try"))


def forget_wrong_texts(store: Store, load: LoadEncoder) -> list[str]:
    """Encode every remembered text again, forget those to which their unchanged model gives other vectors; say so."""
    with store.reading() as con:
        encoders = list_encoders(con)
    done = []
    for number, encoder in encoders.items():
        try:
            apart = _apart(store, number, encoder, load)
        except (EncoderError, EncoderMismatch):  # another model says nothing about these texts
            continue
        wrong = [text for text, difference in apart.items() if not difference <= SAME_TEXT[encoder.precision]]
        if wrong:
            with store.writing() as con:
                forget_texts(con, number, wrong)
            done.append(
                f"forgot remembered texts with other vectors than the model of encoder {number}: {len(wrong):,}"
            )
    return done


def _apart(store: Store, number: int, encoder: EncoderId, load: LoadEncoder, limit: str = "") -> dict[str, float]:
    """Return for remembered texts the largest difference between a number kept and the same number made again.

    Raises:
        EncoderMismatch: the model's files changed.
        EncoderError: it cannot be loaded, or gives no vectors.
    """
    model = checked(load(encoder), encoder)
    with store.reading() as con:
        # By hash: spread over all, and the same ones every time.
        listed = con.rows(f"SELECT text FROM {texts_table(number)} WHERE text IS NOT NULL ORDER BY hash(text) {limit}")
        kept = remembered_texts(con, number, [row[0] for row in listed])
    if not kept:
        return {}
    made = model.encode_texts(list(kept))
    return {text: float(np.abs(kept[text] - row).max()) for text, row in zip(kept, made, strict=True)}

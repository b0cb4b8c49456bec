"""Encoders on record: every vector belongs to one, and one store holds several side by side."""

from __future__ import annotations

from pathlib import Path

from .connection import Connection, now
from .errors import EmptyStore, EncoderMismatch, OptionError, StoreCorrupt
from .schema import encoder_tables
from .types import EncoderId, Pooling, Precision

_COLUMNS = (
    "name, revision, weights_sha256, preprocessing_sha256, precision, dim, vision_dim, pooling, "
    "logit_scale, logit_bias, sigmoid"
)


def list_encoders(con: Connection) -> dict[int, EncoderId]:
    """Return every encoder by its number, oldest first.

    Raises:
        StoreCorrupt: a number, of which names of tables and files are made, is not one.
    """
    rows = con.rows(f"SELECT encoder_id, {_COLUMNS} FROM encoders ORDER BY encoder_id")
    if not all(type(row[0]) is int for row in rows):
        raise StoreCorrupt("the catalog has encoders whose encoder_id is not a number", "restore it from a backup")
    return {
        row[0]: EncoderId(
            row[1], row[2], row[3], row[4], Precision(row[5]), row[6], row[7], Pooling(row[8]), row[9], row[10], row[11]
        )
        for row in rows
    }


def number_of(con: Connection, encoder: EncoderId) -> int | None:
    """Return the number of this very encoder, or None where the store does not know it."""
    return next((number for number, known in list_encoders(con).items() if known.key() == encoder.key()), None)


def add_encoder(con: Connection, encoder: EncoderId) -> int:
    """Return the encoder's number, giving it one and making its tables where it is new."""
    known = number_of(con, encoder)
    if known is not None:
        return known
    number = int(con.value("SELECT coalesce(max(encoder_id), 0) + 1 FROM encoders"))
    names = [name.strip() for name in _COLUMNS.split(",")]
    con.run(
        f"INSERT INTO encoders ({_COLUMNS}, encoder_id, added_at) VALUES ({', '.join('$' + name for name in names)}, "
        "$number, $now)",
        {name: getattr(encoder, name) for name in names} | {"number": number, "now": now()},
    )
    con.run(encoder_tables(number, encoder.dim, encoder.vision_dim))
    return number


def moved(encoder: EncoderId) -> bool:
    """Tell whether an encoder's model was a folder on this machine, or another, that is not there now."""
    return Path(encoder.name).is_absolute() and not Path(encoder.name).is_dir()


def rename_encoder(con: Connection, encoder: EncoderId) -> None:
    """Record where the folder of a model is now: an encoder is known by its weights, its name says where they are."""
    number = number_of(con, encoder)
    con.run("UPDATE encoders SET name = $name WHERE encoder_id = $number", {"name": encoder.name, "number": number})


def files_of_model(con: Connection, number: int) -> tuple[str, str] | None:
    """Return the model and its files with which `remember_files` was called for an encoder, or None."""
    found = con.value("SELECT max(value) FROM meta WHERE key = $key", {"key": f"model_files_{number}"})
    name, _, files = str(found).partition("\n")
    return None if found is None else (name, files)


def remember_files(con: Connection, number: int, files: tuple[str, str] | None) -> None:
    """Keep what an encoder's model was loaded from: without loading it one sees that the files did not change."""
    key = f"model_files_{number}"
    con.run("DELETE FROM meta WHERE key = $key", {"key": key})
    if files is not None:
        con.run("INSERT INTO meta VALUES ($key, $value)", {"key": key, "value": "\n".join(files)})


def choose_encoder(con: Connection, name: str | None) -> tuple[int, EncoderId]:
    """Return the encoder that the user named, or the only one.

    Raises:
        EmptyStore: nothing has been indexed yet.
        EncoderMismatch: the store has no encoder of that name.
        OptionError: there are several and none, or an ambiguous one, was named.
    """
    encoders = list_encoders(con)
    if not encoders:
        raise EmptyStore("nothing has been indexed yet", "index images first: shotdex index FOLDER")
    if name is not None and name.isdecimal() and int(name) in encoders:  # a number is a number, whatever folder has it
        return int(name), encoders[int(name)]
    fitting = {number: encoder for number, encoder in encoders.items() if name is None or _named(encoder, name)}
    if len(fitting) == 1:
        return next(iter(fitting.items()))
    listing = ", ".join(f"{number}: {encoder}" for number, encoder in encoders.items())
    if not fitting:
        raise EncoderMismatch(
            f"this store has no vectors of {name!r}; it has {listing}",
            f"use one of these, or add it: shotdex index SOURCE --model {name}",
        )
    raise OptionError(f"this store has several encoders: {listing}", "choose one by its number or name: --model N")


def _named(encoder: EncoderId, name: str) -> bool:
    short, local = encoder.name.rsplit("/", 1)[-1], str(Path(name).expanduser().resolve())
    return name in (encoder.name, short) or local == encoder.name

"""Which images: those that are present, encoded, or kept by a filter; and the token that says when they changed."""

from __future__ import annotations

import secrets
from unicodedata import normalize

import numpy as np

from .connection import Connection
from .errors import BadSql
from .schema import vectors_table
from .selections import with_selections
from .sql_guard import QUERY_SECONDS, check_condition, sql_errors
from .types import Ids

GENERATION = "images_generation"
"""The key in `meta` of a random token that is renewed with every change of images, vectors or removals."""


def images_generation(con: Connection) -> str:
    """Return the token of the images and vectors as they are now, 32 hex digits.

    Texts, runs and maps do not change it. Whoever holds ids or vectors in memory knows by it that they are current. In
    a store that no version with tokens has changed yet it is empty.
    """
    value = con.value("SELECT value FROM meta WHERE key = $key", {"key": GENERATION})
    return "" if value is None else str(value)


def renew_images_generation(con: Connection) -> None:
    """Say, within a transaction that changes images, vectors or removals, that what others hold is no longer current.

    The functions of `images` and `vectors` do so themselves; whoever changes their tables in another way calls this.
    """
    con.run("DELETE FROM meta WHERE key = $key", {"key": GENERATION})
    con.run("INSERT INTO meta VALUES ($key, $token)", {"key": GENERATION, "token": secrets.token_hex(16)})


def stored_ids(con: Connection, encoder_id: int) -> Ids:
    """Return the ids of all that an encoder ever encoded, rising, each once."""
    return _ids(con, f"SELECT image_id FROM {vectors_table(encoder_id)} WHERE image_id IS NOT NULL")


def present_ids(con: Connection) -> Ids:
    """Return the ids of the images that are present, rising."""
    return _ids(con, "SELECT image_id FROM images WHERE image_id IS NOT NULL")


def encoded_ids(con: Connection, encoder_id: int, where: str | None = None) -> Ids:
    """Return the ids of present images with vectors of this encoder, rising, optionally only those a filter keeps.

    Raises:
        BadSql: the filter is not a condition on the columns of `images`.
    """
    ids = _ids(con, f"SELECT image_id FROM images SEMI JOIN {vectors_table(encoder_id)} USING (image_id)")
    # A filter is run by itself and intersected, so whatever it says it can only take images away.
    return ids if where is None else np.intersect1d(ids, filtered_ids(con, where), assume_unique=True)


_ONE_FORM = ", ".join(
    f"nfc_normalize({name}) AS {name}" for name in ("path", "source", "category", "condition", "split")
)


def filtered_ids(con: Connection, where: str, seconds: float | None = None) -> Ids:
    """Return the ids of the images that a filter keeps, rising; `@name` in it stands for a saved selection.

    It may take `seconds`, `QUERY_SECONDS` if None.

    Raises:
        OptionError: there is no such selection.
        BadSql: the filter is not a condition on the columns of `images`.
    """
    if not where.strip():
        raise BadSql("the filter is empty", "pass a condition such as --where \"condition = 'realistic'\"")
    where, rows = with_selections(con, where), "images"
    if not where.isascii():  # labels are in this form; paths are as the file system has them
        where = normalize("NFC", where)
        rows = f"(SELECT * REPLACE ({_ONE_FORM}) FROM images) AS images"
    query = f"SELECT image_id FROM {rows} WHERE ({where}\n)"  # the line break ends a comment at the filter's end
    with sql_errors(f"the filter {where!r} does not work"):
        check_condition(con, where)
        return con.watched(lambda: _ids(con, query), QUERY_SECONDS if seconds is None else seconds)


def _ids(con: Connection, query: str) -> Ids:
    ids = con.arrays(query)["image_id"].astype(np.int64, copy=False)
    # Most lie in this order, and looking is quicker than sorting, in DuckDB, too.
    if bool((ids[1:] > ids[:-1]).all()):
        return ids
    ids = np.sort(ids)  # not np.unique, which imports numpy.ma: that takes longer than the search itself
    each_once: Ids = ids[np.append(True, ids[1:] != ids[:-1])]
    return each_once

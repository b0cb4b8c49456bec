"""Functions that a user's SQL has besides DuckDB's own: images by what a text says, and by another image.

| function | what it is |
|---|---|
| `similarity(image_id, text)` | the cosine of an image and a text, as a search has it |
| `search(text, n := 10)` | the images nearest to a text: image_id, path, category, condition, split, cosine |
| `nearest(image_id, n := 10)` | the same for the images nearest to an image, without itself and exact copies of it |

They belong to one encoder: the store's only one. Of several each has its own, with its number: `search_2`. The view
`vectors` of the only encoder has image_id, joint and vision of the images that are present.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb

from shotdex.models.protocols import LoadEncoder
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import ShotdexError
from shotdex.store.schema import vectors_table
from shotdex.store.sql_guard import check_statements, nodes
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Vectors
from shotdex.store.vectors import remembered_texts

from .text_lookup import encoded_texts, remember

NAMES = ("similarity", "search", "nearest")
PATIENCE = 1.0
"""Seconds that the vector of a text may wait to be remembered while another process holds the catalog."""

_CALL = re.compile(rf"\b({'|'.join(NAMES)})(?:_(\d+))?\s*\(", re.IGNORECASE)

_MACROS = (
    """
    CREATE OR REPLACE TEMP MACRO similarity{suffix}(of_image, of_text) AS (
        SELECT array_inner_product(stored_.joint, asked_vector)::DOUBLE
        FROM (SELECT of_image AS asked_id), (SELECT {embed}(of_text) AS asked_vector), {vectors} stored_
        WHERE stored_.image_id = asked_id
    )
    """,
    """
    CREATE OR REPLACE TEMP MACRO search{suffix}(of_text, n := 10) AS TABLE
        SELECT image_id, path, category, condition, split, cosine
        FROM (
            SELECT image_id, array_inner_product(joint, asked_vector)::DOUBLE AS cosine
            FROM {vectors} SEMI JOIN images USING (image_id), (SELECT {embed}(of_text) AS asked_vector)
            ORDER BY cosine DESC, image_id LIMIT n
        ) JOIN images USING (image_id) ORDER BY cosine DESC, image_id
    """,
    """
    CREATE OR REPLACE TEMP MACRO nearest{suffix}(of_image, n := 10) AS TABLE
        SELECT image_id, path, category, condition, split, cosine
        FROM (
            SELECT found_id AS image_id, array_inner_product(found_vector, asked_vector_)::DOUBLE AS cosine
            FROM (
                FROM (
                    SELECT image_id AS asked_id_, joint AS asked_vector_, content_sha256 AS asked_content_
                    FROM {vectors} JOIN stored_images USING (image_id)
                ) WHERE asked_id_ = of_image
            ), (
                SELECT image_id AS found_id, joint AS found_vector, content_sha256 AS found_content
                FROM {vectors} JOIN images USING (image_id)
            )
            WHERE found_id <> asked_id_ AND found_content IS DISTINCT FROM asked_content_
            ORDER BY cosine DESC, found_id LIMIT n
        ) JOIN images USING (image_id) ORDER BY cosine DESC, image_id
    """,
)
"""An argument stands by itself: next to other columns, a column of the user's would be taken for one of those."""

_VIEW = """
    CREATE OR REPLACE TEMP VIEW vectors AS
    SELECT image_id, joint, vision FROM {vectors} SEMI JOIN images USING (image_id) ORDER BY image_id
"""


@dataclass(slots=True)
class Texts:
    """The vectors of texts that one encoder has in one run, and what went wrong with one."""

    number: int
    encoder: EncoderId
    load: LoadEncoder
    known: dict[str, Vectors] = field(default_factory=dict)
    error: ShotdexError | None = None

    def vector(self, text: str) -> list[float]:
        """Return the unit vector of a text; DuckDB calls this."""
        if text not in self.known:
            try:
                found = encoded_texts(self.encoder, [text], self.load, {})
            except ShotdexError as error:
                self.error = error
                raise
            assert found is not None
            self.known[text] = found[0][0]
        return [float(number) for number in self.known[text]]


def prepared(
    store: Store, sql: str, parameters: Mapping[str, Any], load_of: Callable[[], LoadEncoder] | None
) -> list[Texts]:
    """Return the encoders whose functions a statement calls, with the vectors of the texts that it spells out.

    What needs a model is encoded here, where the catalog is not open, and remembered.

    Raises:
        BadSql, duckdb.Error: the statement is refused.
        ModelUnavailable, ModelOutputInvalid: a text cannot be encoded.
    """
    numbers = {int(found[1]) if found[1] else 0 for found in _CALL.findall(sql)}
    if not numbers or load_of is None:
        return []
    load = load_of()
    with store.reading() as con:
        check_statements(con, sql)
        encoders = list_encoders(con)
        if 0 in numbers and len(encoders) == 1:
            numbers |= set(encoders)
        used = [Texts(number, encoders[number], load) for number in sorted(numbers) if number in encoders]
        texts = list(dict.fromkeys(_texts(con, sql, parameters)))
        for one in used:
            one.known = remembered_texts(con, one.number, texts)
    for one in used:
        found = encoded_texts(one.encoder, texts, load, one.known)
        assert found is not None
        one.known = dict(zip(texts, found[0], strict=True))
        remember(store, one.number, found[1], PATIENCE)
    return used


@contextmanager
def functions(con: Connection, used: list[Texts]) -> Iterator[None]:
    """Make the view `vectors`, and the functions of some encoders, for what runs inside."""
    encoders = list_encoders(con)
    if len(encoders) == 1:
        con.run(_VIEW.format(vectors=vectors_table(next(iter(encoders)))))
    with ExitStack() as made:
        for one in used:
            name = f"embed_{one.number}_{secrets.token_hex(4)}"  # others of this process share the catalog
            made.enter_context(con.function(name, one.vector, ["VARCHAR"], f"FLOAT[{one.encoder.dim}]"))
            for suffix in ("", f"_{one.number}") if len(encoders) == 1 else (f"_{one.number}",):
                table = vectors_table(one.number)
                for macro in _MACROS:
                    con.run(macro.format(suffix=suffix, embed=name, vectors=table))
        try:
            yield
        except duckdb.Error as error:
            for one in used:
                if one.error is not None:
                    raise one.error from error
            raise


def missing(con: Connection, sql: str, problem: str) -> str:
    """Return what to do about a function or view of these that is not there, or nothing."""
    if not re.search(rf"with name ({'|'.join(NAMES)}|vectors)(_\d+)?\b.* does not exist", problem, re.IGNORECASE):
        return ""
    encoders = list_encoders(con)
    if not encoders:
        return "nothing has been indexed yet: shotdex index FOLDER"
    listed = ", ".join(f"{number}: {encoder.name}" for number, encoder in encoders.items())
    call = _CALL.search(sql)
    name = call.group(1).lower() if call else "vectors"
    return f"the store has these encoders: {listed}; name one by its number, as in {name}_{next(iter(encoders))}"


def _texts(con: Connection, sql: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts that the calls of these functions spell out, or are given as parameters."""
    for kind, text, _ in con.statements(sql):
        if kind != "SELECT":
            continue
        tree = json.loads(str(con.value("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": text})))
        for node in nodes(tree):
            if re.fullmatch(r"(similarity|search)(_\d+)?", str(node.get("function_name", "")).lower()):
                for argument in node.get("arguments", ()):
                    expression = argument["expression"]
                    literal = expression.get("literal") or {}
                    value = parameters.get(str(expression.get("identifier"))) or literal.get("text")
                    if isinstance(value, str) and (literal.get("kind", "STRING") == "STRING"):
                        yield value

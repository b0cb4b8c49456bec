"""Which images are exported with which columns, as Arrow tables of some thousand rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.errors import EmptyStore
from shotdex.store.ids import filtered_ids, present_ids
from shotdex.store.images import PRIVATE
from shotdex.store.near import near_a_filter
from shotdex.store.runs import find_run
from shotdex.store.schema import vectors_table
from shotdex.store.types import EncoderId, Ids

ROWS = 8192
"""Rows that are in memory at a time: 16 MB of 512 numbers each."""


OUTCOME = (
    "run",
    "predicted",
    "prompt",
    "cosine",
    "probability",
    "true_rank",
    "true_cosine",
    "true_probability",
    "correct",
)
"""What a run says of an image, as in the view `outcomes`."""

ENCODER = b"shotdex.encoder"
"""The key of a Parquet file's metadata that holds the identity of the encoder of its vectors."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which images and which of their columns; see `Session.export`."""

    where: str | None = None
    run: str | None = None
    model: str | None = None
    vision: bool = False
    with_gps: bool = False


class Selected:
    """The images of a selection in an open catalog, by rising id."""

    def __init__(self, con: Connection, selection: Selection, *, vectors: bool) -> None:
        """Look up what is meant.

        Raises:
            EmptyStore: there is no image, or none passes the filter.
            BadSql, EncoderMismatch, OptionError.
        """
        self._con = con
        self._with_gps = selection.with_gps
        self.ids: Ids = present_ids(con) if selection.where is None else filtered_ids(con, selection.where)
        if not len(self.ids):
            hint = f"{near_a_filter(con, selection.where)}index images first, or relax --where"
            raise EmptyStore("there is no image to export", hint)
        names = [str(row[0]) for row in con.rows("DESCRIBE images")]
        self.columns = [name for name in names if selection.with_gps or name not in PRIVATE]
        self.run = None if selection.run is None else find_run(con, selection.run)
        self.encoder_id = 0
        self.encoder: EncoderId | None = None
        if vectors:
            self.encoder_id, self.encoder = choose_encoder(con, selection.model)
        self._spaces = (("joint", "vision") if selection.vision else ("joint",)) if vectors else ()

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows, `ROWS` at a time."""
        listed = [f"i.{name}::VARCHAR AS {name}" if name == "metadata" else f"i.{name}" for name in self.columns]
        outcome = joined = ""
        if self.run is not None:
            outcome = "".join(f", o.{name}" for name in OUTCOME)
            joined = f"LEFT JOIN (FROM outcomes WHERE run_id = {self.run.run_id}) o ON o.image_id = i.image_id "
        if self._spaces:
            joined += f"LEFT JOIN {vectors_table(self.encoder_id)} v ON v.image_id = i.image_id "
        vectors = "".join(f", v.{name}" for name in self._spaces)
        query = (
            f"SELECT {', '.join(listed)}{outcome}{vectors} FROM images i SEMI JOIN chosen USING (image_id) "
            f"{joined}WHERE i.image_id BETWEEN $low AND $high ORDER BY i.image_id"
        )
        for start in range(0, len(self.ids), ROWS):
            some = self.ids[start : start + ROWS]
            with self._con.holding("chosen", {"image_id": some}):
                table = self._con.table(query, {"low": int(some[0]), "high": int(some[-1])})
            yield self._described(table if self._with_gps else without_place(table))

    def _described(self, table: pa.Table) -> pa.Table:
        """Return the table with vectors of a fixed length, and with who made them."""
        for name in self._spaces:
            assert self.encoder is not None
            kind = pa.list_(pa.float32(), self.encoder.dim if name == "joint" else self.encoder.vision_dim)
            table = table.set_column(table.schema.get_field_index(name), name, table.column(name).cast(kind))
        metadata = {ENCODER: identity_text(self.encoder)} if self.encoder is not None else None
        return table.replace_schema_metadata(metadata)


def identity_text(encoder: EncoderId) -> bytes:
    """Return the identity of an encoder as JSON."""
    return json.dumps(asdict(encoder)).encode()


def without_place(table: pa.Table) -> pa.Table:
    """Return a table whose column `metadata` says nowhere at which place an image was taken."""
    texts = table.column("metadata").to_pylist()
    cleaned = [text if text is None else _cleaned(text) for text in texts]
    if cleaned == texts:
        return table
    return table.set_column(table.schema.get_field_index("metadata"), "metadata", pa.array(cleaned, pa.string()))


def _cleaned(text: str) -> str:
    return (
        text
        if not any(word in text.lower() for word in ("gps", *PRIVATE))
        else json.dumps(_placeless(json.loads(text)))
    )


def _placeless(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if "gps" not in name.lower() and name.lower() not in PRIVATE}
        return {name: _placeless(part) for name, part in kept.items()}
    return [_placeless(part) for part in value] if isinstance(value, list) else value

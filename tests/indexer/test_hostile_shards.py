"""A shard is a file that anybody may have written: whatever it holds, it is taken whole or named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotdex.store.errors import ShotdexError, SourceError
from shotdex.store.store import Store
from tests.conftest import ROOT

from .shards import assert_equal, contents, encode, index_shards, make_folder

FOOTER = b"shotdex_shard"
FUZZ = int(os.environ.get("FUZZ", "24"))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("images") / "all", 8)
    place = tmp_path_factory.mktemp("shards") / "shards"
    return place / encode(folder, "0/1", place).shards[0]


def rewritten(
    shard: Path,
    target: Path,
    change: Callable[[pa.Table], pa.Table] = lambda table: table,
    said: Callable[[dict[str, Any]], Any] = lambda header: None,
    renew: bool = False,
) -> None:
    """Write a shard again with other rows or another footer; `renew` also writes the digest that belongs to them."""
    from shotdex.indexer.place import Place
    from shotdex.indexer.shard_rows import _read
    from shotdex.indexer.shards import digest, read_header

    table = pq.read_table(shard)
    header = json.loads(pq.read_metadata(shard).metadata[FOOTER])
    table = change(table)
    found = said(header)
    header = header if found is None else found
    target.parent.mkdir(parents=True, exist_ok=True)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    pq.write_table(table.replace_schema_metadata({FOOTER: text}), target)
    if renew:
        header["sha256"] = digest(_read(read_header(Place(str(target.parent)), target.name), vectors=True))
        pq.write_table(table.replace_schema_metadata({FOOTER: json.dumps(header).encode()}), target)


def column(name: str, value: Any, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(name).to_pylist()
        values[row] = value
        at = table.schema.get_field_index(name)
        return table.set_column(at, name, pa.array(values, table.schema.field(name).type))

    return change


def retyped(name: str, kind: pa.DataType, value: Any = None) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, pa.array([value] * len(table), kind))

    return change


def vector(name: str, value: float) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        width = table.schema.field(name).type.byte_width
        numbers = np.full(width // 4, value, dtype=np.float32)
        return column(name, numbers.tobytes())(table)

    return change


def header(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said.update(values)


def encoder(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["encoder"].update(values)


def source(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["source"].update(values)


BAD_ROWS = {
    "no address": column("address", None),
    "empty address": column("address", ""),
    "NUL in an address": column("address", "/a\0b.png"),
    "address of a MB": column("address", "a" * (1 << 20)),
    "address twice": lambda table: column("address", table.column("address")[1].as_py())(table),
    "negative size": column("size_bytes", -1),
    "no size": column("size_bytes", None),
    "no time": column("modified_ns", None),
    "no content": column("sha256", None),
    "content of another length": column("sha256", "ab"),
    "content in capitals": column("sha256", "A" * 64),
    "no width": column("width", None),
    "width 0": column("width", 0),
    "negative height": column("height", -5),
    "metadata is not JSON": column("metadata", "{"),
    "metadata is a list": column("metadata", "[1]"),
    "unknown reason": column("failure", {"reason": "tired", "stage": "decode", "detail": ""}, 3),
    "failure with vectors": column("failure", {"reason": "corrupt", "stage": "decode", "detail": ""}),
    "vector in one space": column("vision", None),
    "NaN": vector("joint", float("nan")),
    "infinity": vector("vision", float("inf")),
    "length 0": vector("joint", 0.0),
    "length 1e30": vector("joint", 1e30),
    "text as size": retyped("size_bytes", pa.string(), "12"),
    "float as size": retyped("size_bytes", pa.float64(), 1.5),
    "bytes as address": retyped("address", pa.binary(), b"/a"),
    "vectors of another length": retyped("joint", pa.binary(44), b"0" * 44),
    "vectors of variable bytes": retyped("joint", pa.binary(), b"0" * 48),
    "vectors of doubles": retyped("joint", pa.list_(pa.float64()), [0.1] * 12),
    "ragged vectors": retyped("joint", pa.list_(pa.float32()), [0.1] * 11),
    "vectors with numbers missing": retyped("joint", pa.list_(pa.float32()), [None] * 12),
    "failure is a text": retyped("failure", pa.string(), "bad"),
    "failure lacks a field": retyped("failure", pa.struct([("reason", pa.string())]), None),
    "sizes beyond int32": retyped("width", pa.int64(), 1 << 40),
    "a column is missing": lambda table: table.drop_columns(["sha256"]),
    "no rows": lambda table: table.slice(0, 0),
    "rows are gone": lambda table: table.slice(1),
    "another row's vector": lambda table: column("joint", table.column("joint")[1].as_py())(table),
}

BAD_FOOTERS = {
    "not JSON": lambda said: b"{",
    "not UTF-8": lambda said: b"\xff\xfe",
    "a list": lambda said: [],
    "deep": lambda said: b"[" * 100_000,
    "format 2": header(format=2),
    "no key": header(key=""),
    "key is a number": header(key=7),
    "long key": header(key="a" * 1000),
    "part 1 of 1": header(part=1),
    "part -1": header(part=-1),
    "no parts": header(parts=0),
    "1e12 parts": header(parts=10**12),
    "part is true": header(part=True),
    "piece beyond": header(piece=3),
    "images -1": header(images=-1),
    "source is a text": header(source="/x"),
    "source without a root": source(root=""),
    "NUL in the root": source(root="/a\0"),
    "categories is a text": source(categories="abc"),
    "columns is a list": source(columns=[1]),
    "left_out is nonsense": source(left_out=[{"kind": 1}]),
    "no encoder": header(encoder=None),
    "encoder lacks fields": header(encoder={"name": "x"}),
    "unknown precision": encoder(precision="int2"),
    "dim 0": encoder(dim=0),
    "dim 1e9": encoder(dim=10**9),
    "dim of another length": encoder(dim=13),
    "logit_scale NaN": encoder(logit_scale=float("nan")),
    "name is a list": encoder(name=[]),
    "unknown field of the encoder": encoder(evil=1),
    "another digest": header(sha256="0" * 64),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_rows_that_cannot_be(shard: Path, tmp_path: Path, kind: str) -> None:
    rewritten(shard, tmp_path / "place" / "x.parquet", BAD_ROWS[kind])
    refused(tmp_path)


@pytest.mark.parametrize("kind", BAD_FOOTERS)
def test_footers_that_cannot_be(shard: Path, tmp_path: Path, kind: str) -> None:
    rewritten(shard, tmp_path / "place" / "x.parquet", said=BAD_FOOTERS[kind])
    refused(tmp_path)


def refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"x\.parquet|missing") as error:
        index_shards(tmp_path / "store", tmp_path / "place")
    assert len(str(error.value)) < 2000
    if (tmp_path / "store").exists():
        with Store(tmp_path / "store").reading() as con:
            assert con.value("SELECT count(*) FROM stored_images") == 0


@pytest.mark.parametrize("seed", range(FUZZ))
def test_bytes_that_were_changed(shard: Path, tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(shard.read_bytes())
    if seed % 4 == 0:
        data = data[: random.integers(1, len(data))]
    else:
        for at in random.integers(0, len(data), 1 + seed % 3):
            data[at] ^= 1 << random.integers(8)
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "x.parquet").write_bytes(data)
    try:
        index_shards(tmp_path / "store", tmp_path / "place")
    except ShotdexError as error:
        assert "Traceback" not in str(error)


def test_a_claim_of_many_rows_costs_no_memory(shard: Path, tmp_path: Path) -> None:
    def many(table: pa.Table) -> pa.Table:
        zeros = np.zeros(1 << 18, dtype=np.int64)
        return pa.table({name: pa.nulls(len(zeros), table.schema.field(name).type) for name in table.schema.names})

    rewritten(shard, tmp_path / "place" / "x.parquet", many, encoder(dim=16384, vision_dim=16384))
    before = pa.total_allocated_bytes()
    with pytest.raises(SourceError, match="more vectors than its file can hold"):
        index_shards(tmp_path / "store", tmp_path / "place")
    assert pa.total_allocated_bytes() - before < 50 << 20


@pytest.mark.parametrize("kind", ["list", "large list", "list of one size"])
def test_vectors_in_lists_of_any_kind(shard: Path, tmp_path: Path, kind: str) -> None:
    def change(table: pa.Table) -> pa.Table:
        for name in ("joint", "vision"):
            rows = [each and np.frombuffer(each, "<f4").tolist() for each in table.column(name).to_pylist()]
            dim = table.schema.field(name).type.byte_width // 4
            lists = pa.large_list(pa.float32()) if kind == "large list" else pa.list_(pa.float32())
            lists = pa.list_(pa.float32(), dim) if kind == "list of one size" else lists
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(rows, lists))
        return table.drop_columns(["category", "source", "condition", "split", "metadata"])

    rewritten(shard, tmp_path / "place" / "x.parquet", change)
    index_shards(tmp_path / "other", tmp_path / "place")
    index_shards(tmp_path / "one", shard)
    with Store(tmp_path / "one").writing() as con:
        con.run("UPDATE stored_images SET category = NULL")
    assert_equal(tmp_path / "one", tmp_path / "other")


def test_the_writer_in_the_documentation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "shards.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code is not None
    made: dict[str, Any] = {}
    exec(code[1], made)
    random = np.random.default_rng(0)
    rows = [
        {"address": f"/data/{i}.png", "sha256": f"{i:064x}", "width": 3, "height": 4, "size_bytes": 5, "modified_ns": 6}
        for i in range(10)
    ]
    joint = random.normal(size=(10, 8)).astype(np.float32)
    joint /= np.linalg.norm(joint, axis=1, keepdims=True)
    vision = random.normal(size=(10, 6)).astype(np.float32)
    known = {"name": "x", "revision": "1", "weights_sha256": "a" * 64, "preprocessing_sha256": "b" * 64}
    known |= {"precision": "float32", "dim": 8, "vision_dim": 6, "pooling": "mean", "logit_scale": 100.0}
    known |= {"logit_bias": 0.0, "sigmoid": False}
    (tmp_path / "place").mkdir()
    for part in range(2):
        some = slice(5 * part, 5 * part + 5)
        path = tmp_path / "place" / f"{part}.parquet"
        made["write_shard"](path, rows[some], joint[some], vision[some], part, 2, "/data", known)
    assert index_shards(tmp_path / "store", tmp_path / "place").added == 10
    assert [row[1] for row in contents(tmp_path / "store")["images"]] == [row["address"] for row in rows]

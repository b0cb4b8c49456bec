"""Images in tables' cells, read in any order."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.media.files.places import TooManyBytes
from shotdex.media.sources import read_bytes
from shotdex.media.tables import parquet, text
from shotdex.media.tables.cells import TextCells, data_bytes, data_size, open_text, read_cell, table_kind
from shotdex.media.tables.parquet import ParquetCells


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def numbered(count: int) -> list[bytes]:
    return [f"image {i} ".encode() * (1 + i % 7) for i in range(count)]


class TestText:
    """Images in base64, in rows that may be asked for in any order."""

    @pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson"])
    def test_any_order(self, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text, "CHECKPOINT", 500)
        images = numbered(100)
        path = tmp_path / f"t{ending}"
        with path.open("w", newline="") as file:
            if "j" in ending:
                file.writelines(json.dumps({"n": i, "a/b": data_url(p)}) + "\n" for i, p in enumerate(images))
            else:
                delimiter = "\t" if ending == ".tsv" else ";"
                writer = csv.writer(file, delimiter=delimiter)
                writer.writerows([("n", "a/b"), *((f"{i}\n", data_url(p)) for i, p in enumerate(images))])
        order = list(range(100))
        random.Random(1).shuffle(order)
        for i in order:
            assert read_cell(str(path), f"a/b/{i}", 1000) == images[i]
        assert read_bytes(f"{path}!a/b/17") == images[17]

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text(f'image,n\n"{data_url(b"12345")}",1\nbad\nplain.png,2\n"data:image/png;base64,a",3\n')
        for member in ("image/9", "other/0", "image", "image/", "image/-1", "image/1x", "image/" + "9" * 5000, "/0"):
            with pytest.raises(KeyError):
                read_cell(str(path), member, 100)
        with pytest.raises(ValueError, match="1 values where the header has 2"):
            read_cell(str(path), "image/1", 100)
        for row in (2, 3):
            with pytest.raises(ValueError, match=r"not an image in base64|Invalid base64"):
                read_cell(str(path), f"image/{row}", 100)
        with pytest.raises(TooManyBytes):
            read_cell(str(path), "image/0", 4)
        assert read_cell(str(path), "image/0", 5) == b"12345"
        (tmp_path / "empty.csv").touch()
        with pytest.raises(KeyError):
            read_cell(str(tmp_path / "empty.csv"), "image/0", 100)
        with pytest.raises(FileNotFoundError):
            read_cell(str(tmp_path / "gone.csv"), "image/0", 100)

    def test_a_file_that_was_replaced_is_read_anew(self, tmp_path: Path) -> None:
        for name, content in (("t.jsonl", b"one"), ("t.jsonl", b"other"), ("t.jsonl", b"a third")):
            (tmp_path / "new").write_text(json.dumps({"image": data_url(content)}))
            (tmp_path / "new").rename(tmp_path / name)
            assert read_cell(str(tmp_path / name), "image/0", 100) == content

    def test_the_places_of_rows_are_noted_sparsely(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [json.dumps({"image": f"{i:090}"}) for i in range(10_000)]
        table = open_text(io.BytesIO("\n".join(rows).encode()), "t.jsonl")
        assert table is not None
        reader = TextCells(table)
        assert reader.cell("image", 9_999) == f"{9_999:090}"
        assert 10 < len(table._marks) < 20
        monkeypatch.setattr(text, "CHECKPOINT", 200)
        monkeypatch.setattr(text, "CHECKPOINTS", 100)
        table = open_text(io.BytesIO("\n".join(rows).encode()), "t.jsonl")
        assert table is not None
        for i in (9_999, 0, 5_000, 4_999, 9_998):
            assert table.row(i).values == {"image": f"{i:090}"}
        assert 10 < len(table._marks) <= 100

    @given(st.binary(max_size=50))
    def test_data_urls(self, data: bytes) -> None:
        assert data_size(data_url(data)) == len(data)
        assert data_bytes(data_url(data), len(data)) == data

    @pytest.mark.parametrize(
        ("place", "kind"),
        [
            ("/a/b.CSV", "CSV"),
            ("/a/b.csv/c", None),
            ("https://h/t.parquet?sign=a/b.csv", "Parquet"),
            ("/a/t.pq", "Parquet"),
            ("/a/what?.ndjson", "JSONL"),
            ("/a/b.txt", None),
            ("/a/.csv", None),
        ],
    )
    def test_kinds(self, place: str, kind: str | None) -> None:
        assert table_kind(place) == kind


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by each row that is decoded."""
    seen: list[int] = []
    decode = ParquetCells._decode

    def counting(self: ParquetCells, column: str, group: int) -> Iterator[tuple[int, parquet.Cell]]:
        for row, value in decode(self, column, group):
            seen.append(row)
            yield row, value

    monkeypatch.setattr(ParquetCells, "_decode", counting)
    return seen


class TestParquet:
    """Bytes in the columns of Parquet files."""

    @pytest.mark.parametrize(
        "kind",
        [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())],
        ids=str,
    )
    def test_types_of_columns(self, tmp_path: Path, kind: Any) -> None:
        images = numbered(30)
        pq.write_table(pa.table({"a.b/c": pa.array(images, kind)}), tmp_path / "t.parquet", row_group_size=7)
        for i in [*range(30), 3, 29, 0]:
            assert read_cell(str(tmp_path / "t.parquet"), f"a.b/c/{i}", 1000) == images[i]

    def test_the_struct_of_the_datasets_library_and_data_urls(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        structs = [{"bytes": b"one", "path": "1.png"}, {"bytes": None, "path": "2.png"}, None]
        pq.write_table(pa.table({"image": structs, "url": [data_url(b"three"), "x.png", None], "n": [1, 2, 3]}), path)
        assert read_bytes(f"{path}!image/0") == b"one"
        assert read_cell(str(path), "url/0", 100) == b"three"
        for member in ("image/1", "image/2", "url/1", "url/2", "n/0"):
            with pytest.raises(ValueError, match=r"the cell is empty|not an image in base64"):
                read_cell(str(path), member, 100)
        for member in ("image/3", "other/0", "image.bytes/0", "image"):
            with pytest.raises(KeyError):
                read_cell(str(path), member, 100)
        with pytest.raises(TooManyBytes):
            read_cell(str(path), "image/0", 2)

    def test_in_order_from_several_threads_each_row_is_decoded_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, images, seen = tmp_path / "t.parquet", numbered(600), counted(monkeypatch)
        pq.write_table(pa.table({"image": images}), path, row_group_size=250)
        with ThreadPoolExecutor(6) as threads:
            found = list(threads.map(lambda i: read_cell(str(path), f"image/{i}", 1000), range(600)))
        assert found == images
        assert len(seen) == 600

    def test_a_huge_row_group_is_never_held(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        images = [os.urandom(200_000) for _ in range(100)]
        pq.write_table(pa.table({"image": images}), path, compression="none", use_dictionary=False)
        before, peak = pa.total_allocated_bytes(), 0
        for i, image in enumerate(images):
            assert read_cell(str(path), f"image/{i}", 1_000_000) == image
            peak = max(peak, pa.total_allocated_bytes() - before)
        assert peak < 8_000_000  # of 20,000,000

    def test_what_was_passed_over_is_kept_within_bounds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parquet, "KEPT_ROWS", 10)
        seen = counted(monkeypatch)
        pq.write_table(pa.table({"image": numbered(100)}), tmp_path / "t.parquet")
        with (tmp_path / "t.parquet").open("rb") as file:
            reader = ParquetCells(file)
            reader.cell("image", 50)
            assert sorted(reader._kept) == list(range(40, 50))
            for i in range(40, 50):
                assert reader.cell("image", i) == numbered(100)[i]
            assert (len(seen), reader._kept) == (51, {})
            monkeypatch.setattr(parquet, "KEPT_BYTES", 100)
            reader.cell("image", 90)
            assert sum(map(len, reader._kept.values())) <= 100  # type: ignore[arg-type]

    def test_a_broken_row_group_costs_its_rows_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, seen = tmp_path / "t.parquet", counted(monkeypatch)
        images = [os.urandom(5_000) for _ in range(900)]
        pq.write_table(
            pa.table({"image": images}), path, row_group_size=300, use_dictionary=False, write_page_checksum=True
        )
        raw = bytearray(path.read_bytes())
        start = raw.index(images[450])
        raw[start - 200_000 : start + 200_000] = bytes(400_000)
        path.write_bytes(raw)
        lost = []
        for i in range(900):
            try:
                assert read_cell(str(path), f"image/{i}", 10_000) == images[i] or 400 < i < 500
            except Exception:
                lost.append(i)
        assert min(lost) > 450 or lost == list(range(min(lost), 600))
        assert set(lost) <= set(range(300, 600)) and lost
        assert len(seen) <= 900

    def test_no_parquet(self, tmp_path: Path) -> None:
        (tmp_path / "t.parquet").write_bytes(b"PAR1 but not really PAR1")
        with pytest.raises(pa.ArrowException):
            read_cell(str(tmp_path / "t.parquet"), "image/0", 10)

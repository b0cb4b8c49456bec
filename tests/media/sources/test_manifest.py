"""Tables of images: the same table gives the same images as CSV, JSONL and Parquet."""

from __future__ import annotations

import base64
import csv
import datetime
import decimal
import json
import math
import os
import subprocess
import sys
import tempfile
import tracemalloc
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.media.sources.base import Candidate, Found, Note, Reading
from shotdex.media.sources.columns import csv_value, parse_columns
from shotdex.media.sources.label_cells import LabelCells
from shotdex.media.sources.located import locate
from shotdex.media.sources.manifest import ManifestSource
from shotdex.media.sources.zipped import ZipSource
from shotdex.media.tables.cells import table_kind
from shotdex.store.errors import OptionError, SourceError
from shotdex.store.images import Labels
from shotdex.store.types import Failure, Reason
from tests.support.web import Page, served

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows of one shape; None is an empty cell."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=3)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def scan(path: Path | str, columns: str | None = None, as_written: bool = False) -> list[Found]:
    reading = Reading(parse_columns(columns) if columns else {}, labels_as_written=as_written)
    return list(ManifestSource(str(path), reading).scan())


def candidates(path: Path | str, columns: str | None = None, as_written: bool = False) -> list[Candidate]:
    found = scan(path, columns, as_written)
    found = [each for each in found if not isinstance(each, LabelCells)]
    assert all(isinstance(each, Candidate) for each in found), found
    return [each for each in found if isinstance(each, Candidate)]


def refusals(path: Path | str) -> list[tuple[str, Reason, str]]:
    found = [each for each in scan(path) if isinstance(each, Failure)]
    assert {each.stage for each in found} <= {"scan"}
    return [
        (each.path.removeprefix(f"{path}!").removeprefix(f"{Path(path).parent}/"), each.reason, each.detail)
        for each in found
    ]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


PRINTED = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=10)
LABEL = st.none() | PRINTED.map(str.strip).filter(bool) | st.sampled_from(["007", 'a "b", c', "two\nlines", "ü;|\t🎈"])
FURTHER = (
    st.none()
    | PRINTED.filter(lambda text: isinstance(csv_value(text), str))
    | st.sampled_from(["007", "1e3", "+1", "nan", "1_000", "٣", " 5"])
)
NUMBER = st.none() | st.integers(-(2**60), 2**60)
FRACTION = st.none() | st.floats(allow_nan=False, allow_infinity=False)


class TestTheSameTable:
    """One table in every format."""

    @given(st.lists(st.tuples(LABEL, LABEL, FURTHER, NUMBER, FRACTION), min_size=1, max_size=8))
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
    def test_round_trip(self, values: list[tuple[Any, ...]]) -> None:
        names = ("Label", "split", "odd, name", "n", "x")
        rows = [{"image": f"https://h/p/{i}.png", **dict(zip(names, row, strict=True))} for i, row in enumerate(values)]
        expected = [
            Candidate(
                f"https://h/p/{i}.png",
                f"p/{i}.png",
                0,
                0,
                Labels(row[0], None, row[1]),
                {n: v for n, v in zip(names[2:], row[2:], strict=True) if v is not None} or None,
            )
            for i, row in enumerate(values)
        ]
        with tempfile.TemporaryDirectory() as folder:
            for ending in ENDINGS:
                found = candidates(write_table(Path(folder) / f"t{ending}", rows), as_written=True)
                assert found == expected, ending
                assert [typed(each) for each in found] == [typed(each) for each in expected], ending

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_files(self, tmp_path: Path, ending: str) -> None:
        touch(tmp_path, "in/a.jpg", "in/x, y/ü 🎈.PNG", "out/c!d.jpg", "in/e.jpg", "abs.jpg")
        os.utime(tmp_path / "in/a.jpg", ns=(5, 1_234_567_890_123_456_789))
        paths = ["a.jpg", "./x, y//ü 🎈.PNG", "../out/c!d.jpg", "x, y\\..\\e.jpg", f"{tmp_path}/abs.jpg", " a.jpg "]
        paths += [f"file://{tmp_path}/in/x,%20y/%C3%BC%20%F0%9F%8E%88.PNG", f"{tmp_path}/in/e.jpg"]
        source = ManifestSource(str(write_table(tmp_path / f"in/t{ending}", [{"file": path} for path in paths])))
        found = list(source.scan())
        assert [each.relative for each in found if isinstance(each, Candidate)] == [
            "a.jpg", "x, y/ü 🎈.PNG", "out/c!d.jpg", "e.jpg", f"{tmp_path}/abs.jpg"[1:], "a.jpg", "x, y/ü 🎈.PNG",
            "e.jpg",
        ]  # fmt: skip
        assert found[0] == Candidate(f"{tmp_path}/in/a.jpg", "a.jpg", 8, 1_234_567_890_123_456_789)
        assert [source.read(each.address, 100).decode() for each in found if isinstance(each, Candidate)] == [
            "in/a.jpg", "in/x, y/ü 🎈.PNG", "out/c!d.jpg", "in/e.jpg", "abs.jpg", "in/a.jpg", "in/x, y/ü 🎈.PNG",
            "in/e.jpg",
        ]  # fmt: skip
        assert (source.by_path, source.complete, source.in_order) == (False, True, False)

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_what_is_refused(self, tmp_path: Path, ending: str) -> None:
        touch(tmp_path, "a.jpg", "sub/b.jpg")
        os.mkfifo(tmp_path / "pipe.jpg")
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        names = ["a.jpg", "gone.jpg", "", "sub", "pipe.jpg", "loop.jpg", "ftp://h/a.jpg", "a.jpg/b.jpg", "x" * 300]
        names += ["gone.zip!a.jpg", "!" * 9000, "x" * 20_000, "file://elsewhere/a.jpg", "http://[/a.jpg", "data:,x"]
        path = write_table(tmp_path / f"t{ending}", [{"image": name, "label": "x"} for name in names])
        found = refusals(path)
        assert [(shown[:20], reason) for shown, reason, _ in found] == [
            ("gone.jpg", Reason.UNREADABLE),
            ("row 2", Reason.UNREADABLE),
            *((name, Reason.UNREADABLE) for name in ("sub", "pipe.jpg", "loop.jpg")),
            ("ftp://h/a.jpg", Reason.UNSUPPORTED),
            *((name, Reason.UNREADABLE) for name in ("a.jpg/b.jpg", "x" * 20, "gone.zip!a.jpg", "!" * 20, "x" * 20)),
            *((name, Reason.UNREADABLE) for name in ("file://elsewhere/a.j", "http://[/a.jpg")),
            ("row 14", Reason.UNSUPPORTED),
        ]
        place = {".parquet": "row 1, counted from 0", ".jsonl": "line 2"}.get(ending, "line 3")
        assert found[0][2] == f"no such file ({place})"
        assert "index the folder itself" in found[2][2]
        assert len(scan(path)) == len(names)

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_members_of_archives(self, tmp_path: Path, ending: str) -> None:
        import zipfile

        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            archive.writestr("a/b.jpg", b"member")
        path = write_table(tmp_path / f"t{ending}", [{"image": "set.zip!a/b.jpg"}])
        found = candidates(path)
        [inside] = [one for one in ZipSource(str(tmp_path / "set.zip")).scan() if isinstance(one, Candidate)]
        assert found == [inside], "the same facts as through its archive, so that neither reads what the other did"
        assert ManifestSource(str(path)).read(found[0].address, 100) == b"member"

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_images_in_cells(self, tmp_path: Path, ending: str) -> None:
        touch(tmp_path, "a.jpg")
        rows = [
            {"n": 1, "pic/ture": data_url(b"one")},
            {"n": 2, "pic/ture": "a.jpg"},
            {"n": 3, "pic/ture": data_url(b"3")},
        ]
        source = ManifestSource(str(write_table(tmp_path / f"t{ending}", rows)), Reading({"image": "pic/ture"}))
        found = [each for each in source.scan() if isinstance(each, Candidate)]
        assert [each.address.rpartition("/")[2] for each in found] == ["0", "a.jpg", "2"]
        assert [source.read(each.address, 10) for each in found] == [b"one", b"a.jpg", b"3"]
        assert (found[0].address, found[0].relative) == (f"{source.root}!pic/ture/0", f"t{ending}/0")
        assert (found[0].size_bytes, found[0].metadata) == (3, {"n": 1})
        # Written again with the same cells, nothing has changed; with another cell, that one has.
        rows[2]["pic/ture"] = data_url(b"4")
        write_table(tmp_path / f"t{ending}", rows)
        again = [each for each in source.scan() if isinstance(each, Candidate)]
        assert again[:2] == found[:2] and again[2] != found[2]
        assert 0 < found[0].modified_ns < 2**63

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_roles(self, tmp_path: Path, ending: str) -> None:
        touch(tmp_path, "a.jpg", "b.jpg")
        row = {
            "PATH": "b.jpg",
            "Image": "a.jpg",
            "target": "t",
            "class": "c",
            "kind": "k",
            "Fold": 3,
            "condition": True,
        }
        path = write_table(tmp_path / f"t{ending}", [row])
        true = "True" if ending in (".csv", ".tsv") else "true"  # as Python writes it there
        assert candidates(path)[0].relative == "a.jpg"
        assert candidates(path)[0].labels == Labels("c", true, "3")
        assert candidates(path)[0].metadata == {"PATH": "b.jpg", "target": "t", "kind": "k"}
        given_ones = candidates(path, "image=PATH, category=kind,split=kind")[0]
        assert (given_ones.relative, given_ones.labels) == ("b.jpg", Labels("k", true, "k"))
        for columns, hint in {"category=Knd": "did you mean kind?", "image=zzz": "its columns are PATH, Image"}.items():
            with pytest.raises(
                SourceError, match=f"cannot be used: it has no column {columns.split('=')[1]!r}"
            ) as error:
                scan(path, columns)
            assert hint in error.value.hint

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_no_column_of_images(self, tmp_path: Path, ending: str) -> None:
        path = write_table(tmp_path / f"t{ending}", [{"what": "a.jpg", "label": "x"}])
        with pytest.raises(SourceError, match="no column that names the images") as error:
            scan(path)
        assert error.value.hint == "say which with --columns image=NAME; its columns are what, label"

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_table_without_rows(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"t{ending}"
        if ending == ".parquet":
            pq.write_table(pa.table({"image": pa.array([], pa.string())}), path)
        else:
            path.write_text("" if ending == ".jsonl" else "image,label\n")
        assert scan(path) == []

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_too_much_or_no_single_value(self, tmp_path: Path, ending: str) -> None:
        rows = [
            {"image": "http://h/1.jpg", "label": "x" * 1025, "more": "y"},
            {"image": "http://h/2.jpg", "label": " x ", "more": "y" * 300_000},
            {"image": "http://h/3.jpg", "label": "   ", "more": ""},
        ]
        found = scan(write_table(tmp_path / f"t{ending}", rows))
        details = [each.detail for each in found if isinstance(each, Failure)]
        assert [detail.partition(": ")[2] for detail in details] == [
            "a label has more than 1,024 characters", "further columns hold more than 262,144 characters",
        ]  # fmt: skip
        assert isinstance(found[2], Candidate) and (found[2].labels, found[2].metadata) == (Labels(), None)


EVERY_BYTE = """
import sys
from pathlib import Path
from shotdex.media.sources.located import locate
from shotdex.media.sources.manifest import ManifestSource
from shotdex.store.errors import SourceError

path = Path(sys.argv[1])
raw = path.read_bytes()
counts = {True: 0, False: 0}
for i in range(len(raw) - 8 - int.from_bytes(raw[-8:-4], "little"), len(raw)):
    path.write_bytes(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :])
    try:
        counts[len(list(ManifestSource(str(path)).scan())) >= 0] += 1
    except SourceError:
        counts[False] += 1
print(counts[True], counts[False])
"""


def typed(candidate: Candidate) -> list[type]:
    """1 == 1.0 == True, so that values are compared with their types."""
    return [type(value) for value in (candidate.metadata or {}).values()]


@pytest.mark.parametrize("ending", ENDINGS)
def test_accents_as_one_character_or_two_name_the_same_file(tmp_path: Path, ending: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Ångström é.jpg") for form in ("NFC", "NFD"))
    for there, written in ((composed, decomposed), (decomposed, composed)):
        (tmp_path / there).write_bytes(b"x")
        [found] = candidates(write_table(tmp_path / f"t{ending}", [{"image": written}]))
        assert found.address in (f"{tmp_path}/{there}", f"{tmp_path}/{written}")  # the latter where the system converts
        (tmp_path / there).unlink()


class TestRemote:
    """Tables at URLs, and the URLs in tables."""

    @pytest.mark.parametrize(
        ("cell", "address", "relative"),
        [
            ("a/b.jpg", "https://h/sets/a/b.jpg", "sets/a/b.jpg"),
            ("../b c.jpg", "https://h/b c.jpg", "b c.jpg"),
            ("../../../b.jpg", "https://h/b.jpg", "b.jpg"),
            ("s3://bucket/x/y%20z.jpg", "s3://bucket/x/y%20z.jpg", "x/y%20z.jpg"),
            ("HTTPS://Other/y%20z.jpg?sign=1", "https://Other/y%20z.jpg?sign=1", "y z.jpg"),
            ("set.zip!a/b.jpg", "https://h/sets/set.zip!a/b.jpg", "a/b.jpg"),
            ("wow!.jpg", "https://h/sets/wow!.jpg", "sets/wow!.jpg"),
        ],
    )
    def test_addresses(self, cell: str, address: str, relative: str) -> None:
        assert locate(cell, "https://h/sets") == Candidate(address, relative, 0, 0)

    @pytest.mark.parametrize(
        "cell", ["/etc/passwd", "file:///etc/passwd", "C:\\x.jpg", "c:/x.jpg", "\\\\h\\x", "FILE:///x"]
    )
    def test_a_remote_table_cannot_name_files_of_this_machine(self, cell: str) -> None:
        found = locate(cell, "https://h/sets")
        assert isinstance(found, Failure)
        assert (found.reason, found.detail) == (Reason.UNREADABLE, "a remote list cannot name files of this machine")

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_table_at_a_url(self, tmp_path: Path, ending: str) -> None:
        cells = ["in/a b.jpg", f"{tmp_path}/t.csv", data_url(b"in the cell")]
        table = write_table(tmp_path / f"t{ending}", [{"image": cell} for cell in cells]).read_bytes()
        with served({f"/sets/t{ending}?v=1": Page(table), "/sets/in/a%20b.jpg": Page(b"picture")}) as site:
            source = ManifestSource(f"{site.url}/sets/t{ending}?v=1")
            found = list(source.scan())
            assert found[0] == Candidate(f"{site.url}/sets/in/a b.jpg", "sets/in/a b.jpg", 0, 0)
            assert isinstance(found[1], Failure) and isinstance(found[2], Candidate)
            assert (found[2].address, found[2].relative) == (f"{source.root}!image/2", f"t{ending}/2")
            assert source.read(found[0].address, 100) == b"picture"
            assert source.read(found[2].address, 100) == b"in the cell"
            with pytest.raises(SourceError, match="cannot be read"):
                list(ManifestSource(f"{site.url}/gone{ending}").scan())

    @pytest.mark.parametrize("cell", ["http://me:word@h/a.jpg", "http://h/zip::file:///etc/passwd", "http://[/a"])
    def test_urls_that_are_not_opened(self, cell: str) -> None:
        assert isinstance(locate(cell, "/somewhere"), Failure)


class TestParquet:
    """Types that only Parquet has."""

    def test_the_datasets_library(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.jpg")
        images = [
            {"bytes": b"one", "path": "x/1.png"},
            {"bytes": None, "path": "a.jpg"},
            None,
            {"bytes": b"two", "path": None},
            {"bytes": None, "path": None},
        ]
        features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        schema = {b"huggingface": json.dumps({"info": {"features": features}})}
        table = pa.table({"image": images, "label": [0, 1, 1, -1, 7], "mask": images})
        for rows in (1, 2, 5):  # row groups with bytes only, without, and with both
            path = tmp_path / "t.parquet"
            pq.write_table(table.replace_schema_metadata(schema), path, row_group_size=rows)
            source = ManifestSource(str(path))
            found = list(source.scan())
            kept = [each for each in found if isinstance(each, Candidate)]
            assert [source.read(each.address, 10) for each in kept] == [b"one", b"a.jpg", b"two"]
            assert [each.relative for each in kept] == ["x/1.png", "a.jpg", "t.parquet/3"]
            assert [each.labels for each in kept] == [Labels("cat"), Labels("dog"), Labels()]
            assert kept[0].modified_ns == path.stat().st_mtime_ns
            assert kept[0].metadata == {"mask": {"path": "x/1.png"}}
            assert [each.path for each in found if isinstance(each, Failure)] == [f"{path}!row 2", f"{path}!row 4"]

    @pytest.mark.parametrize(
        "metadata", [b"", b"[]", b'{"info": 3}', b"[" * 9999, b'{"info": {"features": {"label": 3}}}']
    )
    def test_broken_names_of_classes(self, tmp_path: Path, metadata: bytes) -> None:
        table = pa.table({"image": [b"x"], "label": [1]}).replace_schema_metadata({b"huggingface": metadata})
        pq.write_table(table, tmp_path / "t.parquet")
        assert candidates(tmp_path / "t.parquet")[0].labels == Labels("1")

    def test_values(self, tmp_path: Path) -> None:
        moment = datetime.datetime(2024, 2, 29, 12, 30, 15, 250_000)
        columns = {
            "photo": pa.array([b"x"]),
            "label": pa.array(["cat"]).dictionary_encode(),
            "split": pa.array([2.0]),
            "condition": pa.array([datetime.date(2024, 2, 29)]),
            "int": pa.array([2**63 - 1]),
            "nan": pa.array([math.nan]),
            "decimal": pa.array([decimal.Decimal("12.50")]),
            "exact": pa.array([decimal.Decimal("12345678901234567890.5")]),
            "ns": pa.array([1_709_209_815_250_000_999], pa.timestamp("ns")),
            "zone": pa.array([moment], pa.timestamp("s", "No/Where")),
            "time": pa.array([datetime.time(1, 2, 3)], pa.time64("ns")),
            "took": pa.array([datetime.timedelta(seconds=90)]),
            "list": pa.array([[1, None, 2]]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "nested": pa.array([{"a": [moment], "b": b"bytes", "c": math.nan}]),
            "view": pa.array(["v"], pa.string_view()),
            "large": pa.array(["l"], pa.large_string()),
            "bytes": pa.array([b"left out"]),
            "fixed": pa.array([b"1234"], pa.binary(4)),
            "null": pa.array([None]),
        }
        pq.write_table(pa.table(columns), tmp_path / "t.parquet")
        found = candidates(tmp_path / "t.parquet")[0]
        assert found.labels == Labels("cat", "2024-02-29", "2")
        assert found.metadata == {
            "int": 2**63 - 1,
            "decimal": 12.5,
            "exact": "12345678901234567890.5",
            "ns": "2024-02-29T12:30:15.250000",
            "zone": "2024-02-29T12:30:15+00:00",
            "time": "01:02:03",
            "took": 90.0,
            "list": [1, None, 2],
            "map": [["k", 1]],
            "nested": {"a": ["2024-02-29T12:30:15.250000"], "c": None},
            "view": "v",
            "large": "l",
        }
        json.dumps(found.metadata, allow_nan=False)

    def test_values_that_cannot_be_read_cost_their_row(self, tmp_path: Path) -> None:
        broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"caf\xe9", b"ok"]).buffers())
        table = pa.table(
            {"image": ["http://h/1", "http://h/2"], "text": broken, "t": pa.array([1, 2], pa.timestamp("s"))}
        )
        pq.write_table(table, tmp_path / "t.parquet")
        found = scan(tmp_path / "t.parquet")
        assert isinstance(found[0], Failure) and "UnicodeDecodeError" in found[0].detail
        assert isinstance(found[1], Candidate) and found[1].metadata == {"text": "ok", "t": "1970-01-01T00:00:02"}

    def test_a_image_by_name_but_not_by_type(self, tmp_path: Path) -> None:
        pq.write_table(
            pa.table({"image": [[1.0, 2.0]], "label": [[1]], "class": [3], "url": ["http://h/1"]}),
            tmp_path / "t.parquet",
        )
        found = candidates(tmp_path / "t.parquet")[0]
        assert (found.address, found.labels) == ("http://h/1", Labels("3"))

    def test_a_cell_that_is_empty_after_all_is_refused_when_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table({"image": [b"x"] * 20 + [None]}), path)
        assert len(candidates(path)) == 21
        with pytest.raises(ValueError, match="the cell is empty"):
            ManifestSource(str(path)).read(f"{path}!image/20", 10)

    def test_no_wrong_byte_in_the_footer_ends_the_process(self, tmp_path: Path) -> None:
        # pyarrow aborts where a column's statistics are asked for and these bytes are wrong; so in a process apart.
        pq.write_table(pa.table({"image": [b"x", None]}), tmp_path / "t.parquet", store_schema=False)
        ran = subprocess.run(
            [sys.executable, "-c", EVERY_BYTE, str(tmp_path / "t.parquet")], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        good, refused = map(int, ran.stdout.split())
        assert good > 10 and refused > 10

    @pytest.mark.parametrize("cut", [0, 4, 100, -1, -9])
    def test_a_broken_file(self, tmp_path: Path, cut: int) -> None:
        path = write_table(tmp_path / "t.parquet", [{"image": "a.jpg", "n": i} for i in range(50)])
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(SourceError, match=r"t\.parquet cannot be used: it cannot be read as Parquet") as error:
            scan(path)
        assert error.value.hint == "write or download the file again"

    def test_no_column_and_twice_the_same(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({}), tmp_path / "t.parquet")
        assert scan(tmp_path / "t.parquet") == []
        pq.write_table(pa.table([["a"], ["b"]], names=["image", "image"]), tmp_path / "t.parquet")
        with pytest.raises(SourceError, match="column 'image' twice"):
            scan(tmp_path / "t.parquet")


class TestJsonLines:
    """Lines that are no rows."""

    def test_bad_lines_cost_no_other_line(self, tmp_path: Path) -> None:
        lines = [
            b'\xef\xbb\xbf{"image": "http://h/1", "label": 1, "x": {"deep": [NaN, 1e999, 2]}}',
            b"{", b"3", b'"a"', b"[" * 100_000, b"", b'{"image": 5, "x": "caf\xe9"}', b'{"image": "\\ud800"}',
            b'{"image": null}', b'{"label": 2}', b'{"image": 5}', b'{"image": ["a"]}',
            b'{"image": "http://h/2", "label": ["a"]}',
            b'{"image": "http://h/3", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
            b'{"image": "http://h/4", "x": ' + b"9" * 5000 + b"}",
            b'{"image": {"path": "http://h/5", "bytes": null}, "label": false, "new": 1}\r',
            b'{"image": "http://h/\\ud83c\\udf88", "label": ""}',
        ]  # fmt: skip
        (tmp_path / "t.jsonl").write_bytes(b"\n".join(lines))
        *found, note = scan(tmp_path / "t.jsonl", "image=image,category=label")
        assert note == Note(f"{tmp_path}/t.jsonl: line 7 is not UTF-8; such lines were read as Windows-1252")
        kept = [each for each in found if isinstance(each, Candidate)]
        assert [(each.relative, each.labels, each.metadata) for each in kept] == [
            ("1", Labels("1"), {"x": {"deep": [None, None, 2]}}),
            ("5", Labels("false"), {"new": 1}),
            ("🎈", Labels(), None),
        ]
        said = [
            (each.path.rpartition("!")[2], each.detail.partition(":")[0]) for each in found if isinstance(each, Failure)
        ]
        assert said == [
            *((f"row {n}", f"line {n + 1}") for n in (1, 2, 3, 4)),
            *((f"row {n}", f"line {n + 2}") for n in range(5, 14)),
        ]

    def test_one_list_is_not_lines(self, tmp_path: Path) -> None:
        (tmp_path / "t.jsonl").write_text('\n [\n{"image": "a.jpg"}]')
        with pytest.raises(SourceError, match="one JSON list") as error:
            scan(tmp_path / "t.jsonl")
        assert "jq" in error.value.hint

    def test_columns_that_come_later(self, tmp_path: Path) -> None:
        rows: list[dict[str, Any]] = [{"image": f"http://h/{i}"} for i in range(900)]
        rows[800]["label"] = "late"
        path = tmp_path / "t.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        assert [each.labels for each in candidates(path)].count(Labels("late")) == 1


def test_csv_problems_become_rejections_or_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'image,label\r\nhttp://h/1,a\r\n\r\nhttp://h/2\r\n"http://h/3,a\r\nhttp://h/4,"b\r\nc"\r\n')
    assert [isinstance(each, Candidate) for each in scan(path)] == [True, False, False, True]
    assert [detail.partition(":")[0] for _, _, detail in refusals(path)] == ["line 4", "line 5"]
    path.write_bytes(b"image,label\nhttp://h/1,a\nhttp://h/2,caf\xe9\n")
    labels = [each.labels for each in scan(path) if isinstance(each, Candidate)]
    assert labels == [Labels("a"), Labels("café")]
    assert scan(path)[2] == Note(f"{path}: line 3 is not UTF-8; such lines were read as Windows-1252")
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        scan(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-07", 1e-07),
        ("007", "007"),
        ("1.50", "1.50"),
        ("+1", "+1"),
        ("1e5", "1e5"),
    ]
    + [(text, text) for text in ("inf", "nan", "-0", "1_0", "٣", " 1", "0x1", "", "1.", "12345678901234567.1")],
)
def test_numbers_in_csv(text: str, value: Any) -> None:
    assert (csv_value(text), type(csv_value(text))) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image", "is not ROLE=NAME"),
        ("image=", "is not ROLE=NAME"),
        ("=a", "is not ROLE=NAME"),
        ("image=a,", "is not ROLE=NAME"),
        ("picture=a", "no role 'picture'"),
        ("image=a,image=b", "assigned twice"),
    ],
)
def test_columns_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_columns(text)


def test_columns_and_kinds() -> None:
    assert parse_columns("image=a=b, category = my label ") == {"image": "a=b", "category": "my label"}
    kinds = {name: ManifestSource(name).kind for name in ("/t.TSV", "https://h/t.pq?x=1", "/t.ndjson")}
    assert list(kinds.values()) == ["CSV manifest", "Parquet manifest", "JSONL manifest"]
    assert not table_kind("/t.txt") and not table_kind("/csv") and table_kind("/a/t.csv")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, ending: str) -> None:
    peaks = []
    for count in (300, 3_000):
        rows = [{"image": f"http://h/{i}", "label": i, "text": f"{i} " * 20} for i in range(count)]
        path = write_table(tmp_path / f"{count}{ending}", rows)
        if ending == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
        del rows
        outside, most_outside = pa.total_allocated_bytes(), 0
        tracemalloc.start()
        for _ in ManifestSource(str(path)).scan():
            most_outside = max(most_outside, pa.total_allocated_bytes() - outside)
        peaks.append(tracemalloc.get_traced_memory()[1] + most_outside)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000  # all rows at once would be 2,000,000 and more

"""CSV as people have it, against Python's own reader; and rows that are bad, or whose quotes are never closed."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.media.tables import csv_records, lines, text
from shotdex.media.tables.csv_records import Dialect
from shotdex.media.tables.table import Row
from shotdex.media.tables.text import TextTable, open_csv, open_jsonl
from shotdex.store.errors import SourceError

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
WESTERN = st.text(st.characters(codec="cp1252", exclude_characters="\0"), max_size=8)
NAMES = ("one", "two", "three")


def opened(content: str | bytes, dialect: Dialect | None = None) -> TextTable:
    table = open_csv(io.BytesIO(content.encode() if isinstance(content, str) else content), dialect)
    assert table is not None
    return table


def cells(content: str | bytes) -> list[list[str] | None]:
    return [None if row.problem else list(row.values.values()) for row in opened(content).rows()]


def problems(content: str | bytes) -> list[tuple[int, str]]:
    return [(row.line, row.problem) for row in opened(content).rows() if row.problem]


def written(rows: list[tuple[str, ...]], delimiter: str, end: str = "\r\n", quoting: Any = csv.QUOTE_ALL) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([NAMES, *rows])
    return text.getvalue()


class TestEncodings:
    """Marks decide; without one it is UTF-8, and a line that is not is Windows-1252."""

    @given(
        st.lists(st.tuples(CELL, CELL, CELL), max_size=8),
        st.sampled_from(csv_records.DELIMITERS),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    )
    def test_what_python_writes(self, rows: list[tuple[str, ...]], delimiter: str, end: str, encoding: str) -> None:
        raw = written(rows, delimiter, end).encode(encoding)
        table = opened(raw)
        assert (table.delimiter, table.names, table.note()) == (delimiter, NAMES, "")
        assert cells(raw) == [list(row) for row in rows if any(row)]

    @given(st.lists(st.tuples(WESTERN, WESTERN, WESTERN), max_size=8), st.sampled_from(csv_records.DELIMITERS))
    def test_windows_1252(self, rows: list[tuple[str, ...]], delimiter: str) -> None:
        rows = [("é", *row[1:]) for row in rows]  # by itself never UTF-8 before a quote
        found = cells(written(rows, delimiter).encode("cp1252"))
        assert found == [list(row) for row in rows]

    def test_it_is_said(self) -> None:
        table = opened("a,b\n1,é\n2,ü\n".encode() + b"3,caf\xe9\n4,\x80\x81\n" + "5,é\n".encode())
        assert [row.values["b"] for row in table.rows()] == ["é", "ü", "café", "\x80\x81", "é"]
        assert table.note() == "line 4 is not UTF-8; such lines were read as Windows-1252"

    def test_utf_16_that_is_cut_or_broken(self) -> None:
        raw = "a,b\n1,é\n".encode("utf-16")
        assert cells(raw + "2,x".encode("utf-16-le") + b"\x00") == [["1", "é"], ["2", "x\ufffd"]]
        assert cells(raw + b"\x00\xd8,\x00x\x00\n\x00") == [["1", "é"], ["\ufffd", "x"]]
        with pytest.raises(SourceError, match="header cannot be read: it has a NUL byte"):
            opened("a,b\n1,2\n".encode("utf-16-le"))

    @given(st.lists(st.tuples(CELL, CELL, CELL), max_size=40), st.sampled_from(["utf-8-sig", "utf-16"]), st.data())
    def test_any_row_by_its_number(self, rows: list[tuple[str, ...]], encoding: str, data: st.DataObject) -> None:
        rows = [row for row in rows if any(row)]
        table = opened(written(rows, ";", "\n").encode(encoding))
        table._apart = data.draw(st.integers(1, 50))
        for i in data.draw(st.permutations(range(len(rows)))):
            assert list(table.row(i).values.values()) == list(rows[i])
        with pytest.raises(KeyError):
            table.row(len(rows))


class TestCsv:
    """Rows, good and bad."""

    @given(st.text(st.sampled_from('a",\n'), max_size=60))
    def test_any_text_gives_what_python_reads_there_or_a_reason(self, body: str) -> None:
        raw = "x,y\n" + body
        whole = raw.splitlines(keepends=True)
        for row in opened(raw).rows():
            if row.problem and "values where" not in row.problem:
                continue
            there = next(csv.reader(whole[row.line - 1 :], strict=True))
            assert list(row.values.values()) == (there if not row.problem else [])

    @given(st.text(st.sampled_from('a",\nü'), max_size=60), st.integers(0, 20))
    def test_reading_goes_on_from_any_row(self, body: str, start: int) -> None:
        table = opened("x,y\n" + body)
        table._apart = 3
        rows = list(table.rows())
        order = list(range(len(rows)))
        random.Random(start).shuffle(order)
        assert [table.row(i) for i in order] == [rows[i] for i in order]

    def test_a_row_is_what_it_says(self) -> None:
        assert list(opened("a,b\n1,2").rows()) == [Row(0, {"a": "1", "b": "2"}, "", 2)]

    def test_bad_rows_are_named_and_cost_no_other_row(self) -> None:
        content = 'p,c\n1,a\n2,"b\n3,c\n4\n\n5,"x"y\n6,1,2\n,\n7,"two\nlines"\n8,a\0b\n9,z\n'
        assert [row for row in cells(content) if row] == [
            ["1", "a"], ["3", "c"], ["7", "two\nlines"], ["9", "z"],
        ]  # fmt: skip
        assert problems(content) == [
            (3, "after a closing quote stands neither a separator nor the end of the line"),
            (5, "1 values where the header has 2"),
            (7, "after a closing quote stands neither a separator nor the end of the line"),
            (8, "3 values where the header has 2"),
            (12, "it has a NUL byte"),
        ]
        assert problems('p,c\n1,"a\n2,b\n') == [(2, "a quote is opened and never closed")]
        assert cells('p,c\n1,"a\n2,b\n') == [None, ["2", "b"]]

    def test_a_line_without_end_is_not_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines, "LINE_LIMIT", 1000)
        monkeypatch.setattr(csv_records, "LINE_LIMIT", 1000)
        monkeypatch.setattr(lines, "_BUFFER", 64)
        content = "p,c\n1,a\n" + "x" * 5000 + ",b\n2,b\n"
        assert problems(content) == [(3, "longer than 1,000 characters")]
        assert cells(content) == [["1", "a"], None, ["2", "b"]]
        assert cells('p,c\n1,"a\n' + "x" * 5000 + ",b\n2,b\n") == [None, None, ["2", "b"]]

    def test_a_cell_may_be_longer_than_python_allows_by_itself(self) -> None:
        assert cells(f"p,c\n{'x' * 500_000},2\n") == [["x" * 500_000, "2"]]

    def test_a_row_of_very_many_values(self) -> None:
        assert problems("p,c\n" + "," * 20_000 + "x\n1,2\n") == [(2, "more than 10,000 values")]
        assert cells('p,c\n1,"' + "," * 20_000 + "\n" + "," * 20_000 + '"\n')[0] is not None

    def test_quotes_that_are_broken_everywhere_do_not_make_it_read_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # From outside quotes and from inside them, each of these lines leaves a quote open: each row goes to the end.
        monkeypatch.setattr(csv_records, "QUOTED_LIMIT", 10_000)
        monkeypatch.setattr(csv_records, "RESCUED", 100_000)
        with pytest.raises(SourceError, match="too many quotes are opened and never closed, the last one in line 12"):
            list(opened("p,c\n" + 'a","\n' * 50_000).rows())

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a,b,a\n", "column 'a' twice"),
            ('"a,b\n', "header cannot be read"),
            (",".join(f"c{i}" for i in range(10_001)), "more than 10,000 columns"),
            ("," * 20_000, "more than 10,000 values"),
        ],
    )
    def test_files_that_are_refused(self, content: str, message: str) -> None:
        with pytest.raises(SourceError, match=message) as error:
            list(opened(content).rows())
        assert error.value.hint

    @pytest.mark.parametrize(
        ("content", "delimiter", "columns"),
        [
            ("image\na b.jpg\n", ",", ("image",)),
            ("image;the label, if any\na.jpg;x\n", ";", ("image", "the label, if any")),
            ("\n\n image , label \n1,2\n", ",", ("image", "label")),
            ("a|b|c", "|", ("a", "b", "c")),
            (",image\n0,a.jpg\n", ",", ("", "image")),
            ("a,b\rc,d\r", ",", ("a", "b")),
        ],
    )
    def test_headers(self, content: str, delimiter: str, columns: tuple[str, ...]) -> None:
        table = opened(content)
        assert (table.delimiter, table.names) == (delimiter, columns)

    def test_known_names_decide_the_delimiter(self) -> None:
        content = "Accuracy;a,b,c\n0;5,2,3\n"
        assert (opened(content).delimiter, opened(content, Dialect(known=["accuracy"])).delimiter) == (",", ";")
        spaced = list(opened('a, "b, c"\n1, "2, 3"\n', Dialect(spaced=True)).rows())
        assert spaced[0].values == {"a": "1", "b, c": "2, 3"}

    @pytest.mark.parametrize("raw", [b"", b"\n\r\n", b"\xef\xbb\xbf", b"\xff\xfe"])
    def test_an_empty_file(self, raw: bytes) -> None:
        assert open_csv(io.BytesIO(raw)) is None
        assert list(open_jsonl(io.BytesIO(raw)).rows()) == []


def test_json_lines_in_other_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    content = '{"a": "é"}\r\n\n{"a": 2}\rx'
    for raw in (content.encode("utf-8-sig"), content.encode("utf-16"), content.encode("cp1252")):
        rows = list(open_jsonl(io.BytesIO(raw)).rows())
        assert [(row.number, row.line, row.values) for row in rows] == [(0, 1, {"a": "é"}), (1, 3, {})]
        assert rows[1].problem.startswith("not JSON: Extra data")
    monkeypatch.setattr(lines, "LINE_LIMIT", 20)
    monkeypatch.setattr(text, "LINE_LIMIT", 20)
    rows = list(open_jsonl(io.BytesIO(b'{"a": "' + b"x" * 90 + b'"}\n{"a": 1}')).rows())
    assert [(row.line, row.problem, row.values) for row in rows] == [
        (1, "longer than 20 characters", {}),
        (2, "", {"a": 1}),
    ]

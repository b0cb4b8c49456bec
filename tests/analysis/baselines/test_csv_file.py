"""Reading CSV as people have it: the same rows from every dress of a file, and broken files named with their line."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.analysis.baselines.csv_file import CsvFile, read_csv
from shotdex.store.errors import OptionError

KNOWN = ("condition", "accuracy", "source")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
tables = st.lists(
    st.tuples(texts, texts, texts).filter(lambda row: any(c.strip() for c in row)), min_size=1, max_size=6
)


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read(path: Path, data: str | bytes) -> CsvFile:
    return read_csv(written(path, data), KNOWN)


def cells(file: CsvFile) -> list[tuple[str, ...]]:
    return [tuple(row.cells[name] for name in KNOWN) for row in file.rows]


@given(
    tables, st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n"])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_whatever_the_csv_module_writes_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str, encoding: str, end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([KNOWN, *rows])
    data = text.getvalue().encode(encoding)
    file = read(tmp_path / "a.csv", data)
    tidy = [tuple("_".join(cell.casefold().split()) for cell in row) for row in rows]
    expected = [tuple(cell.strip() for cell in row) for row, t in zip(rows, tidy, strict=True) if t != KNOWN]
    assert cells(file) == expected
    assert file.decimal_comma == (delimiter != ",")
    assert file.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        "condition,accuracy,source\ngeons,0.5,book\n",
        "\ufeffcondition,accuracy,source\ngeons,0.5,book\n",
        "condition;accuracy;source\r\ngeons;0.5;book\r\n",
        "condition\taccuracy\tsource\ngeons\t0.5\tbook",
        " Condition , ACCURACY,Source \n geons , 0.5 , book \n",
        '"condition","accuracy","source"\n"geons", "0.5","book"\n',
        "\n\ncondition,accuracy,source\n\n,,\ngeons,0.5,book\n , ,\n\n",
        "source,condition,accuracy\nbook,geons,0.5\n",
        "condition,accuracy,source\rgeons,0.5,book\r",
        "condition,accuracy,source\ngeons,0.5,book\ncondition,accuracy,source\n",
        "condition,accuracy,source,\ngeons,0.5,book,\n",
    ],
    ids=[
        "plain",
        "mark",
        "semicolon",
        "tab",
        "spaces",
        "quotes",
        "blank",
        "order",
        "old-mac",
        "header-again",
        "trailing",
    ],
)
def test_every_dress_of_one_file(tmp_path: Path, data: str) -> None:
    assert cells(read(tmp_path / "a.csv", data)) == [("geons", "0.5", "book")]


def test_windows_1252_is_read_and_said(tmp_path: Path) -> None:
    file = read(tmp_path / "a.csv", "condition,accuracy,source\na,1,Müller\n".encode("cp1252"))
    assert cells(file) == [("a", "1", "Müller")]
    assert file.note == "line 2 is not UTF-8; such lines were read as Windows-1252"
    assert read(tmp_path / "a.csv", "condition,accuracy,source\na,1,Müller\n").note == ""


def test_lines_are_counted_where_a_row_begins(tmp_path: Path) -> None:
    file = read(tmp_path / "a.csv", 'condition,accuracy,source\n\na,1,"two\nlines"\n\n\nb,2,x\n')
    assert [(row.line, row.cells["condition"]) for row in file.rows] == [(3, "a"), (7, "b")]
    assert str(file.error(7, "no", "do").args[0]) == f"{tmp_path / 'a.csv'}, line 7: no"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty"),
        (" \n\r\n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ('""\n', "is empty"),
        ("condition,accuracy,source\n", "a header and nothing below it"),
        ("condition,accuracy,source\n\n,,\n", "a header and nothing below it"),
        ("condition,accuracy,source\na,1,x\nb,2\n", "line 3: 2 values where the header has 3"),
        ("condition,accuracy,source\na,1,x\n\nb,2,x,y\n", "line 4: 4 values where the header has 3"),
        ('condition,accuracy,source\na,1,"x\nb,2,y\n', "line 2: a quote is opened and never closed"),
        ('condition,accuracy,source\na,1,x\nb,"2"2,y\n', "line 3: after a closing quote"),
        ("condition,accuracy,Condition\na,1,x\n", "the column 'condition' appears twice"),
        ("condition,accuracy,source\na,1,x\n".encode("utf-16-le"), "header cannot be read: it has a NUL byte"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, data: str | bytes, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        read(tmp_path / "a.csv", data)
    assert str(tmp_path / "a.csv") in str(caught.value)
    assert caught.value.hint


def test_what_is_no_file_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.csv"):
        with pytest.raises(OptionError, match="cannot be read") as caught:
            read_csv(path, KNOWN)
        assert caught.value.hint == "pass a CSV file"

"""What was near, where SQL or a filter leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import shotdex as door
from shotdex.store.near import near_misses
from shotdex.store.store import Store
from tests.conftest import Ran

Shotdex = Callable[..., Ran]


@pytest.mark.parametrize(
    ("sql", "want"),
    [
        ("FROM accuracy WHERE run = 'run-1'", ["no run `run-1` (there are: names, third, words)"]),
        ("FROM accuracy a WHERE a.run = 'Name'", ["no run `Name` (names)"]),
        ("FROM images WHERE 'Red' = category", ["no category `Red` (red)"]),
        ("FROM outcomes WHERE category IN ('red', 'gren') AND run = 'names'", ["no category `gren` (green)"]),
        ("SELECT 1 WHERE EXISTS (FROM images WHERE CONDITION = 'Noisy')", ["no condition `Noisy` (noisy)"]),
        ("FROM images WHERE split = 'test' AND category = 'red' AND condition = 'noisy' AND false", []),
        ("FROM images WHERE path = 'gone'", []),
        ("SHOW TABLES", []),
    ],
)
def test_each(evaluated: Store, sql: str, want: list[str]) -> None:
    with evaluated.reading() as con:
        assert near_misses(con, sql) == want


def test_commands_say_it(shotdex: Shotdex, evaluated: Store) -> None:
    at = ("--store", evaluated.root)
    ran = shotdex("sql", "FROM accuracy WHERE run = 'run-1'", "--json", *at)
    assert (ran.status, ran.out) == (0, "[]\n")
    assert ran.err == "near: no run `run-1` (there are: names, third, words)\n"
    assert shotdex("sql", "FROM accuracy WHERE run = 'names'", *at).err == "1 row\n"
    for command in (("classify",), ("duplicates",)):
        ran = shotdex(*command, "--where", "category = 'Red'", *at)
        assert ran.status == 1 and "no category `Red` (red); relax --where" in ran.err, command


def test_python_has_it(evaluated: Store) -> None:
    session = door.open(evaluated.root)
    assert session.sql("FROM images WHERE condition = 'plane'").near == ("no condition `plane` (plain)",)
    assert session.sql("FROM images LIMIT 1").near == ()

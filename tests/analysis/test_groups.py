"""Groups of images by any columns, against a second grouping in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from shotdex.analysis.results import Grouping, check_columns, group_rows, split_columns
from shotdex.store.connection import Connection
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from tests.support.evaluated import change, evaluated_store


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """The catalog of a store, open throughout."""
    with evaluated_store(tmp_path_factory.mktemp("groups") / "store").reading() as con:
        yield con


def ids_where(con: Connection, where: str = "true") -> np.ndarray:
    return np.array([row[0] for row in con.rows(f"SELECT image_id FROM images WHERE {where} ORDER BY 1")], np.int64)


def grouped(con: Connection, columns: Sequence[str], ids: Sequence[int] | np.ndarray | None = None) -> Grouping:
    return group_rows(con, ids_where(con) if ids is None else np.array(ids, np.int64), columns)


def members(grouping: Grouping) -> dict[str, list[int]]:
    """Return the ids in each group, after making sure that no two groups have one name."""
    assert len(set(grouping.names)) == len(grouping.names)
    return {name: grouping.image_ids[grouping.codes == i].tolist() for i, name in enumerate(grouping.names)}


@pytest.mark.parametrize(
    "columns",
    [("category",), ("condition",), ("split",), ("width",), ("split", "condition"), ("condition", "category"),
     ("width", "split", "category"), ("image_id",), ("added_at",)],
)  # fmt: skip
def test_groups_hold_the_images_that_sql_puts_into_them(con: Connection, columns: Sequence[str]) -> None:
    found = members(grouped(con, columns))
    want = con.rows(
        f"SELECT {', '.join(columns)}, list(image_id ORDER BY image_id) FROM images GROUP BY ALL "
        f"ORDER BY {', '.join(f'{column} NULLS LAST' for column in columns)}"
    )
    names = [" · ".join("unlabelled" if value is None else str(value) for value in row[:-1]) for row in want]
    assert list(found.items()) == [(name, row[-1]) for name, row in zip(names, want, strict=True)]


def test_numbers_stand_in_their_own_order(con: Connection) -> None:
    assert grouped(con, ["width"]).names == ("8", "16", "100")


def test_images_without_a_value_come_last_whatever_the_column_s_place(con: Connection) -> None:
    names = grouped(con, ["condition", "category"]).names
    assert [name.split(" · ")[0] for name in names] == ["noisy"] * 4 + ["plain"] * 4 + ["unlabelled"] * 4
    names = grouped(con, ["category", "condition"]).names
    assert [name.split(" · ")[1] for name in names] == ["noisy", "plain", "unlabelled"] * 4


def test_without_columns_all_are_one_group(con: Connection) -> None:
    found = grouped(con, [], [3, 7, 9])
    assert (found.columns, found.names, found.codes.tolist()) == ((), ("all",), [0, 0, 0])


def test_no_images_make_no_groups(con: Connection) -> None:
    found = grouped(con, ["condition"], [])
    assert (found.names, len(found.codes)) == ((), 0)


def test_only_some_images_make_only_their_groups(con: Connection) -> None:
    ids = ids_where(con, "width > 8")[::2]
    ids.flags.writeable = False
    found = members(group_rows(con, ids, ["width"]))
    assert list(found) == ["16", "100"]
    assert sorted(found["16"] + found["100"]) == ids.tolist()


def test_each_image_s_group_can_be_asked_for(con: Connection) -> None:
    found = grouped(con, ["condition", "width"])
    some = ids_where(con, "image_id % 3 = 1")
    names = [found.names[code] for code in found.of(some)]
    want = con.rows("SELECT condition, width FROM images WHERE image_id % 3 = 1 ORDER BY image_id")
    assert names == [f"{condition or 'unlabelled'} · {width}" for condition, width in want]


def test_removed_images_keep_their_group(own: Store) -> None:
    with own.reading() as con:
        ids = ids_where(con)
        before = members(grouped(con, ["condition"], ids))
    change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id % 2 = 0")
    with own.reading() as con:
        assert members(grouped(con, ["condition"], ids)) == before


@pytest.mark.parametrize("label", ["unlabelled", "all", "noisy · red", "None", "", 'a"b', "ü\n"])
def test_a_label_that_looks_like_our_own_words_stays_a_group_of_its_own(own: Store, label: str) -> None:
    """Whatever a label says, no image may slip into another group, and none may be lost."""
    with own.writing() as con:
        con.run("UPDATE stored_images SET condition = $label WHERE condition = 'plain'", {"label": label})
        for columns in (["condition"], ["condition", "category"]):
            found = grouped(con, columns)
            want = con.rows(f"SELECT list(image_id ORDER BY image_id) FROM images GROUP BY {', '.join(columns)}")
            assert sorted(members(found).values()) == sorted(row[0] for row in want)
            assert "all" not in found.names


def test_a_label_in_quotes_is_not_taken_for_one_that_we_put_there(own: Store) -> None:
    with own.writing() as con:
        con.run("UPDATE stored_images SET condition = 'all' WHERE image_id = 1")
        con.run("UPDATE stored_images SET condition = $label WHERE image_id = 2", {"label": "'all'"})
        assert sorted(members(grouped(con, ["condition"], [1, 2])).values()) == [[1], [2]]


@pytest.mark.parametrize(("first", "second"), [(("a · b", "c"), ("a", "b · c")), (("a ·", "b"), ("a", "· b"))])
def test_two_columns_whose_joined_names_would_be_alike(
    own: Store, first: tuple[str, str], second: tuple[str, str]
) -> None:
    with own.writing() as con:
        for number, (condition, category) in ((1, first), (2, second)):
            con.run(
                "UPDATE stored_images SET condition = $condition, category = $category WHERE image_id = $id",
                {"id": number, "condition": condition, "category": category},
            )
        assert sorted(members(grouped(con, ["condition", "category"], [1, 2])).values()) == [[1], [2]]


@pytest.mark.parametrize(
    ("column", "near"),
    [("conditon", "condition"), ("categories", "category"), ("Condition", "condition"), ("CATEGORY", "category"),
     ("widht", "width"), ("content_sha", "content_sha256")],
)  # fmt: skip
def test_a_misspelt_column_is_named_with_the_one_that_was_meant(con: Connection, column: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"no column '{column}'") as caught:
        grouped(con, ["category", column])
    assert caught.value.hint == f"did you mean {near}?"


@pytest.mark.parametrize(
    "column",
    ['category" FROM images; DROP TABLE stored_images; --', "category, path", "*", "1", "removed_at", 'category"',
     "(SELECT 1)", "category -- "],
)  # fmt: skip
def test_nothing_but_a_column_s_name_reaches_the_database(own: Store, column: str) -> None:
    with own.writing() as con:  # a connection that could do harm
        before = con.rows("FROM stored_images ORDER BY ALL")
        with pytest.raises(OptionError, match="images have no column"):
            grouped(con, [column])
        assert con.rows("FROM stored_images ORDER BY ALL") == before


def test_an_unknown_column_lists_the_known_ones(con: Connection) -> None:
    with pytest.raises(OptionError) as caught:
        check_columns(con, ["zzzz"])
    assert caught.value.hint == "group by: " + ", ".join(row[0] for row in con.rows("DESCRIBE images"))


@pytest.mark.parametrize(
    ("listed", "want"),
    [(None, ()), ("", ()), (" , ", ()), ("a", ("a",)), (" a ,b,, a", ("a", "b")), ("a b", ("a b",))],
)
def test_lists_of_columns(listed: str | None, want: tuple[str, ...]) -> None:
    assert split_columns(listed) == want

"""Which images: filters take images away, and add none."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from shotdex.store.encoded_batch import commit
from shotdex.store.encoders import add_encoder
from shotdex.store.errors import BadSql
from shotdex.store.ids import encoded_ids, filtered_ids, images_generation, present_ids, stored_ids
from shotdex.store.image_columns import PLACES, move_table
from shotdex.store.images import clear_failures, mark_removed
from shotdex.store.store import Store
from shotdex.store.vectors import remember_texts
from tests.conftest import ROOT
from tests.support.fakes import fake_id
from tests.support.rows import add_images, add_vectors

from .test_encoded_batch import rows
from .test_vectors import record, vectors

ID = fake_id(dim=5, vision_dim=3)


def test_filters_only_take_away(store: Store) -> None:
    with store.writing() as con:
        number = add_encoder(con, ID)
        add_images(con, [record(i, category="cat" if i % 2 else None) for i in range(1, 7)])
        add_vectors(con, number, [1, 2, 3, 4], vectors(4))
        mark_removed(con, [1])
    with store.reading() as con:
        assert encoded_ids(con, number).tolist() == [2, 3, 4]
        assert encoded_ids(con, number, "category = 'cat'").tolist() == [3]
        assert filtered_ids(con, "category = 'cat' -- a comment").tolist() == [3, 5]
        assert filtered_ids(con, "image_id > 3 OR path LIKE '%2.png'").tolist() == [2, 4, 5, 6]
        with pytest.raises(BadSql, match="more than a condition"):
            encoded_ids(con, number, "true) UNION ALL SELECT 1 WHERE (true")
        for bad in (
            "",
            " ",
            "nonsense = 1",
            "category =",
            "1; DROP TABLE stored_images",
            "true); DROP VIEW images; --",
        ):
            with pytest.raises(BadSql):
                filtered_ids(con, bad)


@pytest.mark.parametrize(
    "where",
    [
        "true); SELECT 1 AS other WHERE (true",
        "true); SELECT 'text' AS image_id WHERE (true",
        "true); CREATE TEMP TABLE t AS (SELECT 1",
    ],
)
def test_a_filter_of_several_statements_is_bad_sql(store: Store, where: str) -> None:
    with store.reading() as con, pytest.raises(BadSql):
        filtered_ids(con, where)


def test_ids_rise_however_they_were_written(store: Store) -> None:
    with store.writing() as con:
        number = add_encoder(con, ID)
        for some in ([5, 2], [9], [1, 7]):
            add_images(con, [record(i) for i in some])
            add_vectors(con, number, some, vectors(len(some)))
        add_vectors(con, number, [9], vectors(1))  # an image with two rows, which `verify` repairs
        mark_removed(con, [2])
    with store.reading() as con:
        assert stored_ids(con, number).tolist() == [1, 2, 5, 7, 9]
        assert present_ids(con).tolist() == encoded_ids(con, number).tolist() == [1, 5, 7, 9]
        assert all(ids.dtype == np.int64 for ids in (stored_ids(con, number), present_ids(con)))


def test_every_change_of_images_vectors_or_removals_renews_the_generation(store: Store) -> None:
    with store.writing() as con:
        number = add_encoder(con, fake_id())
        assert images_generation(con) == ""
    moved = pa.Table.from_pylist([{"image_id": 1, "path": "/p/moved.png", "source": "/p"}], PLACES)
    seen = {""}
    for change in (
        lambda con: commit(con, rows({}, {"sha256": "b" * 64})),
        lambda con: commit(con, rows({"sha256": "b" * 64})),
        lambda con: move_table(con, moved),
        lambda con: mark_removed(con, [1]),
    ):
        with store.writing() as con:
            change(con)
            within = images_generation(con)
        with store.reading() as con:
            assert images_generation(con) == within
        assert len(within) == 32
        assert within not in seen
        seen.add(within)
    with store.writing() as con:
        mark_removed(con, [])
        remember_texts(con, number, ["a cat"], np.zeros((1, 12), np.float32))
        clear_failures(con, ["/p/moved.png"])
        assert images_generation(con) == within


def test_a_change_that_is_undone_leaves_the_generation(store: Store) -> None:
    with store.writing() as con:
        add_images(con, [record(1)])
        before = images_generation(con)
    with pytest.raises(ZeroDivisionError), store.writing() as con:
        mark_removed(con, [1])
        raise ZeroDivisionError
    with store.reading() as con:
        assert images_generation(con) == before


def test_ids_that_do_not_rise_are_sorted_without_numpy_ma() -> None:
    """Its import takes longer than a search, and ids of a store with copies do not rise."""
    code = (
        "import sys, duckdb\n"
        "from shotdex.store.connection import Connection\n"
        "from shotdex.store.ids import _ids\n"
        "ids = _ids(Connection(duckdb.connect()), 'SELECT unnest([3, 1, 2, 1])::BIGINT AS image_id')\n"
        "print(ids.tolist(), 'numpy.ma' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout == "[1, 2, 3] False\n"

"""The public views come sorted, also under a filter, and views over outcomes sort only their own rows."""

from __future__ import annotations

import pytest

from shotdex.store.store import Store
from tests.support.evaluated import WORDS, run

KEYS = {
    "outcomes": "run_id, image_id",
    "accuracy": "run_id",
    "accuracy_by_condition": "run_id, coalesce(condition, '~')",
    "accuracy_by_category": "run_id, category",
    "topk_accuracy": "run_id, k",
    "confusion": "run_id, category, predicted",
}


@pytest.mark.parametrize("view", KEYS)
def test_rows_come_in_order(own: Store, view: str) -> None:
    run(own, dict(reversed(WORDS.items())), name="backwards")
    with own.reading() as con:
        for where in ("true", "run_id <> 2"):
            rows = con.rows(f"SELECT {KEYS[view]} FROM {view} WHERE {where}")
            assert len(rows) > 2 and rows == sorted(rows)


def test_disagreements_too(own: Store) -> None:
    with own.reading() as con:
        rows = con.rows("SELECT run_a, run_b, image_id FROM disagreements")
    number = {"names": 1, "words": 2, "third": 3}
    placed = [(number[a], number[b], image_id) for a, b, image_id in rows]
    assert len(placed) > 10 and placed == sorted(placed)


def test_an_aggregate_does_not_sort_every_outcome(evaluated: Store) -> None:
    with evaluated.reading() as con:
        assert con.rows("EXPLAIN FROM accuracy_by_category")[0][1].count("Order By:") == 1

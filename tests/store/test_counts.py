"""The views of accuracies and confusions, which read counts, against the same views over every prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotdex.store.connection import Connection
from shotdex.store.create import bring_up
from shotdex.store.image_columns import PLACES, move_table
from shotdex.store.runs import recount
from shotdex.store.schema import OUTCOMES
from shotdex.store.store import Store
from tests.support.evaluated import change, rows

_NUMBERS = """
    count(correct) AS n, count(*) FILTER (correct) AS correct,
    count(*) FILTER (correct) / nullif(count(correct), 0) AS accuracy,
    wilson_low(count(*) FILTER (correct), count(correct)) AS low,
    wilson_high(count(*) FILTER (correct), count(correct)) AS high
"""
TWINS = {
    "accuracy": f"SELECT run_id, run, {_NUMBERS} FROM ({OUTCOMES}) GROUP BY run_id, run ORDER BY run_id",
    **{
        f"accuracy_by_{by}": f"SELECT run_id, run, {by}, {_NUMBERS} FROM ({OUTCOMES}) WHERE correct IS NOT NULL "
        f"GROUP BY run_id, run, {by} ORDER BY run_id, {by} NULLS LAST"
        for by in ("condition", "category")
    },
    "topk_accuracy": f"""
        SELECT o.run_id, o.run, k.k, count(*) AS n, count(*) FILTER (o.true_rank <= k.k) AS correct,
            count(*) FILTER (o.true_rank <= k.k) / count(*) AS accuracy,
            wilson_low(count(*) FILTER (o.true_rank <= k.k), count(*)) AS low,
            wilson_high(count(*) FILTER (o.true_rank <= k.k), count(*)) AS high
        FROM ({OUTCOMES}) o
        JOIN (
            SELECT r.run_id, unnest(range(1, 1 + count(DISTINCT p.category))) AS k
            FROM runs r JOIN prompts p USING (prompt_set_id) GROUP BY r.run_id
        ) k ON k.run_id = o.run_id
        WHERE o.true_rank IS NOT NULL GROUP BY o.run_id, o.run, k.k ORDER BY o.run_id, k.k
    """,
    "confusion": f"""
        SELECT run_id, run, category, predicted, count(*) AS images,
            count(*) / sum(count(*)) OVER (PARTITION BY run_id, category) AS share
        FROM ({OUTCOMES}) WHERE correct IS NOT NULL GROUP BY run_id, run, category, predicted
        ORDER BY run_id, category, predicted
    """,
}
"""The views as they were before there were counts."""


def compare(con: Connection) -> None:
    for view, twin in TWINS.items():
        assert con.rows(f"FROM {view}") == con.rows(twin), view


CLASSES = ("cat", "dog", "owl")
LABELS = st.sampled_from([*CLASSES, "zebra", None])
OUTCOME = st.tuples(LABELS, st.sampled_from(["bright", "dark", None]), st.permutations(CLASSES))
RUNS = st.lists(st.lists(OUTCOME, max_size=8), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def memory() -> Iterator[Connection]:
    """An empty catalog in memory."""
    con = Connection(duckdb.connect(config={"threads": "1"}))
    bring_up(con, 0)
    con.run("INSERT INTO prompts SELECT 1, 0, unnest($classes), 0, ''", {"classes": list(CLASSES)})
    yield con
    con.close()


def fill(con: Connection, runs: list[list[Any]]) -> None:
    tables: dict[str, list[dict[str, Any]]] = {"runs": [], "stored_images": [], "truths": [], "predictions": []}
    for number, outcomes in enumerate(runs, 1):
        tables["runs"].append({"run_id": number, "name": f"run {number}", "prompt_set_id": 1})
        for category, condition, ranked in outcomes:
            image = len(tables["truths"]) + 1
            rank = ranked.index(category) + 1 if category in ranked else None
            tables["stored_images"].append({"image_id": image, "condition": condition})
            of = {"run_id": number, "image_id": image}
            tables["truths"].append({**of, "category": category, "true_rank": rank})
            tables["predictions"] += [{**of, "category": name, "rank": at} for at, name in enumerate(ranked[:2], 1)]
    for name, added in tables.items():
        if added:
            con.append(name, pa.Table.from_pylist(added))


class _Undo(Exception):
    """Ends a transaction whose rows are not to stay."""


@settings(max_examples=40)
@given(runs=RUNS)
def test_counts_answer_as_the_predictions_do(memory: Connection, runs: list[list[Any]]) -> None:
    with pytest.raises(_Undo), memory.transaction():
        fill(memory, runs)
        recount(memory, range(1, len(runs) + 1))
        compare(memory)
        raise _Undo


def test_the_columns_are_those_that_they_were(memory: Connection) -> None:
    for view, twin in TWINS.items():
        described = "SELECT column_name, column_type FROM (DESCRIBE {})"
        columns = [memory.rows(described.format(sql)) for sql in (f"FROM {view}", twin)]
        assert columns[0] == columns[1]


def test_counts_follow_what_changes_outcomes(own: Store) -> None:
    with own.reading() as con:
        compare(con)
        before = con.rows("FROM accuracy_by_condition")
        places = con.table(
            "SELECT image_id, path, source, size_bytes, modified_ns, category, 'other' AS condition, split, "
            "metadata::VARCHAR AS metadata FROM stored_images WHERE image_id % 3 = 0"
        )
    with own.writing() as con:
        move_table(con, places.select(PLACES.names))
    with own.reading() as con:
        compare(con)
        assert con.rows("FROM accuracy_by_condition") != before


def test_verify_finds_runs_without_counts_and_repair_counts_again(own: Store) -> None:
    from shotdex.upkeep.repair import repair_store
    from shotdex.upkeep.verify import check_store

    change(own, "DELETE FROM outcome_counts WHERE run_id = 2")
    (check,) = [check for check in check_store(own) if not check.ok]
    assert check.text == "runs whose outcomes are not counted: 1"
    assert repair_store(own) == ["counted the outcomes of runs again: 1"]
    assert all(check.ok for check in check_store(own))
    with own.reading() as con:
        compare(con)
    assert np.all([n > 0 for (n,) in rows(own, "SELECT images FROM outcome_counts")])

"""The views of the SQL interface against the same sums done in Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import from_names
from shotdex.store.connection import Connection
from shotdex.store.store import Store
from tests.conftest import COLOURS, index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise


@pytest.fixture
def judged(store: Store, fake: FakeEncoder, tmp_path: Path) -> Store:
    """A store with two runs over 40 images of noise, some without category, some of one that is no class."""
    names = [*COLOURS, "other"]
    for i in range(40):
        category = names[i % 6] if i % 7 else "unknown"
        save_noise(tmp_path / "p" / f"cond{i % 3}" / f"{category}{i}.png", seed=i)
    index(store, tmp_path / "p", fake, "{condition}/{category}*", names)
    classify(store, Classification(from_names(COLOURS), name="first", k=2), lambda _: fake)
    classify(store, Classification(from_names(COLOURS, ["{} thing"]), name="second"), lambda _: fake)
    with store.writing() as con:  # a removed image stays in the runs that judged it
        con.run("UPDATE stored_images SET removed_at = now()::TIMESTAMP WHERE image_id = 3")
    return store


def records(con: Connection, sql: str) -> list[dict[str, Any]]:
    columns, _, rows = con.described(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def naive_outcomes(con: Connection) -> list[dict[str, Any]]:
    images = {row["image_id"]: row for row in records(con, "FROM stored_images")}
    best = {(r["run_id"], r["image_id"]): r for r in records(con, "FROM predictions") if r["rank"] == 1}
    runs = {row["run_id"]: row["name"] for row in records(con, "FROM runs")}
    made = []
    for truth in records(con, "FROM truths"):
        top = best[truth["run_id"], truth["image_id"]]
        known = truth["category"] in COLOURS
        made.append(
            {
                "run": runs[truth["run_id"]],
                "image_id": truth["image_id"],
                "category": truth["category"],
                "condition": images[truth["image_id"]]["condition"],
                "predicted": top["category"],
                "true_rank": truth["true_rank"],
                "correct": (top["category"] == truth["category"]) if known else None,
            }
        )
    return made


def test_outcomes(judged: Store) -> None:
    with judged.reading() as con:
        naive = naive_outcomes(con)
        found = records(con, "FROM outcomes")
    assert len(naive) == 80
    assert Counter(row["correct"] for row in naive)[None] > 10
    key = lambda row: (row["run"], row["image_id"])  # noqa: E731
    assert [{name: row[name] for name in naive[0]} for row in sorted(found, key=key)] == sorted(naive, key=key)


@pytest.mark.parametrize("group", ["condition", "category"])
def test_accuracy_by(judged: Store, group: str) -> None:
    with judged.reading() as con:
        rows = [row for row in naive_outcomes(con) if row["correct"] is not None]
        found = records(con, f"FROM accuracy_by_{group}")
    groups = defaultdict(list)
    for row in rows:
        groups[row["run"], row[group]].append(row["correct"])
    assert {(row["run"], row[group]) for row in found} == set(groups)
    for row in found:
        answers = groups[row["run"], row[group]]
        interval = binomtest(sum(answers), len(answers)).proportion_ci(method="wilson")
        assert (row["n"], row["correct"]) == (len(answers), sum(answers))
        assert row["accuracy"] == sum(answers) / len(answers)
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_accuracy(judged: Store) -> None:
    with judged.reading() as con:
        rows = naive_outcomes(con)
        found = records(con, "FROM accuracy ORDER BY run")
    for row in found:
        answers = [r["correct"] for r in rows if r["run"] == row["run"] and r["correct"] is not None]
        assert (row["n"], row["correct"], row["accuracy"]) == (len(answers), sum(answers), sum(answers) / len(answers))


def test_topk_accuracy(judged: Store) -> None:
    with judged.reading() as con:
        rows = [row for row in naive_outcomes(con) if row["true_rank"] is not None]
        found = {(row["run"], row["k"]): row for row in records(con, "FROM topk_accuracy")}
    assert set(found) == {(run, k) for run in ("first", "second") for k in range(1, 6)}
    for (run, k), row in found.items():
        ranks = [r["true_rank"] for r in rows if r["run"] == run]
        assert (row["n"], row["correct"]) == (len(ranks), sum(rank <= k for rank in ranks))
        assert row["accuracy"] == row["correct"] / row["n"]
    assert found["first", 5]["accuracy"] == 1.0


def test_confusion(judged: Store) -> None:
    with judged.reading() as con:
        rows = [row for row in naive_outcomes(con) if row["correct"] is not None]
        found = records(con, "FROM confusion")
    counts = Counter((row["run"], row["category"], row["predicted"]) for row in rows)
    totals = Counter((row["run"], row["category"]) for row in rows)
    assert {(r["run"], r["category"], r["predicted"]): (r["images"], r["share"]) for r in found} == {
        key: (n, n / totals[key[:2]]) for key, n in counts.items()
    }


def test_disagreements(judged: Store) -> None:
    with judged.reading() as con:
        rows = {(row["run"], row["image_id"]): row for row in naive_outcomes(con)}
        found = records(con, "FROM disagreements")
    want = {
        (i, rows["first", i]["predicted"], rows["second", i]["predicted"], rows["first", i]["correct"])
        for _, i in rows
        if rows["first", i]["predicted"] != rows["second", i]["predicted"]
    }
    assert want
    assert {(r["image_id"], r["predicted_a"], r["predicted_b"], r["correct_a"]) for r in found} == want
    assert {(r["run_a"], r["run_b"]) for r in found} == {("first", "second")}


def test_images_leaves_out_what_is_gone(judged: Store) -> None:
    with judged.reading() as con:
        assert con.value("SELECT count(*) FROM images") == 39
        assert con.value("SELECT count(*) FROM images WHERE image_id = 3") == 0


def test_wilson_macros_equal_scipy(store: Store) -> None:
    with store.reading() as con:
        for n in (1, 2, 3, 10, 41, 10_000, 3_000_000):
            for correct in {0, 1, n // 3, n - 1, n}:
                low, high = con.rows(f"SELECT wilson_low({correct}, {n}), wilson_high({correct}, {n})")[0]
                want = binomtest(correct, n).proportion_ci(method="wilson")
                assert (low, high) == pytest.approx((want.low, want.high), abs=1e-9)
        assert con.rows("SELECT wilson_low(0, 0), wilson_high(0, 0)") == [(None, None)]

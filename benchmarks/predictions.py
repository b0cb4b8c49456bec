"""What a question over ten million predictions costs: from joins, from Parquet files, and from the counts of a run.

    OMP_NUM_THREADS=1 python benchmarks/predictions.py [IMAGES]

Makes a store with IMAGES synthetic images (default 2,000,000) of 100 classes and 7 conditions, and a run with 5
predictions for each in the catalog and the same run in files. The accuracies by condition are then asked for in turns:
from the outcomes as joins of the catalog's tables, from those of the files, from the files after an image was changed
(which joins them with the images), and from the view `accuracy_by_condition`, which reads counts. All must be equal.
Expected: files at most 0.2 of the joins; counts at most 50 ms.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from measuring import REPEATS, heading, line, ratio

from shotdex.store.connection import Connection
from shotdex.store.ids import renew_images_generation
from shotdex.store.prediction_folder import new_folder
from shotdex.store.runs import recount, save_run
from shotdex.store.store import Store
from shotdex.store.types import Run

K, STEP = 5, 16_384

CLASS = "'class ' || {} % 100"
PREDICTED = f"""
    SELECT i AS image_id, r::INTEGER AS rank, {CLASS.format("(i * 31 + r * r * (1 + i % 7))")} AS category,
        'a photo of a ' || category || '.' AS prompt, (hash(i) % 1000 / 4000 - r / 100)::FLOAT AS cosine,
        (hash(i) % 1000 / 1000 / r)::DOUBLE AS probability
    FROM range($low, $high) t(i), range(1, {K + 1}) s(r) ORDER BY i, r
"""
TRUE = f"""
    SELECT i AS image_id, {CLASS.format("(i * 31 + (i % 3) * (1 + i % 7))")} AS category,
        (1 + i % 3)::INTEGER AS true_rank, 0.25::FLOAT AS true_cosine, 0.5::DOUBLE AS true_probability
    FROM range($low, $high) t(i) ORDER BY i
"""

BY_CONDITION = """
    SELECT condition, count(correct) AS n, count(*) FILTER (correct) AS correct FROM outcomes
    WHERE run = '{}' GROUP BY condition ORDER BY condition
"""


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    heading(f"{images * K:,} predictions of {images:,} images")
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        store = Store.create(Path(folder) / "store")
        fill(store, images)
        seconds = {name: timed(partial(record, store, name, images)) for name in ("joined", "files")}
        for name, taken in seconds.items():
            line(f"run {name!r} recorded", f"{taken:.1f} s")
        size = sum(file.stat().st_size for file in (store.root / "predictions").rglob("*.parquet"))
        line("bytes an image in files", f"{size / images:.1f}")
        ask(store, changed=False)
        with store.writing() as con:
            renew_images_generation(con)
        ask(store, changed=True)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fill(store: Store, images: int) -> None:
    with store.writing() as con:
        con.run(
            "INSERT INTO stored_images BY NAME SELECT i AS image_id, '/data/images/' || i || '.jpg' AS path, "
            f"{CLASS.format('(i * 31)')} AS category, 'condition ' || i % 7 AS condition, 'test' AS split, "
            "now()::TIMESTAMP AS added_at FROM range(1, $end) t(i)",
            {"end": images + 1},
        )
        con.run("INSERT INTO prompt_sets (prompt_set_id, name) VALUES (1, 'classes')")
        con.run(f"INSERT INTO prompts SELECT 1, i, {CLASS.format('i')}, 0, '' FROM range(100) t(i)")


def parts(con: Connection, images: int) -> Iterator[tuple[Any, Any]]:
    for low in range(1, images + 1, STEP):
        of = {"low": low, "high": min(low + STEP, images + 1)}
        yield con.table(PREDICTED, of), con.table(TRUE, of)


def record(store: Store, name: str, images: int) -> None:
    import duckdb

    made, run_id = Connection(duckdb.connect()), 1 if name == "joined" else 2
    kept = Run(run_id, name, 1, 1, None, K, images, images, 0, 0, 0, datetime(2026, 1, 1), 0.0)
    if name == "joined":
        with store.writing() as con:
            save_run(con, kept)
            for predictions, truths in parts(made, images):
                for table, rows in (("predictions", predictions), ("truths", truths)):
                    con.append(f"catalog.main.{table}", rows.append_column("run_id", [[run_id] * len(rows)]))
            recount(con, [run_id])
        return
    with new_folder(store, store.root / "predictions") as folder:
        folder.write(parts(made, images), {})
        with store.writing() as con:
            save_run(con, kept)
            folder.record(con, run_id, name)
            recount(con, [run_id])
        folder.committed = True


def ask(store: Store, *, changed: bool) -> None:
    counted = "SELECT condition, n, correct FROM accuracy_by_condition WHERE run = 'files'"
    with store.reading() as con:
        work = {name: lambda name=name: con.rows(BY_CONDITION.format(name)) for name in ("joined", "files")}
        work["counts"] = lambda: con.rows(counted)
        answers = [ask_one() for ask_one in work.values()]
        assert answers[0] == answers[1] == answers[2], answers
        seconds = {name: [spent(ask_one) for _ in range(REPEATS)] for name, ask_one in work.items()}
    print("\nan image was changed since, so that files are joined with the images:" if changed else "")
    wall = {name: median(taken for taken, _ in found) for name, found in seconds.items()}
    busy = {name: median(taken for _, taken in found) for name, found in seconds.items()}
    for name in work:
        line(name, f"{wall[name]:.4f} s, {busy[name]:.4f} s of a processor")
    for name, most in (("files", "" if changed else "at most 0.2"), ("counts", "")):
        ratio(f"{name} / joined", wall[name], wall["joined"], most)
        ratio(f"{name} / joined, seconds of a processor", busy[name], busy["joined"], most)
    line("counts", f"{wall['counts'] * 1000:.1f} ms", "at most 50 ms")


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that work takes, and those of a processor: other programs change only the first."""
    started, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - busy


if __name__ == "__main__":
    main()

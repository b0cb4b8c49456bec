"""Runs whose predictions are in files, next to the same runs in the catalog: every answer must be the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import shotdex
from shotdex.analysis.compare import CompareOptions, compare
from shotdex.analysis.report import ReportOptions, report
from shotdex.store import prediction_folder, read_only_files
from shotdex.store.connection import Connection
from shotdex.store.errors import BadSql, OptionError, StoreError
from shotdex.store.image_columns import PLACES, move_table
from shotdex.store.images import mark_removed
from shotdex.store.runs import find_run, remove_run
from shotdex.store.store import Store
from shotdex.upkeep.prune import prune
from shotdex.upkeep.remove import RemoveOptions, remove
from shotdex.upkeep.repair import repair_store
from shotdex.upkeep.verify import check_store
from tests.conftest import ROOT
from tests.support.evaluated import NAMES, WORDS, rows, run

VIEWS = ("outcomes", "accuracy", "accuracy_by_condition", "accuracy_by_category", "topk_accuracy", "confusion")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the runs `inside` and `outside` are alike but for where their predictions are."""
    from tests.support.evaluated import evaluated_store

    folder = tmp_path_factory.mktemp("outside")
    store = evaluated_store(folder / "store")
    for name, place in (("inside", None), ("outside", folder / "store" / "predictions")):
        run(store, WORDS, name=name, where="category <> 'green' OR condition IS NULL", place=place)
    return folder


@pytest.fixture
def both(template: Path, tmp_path: Path) -> Store:
    shutil.copytree(template / "store", tmp_path / "store")
    return Store(tmp_path / "store")


def same(store: Store) -> int:
    """Compare the two runs in every view and table; return how many outcomes there are."""
    with store.reading() as con:
        for table in (*VIEWS, "predictions", "truths"):
            of = f"SELECT t.* EXCLUDE (run_id) FROM {table} t JOIN runs USING (run_id) WHERE name = '{{}}' ORDER BY ALL"
            found = [con.rows(of.format(name)) for name in ("inside", "outside")]
            assert found[0] == [row if "outside" not in row else ("inside", *row[1:]) for row in found[1]], table
        apart = "SELECT * EXCLUDE (run_b) FROM disagreements WHERE run_a = 'names' AND run_b = '{}'"
        assert con.rows(apart.format("inside")) == con.rows(apart.format("outside"))
        return int(con.rows("SELECT count(*) FROM outcomes WHERE run = 'outside'")[0][0])


def wrong(store: Store) -> list[str]:
    return [f"{check.name}: {check.text}" for check in check_store(store) if not check.ok]


def test_every_answer_is_that_of_a_run_in_the_catalog(both: Store) -> None:
    assert same(both) > 50
    assert not rows(both, "SELECT * FROM catalog.main.truths t JOIN prediction_files f USING (run_id)")
    made = [report(both, name, ReportOptions(resamples=100)) for name in ("inside", "outside")]
    assert (made[0].overall, made[0].classes, made[0].top_k) == (made[1].overall, made[1].classes, made[1].top_k)
    compared = compare(both, ["inside", "outside"], CompareOptions(resamples=100), 5)
    assert (compared.comparisons[0].only_a, compared.comparisons[0].only_b) == (0, 0)
    described = [rows(both, f"DESCRIBE {database}{view}") for view in VIEWS for database in ("", "catalog.main.")]
    assert described[::2] == described[1::2]
    session = shotdex.open(both.root)
    first, second = ([row[3] for row in session.run(name).outcomes()] for name in ("inside", "outside"))
    assert first == second


def test_answers_follow_what_becomes_of_the_images(both: Store) -> None:
    with both.reading() as con:
        places = con.table(
            "SELECT image_id, path || 'x' AS path, source, size_bytes, modified_ns, category, 'other' AS condition, "
            "split, metadata::VARCHAR AS metadata FROM stored_images WHERE image_id % 3 = 0"
        )
    with both.writing() as con:
        move_table(con, places.select(PLACES.names))
        mark_removed(con, [4, 6])
    assert rows(both, "SELECT count(*) > 5 FROM outcomes WHERE run = 'outside' AND condition = 'other'") == [(True,)]
    same(both)
    before = pq.read_table(both.root / "predictions" / "run=outside").num_rows
    found = remove(both, RemoveOptions(where="image_id % 5 = 0"))
    assert found.shortened[-2:] == ("inside", "outside")
    same(both)
    prune(both)
    same(both)
    assert not wrong(both)
    assert pq.read_table(both.root / "predictions" / "run=outside").num_rows == before


def test_a_store_that_is_moved_takes_the_files_in_it_along(both: Store, tmp_path: Path) -> None:
    same(Store(both.root.rename(tmp_path / "elsewhere")))


def test_sql_over_the_files_only_reads_and_reads_nothing_else(both: Store, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = both.root / "predictions" / "run=outside"
    (folder / "next.parquet").write_bytes((folder / "part-00000.parquet").read_bytes())
    inside = sorted(path.name for path in folder.iterdir())
    session = shotdex.open(both.root)
    run_id = session.run("outside").record.run_id
    scheme = f"shotdex-predictions:///{run_id}{folder}"
    assert len(session.sql(f"FROM read_parquet('{scheme}/part-00000.parquet')")) > 10
    for sql in (
        f"COPY (SELECT 1) TO '{scheme}/new.parquet'",
        f"WITH x AS (COPY (SELECT 1) TO '{scheme}/new.parquet') FROM x",
        f"WITH x AS (COPY (SELECT 1) TO '{folder}/new.parquet') FROM x",
        f"ATTACH '{scheme}/new.db'",
        f"FROM read_parquet('{scheme}/next.parquet')",
        f"FROM read_parquet('{folder}/part-00000.parquet')",
        f"FROM read_text('{tmp_path}/secret.txt')",
        f"FROM '{folder}/*.parquet'",
    ):
        with pytest.raises((BadSql, StoreError)):
            assert len(session.sql(sql))
            raise AssertionError(sql)
    for sql in (f"FROM glob('{scheme}/**')", f"FROM read_text('{scheme}/../../../secret.txt')"):
        assert not len(session.sql(sql))
    # Nor does DuckDB itself write there, if the statement came through.
    for sql in (f"COPY (SELECT 1) TO '{scheme}/new.parquet'", f"COPY (SELECT 1) TO '{folder}/new.parquet'"):
        with both.reading() as con, pytest.raises(Exception, match=r"only read|disabled"):
            con.run(sql)
    assert sorted(path.name for path in folder.iterdir()) == inside
    assert list(tmp_path.rglob("new*")) == []


def test_threads_of_duckdb_read_one_file_each_at_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(100)))
    file = read_only_files._File(tmp_path / "file")
    file.seek(10)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: (file.seek(50), file.read(2))[1]).result() == bytes([50, 51])
        assert (file.read(2), file.tell()) == (bytes([10, 11]), 12)
        assert other.submit(file.tell).result() == 52


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def alter(folder: Path) -> None:
    file = folder / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [rename, alter])
def test_files_that_are_lost_are_named_and_the_counts_answer(both: Store, damage: Callable[[Path], None]) -> None:
    folder = both.root / "predictions" / "run=outside"
    before = [rows(both, f"FROM {view}") for view in VIEWS[1:]]
    damage(folder)
    session = shotdex.open(both.root)
    for work in (
        lambda: session.sql("SELECT count(*) FROM outcomes"),
        lambda: session.sql("FROM outcomes WHERE run = 'outside' AND correct"),
        lambda: session.sql("SELECT max(cosine) FROM predictions"),
        lambda: session.report("outside"),
        lambda: session.compare("inside", "outside"),
        lambda: session.run("outside").accuracy(by="condition"),
    ):
        with pytest.raises(StoreError, match=r"'outside' in .*run=outside are (missing|damaged)") as caught:
            work()
        assert "shotdex runs moved outside FOLDER" in caught.value.hint
    assert [rows(both, f"FROM {view}") for view in VIEWS[1:]] == before
    assert session.run("outside").accuracy() == session.run("inside").accuracy()
    assert len(session.sql("FROM outcomes WHERE run = 'inside'")) > 10
    (check,) = wrong(both)
    assert check.startswith("prediction files: the predictions of the run 'outside'")
    assert session.status().prediction_files[0].lost
    with both.writing() as con:  # an indexing goes on
        move_table(con, _relabelled(con))
    if damage is rename:
        with pytest.raises(StoreError, match="are missing"):
            session.run("outside").moved(both.root)
        session.run("outside").moved(folder.with_name("moved"))
        assert wrong(both) == ["runs: runs whose outcomes are not counted: 1"]
        repair_store(both)
        same(both)
    session.run("outside").remove()
    assert next(folder.parent.glob("*/part-00000.parquet"), None)


def _relabelled(con: Any) -> Any:
    found = con.table(
        "SELECT image_id, path, source, size_bytes, modified_ns, category, 'new' AS condition, split, "
        "metadata::VARCHAR AS metadata FROM stored_images WHERE image_id = 1"
    )
    return found.select(PLACES.names)


def test_files_with_another_time_are_the_same_if_their_content_is(both: Store) -> None:
    os.utime(both.root / "predictions" / "run=outside" / "part-00000.parquet", (1, 1))
    same(both)


def test_runs_and_places_keep_out_of_each_others_way(own: Store, tmp_path: Path) -> None:
    place = tmp_path / "place"
    for name in ("a/b", "a/b", "käse"):
        run(own, NAMES, name=name, place=place, replace=True)
    assert sorted(path.name for path in place.iterdir()) == ["run=a%2Fb", "run=a%2Fb-2", "run=k%C3%A4se"]
    assert shotdex.open(own.root).run("a/b").folder == place / "run=a%2Fb-2"
    with own.writing() as con:
        remove_run(con, find_run(con, "a/b"))
    assert len(list(place.glob("*/*.parquet"))) == 3
    for wrong in ("s3://bucket/place", place / "run=a%2Fb" / "part-00000.parquet"):
        with pytest.raises(OptionError, match="predictions are written to a folder"):
            run(own, NAMES, place=wrong)
    with pytest.raises(OptionError, match="in the catalog"):
        shotdex.open(own.root).run("names").moved(place)


def test_many_files_and_parts(own: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shotdex.analysis import scorer

    monkeypatch.setattr(scorer, "CHUNK", 7)
    monkeypatch.setattr(prediction_folder, "PART_ROWS", 20)
    monkeypatch.setattr(prediction_folder, "GROUP_ROWS", 10)
    run(own, WORDS, name="inside", k=2)
    run(own, WORDS, name="outside", k=2, place=tmp_path)
    assert len(list(tmp_path.glob("run=outside/*.parquet"))) >= 4
    same(own)
    table = pq.read_table(tmp_path / "run=outside")
    assert b"shotdex_predictions" in (pq.read_metadata(tmp_path / "run=outside" / "part-00000.parquet").metadata or {})
    assert table.column("predictions")[0].as_py()[1]["rank"] == 2


@pytest.mark.parametrize("fails", ["write", "record", "rename"])
def test_what_fails_leaves_nothing(own: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if fails == "rename":
        monkeypatch.setattr(Path, "rename", full)
        run(own, NAMES, name="new", place=tmp_path / "place")
        monkeypatch.undo()
        assert shotdex.open(own.root).run("new").accuracy(by="condition")
        assert [path.name for path in (tmp_path / "place").iterdir()] == ["run=new"]
        return
    monkeypatch.setattr(prediction_folder.PredictionFolder, fails, full)
    with pytest.raises(OSError, match="No space"):
        run(own, NAMES, name="new", place=tmp_path / "place")
    assert list((tmp_path / "place").iterdir()) == []
    assert [name for (name,) in rows(own, "SELECT name FROM runs")] == ["names", "words", "third"]


KILLED = """
import os, signal, sys
from pathlib import Path
from shotdex.store.prediction_folder import PredictionFolder
from shotdex.store.store import Store
from tests.support.evaluated import NAMES, run
setattr(PredictionFolder, sys.argv[3], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
run(Store(Path(sys.argv[1])), NAMES, name="killed", place=Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(("where", "there"), [("record", False), ("rename", True)])
def test_a_killed_run_is_there_whole_or_not_at_all(own: Store, tmp_path: Path, where: str, there: bool) -> None:
    place = tmp_path / "place"
    command = [sys.executable, "-c", KILLED, str(own.root), str(place), where]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert [path.name.startswith(".shotdex-") for path in place.iterdir()] == [True]
    assert (("killed",) in rows(own, "SELECT name FROM runs")) == there
    if there:
        assert rows(own, "SELECT count(*) FROM outcomes WHERE run = 'killed'") == [(75,)]
        assert [path.name for path in place.iterdir()] == ["run=killed"]
    run(own, NAMES, name="after", place=place)
    assert sorted(path.name for path in place.iterdir()) == ["run=after", *["run=killed"] * there]
    assert not wrong(own)


def test_ctrl_c_after_the_commit_costs_no_predictions(
    own: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, record, closing = tmp_path / "place", prediction_folder.PredictionFolder.record, Connection.close

    def interrupted(con: Connection) -> None:
        closing(con)
        monkeypatch.undo()
        raise KeyboardInterrupt

    def recorded(folder: prediction_folder.PredictionFolder, *about: Any) -> None:
        record(folder, *about)
        monkeypatch.setattr(Connection, "close", interrupted)

    monkeypatch.setattr(prediction_folder.PredictionFolder, "record", recorded)
    with pytest.raises(KeyboardInterrupt):
        run(own, NAMES, name="late", place=place)
    assert rows(own, "SELECT count(*) FROM outcomes WHERE run = 'late'") == [(75,)]
    assert [path.name for path in place.iterdir()] == ["run=late"]

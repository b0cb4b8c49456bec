"""A store that an older version made, with a run in it, under the present one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.coverage import coverage
from shotdex.analysis.prompts.build import from_names
from shotdex.analysis.rerun import rerun
from shotdex.analysis.results import overall
from shotdex.models.transformers_encoder import EncoderOptions, load_encoder
from shotdex.store import schema
from shotdex.store.prompt_sets import list_prompt_sets
from shotdex.store.runs import find_run, list_runs
from shotdex.store.store import Store
from tests.conftest import COLOURS, Ran, index
from tests.support.images import save_noise

OLD_COLUMNS = {
    "stored_images": "image_id, path, source, category, condition, split, content_sha256, width, height, size_bytes, "
    "modified_ns, added_at, removed_at",
    "failures": "path, source, stage, reason, detail, size_bytes, modified_ns, failed_at",
    "prompt_sets": "prompt_set_id, name, combine, templates, source, sha256, added_at",
    "runs": "run_id, name, encoder_id, prompt_set_id, filter, k, images, scored, unlabelled, outside, failed, "
    "settings, versions, started_at, seconds",
    "vectors_1": "image_id, joint, vision",
}
"""The columns that version 1 had, where it had fewer."""

KEPT = (
    "stored_images", "failures", "encoders", "prompt_sets", "prompts", "runs", "predictions", "truths", "projections",
    "projection_points", "vectors_1", "text_vectors_1",
)  # fmt: skip


def dump(con: Any) -> dict[str, list[str]]:
    """Every row of every table, in the columns of version 1."""
    return {
        name: sorted(str(row) for row in con.execute(f"SELECT {OLD_COLUMNS.get(name, '*')} FROM {name}").fetchall())
        for name in KEPT
    }


def dumped(store: Store) -> dict[str, list[str]]:
    with duckdb.connect(str(store.catalog), read_only=True) as con:
        return dump(con)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> Store:
    """A store of the present version with a run, whose rows the old one gets."""
    folder = tmp_path_factory.mktemp("template")
    for i, colour in enumerate(COLOURS * 2):
        save_noise(folder / "pics" / f"cond{i % 2}" / f"{colour.title()}{i}.png", seed=i)
    (folder / "pics" / "cond0" / "broken.png").write_bytes(b"")
    store, encoder = Store.create(folder / "store"), load_encoder(str(clip_folder), EncoderOptions("cpu"))
    index(store, folder / "pics", encoder, "{condition}/{category}*", COLOURS)  # type: ignore[arg-type]
    wanted = Classification(from_names(COLOURS, ["a {}", "the {}"]), name="old", settings={"model": None})
    classify(store, wanted, lambda _: encoder)
    return store


@pytest.fixture
def old(template: Store, tmp_path: Path) -> Store:
    """A store as version 1 made it: its tables, its views, its rows."""
    root = tmp_path / "old"
    (root / "index").mkdir(parents=True)
    with template.reading() as con:
        dims = con.rows("SELECT dim, vision_dim FROM encoders")[0]
        store_id = template.identity
    with duckdb.connect(str(root / "catalog.duckdb")) as con:
        con.execute(schema.MIGRATIONS[0])
        con.execute(schema.encoder_tables(1, *dims))
        con.execute("ALTER TABLE vectors_1 DROP COLUMN content_hash")
        for name, body in schema.VIEWS:
            if "_counts" not in body:
                earlier = re.sub(r",\s*CASE WHEN exif.*?longitude\n", "\n", body, flags=re.DOTALL)
                con.execute(f"CREATE VIEW {name} AS {earlier}")
        con.execute("INSERT INTO meta VALUES ('store_id', ?), ('schema_version', '1')", [store_id])
        con.execute("INSERT INTO meta VALUES ('shotdex_version', '0.1.0')")
        con.execute(f"ATTACH '{template.catalog}' AS made (READ_ONLY)")
        for name in KEPT:
            con.execute(f"INSERT INTO {name} SELECT {OLD_COLUMNS.get(name, '*')} FROM made.{name}")
    return Store(root)


def described(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.reading() as con:
        return {row[0]: con.rows(f"DESCRIBE {row[0]}") for row in con.rows("SHOW TABLES")}


def test_it_is_an_old_one(old: Store) -> None:
    with duckdb.connect(str(old.catalog), read_only=True) as con:
        tables = {row[0] for row in con.execute("SHOW TABLES").fetchall()}
        columns = [row[0] for row in con.execute("DESCRIBE runs").fetchall()]
    assert "baselines" not in tables
    assert set(columns) == set(OLD_COLUMNS["runs"].split(", "))
    assert schema.VERSION > 1


def test_it_opens_with_every_row_and_the_present_tables(old: Store, template: Store) -> None:
    before, identity = dumped(old), template.identity
    assert all(len(before[name]) > 0 for name in KEPT if not name.startswith("projection"))
    store = Store.open(old.root)
    assert dumped(store) == before
    assert described(store) == described(template)
    assert store.identity == identity
    with store.reading() as con:
        hashes = con.rows("SELECT content_hash, content_sha256 FROM vectors_1 JOIN stored_images USING (image_id)")
        assert len(hashes) == 10
        assert all(short == int(content[:16], 16) for short, content in hashes)
        assert con.rows("SELECT value FROM meta WHERE key = 'schema_version'") == [(str(schema.VERSION),)]
        assert con.value("SELECT count(*) FROM meta") == 3
    stamp = store.catalog.stat().st_mtime_ns
    Store.open(old.root)
    assert store.catalog.stat().st_mtime_ns == stamp, "once is enough"


def test_a_migration_that_fails_changes_nothing(old: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.catalog.stat().st_size, dumped(old)
    broken = (*schema.MIGRATIONS[:-1], schema.MIGRATIONS[-1] + "INSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", broken)
        with pytest.raises(duckdb.Error, match="nowhere"):
            Store.open(old.root)
    with duckdb.connect(str(old.catalog), read_only=True) as con:
        assert con.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall() == [("1",)]
        assert "command" not in [row[0] for row in con.execute("DESCRIBE runs").fetchall()]
    assert dumped(old) == before[1]
    assert dumped(Store.open(old.root)) == before[1]


def test_its_runs_and_prompts_read_as_they_were(old: Store, template: Store) -> None:
    store = Store.open(old.root)
    with store.reading() as con, template.reading() as other:
        (made,), (want,) = list_runs(con), list_runs(other)
        assert (made.command, made.data_sha256, made.labels_sha256, made.seed) == ("", "", "", 0)
        assert (made.started_at, made.versions, made.settings) == (want.started_at, want.versions, want.settings)
        assert coverage(made) == coverage(want)
        assert overall(con, made) == overall(other, want)
        assert list_prompt_sets(con) == list_prompt_sets(other)


def test_it_is_classified_anew_with_the_same_answers(old: Store, clip_folder: Path) -> None:
    store, encoder = Store.open(old.root), load_encoder(str(clip_folder), EncoderOptions("cpu"))
    made = classify(store, Classification(from_names(COLOURS, ["a {}", "the {}"])), lambda _: encoder)
    assert (made.name, made.prompt_set_id) == ("run-2", 1), "the old prompt set has the digest that it has now"
    assert len(made.data_sha256) == 64
    with store.reading() as con:
        answers = [
            con.rows(f"SELECT image_id, predicted, true_rank FROM outcomes WHERE run_id = {n} ORDER BY 1")
            for n in (1, 2)
        ]
        stored = con.value("SELECT aliases FROM prompt_sets")
    assert answers[0] == answers[1]
    assert len(answers[0]) == 10
    assert stored is None


def test_a_rerun_says_that_the_run_is_older_than_digests(old: Store, clip_folder: Path) -> None:
    store, encoder = Store.open(old.root), load_encoder(str(clip_folder), EncoderOptions("cpu"))
    with store.reading() as con:
        run = find_run(con, "old")
    found = rerun(store, run, lambda _: encoder)
    assert (found.identical, found.same, found.largest) == (True, 10, 0)
    assert found.unchecked == ("the run was recorded before data digests existed, so the images could not be compared",)


@pytest.mark.parametrize("command", ["runs", "report", "status", "prompts list", "sql FROM+runs", "rerun old"])
def test_any_command_may_be_the_first(old: Store, shotdex: Callable[..., Ran], command: str) -> None:
    ran = shotdex(*(word.replace("+", " ") for word in command.split()), "--store", old.root)
    assert ran.status == 0, ran.err
    words = {"prompts list": "a {} | the {}", "rerun old": "before data digests existed", "report": "run old"}
    assert words.get(command, "old") in ran.out


def test_an_old_run_beside_a_new_one(old: Store, shotdex: Callable[..., Ran]) -> None:
    at = ("--store", old.root)
    assert shotdex("classify", "--name", "new", "--template", "a {}", "--template", "the {}", *at).status == 0
    listed = json.loads(shotdex("runs", *at, "--json").out)
    assert [entry["run"]["name"] for entry in listed] == ["old", "new"]
    assert listed[0]["accuracy"] == listed[1]["accuracy"]
    compared = shotdex("compare", "old", "new", *at)
    assert compared.status == 0, compared.err
    different = shotdex("diff", "old", "new", *at)
    assert different.status == 0, different.err
    assert "images (digest)" in different.out

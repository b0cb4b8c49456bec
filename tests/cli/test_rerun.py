"""shotdex rerun: what it says, how it ends, and the run that it keeps."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from shotdex.analysis.run_digests import versions
from shotdex.store.store import Store
from tests.conftest import Ran, index
from tests.support.evaluated import NAMES, WORDS, change, rows, run, save_noisy_colour
from tests.support.fakes import FakeEncoder

from .checks import failed, strict_json

Shotdex = Callable[..., Ran]


def test_nothing_changed(shotdex: Shotdex, own: Store) -> None:
    before = rows(own, "FROM runs"), rows(own, "SELECT count(*) FROM predictions")
    ran = shotdex("rerun", "names", "--store", own.root)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert re.fullmatch(r"run names of \d{4}-\d\d-\d\d \d\d:\d\d UTC", lines[0])
    assert lines[2].startswith("not compared: the model fake is neither in the local cache nor available from the hub")
    assert [lines[1], *lines[3:]] == [
        "changed: nothing on record",
        "the same predictions for all 75 images; cosines differ by at most 0",
    ]
    assert (rows(own, "FROM runs"), rows(own, "SELECT count(*) FROM predictions")) == before


def test_the_command_of_a_run_is_shown(shotdex: Shotdex, own: Store) -> None:
    given = ("--classes", "red,green", "--partial", "--name", "two words", "--store", own.root)
    assert shotdex("classify", *given).status == 0
    ran = shotdex("rerun", "two words", "--store", own.root)
    assert f"made by: shotdex classify --classes red,green --partial --name 'two words' --store {own.root}\n" in ran.out


def test_labels_changed(shotdex: Shotdex, own: Store) -> None:
    """The answers are the same, so it ends well; but what they are worth may not be, so it is said."""
    change(own, "UPDATE stored_images SET category = 'red' WHERE image_id IN (1, 2)")
    ran = shotdex("rerun", "names", "--store", own.root)
    assert ran.status == 0
    assert "changed: the labels of 2 images\n" in ran.out
    assert "the same predictions for all 75 images" in ran.out


def test_a_image_gone(shotdex: Shotdex, own: Store) -> None:
    change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id IN (1, 2)")
    ran = shotdex("rerun", "names", "--store", own.root)
    assert (ran.status, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert [lines[1], *lines[3:]] == [
        "changed: the images: 75 were scored then, 73 are there now, with differences",
        "not the same: 73 images have the same predictions, 0 others; 2 no longer exist, 0 are new",
    ]


def test_images_added_changed_and_unreadable(shotdex: Shotdex, store: Store, tmp_path: Path) -> None:
    place = tmp_path / "p" / "red"
    for i in range(4):
        save_noisy_colour(place / f"{i}.png", "red", 0.6, i)
    index(store, tmp_path / "p", FakeEncoder(), "{category}/*")
    run(store, WORDS, name="first")
    save_noisy_colour(place / "0.png", "red", 0.2, 10)
    save_noisy_colour(place / "4.png", "red", 0.6, 4)
    save_noisy_colour(place / "5.png", "red", 0.6, 5)
    (place / "1.png").write_bytes(b"no image any more")
    shutil.copy(place / "2.png", place / "copy.png")
    index(store, tmp_path / "p", FakeEncoder(), "{category}/*")
    ran = shotdex("rerun", "first", "--store", store.root)
    assert ran.status == 1
    gone = rows(store, "SELECT count(*) FROM truths ANTI JOIN images USING (image_id)")[0][0]
    new = rows(store, "SELECT count(*) FROM images ANTI JOIN truths USING (image_id)")[0][0]
    assert f"not the same: {4 - gone} images have the same predictions, 0 others; {gone} no longer exist, " in ran.out
    assert f"{new} are new\n" in ran.out
    assert "changed: the images: 4 were scored then, " in ran.out
    assert "changed: images that could not be scored: 0 then, 1 now" in ran.out


def test_other_answers(shotdex: Shotdex, own: Store) -> None:
    change(own, "UPDATE predictions SET category = 'x' WHERE run_id = 1 AND image_id IN (3, 5) AND rank = 2")
    ran = shotdex("rerun", "names", "--store", own.root)
    assert ran.status == 1
    assert "not the same: 73 images have the same predictions, 2 others; 0 no longer exist, 0 are new" in ran.out


def test_a_version_changed(shotdex: Shotdex, own: Store) -> None:
    change(own, """UPDATE runs SET versions = json_merge_patch(versions, '{"duckdb": "0.1", "x\\u001by": "2"}')""")
    ran = shotdex("rerun", "names", "--store", own.root)
    assert ran.status == 0
    assert f"changed: duckdb 0.1 -> {versions()['duckdb']}\n" in ran.out
    assert "changed: x\\x1by 2 -> absent\n" in ran.out


def test_json(shotdex: Shotdex, own: Store) -> None:
    ran = shotdex("rerun", "words", "--json", "--store", own.root)
    found = strict_json(ran.out)
    assert (ran.status, found["same"], found["different"], found["gone"], found["new"]) == (0, 75, 0, 0, 0)
    assert (found["changes"], found["run"]["name"], found["largest"]) == ([], "words", 0)
    change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id = 1")
    ran = shotdex("rerun", "words", "--json", "--store", own.root)
    found = strict_json(ran.out)
    assert (ran.status, found["same"], found["gone"]) == (1, 74, 1)
    assert len(found["changes"]) == 1


def test_the_new_run_is_kept(shotdex: Shotdex, own: Store) -> None:
    run(own, WORDS, name="few", k=2, where="split = 'test'", seed=5)
    ran = shotdex("rerun", "few", "--name", "again", "--store", own.root)
    assert ran.status == 0, ran.err
    first, second = rows(own, "FROM runs WHERE name IN ('few', 'again') ORDER BY run_id")
    names = [row[0] for row in rows(own, "DESCRIBE runs")]
    unlike = {name for name, a, b in zip(names, first, second, strict=True) if a != b}
    assert unlike <= {"run_id", "name", "started_at", "seconds", "command"}
    assert rows(own, "SELECT command FROM runs WHERE name = 'again'") == [
        (f"shotdex rerun few --name again --store {own.root}",)
    ]
    assert "few and again asked the same of the same images" in shotdex("diff", "few", "again", "--store", own.root).out
    assert "0 have another best class" in shotdex("diff", "few", "again", "--store", own.root).out
    assert shotdex("rerun", "again", "--store", own.root).status == 0


def test_a_name_that_is_taken_is_refused_and_nothing_is_kept(shotdex: Shotdex, own: Store) -> None:
    failed(
        shotdex("rerun", "names", "--name", "words", "--store", own.root), 2, "already a run named 'words'", "--name"
    )
    assert rows(own, "SELECT count(*) FROM runs") == [(3,)]


def test_a_run_older_than_digests(shotdex: Shotdex, own: Store) -> None:
    change(own, "UPDATE runs SET data_sha256 = NULL, labels_sha256 = NULL, command = NULL, seed = NULL")
    ran = shotdex("rerun", "names", "--store", own.root)
    assert ran.status == 0
    assert "not compared: the run was recorded before data digests existed, so the images could" in ran.out
    assert "made by" not in ran.out


def test_a_model_that_is_not_there_any_more(shotdex: Shotdex, own: Store) -> None:
    """The texts are remembered, so nothing is loaded; forgotten, the encoder is asked for by name."""
    change(own, "DELETE FROM text_vectors_1")
    failed(shotdex("rerun", "names", "--device", "cpu", "--store", own.root), 1, "fake")


def test_errors(shotdex: Shotdex, own: Store, store: Store) -> None:
    at = ("--store", own.root)
    failed(shotdex("rerun", *at), 2, "RUN")
    failed(shotdex("rerun", "gone", *at), 2, "no run 'gone'", "names, words, third")
    failed(shotdex("rerun", "names", "--store", store.root), 2, "no runs yet", "shotdex classify")
    change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01'")
    failed(shotdex("rerun", "names", *at), 1, "no images to classify", "shotdex index")


def test_other_runs_do_not_matter(shotdex: Shotdex, own: Store) -> None:
    change(own, "UPDATE predictions SET category = 'x' WHERE run_id = 2")
    run(own, NAMES, name="later")
    assert shotdex("rerun", "names", "--store", own.root).status == 0
    assert shotdex("rerun", "words", "--store", own.root).status == 1


def test_a_name_that_is_taken_is_kept_unless_it_is_to_be_replaced(shotdex: Shotdex, own: Store) -> None:
    def runs() -> list[tuple[int, str]]:
        with own.reading() as con:
            return [(int(row[0]), str(row[1])) for row in con.rows("SELECT run_id, name FROM runs ORDER BY run_id")]

    before = runs()
    ran = shotdex("rerun", "names", "--name", "words", "--store", own.root)
    assert ran.status == 2 and "already a run named 'words'" in ran.err and "--replace" in ran.err
    assert runs() == before
    ran = shotdex("rerun", "names", "--name", "words", "--replace", "--store", own.root)
    assert ran.status == 0
    assert sorted(name for _, name in runs()) == sorted(name for _, name in before)
    assert runs()[-1] == (before[-1][0] + 1, "words")

"""`shotdex index` as a user types it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

import shotdex as package
from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.images import encoded, noise, save_noise
from tests.support.restored import Restored

from .checks import failed, strict_json

Run = Callable[..., Ran]


def save_photos(folder: Path) -> Path:
    for i in range(6):
        save_noise(folder / "photos" / f"kind{i % 2}" / f"{i}.png", seed=i)
    return folder / "photos"


@pytest.fixture
def photos(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if "indexed" in request.fixturenames:
        return Path(request.getfixturevalue("indexed").parent / "photos")
    return save_photos(tmp_path)


@pytest.fixture(scope="module")
def kept(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    def make(folder: Path) -> None:
        save_photos(folder)
        report = package.open(folder / "store", create=True).index(folder / "photos", model=str(clip_folder))
        assert report.added == 6

    return Restored(tmp_path_factory.mktemp("indexed"), make)


@pytest.fixture
def indexed(kept: Restored) -> Path:
    """A store of the `photos`."""
    return kept.restore() / "store"


def column(root: Path, sql: str) -> list[object]:
    with Store(root).reading() as con:
        return [row[0] if len(row) == 1 else row for row in con.rows(sql)]


class TestThePlan:
    def test_a_dry_run_says_what_would_happen_and_writes_nothing(
        self, photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path
    ) -> None:
        (photos / "kind0" / "x.jpg").mkdir()
        ran = shotdex("index", photos, "--model", clip_folder, "--store", tmp_path / "none", "--dry-run")
        assert ran.status == 0
        assert not (tmp_path / "none").exists()
        for said in ("6 new", "1 cannot be used", "{category}/*", "kind0/0.png: category kind0", "needed", "free"):
            assert said in ran.out, ran.out

    def test_as_json_of_a_store_that_is_there(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        (photos / "kind0" / "0.png").unlink()
        save_noise(photos / "kind1" / "9.png", seed=9)
        before = [path.stat().st_mtime_ns for path in sorted(indexed.rglob("*"))]
        plan = strict_json(shotdex("index", photos, "--store", indexed, "--dry-run", "--json").out)
        assert (plan["new"], plan["changed"], plan["unchanged"], plan["gone"]) == (1, 0, 5, 1)
        assert [path.stat().st_mtime_ns for path in sorted(indexed.rglob("*"))] == before

    def test_a_model_that_would_have_to_be_fetched_is_not(self, photos: Path, shotdex: Run, tmp_path: Path) -> None:
        ran = shotdex("index", photos, "--store", tmp_path / "s", "--dry-run")
        assert (ran.status, "it would be fetched from the hub" in ran.out) == (0, True)

    def test_the_first_five_are_shown_before_the_work(
        self, photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path
    ) -> None:
        ran = shotdex("index", photos, "--model", clip_folder, "--store", tmp_path / "s")
        assert ran.err.count(": category kind") == 5
        again = shotdex("index", photos, "--store", tmp_path / "s")
        assert "category kind" not in again.err


class TestTheNextTime:
    def test_nothing_new_loads_no_model(self, photos: Path, indexed: Path) -> None:
        script = (
            "import sys; from shotdex.cli import main\n"
            "try: main()\n"
            "finally: print('torch' in sys.modules, file=sys.stderr)"
        )
        argv = [sys.executable, "-c", script, "index", str(photos), "--store", str(indexed)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=os.environ)
        assert "6 unchanged" in done.stdout
        assert done.stderr.strip().endswith("False")

    def test_labels_are_remembered(self, photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path) -> None:
        root = tmp_path / "s"
        shotdex("index", photos, "--model", clip_folder, "--store", root, "--layout", "{condition}/*", "--split", "a")
        save_noise(photos / "kind1" / "9.png", seed=9)
        assert "1 added" in shotdex("index", photos, "--store", root).out
        wanted = "SELECT DISTINCT condition, split, category FROM images ORDER BY ALL"
        assert column(root, wanted) == [("kind0", "a", None), ("kind1", "a", None)]
        shotdex("index", photos, "--store", root, "--layout", "{category}/*")
        assert column(root, wanted) == [(None, None, "kind0"), (None, None, "kind1")]

    def test_another_source_erases_no_label(
        self, photos: Path, shotdex: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = "\n".join(str(path) for path in sorted(photos.rglob("*.png"))).encode()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(names)))
        ran = shotdex("index", "-", "--store", indexed)
        assert (ran.status, "6 unchanged" in ran.out) == (0, True), ran.err
        assert column(indexed, "SELECT DISTINCT category FROM images ORDER BY 1") == ["kind0", "kind1"]
        assert column(indexed, "SELECT DISTINCT source FROM images") == [str(photos)]

    def test_a_list_adds_labels_and_columns_to_what_a_folder_brought(
        self, photos: Path, shotdex: Run, indexed: Path, tmp_path: Path
    ) -> None:
        (photos / "list.csv").write_text("file,kind,year\nkind0/0.png,cat,1999\nkind1/1.png,,2001\nnone.png,dog,\n")
        ran = shotdex("index", photos / "list.csv", "--columns", "image=file,category=kind", "--store", indexed)
        assert "2 unchanged, 2 with other labels, 1 failed" in ran.out
        shotdex("index", photos, "--store", indexed)
        sql = "SELECT category, (metadata->>'year')::INT FROM images WHERE metadata IS NOT NULL ORDER BY ALL"
        assert column(indexed, sql) == [("kind0", 1999), ("kind1", 2001)], "the folder's layout was the last to speak"

    def test_prune(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        (photos / "kind0" / "0.png").unlink()
        assert "1 gone" in shotdex("index", photos, "--store", indexed).out
        assert column(indexed, "SELECT count(*) FROM stored_images") == [6]
        ran = shotdex("index", photos, "--store", indexed, "--prune")
        assert "pruned: 1 images and 1 vectors were removed" in ran.err
        assert column(indexed, "SELECT count(*) FROM stored_images") == [5]

    def test_a_failing_prune_comes_after_the_report(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        with duckdb.connect(str(indexed / "catalog.duckdb")) as con:
            con.execute("DROP TABLE projection_points")
        ran = shotdex("index", photos, "--store", indexed, "--prune")
        assert (ran.status, "0 added, 6 unchanged" in ran.out) == (1, True), ran.out
        assert "error: the images are indexed, but what follows failed" in ran.err
        ran = shotdex("index", photos, "--store", indexed, "--prune", "--json")
        assert (ran.status, json.loads(ran.out)["unchanged"]) == (1, 6)

    def test_a_model_whose_files_changed_is_not_mixed_in(
        self, photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path
    ) -> None:
        import shutil

        import torch
        from safetensors.torch import load_file, save_file

        model = shutil.copytree(clip_folder, tmp_path / "model")
        root = tmp_path / "s"
        assert shotdex("index", photos, "--model", model, "--store", root).status == 0
        weights = load_file(model / "model.safetensors")
        weights["visual_projection.weight"] = weights["visual_projection.weight"] + torch.tensor(0.5)
        save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
        save_noise(photos / "kind1" / "9.png", seed=9)
        failed(shotdex("index", photos, "--store", root), 1, "the model of that name is now", "--model")
        assert column(root, "SELECT count(*) FROM images") == [6]
        assert shotdex("index", photos, "--model", model, "--store", root).status == 0
        assert column(root, "SELECT count(*) FROM encoders") == [2]


class TestImagesThatCannotBeUsed:
    def test_strict_stops_at_the_first_and_keeps_what_is_done(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        for i in range(3):
            (photos / "kind0" / f"a{i}.png").write_bytes(b"")
        ran = shotdex("index", photos, "--store", indexed, "--strict")
        failed(ran, 1, "cannot be used, and 0 may fail", "a0.png", "is kept")
        assert column(indexed, "SELECT count(*) FROM images") == [6]
        failed(shotdex("index", photos, "--store", indexed, "--max-failures", 2), 1, "3 images", "2 may fail")
        assert "3 failed" in shotdex("index", photos, "--store", indexed, "--max-failures", 3).out

    def test_the_limit_on_pixels_and_lifting_it(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        save_noise(photos / "kind0" / "big.png", seed=7, width=64, height=64)
        ran = shotdex("index", photos, "--store", indexed, "--max-pixels", 4000)
        assert "failed, too large: 1" in ran.out
        assert "1 added" in shotdex("index", photos, "--store", indexed, "--max-pixels", 0).out
        assert column(indexed, "SELECT count(*) FROM failures") == [0]

    def test_the_report_groups_by_reason_with_an_example_each(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        (photos / "kind0" / "empty.png").write_bytes(b"")
        (photos / "kind0" / "text\x1b[31m.png").write_text("this is no image")
        (photos / "kind0" / "cut.jpg").write_bytes(encoded(noise(3), "JPEG")[:-40])
        ran = shotdex("index", photos, "--store", indexed)
        for reason in ("empty file", "not an image", "truncated"):
            assert f"failed, {reason}: 1, such as " in ran.out
        assert "\x1b" not in ran.out
        report = json.loads(shotdex("index", photos, "--store", indexed, "--json").out)
        assert report["reasons"] == {"empty file": 1, "not an image": 1, "truncated": 1}
        assert report["rejected"] == 3


class TestBadInput:
    def test_an_unknown_role(self, photos: Path, shotdex: Run, tmp_path: Path) -> None:
        failed(shotdex("index", photos, "--columns", "photo=x", "--store", tmp_path / "s"), 2, "role", "photo")

    @pytest.mark.parametrize("source", ["ftp://host/x", "https://a:b@host/x.zip", "s3::https://host/x"])
    def test_urls_that_are_not_read(self, shotdex: Run, tmp_path: Path, source: str) -> None:
        ran = shotdex("index", source, "--store", tmp_path / "s")
        failed(ran, 1)
        assert "a:b" not in ran.err

    def test_a_file_that_is_no_source(self, shotdex: Run, tmp_path: Path) -> None:
        (tmp_path / "x.docx").write_bytes(b"hello")
        failed(shotdex("index", tmp_path / "x.docx", "--store", tmp_path / "s"), 1, "x.docx", "folder")

    def test_a_disk_that_is_too_small(
        self, photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import shutil

        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        ran = shotdex("index", photos, "--model", clip_folder, "--store", tmp_path / "s")
        failed(ran, 1, "are free", "--store DIR")


def test_members_of_archives_are_searched_shown_and_copied_out(shotdex: Run, clip_folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(3):
            archive.writestr(f"in/{i}.png", encoded(noise(i), "PNG"))
    root = tmp_path / "s"
    assert shotdex("index", tmp_path / "set.zip", "--model", clip_folder, "--store", root).status == 0
    address = f"{tmp_path}/set.zip!in/1.png"
    ran = shotdex(
        "search", "--image", address, "--with-itself", "-k", 1, "--store", root, "--copy-to", tmp_path / "out", "--json"
    )
    assert strict_json(ran.out)[0]["path"] == address
    copied = list((tmp_path / "out").iterdir())
    assert [path.read_bytes() for path in copied] == [encoded(noise(1), "PNG")]
    sheet = tmp_path / "sheet.png"
    assert shotdex("search", "--image", address, "--store", root, "--sheet", sheet).status == 0
    assert sheet.stat().st_size > 0


class TestASourceThatIsGone:
    def test_a_renamed_folder_keeps_its_vectors(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        before = column(indexed, "SELECT image_id, content_sha256 FROM images ORDER BY ALL")
        photos.rename(photos.with_name("pictures"))
        ran = shotdex("index", photos.with_name("pictures"), "--store", indexed)
        assert "0 added, 0 unchanged, 6 moved" in ran.out, ran.out
        assert column(indexed, "SELECT image_id, content_sha256 FROM images ORDER BY ALL") == before
        assert column(indexed, "SELECT DISTINCT source FROM images") == [str(photos.with_name("pictures"))]

    def test_one_that_was_deleted_stays_until_it_is_said_to_be_gone(
        self, photos: Path, shotdex: Run, indexed: Path
    ) -> None:
        photos.rename(photos.with_name("elsewhere"))
        failed(shotdex("index", photos, "--store", indexed), 1, "no longer exists", "--gone")
        failed(shotdex("index", photos, "--store", indexed, "--prune"), 1, "no longer exists", "--gone")
        assert column(indexed, "SELECT count(*) FROM images") == [6]
        ran = shotdex("index", photos, "--store", indexed, "--prune", "--gone")
        assert (ran.status, "6 gone" in ran.out) == (0, True), ran.err
        assert column(indexed, "SELECT count(*) FROM stored_images") == [0]

    def test_an_emptied_folder(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        for path in photos.rglob("*.png"):
            path.unlink()
        for options in ([], ["--prune"], ["--dry-run"]):
            failed(shotdex("index", photos, "--store", indexed, *options), 1, "had 6 images and has none", "--gone")
        assert column(indexed, "SELECT count(*) FROM images") == [6]
        assert "6 gone" in shotdex("index", photos, "--store", indexed, "--gone").out
        assert column(indexed, "SELECT count(*) FROM images") == [0]

    def test_a_listed_path_that_is_not_there(
        self, photos: Path, shotdex: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (photos / "kind0" / "0.png").unlink()
        names = "\n".join(str(photos / f"kind{i}" / f"{i}.png") for i in (0, 1)).encode()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(names)))
        ran = shotdex("index", "-", "--store", indexed)
        assert "1 unchanged, 1 gone, 1 failed" in ran.out
        assert column(indexed, "SELECT count(*) FROM images") == [5]


@pytest.mark.parametrize(("seconds", "status"), [("inf", 0), ("1e12", 0), ("0", 0), ("nan", 2)])
def test_any_number_of_seconds(photos: Path, shotdex: Run, indexed: Path, seconds: str, status: int) -> None:
    save_noise(photos / "kind1" / "9.png", seed=9)
    ran = shotdex("index", photos, "--store", indexed, "--max-seconds", seconds)
    assert (ran.status, "1 added" in ran.out) == (status, status == 0), ran.err


def test_other_labels_are_counted(photos: Path, shotdex: Run, indexed: Path) -> None:
    assert "6 with other labels" in shotdex("index", photos, "--store", indexed, "--category", "all").out


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_store_that_cannot_be_made(photos: Path, shotdex: Run, tmp_path: Path, dry: list[str]) -> None:
    (tmp_path / "file").write_text("x")
    failed(shotdex("index", photos, "--store", tmp_path / "file" / "s", *dry), 1, "cannot make a store", "--store DIR")


def test_a_layout_without_a_field(photos: Path, shotdex: Run, tmp_path: Path) -> None:
    failed(shotdex("index", photos, "--layout", "category/x", "--store", tmp_path / "s"), 2, "names none of category")


def test_one_image(photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path) -> None:
    ran = shotdex("index", photos / "kind0" / "0.png", "--model", clip_folder, "--store", tmp_path / "s")
    assert (ran.status, "1 added" in ran.out) == (0, True), ran.err


def test_no_source(shotdex: Run, tmp_path: Path) -> None:
    failed(shotdex("index", "", "--store", tmp_path / "s"), 2, "SOURCE is empty")


class TestTheModel:
    """Which precision, which size of a batch, and what is said of them."""

    def test_auto_says_what_it_took_and_a_store_keeps_its_own(
        self, photos: Path, shotdex: Run, clip_folder: Path, tmp_path: Path
    ) -> None:
        how = ("index", photos, "--model", clip_folder, "--store", tmp_path / "s", "--precision", "auto")
        ran = shotdex(*how)
        assert ran.status == 0, ran.err
        assert "precision " in ran.err
        assert "bf16 runs at" in ran.err
        save_noise(photos / "kind0" / "new.png", seed=99)
        again = shotdex(*how)
        assert ("1 added" in again.out, "bf16 runs at" in again.err) == (True, False)
        assert column(tmp_path / "s", "SELECT count(*) FROM encoders") == [1]

    def test_auto_does_not_change_a_store_in_float32(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        save_noise(photos / "kind0" / "new.png", seed=99)
        ran = shotdex("index", photos, "--store", indexed, "--precision", "auto", "--batch-size", "2")
        assert (ran.status, "1 added" in ran.out) == (0, True), ran.err
        assert column(indexed, "SELECT precision FROM encoders") == ["float32"]

    def test_a_second_encoder_is_said_to_be_one(self, photos: Path, shotdex: Run, indexed: Path) -> None:
        how = ("index", photos, "--store", indexed, "--model", "demo")
        before = shotdex(*how, "--dry-run")
        assert "6 unchanged, to be encoded with another model" in before.out
        assert " changed" not in before.out
        ran = shotdex(*how)
        assert "0 added, 0 unchanged, 6 unchanged and encoded with another model" in ran.out

    @pytest.mark.parametrize("size", ["0", "many"])
    def test_no_size_of_a_batch(self, photos: Path, shotdex: Run, tmp_path: Path, size: str) -> None:
        failed(shotdex("index", photos, "--store", tmp_path / "s", "--batch-size", size), 2, size)


def test_one_of_everything(shotdex: Run, clip_folder: Path, tmp_path: Path) -> None:
    save_noise(tmp_path / "one" / "a.png", seed=1)
    (tmp_path / "one" / "b.txt").write_text("x")
    ran = shotdex("index", tmp_path / "one", "--model", clip_folder, "--store", tmp_path / "s")
    assert "1 image to read;" in ran.err
    assert "1 image has no category" in ran.out
    assert "1 image has no category: a.png" in ran.out
    assert "1 other file does not have an image's name and was left out: b.txt" in ran.out
    listed = shotdex("status", "--left-out", "--store", tmp_path / "s").out
    assert "1 other file\n" in listed
    assert "1 images without a category" in listed
    assert ("a.png" in listed, "b.txt" in listed) == (True, True)
    found = strict_json(shotdex("status", "--json", "--store", tmp_path / "s").out)
    assert [left["paths"] for left in found["left_out"]] == [[str(tmp_path / "one" / "b.txt")]]
    assert found["unlabelled"] == [str(tmp_path / "one" / "a.png")]


def test_a_note_is_said_once_where_both_streams_are_one(tmp_path: Path) -> None:
    """Apart, each of them is complete."""
    for i in range(4):
        save_noise(tmp_path / "photos" / f"kind{i % 2}" / f"{i}.png", seed=i)
    (tmp_path / "photos" / "loose.png").write_bytes((tmp_path / "photos" / "kind0" / "0.png").read_bytes())

    package.open(tmp_path / "one", create=True).index(tmp_path / "photos", model="demo")

    def index(stderr: int) -> tuple[str, str]:
        command = [sys.executable, "-m", "shotdex", "index", "photos", "--store", "one"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=tmp_path, check=True, timeout=120
        )
        return done.stdout, done.stderr or ""

    together, _ = index(subprocess.STDOUT)
    apart, errors = index(subprocess.PIPE)
    notes = [line for line in errors.splitlines() if line and line in [part.strip() for part in apart.splitlines()]]
    assert notes
    assert [sum(line.strip() == note for line in together.splitlines()) for note in notes] == [1] * len(notes)

"""What an indexing does to a store: first, again, and after every kind of change."""

from __future__ import annotations

import errno
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shotdex.indexer.run as run_module
from shotdex.indexer.decode_pool import Decoder
from shotdex.indexer.decoders import KILLED
from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import open_source, read_bytes
from shotdex.media.sources.folder import FolderSource
from shotdex.store.errors import SourceError
from shotdex.store.progress import NoProgress
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Reason, Space
from shotdex.store.vectors import load_vectors
from tests.conftest import index
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import encoded, noise, save_colour, save_noise


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(["cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"]):
        save_noise(tmp_path / "pics" / name, seed=i)
    return tmp_path / "pics"


def counts(report: IndexReport) -> dict[str, int]:
    names = ("added", "unchanged", "moved", "changed", "encoded", "removed", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reading() as con:
        return con.rows(sql)


def present(store: Store) -> dict[str, tuple[int, str | None]]:
    return {
        Path(path).name: (i, category)
        for path, i, category in rows(store, "SELECT path, image_id, category FROM images")
    }


def check_vectors(store: Store) -> None:
    """Every present image has the vectors of what its file holds now."""
    from shotdex.media.open_image import open_image

    with store.reading() as con:
        paths = dict(con.rows("SELECT image_id, path FROM images ORDER BY image_id"))
        ids, vectors = load_vectors(con, 1, fake_id(), Space.JOINT, np.array(sorted(paths)))
        assert con.value("SELECT count(*) - count(DISTINCT image_id) FROM vectors_1") == 0
        assert con.value("SELECT count(*) - count(DISTINCT path) FROM images") == 0
    assert ids.tolist() == sorted(paths)
    want = FakeEncoder().encode_images([open_image(paths[i]) for i in ids.tolist()])
    assert vectors.tobytes() == want.tobytes()


def test_first_and_second_time(store: Store, folder: Path, fake: FakeEncoder) -> None:
    first = index(store, folder, fake)
    assert counts(first) == {"added": 4}
    assert first.notes == ("taking the folders as {category}/*",)
    assert fake.seen == 4
    assert rows(store, "SELECT image_id, path, source, category, width, height FROM images ORDER BY image_id") == [
        (i, f"{folder}/{name}", str(folder), name.split("/")[0], 24, 20)
        for i, name in enumerate(["cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"], 1)
    ]
    check_vectors(store)
    second = index(store, folder, fake)
    assert counts(second) == {"unchanged": 4}
    assert fake.seen == 4
    assert len(rows(store, "FROM stored_images")) == 4


def test_a_changed_file_is_encoded_anew_and_keeps_its_past(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    save_noise(folder / "cat" / "b.png", seed=99, width=30)
    assert counts(index(store, folder, fake)) == {"unchanged": 3, "changed": 1}
    assert fake.seen == 5
    assert present(store)["b.png"] == (5, "cat")
    assert rows(store, "SELECT removed_at IS NULL FROM stored_images ORDER BY image_id") == [
        (True,), (False,), (True,), (True,), (True,),
    ]  # fmt: skip
    check_vectors(store)


def test_a_changed_file_that_changes_back(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    original = (folder / "cat" / "b.png").read_bytes()
    save_noise(folder / "cat" / "b.png", seed=99)
    index(store, folder, fake)
    (folder / "cat" / "b.png").write_bytes(original)
    index(store, folder, fake)
    assert fake.seen == 5, "content once encoded is not encoded again"
    check_vectors(store)


def test_a_touched_file_is_read_but_not_encoded(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    os.utime(folder / "cat" / "a.png", ns=(1, 1))
    assert counts(index(store, folder, fake)) == {"unchanged": 4}
    assert fake.seen == 4
    assert rows(store, "SELECT modified_ns FROM images WHERE path LIKE '%a.png'") == [(1,)]


def test_a_moved_file_keeps_its_id_and_takes_its_new_label(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    (folder / "cat" / "a.png").rename(folder / "dog" / "z.png")
    assert counts(index(store, folder, fake)) == {"unchanged": 3, "moved": 1}
    assert fake.seen == 4
    assert present(store) == {"z.png": (1, "dog"), "b.png": (2, "cat"), "c.png": (3, "dog"), "d.png": (4, "dog")}
    check_vectors(store)


def test_files_that_swap_names(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    a, d, aside = folder / "cat" / "a.png", folder / "dog" / "d.png", folder / "aside"
    a.rename(aside)
    d.rename(a)
    aside.rename(d)
    os.utime(a, ns=(5, 5))
    os.utime(d, ns=(6, 6))
    index(store, folder, fake)
    assert fake.seen == 4
    assert len(present(store)) == 4
    check_vectors(store)


def test_a_removed_file_leaves_the_answers_but_not_the_store(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    (folder / "dog" / "c.png").unlink()
    assert counts(index(store, folder, fake)) == {"unchanged": 3, "removed": 1}
    assert sorted(present(store)) == ["a.png", "b.png", "d.png"]
    assert counts(index(store, folder, fake)) == {"unchanged": 3}
    save_noise(folder / "dog" / "c.png", seed=2)
    assert counts(index(store, folder, fake)) == {"unchanged": 3, "added": 1}
    assert present(store)["c.png"] == (3, "dog"), "the same image at the same place is the same image"
    assert fake.seen == 4


def test_a_source_of_another_folder_removes_nothing(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder / "cat", fake)
    assert counts(index(store, folder / "dog", fake)) == {"added": 2}
    assert len(present(store)) == 4


def test_a_plan_copies_only_rows_that_concern_its_source(
    store: Store, folder: Path, fake: FakeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        save_noise(tmp_path / "other" / f"{i}.png", seed=40 + i)
    index(store, tmp_path / "other", fake)
    index(store, folder, fake)
    copied = []
    monkeypatch.setattr(
        run_module, "check_losses", lambda plan: copied.append(plan.inventory.con.value("SELECT count(*) FROM known"))
    )
    index_source(store, open_source(folder), fake, IndexOptions(gone=False))
    assert copied == [4]


def test_removed_below_a_folder_indexed_by_itself(store: Store, folder: Path, fake: FakeEncoder) -> None:
    """A folder, then one in it with other labels: files that go are missed by indexing the outer one too."""
    index(store, folder, fake)
    index(store, folder / "cat", fake, "*")
    (folder / "cat" / "a.png").unlink()
    assert counts(index(store, folder, fake)) == {"unchanged": 3, "removed": 1}
    assert sorted(present(store)) == ["b.png", "c.png", "d.png"]


def test_copies_are_encoded_once(store: Store, folder: Path, fake: FakeEncoder) -> None:
    shutil.copy(folder / "cat" / "a.png", folder / "dog" / "copy.png")
    assert counts(index(store, folder, fake, batch_size=2)) == {"added": 5}
    assert fake.seen == 4
    assert rows(store, "SELECT width, height FROM images WHERE path LIKE '%copy.png'") == [(24, 20)]
    check_vectors(store)
    shutil.copy(folder / "cat" / "b.png", folder / "dog" / "later.png")
    assert counts(index(store, folder, fake)) == {"added": 1, "unchanged": 5}
    assert fake.seen == 4
    check_vectors(store)


def test_the_same_folder_by_another_way_of_writing_it(
    store: Store, folder: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(store, folder, fake)
    monkeypatch.chdir(folder / "cat")
    assert counts(index(store, Path("..") / ".." / "pics", fake)) == {"unchanged": 4}
    assert len(present(store)) == len(rows(store, "FROM images")) == 4


def test_a_second_encoder_stands_beside_the_first(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    other = FakeEncoder(fake_id("other", weights="7" * 64))
    assert counts(index(store, folder, other)) == {"encoded": 4}
    assert other.seen == 4
    assert len(rows(store, "FROM stored_images")) == 4
    assert rows(store, "SELECT count(*) FROM vectors_1 JOIN vectors_2 USING (image_id, joint, vision)") == [(4,)]
    assert counts(index(store, folder, fake)) == counts(index(store, folder, other)) == {"unchanged": 4}
    assert (fake.seen, other.seen) == (4, 4)


def test_new_labels_cost_no_encoding(store: Store, folder: Path, fake: FakeEncoder) -> None:
    index(store, folder, fake)
    assert counts(index(store, folder, fake, "{condition}/*")) == {"unchanged": 4}
    assert rows(store, "SELECT DISTINCT category FROM images") == [(None,)]
    assert rows(store, "SELECT DISTINCT condition FROM images ORDER BY 1") == [("cat",), ("dog",)]
    assert fake.seen == 4


class TestFailures:
    """Broken images are rows, and rows only as long as they are broken."""

    def test_each_is_a_row_and_the_run_goes_on(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        data = encoded(noise(1), "JPEG")
        (folder / "cat" / "cut.jpg").write_bytes(data[: len(data) // 2])
        (folder / "cat" / "empty.png").write_bytes(b"")
        (folder / "dog" / "page.jpg").write_text("<html>")
        report = index(store, folder, fake)
        assert counts(report) == {"added": 4, "failed": 3}
        assert rows(store, "SELECT path, source, stage, reason FROM failures ORDER BY path") == [
            (f"{folder}/cat/cut.jpg", str(folder), "decode", "truncated"),
            (f"{folder}/cat/empty.png", str(folder), "decode", "empty file"),
            (f"{folder}/dog/page.jpg", str(folder), "decode", "not an image"),
        ]
        assert counts(index(store, folder, fake)) == {"unchanged": 4, "failed": 3}
        assert len(rows(store, "FROM failures")) == 3

    def test_repaired(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        (folder / "cat" / "late.png").write_bytes(b"")
        index(store, folder, fake)
        save_noise(folder / "cat" / "late.png", seed=50)
        assert counts(index(store, folder, fake)) == {"unchanged": 4, "added": 1}
        assert rows(store, "FROM failures") == []

    def test_deleted(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        (folder / "cat" / "late.png").write_bytes(b"")
        index(store, folder, fake)
        (folder / "cat" / "late.png").unlink()
        index(store, folder, fake)
        assert rows(store, "SELECT path FROM failures") == []

    def test_broken_later(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        """A file that was whole and is not any more is a failure, and not also an image."""
        index(store, folder, fake)
        (folder / "cat" / "a.png").write_bytes(b"broken now")
        index(store, folder, fake)
        assert rows(store, "SELECT path FROM failures") == [(f"{folder}/cat/a.png",)]
        assert sorted(present(store)) == ["b.png", "c.png", "d.png"]

    def test_nothing_usable(self, store: Store, tmp_path: Path, fake: FakeEncoder) -> None:
        (tmp_path / "bad").mkdir()
        for name in ("a.png", "b.jpg"):
            (tmp_path / "bad" / name).write_bytes(b"junk")
        with pytest.raises(SourceError, match=r"none of the 2 images .*a\.png: not an image") as caught:
            index(store, tmp_path / "bad", fake)
        assert caught.value.exit_status == 1
        assert len(rows(store, "FROM failures")) == 2

    @pytest.mark.parametrize("files", [[], ["notes.txt", ".hidden.png"]])
    def test_nothing_there(self, store: Store, tmp_path: Path, fake: FakeEncoder, files: list[str]) -> None:
        (tmp_path / "none").mkdir()
        for name in files:
            (tmp_path / "none" / name).write_bytes(b"x")
        with pytest.raises(SourceError, match="no images in"):
            index(store, tmp_path / "none", fake)

    def test_a_file_that_vanishes_between_scan_and_read(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        from shotdex.indexer.inventory import scan_source
        from shotdex.indexer.run import Indexing

        with scan_source(open_source(folder)) as scan:
            (folder / "cat" / "a.png").unlink()
            report = Indexing(store, fake, IndexOptions(), NoProgress()).run(scan)
        assert counts(report) == {"added": 3, "failed": 1}
        assert report.failures[0].reason is Reason.UNREADABLE

    def test_a_link_to_nowhere_does_not_keep_deleted_images(
        self, store: Store, folder: Path, fake: FakeEncoder
    ) -> None:
        (folder / "cat" / "dangling.png").symlink_to(folder / "nowhere.png")
        index(store, folder, fake)
        (folder / "dog" / "c.png").unlink()
        index(store, folder, fake)
        assert sorted(present(store)) == ["a.png", "b.png", "d.png"]

    def test_a_folder_that_cannot_be_entered_hides_its_images_and_loses_none(
        self, store: Store, folder: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index(store, folder, fake)
        real = os.scandir

        def forbidden(path: Any) -> Any:
            if Path(path).name == "cat":
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", forbidden)
        report = index(store, folder, fake, "{category}/*")
        assert counts(report) == {"unchanged": 2, "failed": 1}
        assert len(present(store)) == 4
        assert rows(store, "SELECT path, stage, detail FROM failures") == [
            (f"{folder}/cat", "scan", "Permission denied")
        ]
        monkeypatch.setattr(os, "scandir", real)
        index(store, folder, fake, "{category}/*")
        assert rows(store, "FROM failures") == [], "the folder can be entered again"

    def test_unchanged_ones_are_not_read_again_until_something_else_would_decode_them(
        self, store: Store, folder: Path, fake: FakeEncoder
    ) -> None:
        from shotdex.store.types import Limits

        (folder / "cat" / "empty.png").write_bytes(b"")
        (folder / "dog" / "page.jpg").write_text("<html>")
        first = read_by(store, folder, fake)
        assert [name for name in first if name in ("empty.png", "page.jpg")] == ["empty.png", "page.jpg"]
        assert read_by(store, folder, fake) == []
        assert read_by(store, folder, fake, limits=Limits(seconds=77.0)) == ["empty.png", "page.jpg"]
        os.utime(folder / "cat" / "empty.png", ns=(1, 1))
        assert read_by(store, folder, fake, limits=Limits(seconds=77.0)) == ["empty.png"]

    def test_one_that_was_too_slow_is_tried_again(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        """The machine may have been busy, or its processes stopped."""
        index(store, folder, fake)
        (folder / "cat" / "page.png").write_text("<html>")
        index(store, folder, fake)
        assert read_by(store, folder, fake) == []
        with store.writing() as con:
            con.run("UPDATE failures SET reason = 'too slow'")
        assert read_by(store, folder, fake) == ["page.png"]
        assert rows(store, "SELECT reason FROM failures") == [("not an image",)]

    def test_one_whose_decoder_was_killed_is_tried_again(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        """The memory may have been short for another's sake."""
        (folder / "cat" / "page.png").write_text("<html>")
        index(store, folder, fake)
        with store.writing() as con:
            con.run("UPDATE failures SET reason = 'too large', detail = '40000 x 40000 pixels'")
        assert read_by(store, folder, fake) == []
        with store.writing() as con:
            con.run("UPDATE failures SET detail = $killed", {"killed": KILLED})
        assert read_by(store, folder, fake) == ["page.png"]
        assert rows(store, "SELECT reason FROM failures") == [("not an image",)]

    def test_those_of_a_folder_in_it_are_forgotten_with_it(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        """The inner folder was indexed by itself; what failed there and is gone is missed by the outer one too."""
        (folder / "cat" / "late.png").write_bytes(b"")
        index(store, folder / "cat", fake)
        assert len(rows(store, "FROM failures")) == 1
        index(store, folder, fake)
        (folder / "cat" / "late.png").unlink()
        index(store, folder, fake)
        assert rows(store, "SELECT path FROM failures") == []

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES])
    def test_a_file_that_cannot_be_looked_at_may_still_be_there(
        self, store: Store, folder: Path, fake: FakeEncoder, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """Its folder lists it, and asking for its size fails: a disk that goes bad, a server that is away."""
        index(store, folder, fake)
        (folder / "cat" / "b.png").unlink()
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", scandir_with(lambda name: name == "a.png", number))
            report = index(store, folder, fake)
        assert report.failed == 1
        gone = set() if number == errno.EACCES else {"b.png"}  # a folder that gives no sizes at all hides all its files
        assert set(present(store)) == {"a.png", "b.png", "c.png", "d.png"} - gone
        assert [(reason, detail) for reason, detail in rows(store, "SELECT reason, detail FROM failures")] == [
            ("unreadable", os.strerror(number))
        ]
        index(store, folder, fake)
        assert set(present(store)) == {"a.png", "c.png", "d.png"}
        assert rows(store, "FROM failures") == []
        assert fake.seen == 4


class _Entry:
    """A folder's entry whose file gives no size."""

    def __init__(self, entry: os.DirEntry[str], number: int) -> None:
        self.name, self.path, self.is_dir, self.is_symlink = entry.name, entry.path, entry.is_dir, entry.is_symlink
        self._number = number

    def stat(self) -> os.stat_result:
        raise OSError(self._number, os.strerror(self._number))


def scandir_with(bad: Callable[[str], bool], number: int) -> Callable[[str], Any]:
    """Return an `os.scandir` whose entries of some names cannot be looked at."""
    real = os.scandir

    @contextmanager
    def scandir(path: str) -> Iterator[Any]:
        with real(path) as entries:
            yield (_Entry(entry, number) if bad(entry.name) else entry for entry in entries)

    return scandir


def read_by(store: Store, folder: Path, fake: FakeEncoder, **settings: Any) -> list[str]:
    """Index a folder; return the names of the files that were read, sorted."""
    names: list[str] = []

    @dataclass(frozen=True)
    class Watched(FolderSource):
        def read(self, address: str, limit: int) -> bytes:
            names.append(Path(address).name)
            return read_bytes(address, limit)

    index_source(store, Watched(str(folder)), fake, IndexOptions(**settings))
    return sorted(names)


def is_red(pixels: np.ndarray) -> bool:
    return bool((pixels[..., 0] > 200).all() and (pixels[..., 1:] < 50).all())


class TestModelOutput:
    """Vectors that are not finite become failures, never rows that poison a search."""

    def test_a_failure_row(self, store: Store, folder: Path) -> None:
        save_colour(folder / "cat" / "red.png", "red")
        report = index(store, folder, FakeEncoder(spoil=is_red))
        assert counts(report) == {"added": 4, "failed": 1}
        assert rows(store, "SELECT path, stage, reason FROM failures") == [
            (f"{folder}/cat/red.png", "encode", "model output invalid")
        ]
        check_vectors(store)

    def test_only_such(self, store: Store, tmp_path: Path) -> None:
        save_colour(tmp_path / "x" / "red.png", "red")
        with pytest.raises(SourceError, match="model output invalid"):
            index(store, tmp_path / "x", FakeEncoder(spoil=is_red))

    def test_copies_of_such_in_one_batch(self, store: Store, folder: Path) -> None:
        for name in ("red.png", "red2.png"):
            save_colour(folder / "cat" / name, "red")
        report = index(store, folder, FakeEncoder(spoil=is_red))
        assert counts(report) == {"added": 4, "failed": 2}
        check_vectors(store)

    def test_copies_of_such_far_apart(self, store: Store, tmp_path: Path) -> None:
        """The copy is read while the first still waits for the model, and comes up after the first was refused."""
        folder = tmp_path / "far"
        save_colour(folder / "000.png", "red")
        for i in range(1, 60):
            save_noise(folder / f"{i:03}.png", seed=i)
        for i in (17, 18, 19):
            shutil.copy(folder / "000.png", folder / f"{i:03}.png")
        report = index(store, folder, FakeEncoder(spoil=is_red, slow=0.2), batch_size=4)
        assert counts(report) == {"added": 56, "failed": 4}
        check_vectors(store)

    def test_a_changed_file_that_becomes_such(self, store: Store, folder: Path, fake: FakeEncoder) -> None:
        index(store, folder, fake)
        save_colour(folder / "cat" / "a.png", "red")
        report = index(store, folder, FakeEncoder(spoil=is_red))
        assert (report.added, report.changed, report.failed, report.unchanged) == (0, 0, 1, 3)
        assert sorted(present(store)) == ["b.png", "c.png", "d.png"]
        check_vectors(store)

    def test_a_changed_file_that_becomes_a_copy_of_such(self, store: Store, tmp_path: Path) -> None:
        """Its content was refused in an earlier batch; what it was before must not answer for it."""
        folder = tmp_path / "late"
        for i in range(60):
            save_noise(folder / f"{i:03}.png", seed=i)
        index(store, folder, FakeEncoder())
        save_colour(folder / "000.png", "red")
        shutil.copy(folder / "000.png", folder / "059.png")
        report = index(store, folder, FakeEncoder(spoil=is_red), batch_size=1)
        assert (report.failed, report.changed, report.unchanged) == (2, 0, 58)
        assert sorted(present(store)) == [f"{i:03}.png" for i in range(1, 59)]
        check_vectors(store)

    def test_what_a_second_encoder_is_not_to_decode_stays_with_the_first(
        self, store: Store, folder: Path, fake: FakeEncoder
    ) -> None:
        """The files are as they were; only the limits are others."""
        from shotdex.store.types import Limits

        index(store, folder, fake)
        save_noise(folder / "cat" / "small.png", seed=9, width=4, height=4)
        save_noise(folder / "dog" / "c.png", seed=10)
        other, limits = FakeEncoder(fake_id("other", weights="7" * 64)), Limits(pixels=100)
        report = index(store, folder, other, limits=limits)  # type: ignore[arg-type]
        assert counts(report) == {"added": 1, "removed": 1, "failed": 4}
        assert set(present(store)) == {"a.png", "b.png", "d.png", "small.png"}, "c.png is not what it was"
        assert counts(index(store, folder, fake)) == {"added": 1, "encoded": 1, "unchanged": 3}
        check_vectors(store)
        assert counts(index(store, folder, other)) == {"encoded": 4, "unchanged": 1}
        assert rows(store, "FROM failures") == []

    def test_such_from_a_second_encoder_leaves_the_first_whole(
        self, store: Store, folder: Path, fake: FakeEncoder
    ) -> None:
        save_colour(folder / "cat" / "red.png", "red")
        index(store, folder, fake)
        other = FakeEncoder(fake_id("other", weights="7" * 64), spoil=is_red)
        report = index(store, folder, other)
        assert counts(report) == {"encoded": 4, "failed": 1}
        assert len(present(store)) == 5
        assert rows(store, "SELECT count(*) FROM vectors_2") == [(4,)]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_image_of_extreme_shape_does_not_take_all_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: bool
) -> None:
    """1 x 65,535 pixels are 200 bytes of PNG and, with the short edge at 224, ten gigabytes of image.

    `elsewhere`: the decoding process does the resizing, out of this test's sight.
    """
    from PIL import Image

    from shotdex.indexer.decode_pool import Decoder
    from shotdex.media.sources import read_bytes
    from shotdex.models.preprocessing import FixedSize
    from shotdex.store.types import PIXEL_LIMIT, Failure, Limits

    Image.new("1", (65_535, 1)).save(tmp_path / "line.png")
    asked: list[int] = []
    resize = Image.Image.resize

    def watched(self: Image.Image, size: tuple[int, int], *arguments: Any, **named: Any) -> Image.Image:
        asked.append(size[0] * size[1])
        return resize(self, size if asked[-1] <= PIXEL_LIMIT else (1, 1), *arguments, **named)

    monkeypatch.setattr(Image.Image, "resize", watched)
    fixed = FixedSize(224, None, (224, 224), 3, 1 / 255, (0.0,) * 3, (1.0,) * 3)
    portable = fixed.portable if elsewhere else None
    decoder = Decoder(fixed.prepare, portable, lambda _: False, read_bytes, Limits())
    [made] = decoder.decode_ahead([str(tmp_path / "line.png")], 1)
    assert not [pixels for pixels in asked if pixels > PIXEL_LIMIT]
    assert isinstance(made, Failure)
    assert (made.stage, made.reason) == ("decode", Reason.TOO_LARGE)


def test_a_zip_and_its_layout(store: Store, folder: Path, fake: FakeEncoder, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder).as_posix())
    report = index(store, tmp_path / "p.zip", fake, batch_size=2)
    assert counts(report) == {"added": 4}
    assert rows(store, "SELECT path, category FROM images ORDER BY image_id LIMIT 1") == [
        (f"{tmp_path}/p.zip!cat/a.png", "cat")
    ]
    check_vectors(store)
    assert counts(index(store, tmp_path / "p.zip", fake)) == {"unchanged": 4}
    os.utime(tmp_path / "p.zip", (time.time() + 9, time.time() + 9))
    assert counts(index(store, tmp_path / "p.zip", fake)) == {"unchanged": 4}
    assert fake.seen == 4


def test_a_list_in_another_encoding_is_read_and_said(store: Store, folder: Path, fake: FakeEncoder) -> None:
    table = folder / "list.csv"
    save_noise(folder / "décor.png", seed=5)
    table.write_bytes("image;label\ndécor.png;Möbel\n".encode("cp1252"))
    report = index(store, table, fake)
    assert report.notes == (f"{table}: line 2 is not UTF-8; such lines were read as Windows-1252",)
    assert [label for _, label in present(store).values()] == ["Möbel"]


def test_progress_counts_every_image(store: Store, folder: Path, fake: FakeEncoder) -> None:
    class Watch:
        total, done = 0, 0

        def start(self, total: int) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            self.done += count

    (folder / "cat" / "bad.png").write_bytes(b"")
    watch = Watch()
    index_source(store, open_source(folder), fake, IndexOptions(), watch)
    assert (watch.total, watch.done) == (5, 5)


def test_the_decoding_has_ended_when_an_error_comes_out(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to the collector of garbage, it would end at some later moment, in which a second Ctrl-C is lost."""
    ended = []
    decode_ahead = Decoder.decode_ahead

    def recorded(self: Any, items: Any, ahead: int) -> Iterator[Any]:
        try:
            yield from decode_ahead(self, items, ahead)
        finally:
            ended.append(True)

    def fail(_: int) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Decoder, "decode_ahead", recorded)
    with pytest.raises(RuntimeError) as error:
        index(store, folder, FakeEncoder(before=fail), batch_size=1)
    assert (ended, error.tb is not None) == ([True], True), "the error's frames hold the iterator"


def test_a_hundred_small_images_need_little_disk() -> None:
    from shotdex.indexer.preflight import expected_bytes

    assert 3e6 < expected_bytes(fake_id(dim=512, vision_dim=768), 100, 100) < 6e6

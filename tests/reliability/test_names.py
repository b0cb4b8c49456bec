"""Names that file systems allow and programs stumble over: indexed, found again, moved, labelled, searched for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from shotdex.indexer.layout import parse_layout
from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import read_bytes
from shotdex.media.sources.folder import FolderSource
from shotdex.query.search import search
from shotdex.store.file_names import local, stored
from shotdex.store.images import one_form
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.store.types import IndexReport
from shotdex.upkeep.check_files import check_files
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import noise, save_noise
from tests.support.orders import image_part

from .states import difference, problems, rows_of

LAYOUT = "**/{category}/*"

# Names of one part, in bytes: text with what means something to shells, URLs, SQL, archives, globs and terminals.
AWKWARD = "!'\"`\\;:*?[]{}()<>|&$#%@~^=+, \t\r\n\x1b\x7f\u202e\u200b\ufeff\u0301é🎈中-_.aA1"
TEXT = st.text(st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_characters="/\0", codec="utf-8")), min_size=1)
LATIN = st.binary(min_size=1, max_size=6).map(lambda data: b"caf\xe9" + data.replace(b"/", b"_").replace(b"\0", b"_"))
PART = st.one_of(TEXT.map(str.encode), TEXT.map(str.encode), TEXT.map(str.encode), LATIN).map(lambda name: name[:240])
FILE = st.tuples(PART, PART, st.sampled_from([b".png", b".PNG", b" .png"])).map(lambda f: (f[0], f[1] + f[2]))


def whole(name: bytes) -> bool:
    """Tell whether a part is a name at all, and not hidden."""
    return not name.startswith(b".") and len(name) <= 255


def make(top: Path, files: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Save an image under each name; return its category by its path, both as the catalog keeps them."""
    expected = {}
    for seed, (folder, name) in enumerate(files):
        path = os.path.join(os.fsencode(top), folder, name)  # noqa: PTH118 - bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb") as file:  # noqa: PTH123
            noise(seed).save(file, "PNG")
        expected[stored(os.fsdecode(path))] = one_form(stored(os.fsdecode(folder)))
    return expected


class Counting(FolderSource):
    """A folder whose reads are counted."""

    reads = 0

    def read(self, address: str, limit: int) -> bytes:
        Counting.reads += 1
        return read_bytes(address, limit)


def bring_up(store: Store, top: Path, encoder: FakeEncoder) -> IndexReport:
    Counting.reads = 0
    return index_source(store, Counting(str(top)), encoder, IndexOptions(parse_layout(LAYOUT)))


def seen(store: Store) -> dict[str, str]:
    with store.reading() as con:
        return dict(con.rows("SELECT path, category FROM images"))


# Without shrinking, which would take minutes: an example indexes three times.
HOW = settings(
    max_examples=int(os.environ.get("NAMES", "3")),
    deadline=None,
    derandomize="NAMES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@HOW
@given(files=st.lists(FILE, min_size=1, max_size=10, unique_by=lambda f: (f[0], f[1])), new=PART)
def test_any_name(files: list[tuple[bytes, bytes]], new: bytes) -> None:
    files = [file for file in files if all(map(whole, file))]
    assume(files and whole(new))
    with tempfile.TemporaryDirectory() as place:
        top, store, fake = Path(place) / "top", Store.create(Path(place) / "store"), FakeEncoder()
        expected = make(top, [*files, (b"fine", b"fine.png")])
        report = bring_up(store, top, fake)
        assert (report.added, report.failed) == (len(expected), 0)
        assert seen(store) == expected
        before = rows_of(store)
        report = bring_up(store, top, fake)
        assert (report.unchanged, Counting.reads, fake.seen) == (len(expected), 0, len(expected))
        assert difference(rows_of(store), before) is None
        for path in list(expected)[:2]:
            assert search(store, Query((image_part(path),), k=1, with_itself=True), lambda _: fake).hits[0].path == path
        moved_to_another_name(store, top, new, fake, expected)


def moved_to_another_name(store: Store, top: Path, new: bytes, fake: FakeEncoder, expected: dict[str, str]) -> None:
    """Put one folder under another name, and check that its images are the same images as before."""
    path = next((path for path in expected if Path(path).parent.name != "fine"), "")
    if not path:
        return
    old = os.fsencode(local(str(Path(path).parent)))
    target = os.path.join(os.fsencode(top), new)  # noqa: PTH118
    if os.path.lexists(target) or target.startswith(old):
        return
    with store.reading() as con:
        ids = dict(con.rows("SELECT path, image_id FROM images"))
    os.rename(old, target)  # noqa: PTH104
    report = bring_up(store, top, fake)
    at_it = [p for p in expected if Path(p).parent == Path(path).parent]
    renamed = {f"{stored(os.fsdecode(target))}/{Path(p).name}": ids[p] for p in at_it}
    assert (report.moved, report.removed) == (len(at_it), 0)
    with store.reading() as con:
        now = dict(con.rows("SELECT path, image_id FROM images"))
    assert now == {p: i for p, i in ids.items() if p not in at_it} | renamed
    assert {seen(store)[p] for p in renamed} == {one_form(stored(os.fsdecode(new)))}
    assert problems(store) == []


def test_the_longest_names_and_the_deepest_folders(store: Store, tmp_path: Path, fake: FakeEncoder) -> None:
    """A path may have 4,096 bytes where a folder may have any depth: what lies deeper is one row."""
    top = tmp_path / "top"
    save_noise(top / "a" / f"{'x' * 251}.png", seed=1)
    save_noise(top / "a" / f"{'é' * 125}.png", seed=2)
    fine = top.joinpath(*["deep"] * 300)
    save_noise(fine / "b.png", seed=3)
    save_noise(top / "plain.png", seed=4)
    at = os.open(fine, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("y" * 200, dir_fd=at)
        inner = os.open("y" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    data = (top / "plain.png").read_bytes()
    file = os.open("lost.png", os.O_WRONLY | os.O_CREAT, dir_fd=at)
    os.write(file, data)
    os.close(file)
    os.close(at)
    report = index(store, top, fake)
    assert (report.added, report.failed) == (4, 1)
    assert set(seen(store)) == {str(path) for path in (*(top / "a").iterdir(), fine / "b.png", top / "plain.png")}
    with store.reading() as con:
        assert con.rows("SELECT stage, reason, detail FROM failures") == [("scan", "unreadable", "File name too long")]
    assert search(store, Query((image_part(fine / "b.png"),), k=1, with_itself=True), lambda _: fake).hits[
        0
    ].path == str(fine / "b.png")
    shutil.rmtree(top)


def test_a_source_whose_own_name_is_not_utf8(store: Store, tmp_path: Path, fake: FakeEncoder) -> None:
    top = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    save_noise(top / "a.png", seed=1)
    assert index(store, top, fake).added == 1
    (path,) = seen(store)
    assert local(path) == str(top / "a.png")
    assert index(store, top, fake).unchanged == 1
    assert "were read" not in check_files(store).text
    save_noise(top / "a.png", seed=2)
    found = check_files(store)
    assert not found.ok
    assert "run with the original options: shotdex index" in found.hint


def test_names_in_what_is_printed_are_escaped(tmp_path: Path, shotdex) -> None:  # type: ignore[no-untyped-def]
    """Through the command: a name must not move a terminal's cursor, and one that is not UTF-8 must not end the run."""
    top = tmp_path / "t\x1b[2Jop"
    save_noise(top / "\x1b]0;owned\x07.png", seed=1)
    (top / "bad\x1b[1m.png").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(top) + b"/caf\xe9.png")).write_bytes(b"x")
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    save_noise(latin / "a.png", seed=1)
    from .command import prepare

    with pytest.MonkeyPatch.context() as patch:
        import shotdex.indexer.run as run_module
        import shotdex.models.transformers_encoder as encoder_module

        patch.setattr(encoder_module, "load_encoder", encoder_module.load_encoder)  # put back afterwards
        patch.setattr(run_module, "IndexOptions", run_module.IndexOptions)
        prepare()
        first = shotdex("index", top, "--store", tmp_path / "s")
        done = shotdex("index", latin, "--store", tmp_path / "s")
    assert first.status == 0, first.err
    assert "\x1b" not in first.out + first.err
    assert (done.status, "Traceback" in done.err) == (0, False), done.err
    assert "caf\\xe9: 1 added" in done.out

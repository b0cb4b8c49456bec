"""What a search writes to a terminal, to a pipe and for other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import shotdex
from shotdex.store.file_names import stored
from shotdex.store.store import Store
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

NAMES = ("café.png", "犬.png", "a\nb.png", "a b'.png", "\u202e.png", "latin \udce9.png")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with images of difficult names, and the vector of one text."""
    folder = tmp_path_factory.mktemp("named")
    for i, name in enumerate(NAMES):
        save_noise(folder / "images" / name, seed=i)
    store = Store.create(folder / "store")
    index(store, folder / "images", FakeEncoder(), "*")
    return store


def test_an_image_from_standard_input(named: Store) -> None:
    command = [sys.executable, "-m", "shotdex", "search", "--image", "-", "--json", "--store", named.root]
    data = (named.root.parent / "images" / NAMES[0]).read_bytes()
    found = json.loads(subprocess.run(command, input=data, capture_output=True, check=True).stdout)
    like = [sys.executable, "-m", "shotdex", "search", "--like", "1", "--json", "--store", named.root]
    assert len(found) == len(NAMES) - 1
    first = json.loads(subprocess.run(like, capture_output=True, check=True).stdout)
    with named.reading() as con:
        (number,) = con.rows("SELECT image_id FROM images WHERE path = $path", {"path": _path(named, NAMES[0])})[0]
    assert number not in [hit["image_id"] for hit in found] and (number != 1 or found == first)
    empty = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert empty.returncode == 2 and b"nothing in standard input" in empty.stderr


def _path(store: Store, name: str) -> str:
    return stored(str(store.root.parent / "images" / name))


def test_names_that_are_not_utf8_keep_their_bytes(named: Store, tmp_path: Path) -> None:
    search = [sys.executable, "-m", "shotdex", "search", "--like", "1", "--with-itself", "--store", str(named.root)]
    printed = subprocess.run([*search, "--json"], capture_output=True, check=True).stdout
    paths = [hit["path"] for hit in json.loads(printed)]
    assert all(map(os.path.isfile, paths)) and str(named.root.parent / "images" / NAMES[-1]) in paths
    rows = subprocess.run([*search, "--format", "csv", "--fields", "path"], capture_output=True, check=True).stdout
    assert b"latin \xe9.png" in rows
    ran = subprocess.run([*search, "--copy-to", tmp_path / "copies", "--link-to", tmp_path / "links"], check=True)
    assert ran.returncode == 0
    for folder in ("copies", "links"):
        assert len([path for path in (tmp_path / folder).iterdir() if path.is_file()]) == len(NAMES)
    for hit in shotdex.open(named.root).search(like=1, with_itself=True):
        with open(hit, "rb") as file:  # noqa: PTH123  a hit is a path
            assert file.read(4) == b"\x89PNG"


def test_nothing_of_an_image_reaches_a_pipe(named: Store) -> None:
    command = [sys.executable, "-m", "shotdex", "search", "--like", "1", "--show", "--store", named.root]
    ran = subprocess.run(command, env=os.environ | {"TERM": "xterm-kitty"}, capture_output=True, check=True)
    assert b"\x1b" not in ran.stdout and b"only in a terminal" in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_paths_are_the_file_system_s_bytes_in_any_locale(named: Store, locale: str) -> None:
    environ = os.environ | {"PYTHONUTF8": "0", "LC_ALL": locale, "SHOTDEX_STORE": str(named.root)}
    search = [sys.executable, "-m", "shotdex", "search", "--like", "1", "--with-itself"]
    want = {os.fsencode(named.root.parent / "images" / name) for name in NAMES}
    found = subprocess.run([*search, "-0"], env=environ, capture_output=True, check=True).stdout
    assert found.endswith(b"\0") and set(found.split(b"\0")[:-1]) == want
    listed = subprocess.run(["xargs", "-0", "ls", "-d"], input=found, capture_output=True, check=True)
    assert all(path in listed.stdout for path in want) and listed.stderr == b""
    lines = subprocess.run([*search, "--format", "paths"], env=environ, capture_output=True, check=True).stdout
    assert lines == found.replace(b"\0", b"\n")

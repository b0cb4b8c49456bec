"""Digests of the data: the same for the same images and labels wherever they lie, another for anything else."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.analysis import classify as module_of_classify
from shotdex.analysis import results, run_digests
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import from_names
from shotdex.analysis.run_digests import data_digests
from shotdex.store.connection import Connection
from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from shotdex.store.types import Run
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import noise

IMAGES = {"cat/1.png": 1, "cat/2.png": 2, "dog/3.png": 3, "dog/4.png": 4, "owl/5.png": 5}
"""Where each image of noise lies, and its seed."""


def make(folder: Path, images: Mapping[str, int]) -> Path:
    for name, seed in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(folder / name)
    return folder


def digests(root: Path, *places: Path, layout: str = "{category}/*", where: str = "true") -> tuple[str, str]:
    store = Store.create(root)
    for place in places:
        index(store, place, FakeEncoder(), layout)
    with store.reading() as con:
        ids = [row[0] for row in con.rows(f"SELECT image_id FROM images WHERE {where}")]
        return data_digests(con, np.array(ids, dtype=np.int64))


@pytest.fixture
def base(tmp_path: Path) -> tuple[str, str]:
    return digests(tmp_path / "base", make(tmp_path / "pictures", IMAGES))


def test_it_is_what_it_says(base: tuple[str, str], tmp_path: Path) -> None:
    """From the files themselves: sorted SHA-256 of each, then with a tab and the folder's name."""
    hashes = {name: hashlib.sha256((tmp_path / "pictures" / name).read_bytes()).hexdigest() for name in IMAGES}
    data = "".join(f"{line}\n" for line in sorted(hashes.values()))
    labels = "".join(f"{line}\n" for line in sorted(f"{h}\t{name.split('/')[0]}" for name, h in hashes.items()))
    assert base == (hashlib.sha256(data.encode()).hexdigest(), hashlib.sha256(labels.encode()).hexdigest())


def test_parts_do_not_count(base: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_digests, "SORTED", 1)
    monkeypatch.setattr(results, "LABELLED", 2)
    store = Store.open(tmp_path / "base")
    with store.reading() as con:
        ids = np.arange(1, 6)
        assert data_digests(con, ids) == base
        codes, names = results.image_labels(con, ids)["category"]
    assert [names[code] for code in codes] == ["cat", "cat", "dog", "dog", "owl"]


def test_paths_ids_and_order_do_not_count(base: tuple[str, str], tmp_path: Path) -> None:
    renamed = {f"{name.split('/')[0]}/{9 - seed}x.png": seed for name, seed in IMAGES.items()}
    assert digests(tmp_path / "a", make(tmp_path / "elsewhere", renamed)) == base
    halves = [make(tmp_path / f"half{i}", {n: s for n, s in IMAGES.items() if s % 2 == i}) for i in (1, 0)]
    assert digests(tmp_path / "b", *halves) == base
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in sorted(IMAGES, reverse=True):
            archive.write(tmp_path / "pictures" / name, name)
    assert digests(tmp_path / "c", tmp_path / "all.zip") == base


def test_content_counts(base: tuple[str, str], tmp_path: Path) -> None:
    others = [
        IMAGES | {"cat/1.png": 99},
        IMAGES | {"cat/6.png": 6},
        IMAGES | {"cat/6.png": 1},  # the same image twice
        {name: seed for name, seed in IMAGES.items() if seed != 5},
    ]
    made = [digests(tmp_path / f"s{i}", make(tmp_path / f"p{i}", other)) for i, other in enumerate(others)]
    for position in (0, 1):
        assert len({base[position], *(pair[position] for pair in made)}) == 5


def test_labels_count_in_the_second_alone(base: tuple[str, str], tmp_path: Path) -> None:
    swapped = {"cat/1.png": 1, "dog/2.png": 2, "cat/3.png": 3, "dog/4.png": 4, "owl/5.png": 5}
    renamed = {name.replace("owl", "Owl"): seed for name, seed in IMAGES.items()}
    made = [
        digests(tmp_path / "swapped", make(tmp_path / "p", swapped)),
        digests(tmp_path / "renamed", make(tmp_path / "q", renamed)),
        digests(tmp_path / "none", tmp_path / "pictures", layout="{condition}/*"),
    ]
    assert {pair[0] for pair in made} == {base[0]}
    assert len({base[1], *(pair[1] for pair in made)}) == 4


def test_only_the_given_images_count(base: tuple[str, str], tmp_path: Path) -> None:
    cats = make(tmp_path / "cats", {name: seed for name, seed in IMAGES.items() if name.startswith("cat")})
    some = digests(tmp_path / "again", tmp_path / "pictures", where="category = 'cat'")
    assert some == digests(tmp_path / "only", cats)
    assert some[0] != base[0]
    empty = hashlib.sha256(b"").hexdigest()
    assert digests(tmp_path / "again", tmp_path / "pictures", where="false") == (empty, empty)


def test_a_run_records_those_of_what_it_scored(base: tuple[str, str], tmp_path: Path) -> None:
    store = Store.open(tmp_path / "base")

    def run(where: str | None = None) -> Run:
        return classify(store, Classification(from_names(["cat", "dog"]), where=where), lambda _: FakeEncoder())

    whole, cats = run(), run("category = 'cat'")
    assert (whole.data_sha256, whole.labels_sha256) == base
    assert (cats.data_sha256, cats.labels_sha256) == digests(tmp_path / "base", where="category = 'cat'")
    (tmp_path / "pictures" / "owl" / "5.png").rename(tmp_path / "pictures" / "cat" / "5.png")
    index(store, tmp_path / "pictures", FakeEncoder(), "{category}/*")
    relabelled = run()
    assert relabelled.data_sha256 == whole.data_sha256
    assert relabelled.labels_sha256 != whole.labels_sha256


@pytest.mark.parametrize(("read", "most"), [(7, 1), (1000, 50), (32_768, 16_384)])
def test_many_contents_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: int, most: int) -> None:
    monkeypatch.setattr(run_digests, "READ", read)
    monkeypatch.setattr(run_digests, "SORTED", most)
    contents = [hashlib.sha256(bytes([seed % 150])).hexdigest() for seed in range(200)]  # some twice
    categories = [[None, "", "owl", "Owl", "Eule\u00e4", "\U0001f989", "\uffee"][seed % 7] for seed in range(200)]
    store = Store.create(tmp_path / "store")
    with store.writing() as con:
        for number, (content, category) in enumerate(zip(contents, categories, strict=True)):
            con.run(
                "INSERT INTO stored_images (image_id, path, source, content_sha256, category, added_at) "
                "VALUES ($id, $path, 'x', $content, $category, now())",
                {"id": 2 * number, "path": f"{number}.png", "content": content, "category": category},
            )
    some = np.array([2 * number for number in range(200) if number % 5], np.int64)
    pairs = sorted((contents[one // 2], (categories[one // 2] or "").encode()) for one in some.tolist())
    data = "".join(f"{content}\n" for content, _ in pairs).encode()
    labels = b"".join(content.encode() + b"\t" + category + b"\n" for content, category in pairs)
    with store.reading() as con:
        assert data_digests(con, some[::-1]) == (hashlib.sha256(data).hexdigest(), hashlib.sha256(labels).hexdigest())


class TestManyImages:
    """Of many images the digests are made with the catalog opened once more."""

    @pytest.fixture(autouse=True)
    def many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module_of_classify, "MANY", 2)

    def test_they_are_the_same(self, base: tuple[str, str], tmp_path: Path) -> None:
        run = classify(
            Store.open(tmp_path / "base"), Classification(from_names(["cat", "dog"])), lambda _: FakeEncoder()
        )
        assert (run.data_sha256, run.labels_sha256) == base

    def test_images_that_come_in_between(
        self, base: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, more, real = Store.open(tmp_path / "base"), make(tmp_path / "more", {"cat/6.png": 6}), Store.reading
        before: list[Callable[[], object]] = [
            lambda: None,
            lambda: index(store, more, FakeEncoder(), "{category}/*"),
        ]

        def reading(self: Store, **given: Any) -> AbstractContextManager[Connection]:
            if before:
                before.pop(0)()
            return real(self, **given)

        monkeypatch.setattr(Store, "reading", reading)
        with pytest.raises(StoreError, match="were added or removed during classification"):
            classify(store, Classification(from_names(["cat", "dog"])), lambda _: FakeEncoder())

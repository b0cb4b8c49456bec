"""Data sets as sources: what a scan gives, from the real libraries."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shotdex.media.datasets import torchvision_sets
from shotdex.media.files.places import TooManyBytes
from shotdex.media.sources import datasets
from shotdex.media.sources.base import Candidate, Source
from shotdex.media.sources.datasets import DatasetSource
from shotdex.store.errors import SourceError
from shotdex.store.images import Labels
from tests.support.beside import torchvision_on_path
from tests.support.images import encoded, noise, save_noise


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import datasets as hf

    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv(torchvision_sets.VARIABLE, str(tmp_path / "root"))
    yield
    datasets.forget()
    gc.collect()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twenty images in a Parquet file, made by the library itself."""
    import datasets as hf

    features = hf.Features(
        {"image": hf.Image(), "label": hf.ClassLabel(names=["cat", "dog"]), "year": hf.Value("int16")}
    )
    cells = [{"bytes": encoded(noise(i), "JPEG"), "path": None} for i in range(20)]
    columns = {"image": cells, "label": [i % 2 for i in range(20)], "year": list(range(1990, 2010))}
    (tmp_path / "set").mkdir()
    hf.Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "set" / "test.parquet")
    return tmp_path / "set"


def test_hugging_face(table: Path) -> None:
    root = f"hf:{table}"
    source: Source = DatasetSource(root)
    assert (source.root, source.kind, source.by_path, source.complete) == (root, "data set", False, True)
    found = [one for one in source.scan() if isinstance(one, Candidate)]
    assert [one.address for one in found] == [f"{root}!test/{i}" for i in range(20)]
    assert found[3].relative == "test/3"
    assert (found[3].labels, found[3].metadata) == (Labels("dog", None, "test"), {"year": 1993})
    assert found[3].size_bytes == len(encoded(noise(3), "JPEG"))
    assert [source.read(one.address, 1 << 20) for one in found] == [encoded(noise(i), "JPEG") for i in range(20)]
    with pytest.raises(TooManyBytes):
        source.read(found[3].address, 10)
    assert list(source.scan()) == found, "a second scan gives the same, so nothing is read again"


def test_reading_from_many_threads(table: Path) -> None:
    source = DatasetSource(f"hf:{table}")
    got: dict[int, bytes] = {}

    def read(i: int) -> None:
        got[i] = source.read(f"hf:{table}!test/{i}", 1 << 20)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {i: encoded(noise(i), "JPEG") for i in range(20)}


def test_torchvision(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        save_noise(tmp_path / "root" / "country211" / split / "AD" / "0.png", 1)
    with torchvision_on_path():
        found = list(DatasetSource("torchvision:Country211").scan())
        fake = next(DatasetSource("torchvision:FakeData").scan())
        assert [one.address for one in found if isinstance(one, Candidate)] == [
            f"torchvision:Country211!{split}/0" for split in ("train", "valid", "test")
        ]
        assert isinstance(found[1], Candidate)
        assert (found[1].relative, found[1].labels) == ("valid/0", Labels("AD", None, "valid"))
        assert isinstance(fake, Candidate)
        assert fake.labels is not None
        assert (fake.address, fake.labels.split) == ("torchvision:FakeData!all/0", None)
        (one,) = DatasetSource("torchvision:Country211:valid").scan()
        assert isinstance(one, Candidate)
        assert (one.address, one.labels) == ("torchvision:Country211:valid!valid/0", Labels("AD", None, "valid"))
        with pytest.raises(SourceError, match="no split dev"):
            next(DatasetSource("torchvision:Country211:dev").scan())


def test_what_is_not_there(tmp_path: Path) -> None:
    for root in (f"hf:{tmp_path}/gone", "hf:nobody/nothing"):
        with pytest.raises(SourceError, match="cannot be loaded"):
            next(DatasetSource(root).scan())

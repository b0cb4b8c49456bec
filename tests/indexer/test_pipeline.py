"""An encoder that is a batch ahead of its answers leaves the same store as one that is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.indexer.decoders import Reply, Workers
from shotdex.models.protocols import Launching, Prepared, batch_size_for
from shotdex.store.store import Store
from shotdex.store.types import ImageVectors
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour, save_noise

from .test_interruption import contents


class Late(FakeEncoder):
    """Computes a batch only when it is asked for the vectors, up to three batches later."""

    in_flight = 3
    shares_cores = False
    waiting = most_waiting = 0

    def begin(self, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)

        def fetch() -> ImageVectors:
            self.waiting -= 1
            return self.encode_prepared(batch)

        return fetch

    def good_batch(self) -> int:
        return 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images; a red one, which the model cannot answer, with a copy in its batch and one in the next."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(27):
        save_noise(folder / f"{i:03}.png", seed=i)
    for name in ("005a", "006a", "011a"):
        save_colour(folder / f"{name}.png", "red")
    (folder / "020a.png").write_bytes((folder / "003.png").read_bytes())
    (folder / "013a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def is_red(pixels: np.ndarray) -> bool:
    return bool(pixels[..., 0].min() > 250 and pixels[..., 1].max() < 5)


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = Store.create(tmp_path_factory.mktemp("expected"))
    report = index(store, folder, FakeEncoder(spoil=is_red), batch_size=5, commit_rows=10)
    assert (report.added, report.failed) == (28, 4)
    return contents(store)


def test_the_same_store(folder: Path, expected: dict[str, Any], store: Store) -> None:
    encoder = Late(spoil=is_red)
    report = index(store, folder, encoder, commit_rows=10)
    assert (report.added, report.failed) == (28, 4)
    assert (encoder.most_waiting, encoder.waiting) == (3, 0)
    assert contents(store) == expected


def test_the_same_store_after_interruptions(folder: Path, store: Store, tmp_path: Path) -> None:
    undisturbed = Store.create(tmp_path / "undisturbed")
    index(undisturbed, folder, FakeEncoder(), batch_size=5, commit_rows=10)
    for batch in (1, 4, 3):

        def interrupt(number: int, last: int = batch) -> None:
            if number == last:
                raise KeyboardInterrupt

        assert index(store, folder, Late(before=interrupt), commit_rows=10).interrupted
    assert not index(store, folder, Late(), commit_rows=10).interrupted
    assert contents(store) == contents(undisturbed)


def test_failures_on_their_way_count(folder: Path, store: Store, tmp_path: Path) -> None:
    """A limit on failures looks at batches that are not back yet, too."""
    from shotdex.store.errors import SourceError

    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for i in range(12):
        save_noise(tmp_path / f"{i:03}.png", seed=i)
    with pytest.raises(SourceError, match="2 images of"):
        index(store, tmp_path, Late(), batch_size=1, max_failures=1)


def test_who_decides_on_the_size_of_a_batch() -> None:
    late = Late()
    assert isinstance(late, Launching)
    assert not isinstance(FakeEncoder(), Launching)
    assert (batch_size_for(late, None), batch_size_for(late, 7), batch_size_for(FakeEncoder(), None)) == (5, 7, 64)


class SharingCores(FakeEncoder):
    """Says that it computes on the cores that decode, and looks whether anything is decoded meanwhile."""

    in_flight = 1
    shares_cores = True

    def __init__(self, decoding: list[int]) -> None:
        super().__init__()
        self.decoding, self.begun_meanwhile = decoding, 0

    def begin(self, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
        before = len(self.decoding)
        time.sleep(0.4)
        if self.shares_cores:  # what had begun has ended, and nothing else begins
            before = len(self.decoding)
            time.sleep(0.1)
        self.begun_meanwhile += len(self.decoding) - before
        vectors = self.encode_prepared(batch)
        return lambda: vectors

    def good_batch(self) -> int:
        return 5


@pytest.mark.parametrize("shares", [True, False])
def test_nothing_is_decoded_in_the_model_s_turn(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, shares: bool
) -> None:
    begun: list[int] = []
    decode = Workers.decode

    def slowly(self: Workers, data: bytes) -> Reply:
        begun.append(1)
        time.sleep(0.02)
        return decode(self, data)

    monkeypatch.setattr(Workers, "decode", slowly)
    encoder = SharingCores(begun)
    encoder.shares_cores = shares
    report = index(store, folder, encoder)
    assert 20 < len(begun) <= report.added + report.failed  # copies are not decoded
    assert (encoder.begun_meanwhile == 0) == shares

"""Exact engines give the same lists and cosines: FAISS, an inverted file of which all is searched, and Milvus Lite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.engines.flat import FlatEngine
from shotdex.store.engines.inverted_file import train_inverted_file
from shotdex.store.engines.ivf import drop_inverted_file, write_inverted_file
from shotdex.store.engines.milvus_connection import disconnect
from shotdex.store.engines.milvus_upload import add_milvus
from tests.support.same_answers import Filled, always_asked, check_same_answers, filled, missed

from .test_ivf import figures


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return filled(tmp_path_factory.mktemp("many") / "store", 400, 16, 120)


@pytest.fixture(scope="module")
def lite(many: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    place = tmp_path_factory.mktemp("lite") / "vectors.db"
    record = add_milvus(many.store, 1, many.encoder, str(place), "FLAT")
    assert record.rows == many.contents
    yield place
    disconnect()


def test_faiss(many: Filled) -> None:
    assert check_same_answers(many, many.open()) > 100


def test_an_inverted_file(many: Filled) -> None:
    flat = many.open().engine(exact=True)
    assert isinstance(flat, FlatEngine)
    inverted = train_inverted_file(flat.rows.vectors, np.arange(len(flat.covers)), 8, 0, lambda _: None)
    write_inverted_file(many.store, 1, flat.covers, inverted, figures(len(flat.covers), 8, 8))
    try:
        index = many.open()
        assert index.figures is not None
        check_same_answers(many, index)
    finally:
        drop_inverted_file(many.store, 1)


def test_milvus_lite(many: Filled, lite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with always_asked(monkeypatch):
        index = many.open_milvus()
        check_same_answers(many, index, 3)
        assert missed(index) == 0

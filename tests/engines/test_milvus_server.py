"""The real Milvus server: the contract of Lite, and what only a server does: an index in the making, and a graph."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.engines.milvus import why_not_ready
from shotdex.store.engines.milvus_collection import Collection
from shotdex.store.engines.milvus_connection import CA, CERTIFICATE, CERTIFICATE_KEY, connect, disconnect
from shotdex.store.engines.milvus_upload import add_milvus, remove_milvus
from shotdex.store.errors import EngineUnavailable
from tests.support.milvus_contract import MilvusContract, record
from tests.support.same_answers import Filled, always_asked, check_same_answers, filled, missed, unit

from .tls import certificate, encrypted

pytestmark = pytest.mark.engine

DIM = 64


class TestServer(MilvusContract):
    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, milvus_server: str) -> str:
        return milvus_server


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Twenty thousand contents, so that there are segments with an index, and 3,000 copies of one of them."""
    yield filled(tmp_path_factory.mktemp("large") / "store", 20_000, DIM, 3_000)
    disconnect()


def test_flat_is_a_flat_scan(large: Filled, milvus_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add_milvus(large.store, 1, large.encoder, milvus_server, "FLAT")
    with always_asked(monkeypatch):
        index = large.open_milvus()
        compared = check_same_answers(large, index, 4)
    print(f"{missed(index)} of {compared} queries were answered by the flat engine")
    assert missed(index) <= compared // 20
    remove_milvus(large.store, 1)


def test_hnsw(tmp_path: Path, milvus_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds nearly all; its cosines are exact; fewer hits than the filter keeps are answered exactly.

    Of dozens of nearly equal vectors its graph loses some, however large ef is: there are none here.
    """
    large = filled(tmp_path / "store", 20_000, DIM, 3_000, near=0)
    add_milvus(large.store, 1, large.encoder, milvus_server, "HNSW")
    found = wanted = 0
    with always_asked(monkeypatch):
        index, exact = large.open_milvus(), large.open()
        for where in (None, "condition = 'blurred'", "category = 'dog' AND condition = 'night'", "image_id % 50 = 0"):
            kept = large.filter(where)
            for query in large.queries(12):
                ids, cosines = index.search(query, 10, kept)
                flat = exact.search(query, 10, kept, exact=True)
                assert len(ids) == len(flat[0])
                # Of vectors that differ by less than a cosine's last bits one is as good as the other.
                found, wanted = found + int((cosines >= flat[1][-1] - 1e-6).sum()), wanted + len(flat[0])
                ours = dict(zip(*(part.tolist() for part in exact.search(query, 30_000)), strict=True))
                assert cosines.tolist() == [ours[one] for one in ids.tolist()]
    print(f"recall@10 of HNSW {found / wanted:.4f}; {missed(index)} queries were answered by the flat engine")
    assert found / wanted >= 0.98
    remove_milvus(large.store, 1)


def test_an_index_in_the_making_is_not_ready(large: Filled, milvus_server: str) -> None:
    """Rows that come after the index was built are in an interim one for a while: then nobody asks."""
    record_of = add_milvus(large.store, 1, large.encoder, milvus_server, "HNSW")
    collection = Collection(milvus_server, record_of.collection, "HNSW")
    rng, far = np.random.default_rng(6), 10**9 + np.arange(20_000)
    collection.put(far, unit(rng.normal(size=(len(far), DIM))), [[[]] * len(far)] * 3)
    assert not record(large).ready or (why_not_ready(record(large), DIM, 0) or "").startswith(("it has", "its index"))
    collection.forget(far)
    end = time.monotonic() + 120
    while why_not_ready(record(large), DIM, 0) is not None and time.monotonic() < end:
        time.sleep(0.2)
    assert why_not_ready(record(large), DIM, 0) is None
    remove_milvus(large.store, 1)


def test_a_wrong_address(large: Filled) -> None:
    with pytest.raises(EngineUnavailable, match="does not respond as expected"):
        add_milvus(large.store, 1, large.encoder, "http://127.0.0.1:9", "FLAT")


def test_certificates(milvus_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose certificate no public authority signed, and then one that asks for the client's, too."""
    own, client = certificate(tmp_path, "server"), certificate(tmp_path, "client")
    with encrypted(milvus_server, own) as uri:
        with pytest.raises(EngineUnavailable, match="does not respond as expected"):
            connect(uri)
        monkeypatch.setenv(CA, str(own))
        connect(uri)
    disconnect()
    with encrypted(milvus_server, own, client) as uri:
        with pytest.raises(EngineUnavailable, match="does not respond as expected"):
            connect(uri)
        monkeypatch.setenv(CERTIFICATE, str(client))
        monkeypatch.setenv(CERTIFICATE_KEY, str(client.with_suffix(".key")))
        connect(uri)
    disconnect()

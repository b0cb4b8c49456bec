"""What every engine in the registry must do, and a toy that is added to it, against a plain product in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.engines.base import Filter, VectorEngine
from shotdex.store.engines.flat import FlatEngine
from shotdex.store.engines.inverted_file import train_inverted_file
from shotdex.store.engines.ivf import write_inverted_file
from shotdex.store.engines.registry import ENGINES, open_engines, record_stamp
from shotdex.store.engines.vector_index import VectorIndex, open_index
from shotdex.store.engines.writing import write_index
from shotdex.store.images import mark_removed
from shotdex.store.store import Store
from shotdex.store.types import Vectors
from tests.support.fakes import fake_id
from tests.support.orders import NEAR, disorder

from .test_ivf import figures
from .test_vector_index import fill, unit
from .toy_engine import ToyEngine

DIM = 16
COUNT = 200
SHARES = (0.0, 0.01, 0.1, 0.5, 1.0)


class Contract:
    """A store of vectors, many of them equal, and an engine that covers them."""

    def __init__(self, name: str, root: Path, prepare: Callable[[Store], None]) -> None:
        self.name, self.prepare = name, prepare
        self.encoder, self.rng = fake_id(dim=DIM, vision_dim=2), np.random.default_rng(11)
        self.store = Store.create(root)
        self.ids = np.sort(self.rng.choice(5000, 2 * COUNT, replace=False) + 1).astype(np.int64)
        different = unit(self.rng.normal(size=(COUNT // 2, DIM)))
        self.vectors = different[self.rng.integers(len(different), size=2 * COUNT)]
        fill(self.store, self.encoder, self.ids[:COUNT].tolist(), self.vectors[:COUNT])
        self.bring_up()
        prepare(self.store)

    def bring_up(self) -> None:
        write_index(self.store, 1, self.encoder, self.name)

    def open(self) -> VectorIndex:
        with self.store.reading() as con:
            return open_index(self.store, con, 1, self.encoder)

    def engine(self) -> VectorEngine:
        with self.store.reading() as con:
            return open_engines(self.store, con, 1, self.encoder)[self.name]

    def queries(self, count: int = 3) -> Vectors:
        """Return vectors of images, whose copies tie, and another one."""
        own = self.vectors[self.rng.integers(COUNT, size=count)]
        return np.concatenate([own, unit(self.rng.normal(size=(1, DIM)))])

    def check(self, index: VectorIndex, present: np.ndarray, queries: int = 3) -> None:
        """Compare searches with the best of the `present` (N,) images, under filters and for several k."""
        ids, vectors = self.ids[present], self.vectors[present]
        assert len(index) == len(ids)
        for query in self.queries(queries):
            for share in SHARES:
                kept = ids[self.rng.random(len(ids)) < share] if share < 1 else None
                mask = np.isin(ids, kept) if kept is not None else np.ones(len(ids), bool)
                for k in (1, 10, len(ids) + 5):
                    found, cosines = index.search(query, k, Filter(ids=kept))
                    assert found.dtype == np.int64
                    assert cosines.dtype == np.float32
                    assert len(found) == min(k, int(mask.sum()))
                    assert disorder(found.tolist(), ids[mask], vectors[mask], query, k) == ""
                    assert (np.diff(cosines) <= 0).all()
                    own = vectors[np.searchsorted(ids, found)].astype(np.float64) @ query.astype(np.float64)
                    assert np.abs(cosines - own).max(initial=0) < NEAR


def build_inverted_file(store: Store) -> None:
    """Build an inverted file all of whose lists are searched; what fewer miss is for `test_ivf`."""
    with store.reading() as con:
        flat = open_engines(store, con, 1, fake_id(dim=DIM, vision_dim=2))["flat"]
    assert isinstance(flat, FlatEngine)
    inverted = train_inverted_file(flat.rows.vectors, np.arange(len(flat.covers)), 8, 0, lambda _: None)
    write_inverted_file(store, 1, flat.covers, inverted, figures(len(flat.covers), 8, 8))


PREPARED: dict[str, Callable[[Store], None]] = {"ivf": build_inverted_file}
"""What an engine needs to be more than what it is brought up to."""


@pytest.fixture(params=[*ENGINES, "toy"])
def contract(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    if request.param == "toy":
        monkeypatch.setitem(ENGINES, "toy", ToyEngine)  # the one line
    return Contract(request.param, tmp_path, PREPARED.get(request.param, lambda _: None))


def test_of_an_engine_by_itself(contract: Contract) -> None:
    """Ids and cosines (Q, K) of all it covers, and nothing else."""
    engine, queries = contract.engine(), contract.queries()
    assert np.array_equal(np.sort(engine.covers), contract.ids[:COUNT])
    assert engine.covers is engine.covers
    assert engine.stamp
    without = contract.ids[:7]
    kept = contract.ids[5:60]
    for among, left in ((Filter(), COUNT), (Filter(without=without), COUNT - 7), (Filter("x", kept, without), 53)):
        ids, cosines = engine.search(queries, 1000, among)
        assert ids.shape == cosines.shape == (len(queries), left)
        for row in ids:
            assert len(np.unique(row)) == left
    assert engine.search(queries, 10, Filter(ids=kept[:0]))[0].shape == (len(queries), 0)


def test_hits_order_and_ties(contract: Contract) -> None:
    contract.check(contract.open(), np.arange(2 * COUNT) < COUNT)


def test_additions_and_removals_that_the_engine_has_not_seen(contract: Contract) -> None:
    added = contract.ids[COUNT:].tolist()
    fill(contract.store, contract.encoder, added, contract.vectors[COUNT:])
    gone = contract.rng.choice(contract.ids, 100, replace=False)
    with contract.store.writing() as con:
        mark_removed(con, gone.tolist())
    present = ~np.isin(contract.ids, gone)
    contract.check(contract.open(), present)
    contract.bring_up()
    assert np.array_equal(np.sort(contract.engine().covers), contract.ids)
    contract.check(contract.open(), present)
    with contract.store.writing() as con:
        con.run("DELETE FROM vectors_1 WHERE image_id IN (SELECT unnest($gone))", {"gone": gone.tolist()})
    contract.bring_up()
    assert np.array_equal(np.sort(contract.engine().covers), contract.ids[present])
    contract.check(contract.open(), present)


def test_a_new_state_counts_once_it_is_recorded(contract: Contract) -> None:
    engine = contract.engine()
    before, ids = engine.stamp, contract.ids[COUNT : COUNT + 5]
    engine.add(ids, iter([contract.vectors[COUNT : COUNT + 2], contract.vectors[COUNT + 2 : COUNT + 5]]))
    assert len(engine.covers) == COUNT + 5
    assert engine.stamp != before
    assert len(contract.engine().covers) == COUNT
    contract.check(contract.open(), np.arange(2 * COUNT) < COUNT)
    engine.remove(ids[:2])
    assert np.array_equal(np.sort(engine.covers), np.sort(np.concatenate([contract.ids[:COUNT], ids[2:]])))
    with contract.store.writing() as con:
        record_stamp(con, 1, engine)
    assert contract.engine().stamp == engine.stamp
    assert len(contract.engine().covers) == COUNT + 3
    contract.check(contract.open(), np.arange(2 * COUNT) < COUNT)


def test_what_fails_leaves_the_state(contract: Contract) -> None:
    engine = contract.engine()
    before = engine.stamp

    def broken() -> list[Vectors]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.add(contract.ids[COUNT:], (part for part in broken()))
    assert (engine.stamp, len(engine.covers)) == (before, COUNT)
    contract.check(contract.open(), np.arange(2 * COUNT) < COUNT)


def test_gone_or_damaged(contract: Contract) -> None:
    """Deleted, cut off, filled with something else: under an index that is open, and before one is opened."""
    present = np.arange(2 * COUNT) < COUNT
    damages: list[Callable[[Path, bytes], object]] = [
        lambda file, data: file.write_bytes(data[: len(data) // 2]),
        lambda file, data: file.write_bytes(data[::-1]),
        lambda file, data: file.write_bytes(data[:-1] + bytes([data[-1] ^ 1])),
        lambda file, data: file.write_bytes(b""),
        lambda file, data: file.unlink(),
    ]
    for damage in damages:
        contract.bring_up()
        contract.prepare(contract.store)
        index = contract.open()
        for file in contract.store.index_folder.iterdir():
            damage(file, file.read_bytes())
        contract.check(index, present, 1)
        contract.check(contract.open(), present, 1)
    contract.bring_up()
    contract.check(contract.open(), present)


def test_dropped(contract: Contract) -> None:
    contract.engine().drop()
    contract.check(contract.open(), np.arange(2 * COUNT) < COUNT)
    contract.bring_up()
    assert len(contract.engine().covers) == COUNT

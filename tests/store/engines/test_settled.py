"""Whatever an engine proposes, the answer is the flat scan's: the same images, the same cosines, ties by id."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import Rows
from shotdex.store.engines.settled import GAP, Scored, settled
from shotdex.store.types import Ids, Vectors

from .test_vector_index import unit

NOISE = 2e-6


@dataclass
class NoisyEngine:
    """Rows of one content each, copies elsewhere; its cosines are off, its ties shuffled, and some rows are lost."""

    images: Rows
    owner: dict[int, int]
    query: Vectors
    kept: set[int]
    most: int
    rng: np.random.Generator
    lost: float = 0.0
    requests: list[int] = field(default_factory=list)

    @property
    def allowed(self) -> int:
        return len(self.kept)

    def propose(self, count: int) -> Ids:
        assert 0 < count <= self.most
        self.requests.append(count)
        rows = np.unique([self.owner[one] for one in self.images.ids.tolist()])
        rows = rows[self.rng.random(len(rows)) >= self.lost]
        noisy = self.cosines_of(rows) + self.rng.uniform(-NOISE, NOISE, len(rows))
        return rows[np.lexsort((self.rng.random(len(rows)), -noisy))][:count]

    def score(self, rows: Ids) -> Scored:
        wanted = set(rows.tolist())
        copies = [one for one in self.images.ids.tolist() if self.owner[one] in wanted and one in self.kept]
        ids, cosines = flat(self.images, self.query, len(copies), copies)
        return Scored(ids, cosines, float(self.cosines_of(rows).min(initial=np.inf)))

    def cosines_of(self, rows: Ids) -> Vectors:
        places = np.searchsorted(self.images.ids, rows)
        return self.images.vectors[places].astype(np.float64) @ self.query.astype(np.float64)


def flat(images: Rows, query: Vectors, k: int, kept: list[int]) -> tuple[Ids, Vectors]:
    positions = images.positions(Filter(ids=np.array(sorted(kept), np.int64)))
    return images.best(query, min(k, len(positions)), positions)


def made(seed: int) -> tuple[NoisyEngine, int]:
    """Draw vectors of which many are equal or nearly so, a filter, k, and what is wrong with the engine."""
    rng = np.random.default_rng(seed)
    count, dim = int(rng.integers(1, 120)), int(rng.integers(2, 24))
    different = unit(rng.normal(size=(max(1, count // int(rng.integers(1, 6))), dim)))
    near = unit(different + rng.normal(scale=rng.choice([0, 1e-7, 1e-6, 1e-5]), size=different.shape))
    pool = np.concatenate([different, near])
    which = rng.integers(len(pool), size=count)
    ids = np.sort(rng.choice(1000, count, replace=False) + 1).astype(np.int64)
    first: dict[int, int] = {}
    owner = {one: first.setdefault(content, one) for one, content in zip(ids.tolist(), which.tolist(), strict=True)}
    share = rng.choice([0.0, 0.02, 0.3, 1.0])
    kept = {one for one in ids.tolist() if rng.random() < share}
    query = pool[rng.integers(len(pool))] if rng.random() < 0.7 else unit(rng.normal(size=(1, dim)))[0]
    most = int(rng.choice([1, 20, 50, 16_384]))
    lost = float(rng.choice([0.0, 0.0, 0.1, 1.0]))
    engine = NoisyEngine(Rows(ids, np.ascontiguousarray(pool[which])), owner, query, kept, most, rng, lost)
    return engine, int(rng.choice([1, 3, 10, 100, 200]))


def test_the_answer_is_the_flat_scan_or_none() -> None:
    seen: Counter[str] = Counter()
    for seed in range(500):
        engine, k = made(seed)
        ids, cosines = flat(engine.images, engine.query, k, sorted(engine.kept))
        found = settled(engine, k)
        seen["settled" if found is not None else "lost" if engine.lost else "cut"] += 1
        # A row that was lost may have been a hit, which no caller can see while there are k others: only where all
        # rows of an engine were there is its answer compared.
        if found is not None and not engine.lost:
            assert np.array_equal(found[0], ids), seed
            assert np.array_equal(found[1], cosines), seed
        if found is None and not engine.lost:
            assert engine.most < len(set(engine.owner.values())), f"{seed}: all rows were there"
        if found is not None and engine.lost:
            assert len(found[0]) == len(ids), seed
    assert min(seen.values()) > 20, seen
    assert len(seen) == 3


def test_fewer_than_the_filter_keeps_is_a_miss() -> None:
    for seed in range(200):
        engine, k = made(seed)
        engine.lost, engine.most = 1.0, 16_384
        assert (settled(engine, k) is None) == bool(engine.kept)


def test_it_widens_until_the_gap_is_clear() -> None:
    """A hundred vectors within the engine's error of each other: eleven of them are not enough to tell the first."""
    rng = np.random.default_rng(3)
    base = unit(rng.normal(size=(1, 8)))
    near = unit(base + rng.normal(scale=3e-7, size=(100, 8)))
    far = unit(rng.normal(size=(400, 8)))
    ids = np.arange(1, 501)
    images = Rows(ids, np.ascontiguousarray(np.concatenate([near, far])))
    engine = NoisyEngine(images, {one: one for one in range(1, 501)}, base[0], set(range(1, 501)), 16_384, rng)
    found = settled(engine, 10)
    assert found is not None
    assert found[0].tolist() == flat(images, base[0], 10, list(range(1, 501)))[0].tolist()
    assert engine.requests == [26, 104]
    scores = np.sort(images.vectors @ base[0])[::-1]
    assert scores[103] + GAP < scores[9] <= scores[25] + GAP

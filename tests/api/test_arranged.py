"""Hits in pages, sorted, grouped, and each group of near-duplicates once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import shotdex
from shotdex.errors import OptionError
from shotdex.store.encoded_batch import commit
from shotdex.store.store import Store
from tests.store.test_encoded_batch import rows
from tests.support.fakes import FakeEncoder

GROUPS, COPIES = 8, 4


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    """8 images with 3 near copies each, in the order of their cosine with the first; taken last to first."""
    root: Path = tmp_path_factory.mktemp("arranged") / "store"
    rng, changes = np.random.default_rng(1), []
    dim = FakeEncoder().id.dim
    for number in range(GROUPS * COPIES):
        group = number // COPIES
        vector = np.eye(dim)[0] * (1 - group / 10) + np.eye(dim)[1 + group] * 0.8 + rng.normal(0, 0.002, dim)
        changes.append(
            {
                "sha256": f"{number:064x}",
                "joint": (vector / np.linalg.norm(vector)).astype(np.float32),
                "category": ["cat", "dog", None][group % 3],
                "taken_at": datetime(2021, 1, 31 - group, 12) if group % 2 else None,
                "address": f"/p/{(number * 7) % 32:02}.jpg",
            }
        )
    store = Store.create(root)
    with store.writing() as con:
        commit(con, rows(*changes, encoder=FakeEncoder().id))
    return shotdex.open(root)


def test_each_group_comes_once_and_k_groups_come(session: shotdex.Session) -> None:
    found = session.search(like=1, with_itself=True, k=5, collapse=True)
    assert [(hit.image_id - 1) // COPIES for hit in found] == [0, 1, 2, 3, 4]
    assert [found.more[hit.image_id] for hit in found] == [COPIES - 1] * 5
    assert [hit.rank for hit in found] == [1, 2, 3, 4, 5]
    every = session.search(like=1, with_itself=True, k=100)
    assert found[0].image_id == every[0].image_id
    assert len(session.search(like=1, with_itself=True, k=100, collapse=True)) == GROUPS
    page = session.search(like=1, with_itself=True, k=5, collapse=True, skip=3)
    assert [(hit.image_id - 1) // COPIES for hit in page] == [3, 4, 5, 6, 7]


def test_pages_follow_each_other(session: shotdex.Session) -> None:
    every = session.search(like=1, k=20)
    pages = [hit for start in (0, 5, 10, 15) for hit in session.search(like=1, k=5, skip=start)]
    assert [(hit.rank, hit.image_id) for hit in pages] == [(hit.rank, hit.image_id) for hit in every]
    assert len(session.search(like=1, k=5, skip=1000)) == 0


def test_sorting_and_grouping_change_the_order_of_the_same_hits(session: shotdex.Session) -> None:
    ranked = session.search(like=1, k=20)
    by_path = session.search(like=1, k=20, sort="path")
    assert [hit.path for hit in by_path] == sorted(hit.path for hit in ranked)
    by_time = [(hit.image_id - 1) // COPIES for hit in session.search(like=1, k=20, sort="taken_at")]
    dated = [group for group in by_time if group % 2]
    assert dated == sorted(dated, reverse=True)
    assert by_time[: len(dated)] == dated
    grouped = [hit.category for hit in session.search(like=1, k=20, group_by="category")]
    assert grouped == sorted(grouped, key=["cat", "dog", None].index)


def test_what_cannot_be(session: shotdex.Session) -> None:
    for wrong in (
        {"skip": -1},
        {"sort": "size"},
        {"group_by": "path"},
        {"k": 0, "skip": 3},
        {"k": 0, "collapse": True},
    ):
        with pytest.raises(OptionError):
            session.search(like=1, **wrong)  # type: ignore[arg-type]

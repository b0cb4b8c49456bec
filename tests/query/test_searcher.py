"""Searching the same store again: the same hits as a first search gives, without opening the catalog."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shotdex.query import kept
from shotdex.query.search import Searcher, search
from shotdex.store.engines.writing import write_index
from shotdex.store.errors import EmptyStore, StoreError
from shotdex.store.queries import Hit, Query
from shotdex.store.store import Store
from shotdex.store.types import EncoderId
from shotdex.upkeep.prune import prune
from tests.conftest import COLOURS, index, save_colours
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise
from tests.support.orders import image_part
from tests.support.restored import Restored

QUERIES = [
    Query(("red",), k=5),
    Query(("red", "blue"), k=3),
    Query(("green",), where="condition = 'wide'", k=50),
    Query(("green",), where="category IN ('red', 'blue')", k=50),
    Query(("blue",), k=1000),
]


def load(_: EncoderId) -> Any:
    return FakeEncoder()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    def make(folder: Path) -> None:
        store = Store.create(folder / "store")
        index(store, save_colours(folder / "colours"), FakeEncoder(), "{condition}/{category}*", COLOURS)

    return Restored(tmp_path_factory.mktemp("filled"), make)


@pytest.fixture
def filled(template: Restored) -> Store:
    return Store(template.restore() / "store")


@pytest.fixture
def colours(filled: Store) -> Path:
    """The images of the store."""
    return filled.root.parent / "colours"


@pytest.fixture
def searcher(filled: Store) -> Searcher:
    found = Searcher(filled)
    for query in QUERIES * 2:
        found.search(query, load)
    return found


def settle() -> None:
    """Wait until the next change of a file shows in its time."""
    time.sleep(2 * kept.TICK_NS / 1e9)


def check(searcher: Searcher, store: Store) -> list[list[Hit]]:
    """Compare every search with one that knows nothing, twice, and return the hits."""
    with store.reading():  # once for all of them
        want = [search(store, query, load) for query in QUERIES]
    for _ in range(3):
        found = [searcher.search(query, load) for query in QUERIES]
        assert [one.hits for one in found] == [one.hits for one in want]
        assert [one.images for one in found] == [one.images for one in want]
        assert [one.approximate for one in found] == [one.approximate for one in want]
    return [one.hits for one in want]


def test_a_repeated_search_does_not_open_the_catalog(filled: Store, opened: list[str]) -> None:
    searcher = Searcher(filled)
    want = [search(filled, query, load).hits for query in QUERIES]  # the texts are remembered
    settle()
    opened.clear()
    searcher.search(QUERIES[0], load)
    searcher.search(QUERIES[0], load)
    assert opened == ["to_read"], "the same query again needs nothing"
    for query in QUERIES:
        searcher.search(query, load)
    opened.clear()
    for _ in range(3):
        assert [searcher.search(query, load).hits for query in QUERIES] == want
    assert opened == []
    searcher.forget()
    assert searcher.search(QUERIES[0], load).hits == want[0]
    assert opened == ["to_read"]


def test_a_new_text_costs_one_more_opening(searcher: Searcher, filled: Store, opened: list[str]) -> None:
    settle()
    searcher.search(QUERIES[0], load)
    opened.clear()
    new = Query(("yellow",), k=4)
    first = searcher.search(new, load).hits
    settle()
    opened.clear()
    assert searcher.search(new, load).hits == first
    assert opened in (["to_read"], []), "the catalog has changed: the text is remembered"
    opened.clear()
    assert searcher.search(new, load).hits == first
    assert searcher.search(QUERIES[0], load).hits == search(filled, QUERIES[0], load).hits


def test_additions_labels_removals_and_prune_show(searcher: Searcher, filled: Store, colours: Path) -> None:
    before = check(searcher, filled)
    for i in range(6):
        save_noise(colours / "plain" / f"Red{i + 1}.png", seed=i)
    index(filled, colours, FakeEncoder(), "{condition}/{category}*", COLOURS)
    added = check(searcher, filled)
    assert len(added[4]) == len(before[4]) + 6
    index(filled, colours, FakeEncoder(), "{category}/*")
    labelled = check(searcher, filled)
    assert {hit.category for hit in labelled[0]} != {hit.category for hit in added[0]}
    (colours / "plain" / "Red1.png").unlink()
    index(filled, colours, FakeEncoder(), "{category}/*")
    removed = check(searcher, filled)
    assert len(removed[4]) == len(added[4]) - 1
    prune(filled)
    check(searcher, filled)


def test_new_vector_engines_are_used(searcher: Searcher, filled: Store) -> None:
    with filled.indexing():
        write_index(filled, 1, fake_id())
    check(searcher, filled)


COMMIT = """
import sys
from pathlib import Path
from shotdex.store.images import mark_removed
from shotdex.store.store import Store
with Store.open(Path(sys.argv[1])).writing() as con:
    mark_removed(con, [int(sys.argv[2])])
"""


def test_a_commit_of_another_process_shows(searcher: Searcher, filled: Store) -> None:
    for _ in range(3):
        best = check(searcher, filled)[0][0]
        subprocess.run([sys.executable, "-c", COMMIT, str(filled.root), str(best.image_id)], check=True)
        found = searcher.search(QUERIES[0], load).hits
        assert best.image_id not in [hit.image_id for hit in found]
    check(searcher, filled)


def test_a_change_right_after_a_search_shows(searcher: Searcher, filled: Store) -> None:
    from shotdex.store.images import mark_removed

    for _ in range(6):
        best = searcher.search(QUERIES[0], load).hits[0].image_id
        with filled.writing() as con:
            mark_removed(con, [best])
        assert best not in [hit.image_id for hit in searcher.search(QUERIES[0], load).hits]


def test_a_store_that_is_gone_or_replaced(searcher: Searcher, filled: Store, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    shutil.copytree(filled.root, aside)
    other = Store.create(tmp_path / "other")
    settle()
    searcher.search(QUERIES[0], load)
    shutil.rmtree(filled.root)
    with pytest.raises(StoreError):
        searcher.search(QUERIES[0], load)
    shutil.copytree(other.root, filled.root)
    with pytest.raises((EmptyStore, StoreError)):
        searcher.search(QUERIES[0], load)
    shutil.rmtree(filled.root)
    shutil.copytree(aside, filled.root)
    check(searcher, filled)


def test_filters_that_depend_on_time_or_chance_are_evaluated_every_time(
    searcher: Searcher, filled: Store, opened: list[str]
) -> None:
    settle()
    searcher.search(QUERIES[0], load)
    for where in (
        "added_at > now() - INTERVAL 1 DAY",
        "random() < 0.5",
        "added_at < current_timestamp",
        '"random"() < 0.5',
        "random/**/() < 0.5",
    ):
        opened.clear()
        for _ in range(2):
            searcher.search(Query(("red",), where=where), load)
        assert opened == ["to_read"] * 2, where


def test_only_a_handful_of_filters_and_a_bounded_number_of_texts_are_kept(
    searcher: Searcher, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_TEXTS", 3)
    settle()
    for i in range(12):
        query = Query(("red",), where=f"image_id <> {i}", k=20)
        assert searcher.search(query, load).hits == search(filled, query, load).hits
    for text in ("red", "green", "blue", "yellow", "black"):
        query = Query((text, "pink"), k=20)
        assert searcher.search(query, load).hits == search(filled, query, load).hits
    known = searcher._known
    assert known is not None
    assert len(known.filters) <= kept.MOST_FILTERS
    assert len(known.texts) <= 3


def test_a_store_with_more_images_than_are_kept(
    searcher: Searcher, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_IMAGES", 3)
    searcher.forget()
    check(searcher, filled)
    assert searcher._known is not None and searcher._known.images is None


def test_eight_threads_while_images_come_and_go(searcher: Searcher, filled: Store, colours: Path) -> None:
    def work(number: int) -> int:
        for i in range(12):
            hits = searcher.search(Query(("red", f"text {number} {i % 3}"), k=1000), load).hits
            assert len({hit.image_id for hit in hits}) == len(hits) in (10, 11)
        return number

    def change() -> int:
        for i in range(4):
            path = colours / "plain" / "Red9.png"
            path.unlink() if path.exists() else save_noise(path, seed=i)
            index(filled, colours, FakeEncoder(), "{condition}/{category}*", COLOURS)
        return -1

    with ThreadPoolExecutor(9) as pool:
        jobs: list[Callable[[], int]] = [change, *(lambda number=number: work(number) for number in range(8))]
        assert sorted(job.result() for job in [pool.submit(job) for job in jobs]) == list(range(-1, 8))
    check(searcher, filled)


def test_images_of_a_query_meet_the_images_of_now(
    searcher: Searcher, filled: Store, colours: Path, tmp_path: Path
) -> None:
    save_noise(tmp_path / "wanted.png", seed=5)
    query = Query(("red", image_part(tmp_path / "wanted.png")), k=20, with_itself=True)
    assert searcher.search(query, load).hits == search(filled, query, load).hits

    def load_while_an_image_arrives(_: EncoderId) -> Any:
        save_noise(colours / "plain" / "Red7.png", seed=5)
        index(filled, colours, FakeEncoder(), "{condition}/{category}*", COLOURS)
        return FakeEncoder()

    found = searcher.search(query, load_while_an_image_arrives).hits
    assert "Red7.png" in [Path(hit.path).name for hit in found]
    assert found == search(filled, query, load).hits

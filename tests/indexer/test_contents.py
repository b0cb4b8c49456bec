"""The table of contents against a dict of lists."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.indexer import contents as module
from shotdex.indexer.contents import ContentTable, Owner


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


STEPS = st.lists(
    st.tuples(st.sampled_from(["extend", "add", "remove", "take"]), st.integers(0, 6), st.integers(1, 4)), max_size=40
)


@given(steps=STEPS, lately=st.integers(1, 5))
def test_against_a_dict(steps: list[tuple[str, int, int]], lately: int) -> None:
    table, naive, next_id = ContentTable(), dict[str, list[int]](), 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LATELY", lately)
        for what, number, count in steps:
            key = content(number)
            if what == "extend":
                ids = list(range(next_id, next_id + count))
                next_id += count
                table.extend([key] * count, [Owner(i, 2 * i, 3 * i) for i in ids])
                naive.setdefault(key, []).extend(ids)
            elif what == "add" and not naive.get(key):  # the indexer adds only what it did not find
                table.add(key, Owner(next_id, 2 * next_id, 3 * next_id))
                naive[key] = [next_id]
                next_id += 1
            elif what == "remove":
                table.remove(key)
                naive.pop(key, None)
            elif what == "take":
                expected = min(naive.get(key, []), default=None)
                assert table.take(key) == expected
                if expected is not None:
                    naive[key].remove(expected)
            for i in range(7):
                lowest = min(naive.get(content(i), []), default=None)
                assert table.get(content(i)) == (None if lowest is None else Owner(lowest, 2 * lowest, 3 * lowest))
                assert (content(i) in table) == (lowest is not None)


def test_hashes_that_share_their_first_half_are_told_apart_by_the_second() -> None:
    table = ContentTable()
    one, other = "ab" * 8 + "01" * 24, "ab" * 8 + "02" * 24
    table.extend([one], [Owner(1)])
    assert other not in table
    table.extend([other], [Owner(2)])
    assert (table.take(one), table.take(other)) == (1, 2)


def test_it_takes_little_memory() -> None:
    table = ContentTable()
    table.extend([content(i) for i in range(10_000)], [Owner(i) for i in range(10_000)])
    assert sum(part.nbytes for run in table._runs for part in run) == 10_000 * 40


def test_a_row_is_sorted_again_only_as_often_as_the_table_doubles() -> None:
    """With one sorted table, a hundred arrivals of equal length would sort five thousand lengths."""
    table, length, sizes = ContentTable(), 100, []
    for start in range(0, 10_000, length):
        numbers = range(start, start + length)
        table.extend([content(i) for i in numbers], [Owner(i + 1) for i in numbers])
        sizes.append(len(table._runs[-1][0]))
    assert sum(sizes) <= 10_000 * 8
    assert len(table._runs) <= 8
    assert sum(len(highs) for highs, _ in table._runs) == 10_000
    assert [table.get(content(i)) for i in (0, 4321, 9999)] == [Owner(1), Owner(4322), Owner(10_000)]

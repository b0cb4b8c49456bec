"""The tables of contents against dicts."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shotdex.indexer.contents import ContentTable, Keys, Vanished, keys_of


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def keys(*contents: str) -> Keys:
    return keys_of(pa.chunked_array([pa.array(contents, pa.string())]))


def extend(table: ContentTable, contents: list[str], ids: list[int]) -> None:
    table.extend(keys(*contents), np.array(ids, np.int64), np.array([np.array(ids) * 2, np.array(ids) * 3], np.int32))


@given(arrivals=st.lists(st.sets(st.integers(0, 15), max_size=9), max_size=12))
def test_owners_against_a_dict(arrivals: list[set[int]]) -> None:
    table, naive = ContentTable(), dict[int, int]()
    for numbers in arrivals:
        new = sorted(numbers - naive.keys())
        ids = list(range(len(naive) + 1, len(naive) + 1 + len(new)))
        extend(table, [content(number) for number in new], ids)
        naive |= dict(zip(new, ids, strict=True))
        found, sizes = table.find(keys(*map(content, range(16))))
        expected = [naive.get(number, -1) for number in range(16)]
        assert found.tolist() == expected
        assert sizes.tolist() == [[max(0, 2 * one) for one in expected], [max(0, 3 * one) for one in expected]]
        assert [content(number) in table for number in range(16)] == [one > 0 for one in expected]


@given(gone=st.lists(st.integers(0, 4), max_size=12), asked=st.lists(st.lists(st.integers(0, 5), max_size=6)))
def test_vanished_images_are_taken_once_the_lowest_id_first(gone: list[int], asked: list[list[int]]) -> None:
    ids = list(range(10, 10 + len(gone)))[::-1]
    table, naive = Vanished(keys(*map(content, gone)), np.array(ids, np.int64)), dict[int, list[int]]()
    for number, image_id in zip(gone, ids, strict=True):
        naive.setdefault(number, []).insert(0, image_id)
    for numbers in asked:
        expected = [naive[number].pop(0) if naive.get(number) else -1 for number in numbers]
        assert table.take(keys(*map(content, numbers))).tolist() == expected


def test_hashes_that_share_their_first_half_are_told_apart_by_the_second() -> None:
    table = ContentTable()
    one, other, third = ("ab" * 8 + end * 24 for end in ("01", "02", "03"))
    extend(table, [other], [2])
    assert one not in table
    assert third not in table
    extend(table, [one], [1])
    assert table.find(keys(one, other, third))[0].tolist() == [1, 2, -1]
    assert Vanished(keys(other, one), np.array([5, 6])).take(keys(one, third, other)).tolist() == [6, -1, 5]


def test_it_takes_little_memory() -> None:
    table = ContentTable()
    extend(table, [content(i) for i in range(10_000)], list(range(10_000)))
    assert table.nbytes() == 10_000 * 32


def test_a_row_is_merged_again_only_as_often_as_the_table_doubles() -> None:
    """With one sorted table, a hundred arrivals of equal length would sort five thousand lengths."""
    table, length, sizes = ContentTable(), 100, []
    for start in range(0, 10_000, length):
        numbers = range(start, start + length)
        extend(table, [content(i) for i in numbers], [i + 1 for i in numbers])
        sizes.append(len(table._runs[-1][1]))
    assert sum(sizes) <= 10_000 * 8
    assert len(table._runs) <= 8
    assert table.nbytes() == 10_000 * 32
    assert table.find(keys(content(0), content(4321), content(9999)))[0].tolist() == [1, 4322, 10_000]

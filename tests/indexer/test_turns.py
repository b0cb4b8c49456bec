"""Decoders wait until it is their turn, and only where they share the cores."""

from __future__ import annotations

import threading

import pytest

from shotdex.indexer.decode_pool import Turns


def may_decode(turns: Turns) -> bool:
    thread = threading.Thread(target=turns.await_decoding, daemon=True)
    thread.start()
    thread.join(0.5)
    return not thread.is_alive()


def test_decoders_begin_and_only_shared_cores_are_waited_for() -> None:
    shared, apart = Turns(shared=True), Turns(shared=False)
    assert may_decode(shared)
    with shared.of_the_decoders(), apart.of_the_decoders():
        assert may_decode(shared)
    assert not may_decode(shared)
    assert may_decode(apart)
    with shared.of_the_decoders():
        assert may_decode(shared)


def test_a_turn_that_fails_ends() -> None:
    turns = Turns(shared=True)
    with pytest.raises(MemoryError), turns.of_the_decoders():
        raise MemoryError
    assert not may_decode(turns)

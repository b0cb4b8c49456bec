"""A store that is served in this process, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

import shotdex
from shotdex.store.store import Store
from shotdex.web.app import create_app
from shotdex.web.options import ServeOptions
from shotdex.web.served import Served
from tests.support.fakes import FakeEncoder


@contextmanager
def serving(store: Store, **options: Any) -> Iterator[tuple[TestClient, Served]]:
    """Serve a store with the encoder of the tests."""
    session = shotdex.open(store.root)
    session.encoders.add(FakeEncoder())
    with session.following() as follower:
        served = Served(session, ServeOptions(**options), follower)
        try:
            yield TestClient(create_app(served), "http://localhost:8317", raise_server_exceptions=False), served
        finally:
            served.close()


@pytest.fixture(scope="module")
def pair(evaluated: Store) -> Iterator[tuple[TestClient, Served]]:
    with serving(evaluated) as both:
        yield both


@pytest.fixture(scope="module")
def client(pair: tuple[TestClient, Served]) -> TestClient:
    return pair[0]


@pytest.fixture(scope="module")
def served(pair: tuple[TestClient, Served]) -> Served:
    return pair[1]


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[TestClient, Served]]]:
    """Serve a store of the test's own."""
    opened = []

    def begin(store: Store, **options: Any) -> tuple[TestClient, Served]:
        opened.append(serving(store, **options))
        return opened[-1].__enter__()

    yield begin
    for one in opened:
        one.__exit__(None, None, None)

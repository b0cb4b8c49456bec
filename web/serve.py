"""Serving a store until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from anyio import to_thread
from threadpoolctl import threadpool_limits
from uvicorn.protocols.http.h11_impl import H11Protocol

from shotdex import Session
from shotdex.store.errors import OptionError

from .app import create_app
from .options import ServeOptions
from .served import Served

PORTS = 100
"""Ports that are tried, from the first one on."""

KEEP_ALIVE = 75
"""Seconds for which an idle connection stays: a reader's thinking, for which uvicorn's 5 are too few."""

THREADS = 96
"""Requests that are worked on at a time: more than the guard lets in, so that each has a thread."""

HEADER_SECONDS = 10.0
"""Seconds that a client may take to send the header of its first request."""


class _Patient(H11Protocol):
    """Closes a connection on which nothing whole has come for a while."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._first = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the first free port from `port` on.

    Raises:
        OptionError: there is none, or no such host.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in range(port, min(port + PORTS, 65536)):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, number))
        except OSError as error:
            one.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise OptionError(
                    f"cannot listen at {host}: {error.strerror or error}", "choose another --host"
                ) from error
        else:
            return one
    raise OptionError(f"no port from {port} on is free", "choose another one: --port")


def serve(session: Session, options: ServeOptions, listening: socket.socket, ready: Callable[[Served], None]) -> None:
    """Serve a store until the process is interrupted; `ready` is called once requests are answered.

    Raises:
        StoreNotFound, StoreLocked, StoreCorrupt, SchemaTooNew: the store cannot be read.
    """
    # Threads answer requests. With threads of its own in each product, OpenBLAS makes them wait for each other:
    # on two busy cores a product of 70,000 vectors took 0.12 s of processor time instead of 0.006.
    threadpool_limits(1, user_api="blas")
    with session.following() as follower:
        served = Served(session, options, follower)
        config = uvicorn.Config(
            create_app(served),
            http=_Patient,
            ws="none",
            lifespan="off",
            log_level="critical",  # what fails is logged where it is answered
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=0,
            h11_max_incomplete_event_size=64 * 1024,
            proxy_headers=False,
        )
        server = _Server(config, lambda: ready(served))
        try:
            server.run(sockets=[listening])
        finally:
            served.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        await super().startup(sockets=sockets)
        self._ready()

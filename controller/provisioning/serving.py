"""How are requests taken off the wire? By uvicorn, with limits to its patience and to its connections."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

PATIENCE = 10.0
"""Seconds in which the head of a request has to arrive."""
CONNECTIONS = 1000
"""Connections at a time; more are answered 503."""
IDLE = 5
"""Seconds for which a connection without a request is kept."""
GRACE = 20
"""Seconds that requests have to finish when the process ends."""


class Patient(H11Protocol):
    """A connection that is closed when no whole head of a request arrives in time, however slowly bytes drip."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._see()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request that is under way has limits of its own."""
        super().data_received(data)
        self._see()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _see(self) -> None:
        # There is none before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        under_way = cycle is not None and not cycle.response_complete
        if under_way or self.transport.is_closing():
            self._stop()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(PATIENCE, self.transport.close)

    def _stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class _Server(uvicorn.Server):
    """A server that leaves signals to us: its own way ends the process by the signal instead of with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(application: Starlette, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; requests that are under way then are finished first."""
    config = uvicorn.Config(
        application,
        http=Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="serve")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving

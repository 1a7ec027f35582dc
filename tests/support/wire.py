"""What may happen to a connection on its way? A TCP proxy that a test cuts, silences, or cuts around a COMMIT."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Self

LOOPBACK = "127.0.0.1"
COMMIT = b"COMMIT\x00"
"""As PostgreSQL's protocol carries it."""


class Strike(Enum):
    """Where a connection is cut at a COMMIT: who sent it learns nothing in either case."""

    BEFORE = "the server never gets it"
    AFTER = "the server has carried it out"


class Background:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let it do something and wait until that is done."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, act: Callable[[], object]) -> None:
        """Let it do something that never waits."""

        async def once() -> None:
            act()

        self.run(once())

    def close(self) -> None:
        """End it with whatever still runs."""

        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Wire:
    """A way to one address, which a test may disturb while it is in use."""

    target: tuple[str, int] | Path
    port: int = 0
    struck: threading.Event = field(default_factory=threading.Event)
    """Set when a connection was cut at its COMMIT."""
    _background: Background = field(default_factory=lambda: Background("wire"))
    _connections: "set[_Connection]" = field(default_factory=set)
    _silent: bool = False
    _closed: bool = False
    _strike: tuple[Strike, bytes] | None = None

    @classmethod
    @contextmanager
    def laid(cls, target: tuple[str, int] | Path) -> Iterator[Self]:
        """A wire that is there while the body runs."""
        wire = cls(target)
        server = wire._background.run(asyncio.start_server(wire._serve, LOOPBACK, 0))
        wire.port = server.sockets[0].getsockname()[1]
        try:
            yield wire
        finally:
            wire._background.call(server.close)
            wire.cut()
            wire._background.close()

    def cut(self) -> None:
        """Cut every connection now; new ones are let through."""

        def abort() -> None:
            for connection in tuple(self._connections):
                connection.abort()

        self._background.call(abort)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections stay open and carry nothing in either direction; what was under way is lost."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            self.cut()

    def hush(self) -> None:
        """Connections that are open now carry nothing any more, and nobody is told; new ones are let through."""
        for connection in tuple(self._connections):
            connection.muted = True

    @contextmanager
    def away(self) -> Iterator[None]:
        """Every connection is cut, and new ones are closed at once."""
        self._closed = True
        self.cut()
        try:
            yield
        finally:
            self._closed = False

    def strike(self, where: Strike, after: bytes) -> None:
        """Cut the first connection that sends a COMMIT behind a statement with these bytes."""
        self.struck.clear()
        self._strike = (where, after)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        try:
            if isinstance(self.target, Path):
                far_reader, far_writer = await asyncio.open_unix_connection(str(self.target))
            else:
                far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, reader, writer, far_reader, far_writer)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.there())
                group.create_task(connection.back())
        except* (OSError, _OverError):
            pass
        finally:
            self._connections.discard(connection)
            connection.abort()


class _OverError(Exception):
    """The connection has come to its end."""


@dataclass(eq=False)
class _Connection:
    """One connection with its two directions."""

    wire: Wire
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    far_reader: asyncio.StreamReader
    far_writer: asyncio.StreamWriter
    muted: bool = False
    _marked: bool = False
    _over: bool = False

    def abort(self) -> None:
        for end in (self.writer, self.far_writer):
            end.transport.abort()

    async def there(self) -> None:
        while chunk := await self.reader.read(65536):
            strike = self.wire._strike
            if strike is not None:
                where, mark = strike
                self._marked = self._marked or mark in chunk
                if self._marked and COMMIT in chunk:
                    self.wire._strike = None
                    if where is Strike.BEFORE:
                        self.wire.struck.set()
                        raise _OverError
                    self._over = True
            if not (self.wire._silent or self.muted):
                self.far_writer.write(chunk)
                await self.far_writer.drain()
        raise _OverError

    async def back(self) -> None:
        while chunk := await self.far_reader.read(65536):
            if self._over:
                # This is the answer to the COMMIT.
                self.wire.struck.set()
                raise _OverError
            if not (self.wire._silent or self.muted):
                with suppress(ConnectionError):
                    self.writer.write(chunk)
                    await self.writer.drain()
        raise _OverError

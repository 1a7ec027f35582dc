"""The server on a real socket: who is slow is left, who is quick is served beside them, and it ends in order."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.observability.listening import listen
from controller.observability.metrics import Metrics
from controller.provisioning import bodies, serving
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, Channel, EitherContract, KeyRing
from controller.provisioning.declaring import Declaring
from controller.provisioning.maildomains import PATH, maildomains
from controller.provisioning.rates import Rates
from controller.provisioning.serving import serve
from controller.resources.names import DomainName
from tests.support.provisioning import KEY, TEMPLATE, MemoryStore, write_keys

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {KEY}\r\n"
BODY = json.dumps({"domains": ["x.fr"]})


class Server:
    """One server on loopback."""

    def __init__(self, folder: Path) -> None:
        gate = EitherContract(Bearer(KeyRing(write_keys(folder / "keys", a=KEY))), Channel(KeyRing(None)))
        self.store = MemoryStore()
        metrics = Metrics()
        endpoint = maildomains(gate, Rates(1000, 4000), Declaring(self.store, TEMPLATE), metrics)
        self.stop = asyncio.Event()
        self.listener: socket.socket = listen(0, "MDC_API_PORT")
        self.application = application([endpoint], metrics)

    @property
    def port(self) -> int:
        found: int = self.listener.getsockname()[1]
        return found

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def status(self) -> int:
        """What a request gets that is as it should be."""
        async with self.connection() as (reader, writer):
            writer.write(f"{HEAD}Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n{BODY}".encode())
            return int((await reader.readline()).split()[1])


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    found = Server(tmp_path)
    running = asyncio.create_task(serve(found.application, found.listener, found.stop))
    assert await found.status() == 200
    yield found
    found.stop.set()
    await running
    found.listener.close()


async def dripped(wire: Wire, text: str) -> None:
    """Send a byte at a time until the other side has had enough."""
    _, writer = wire
    for byte in text.encode():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def left(reader: asyncio.StreamReader) -> bytes:
    """Wait until the other side is gone, with or without a goodbye; its last words."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_head_that_drips_is_left(server: Server) -> None:
    async with server.connection() as wire:
        dripping = asyncio.create_task(dripped(wire, HEAD + "X-More: " + "x" * 2000))
        assert await server.status() == 200, "others are served meanwhile"
        assert await left(wire[0]) == b""
        dripping.cancel()


async def test_whoever_says_nothing_is_left(server: Server) -> None:
    async with server.connection() as (reader, _):
        assert await left(reader) == b""


async def test_a_second_head_that_drips_on_a_kept_connection_is_left_too(server: Server) -> None:
    async with server.connection() as (reader, writer):
        writer.write(f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
        assert (await reader.readline()).split()[1] == b"200"
        dripping = asyncio.create_task(dripped((reader, writer), HEAD + "X-More: " + "x" * 2000))
        await left(reader)
        dripping.cancel()


async def test_a_body_that_drips_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WITHIN", 0.3)
    async with server.connection() as (reader, writer):
        writer.write(f"{HEAD}Content-Length: 1000\r\n\r\n".encode())
        dripping = asyncio.create_task(dripped((reader, writer), "x" * 900))
        assert (await reader.readline()).split()[1] == b"408"
        dripping.cancel()
    assert await server.status() == 200


async def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(server: Server) -> None:
    async with server.connection() as (reader, writer):
        writer.write(f"{HEAD}Content-Length: {10**12}\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"413"


async def test_whoever_goes_away_in_the_middle_harms_nobody(server: Server) -> None:
    for part in (HEAD, f"{HEAD}Content-Length: 1000\r\n\r\n{{"):
        async with server.connection() as (_, writer):
            writer.write(part.encode())
            await writer.drain()
    assert await server.status() == 200


@pytest.mark.parametrize(
    "text", ["\x00\x01\x02\r\n\r\n", "GET\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n" + "x" * 90_000]
)
async def test_what_is_no_http_is_refused(server: Server, text: str) -> None:
    async with server.connection() as (reader, writer):
        writer.write(text.encode())
        assert (await reader.readline()).split()[1] == b"400"
    assert await server.status() == 200


async def test_more_connections_than_there_is_room_for_are_told_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the server's; here it is small and the sockets are many."""
    monkeypatch.setattr(serving, "CONNECTIONS", 5)
    monkeypatch.setattr(serving, "PATIENCE", 60.0)
    small = Server.__new__(Server)
    small.application, small.stop = server.application, asyncio.Event()
    small.listener = listen(0, "MDC_API_PORT")
    running = asyncio.create_task(serve(small.application, small.listener, small.stop))
    idle = [await asyncio.open_connection("127.0.0.1", small.port) for _ in range(10)]
    assert await small.status() == 503
    for _, writer in idle:
        writer.close()
    deadline = asyncio.get_running_loop().time() + 30
    while await small.status() == 503:
        assert asyncio.get_running_loop().time() < deadline, "room is made when somebody goes"
    small.stop.set()
    await running
    small.listener.close()


async def test_a_request_that_is_under_way_is_finished_before_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, begun, go = server.store.find, asyncio.Event(), asyncio.Event()

    async def slow(domain: DomainName) -> Any:
        begun.set()
        await go.wait()
        return await find(domain)

    monkeypatch.setattr(server.store, "find", slow)
    asking = asyncio.create_task(server.status())
    await begun.wait()
    server.stop.set()
    await asyncio.sleep(0)
    go.set()
    assert await asking == 200

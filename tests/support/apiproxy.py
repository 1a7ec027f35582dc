"""What may the API server answer on a bad day? A proxy before it that refuses, cuts and silences what a test names."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from tests.support.apiserver import LOOPBACK, ControlPlane
from tests.support.wire import Background

_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    watch: bool


@dataclass
class ApiProxy:
    """The way to the API server over plain HTTP, as somebody's own load balancer on loopback."""

    control_plane: ControlPlane
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    """Every request, in order."""
    _background: Background = field(default_factory=lambda: Background("apiproxy"))
    _refusal: tuple[int, bool] | None = None
    """The status of a refusal, and whether it is for watches alone."""
    _silent: bool = False
    _watches: "set[_Watch]" = field(default_factory=set)
    _session: ClientSession | None = None

    @classmethod
    @contextmanager
    def before(cls, control_plane: ControlPlane) -> Iterator[Self]:
        """A proxy that is there while the body runs."""
        proxy = cls(control_plane)
        runner = proxy._background.run(proxy._start())
        try:
            yield proxy
        finally:
            proxy._background.run(proxy._stop(runner))
            proxy._background.close()

    def kubeconfig(self, of: Path, port: int | None = None) -> Path:
        """The same user, by way of the proxy, or of whatever listens on a port before it."""
        config = json.loads(of.read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"] = {"server": f"http://{LOOPBACK}:{port or self.port}"}
        path = of.with_name(f"{of.stem}-{port or self.port}.kubeconfig")
        path.touch(mode=0o600)
        path.write_text(json.dumps(config), encoding="utf-8")
        return path

    @contextmanager
    def refusing(self, status: int, *, watches_only: bool = False) -> Iterator[None]:
        """Answer everything, or every watch, with this status; watches that are open end."""
        self._refusal = (status, watches_only)
        self.cut()
        try:
            yield
        finally:
            self._refusal = None

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Watches stay open, new ones too, and tell nothing."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            self.cut()

    def cut(self) -> None:
        """Cut every watch."""

        def abort() -> None:
            for watch in self._watches:
                watch.abort()

        self._background.call(abort)

    def expire(self) -> None:
        """End every watch as the API server does when its version is too old: 410 within the stream."""
        self._background.run(self._expire())

    async def _expire(self) -> None:
        gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
        line = json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"
        for watch in tuple(self._watches):
            with suppress(ConnectionError):
                await watch.response.write(line)

    async def _start(self) -> web.AppRunner:
        trust = ssl.create_default_context(cafile=self.control_plane.ca_file)
        self._session = ClientSession(
            connector=TCPConnector(ssl=trust, limit=0), timeout=ClientTimeout(total=None), auto_decompress=False
        )
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _stop(self, runner: web.AppRunner) -> None:
        await runner.cleanup()
        assert self._session is not None
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") == "true"
        self.asked.append(Asked(request.method, request.path, watch))
        if self._refusal is not None and (watch or not self._refusal[1]):
            return _refused(self._refusal[0])
        try:
            return await self._pass_on(request, watch=watch)
        except (ClientError, OSError):
            _abort(request)
            return web.Response(status=502)

    async def _pass_on(self, request: web.Request, *, watch: bool) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = f"{self.control_plane.url}{request.raw_path}"
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, skip_auto_headers=("Content-Type",)
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            opened = _Watch(request, response)
            if watch:
                self._watches.add(opened)
            try:
                async for chunk in answer.content.iter_any():
                    if not (watch and self._silent):
                        await response.write(chunk)
                await response.write_eof()
            finally:
                self._watches.discard(opened)
        return response


@dataclass(frozen=True, eq=False)
class _Watch:
    """A watch that is open."""

    request: web.Request
    response: web.StreamResponse

    def abort(self) -> None:
        _abort(self.request)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _refused(status: int) -> web.Response:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "a bad day"}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response(document, status=status, headers=headers)

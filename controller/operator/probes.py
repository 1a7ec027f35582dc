"""How is this process? `/healthz` for the kubelet's restart, `/readyz` for its traffic, `/metrics` for a scraper."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from controller.engine.loop import Vitals
from controller.observability.listening import listen
from controller.observability.metrics import CONTENT_TYPE, Metrics

LONGEST_TURN = 600.0
"""Seconds after which a turn of the loop stands still.

A restart heals neither a slow database nor a throttling API server, and the first turn of a large install writes
thousands of statuses: this is far above all of their timeouts.
"""


class Probes:
    """The answers to probes. `watching` tells whether the watches of the cluster live."""

    def __init__(
        self,
        vitals: Callable[[], Vitals],
        watching: Callable[[], bool],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vitals = vitals
        self._watching = watching
        self._metrics = metrics
        self._clock = clock

    @property
    def application(self) -> web.Application:
        """The three of them, to be served."""
        application = web.Application()
        application.router.add_get("/healthz", self.healthz)
        application.router.add_get("/readyz", self.readyz)
        application.router.add_get("/metrics", self.metrics)
        return application

    async def healthz(self, _: web.Request) -> web.Response:
        """Whether a restart would help: that the event loop turns is said by any answer at all."""
        if not self._watching():
            return web.Response(status=503, text="the watch has ended")
        if self._clock() - self._vitals().beat > LONGEST_TURN:
            return web.Response(status=503, text="the loop stands still")
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        """Whether it works, or is ready to take over."""
        vitals = self._vitals()
        if not vitals.started:
            return web.Response(status=503, text="starting")
        return web.Response(text="leading" if vitals.leading else "standby")

    async def metrics(self, _: web.Request) -> web.Response:
        """Everything that is measured."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


@asynccontextmanager
async def served(application: web.Application, port: int) -> AsyncIterator[int]:
    """Serve on all addresses of the host while the body runs; yields the port, which the system chooses for 0.

    Raises `InvalidInput` when the port can't be had.
    """
    listener = listen(port, "MDC_HEALTH_PORT")
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()

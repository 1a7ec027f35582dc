"""How does the operator start, and what ends it? One process: the watch, the loop and the probes; the first to end."""

import asyncio
import signal
from contextlib import closing
from typing import Any

import structlog

from controller.cluster.cluster import Cluster, connected
from controller.engine.loop import Loop
from controller.errors import ControllerError
from controller.maildb.database import MailDatabase
from controller.messages.opening import opened
from controller.observability.logging import configure_logging
from controller.observability.metrics import Metrics
from controller.operator.install import Install, read_install
from controller.operator.probes import Probes, served
from controller.operator.watching import Watch, watch
from controller.settings import Settings

log = structlog.get_logger(__name__)

GRACE = 20.0
"""Seconds that the transaction which is under way has to finish after a signal."""

INTRODUCTION = 120.0
"""Seconds that the watch waits at most for the first statuses."""


def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT, then 0. 1 is an error of ours, which is logged.

    Raises `InvalidInput` for settings that `run` can't start with, `NotAuthorized` or `ClusterUnavailable` when the
    cluster does not let us work: a restart tries again.
    """
    configure_logging(settings.log_format, settings.log_level)
    install = read_install(settings)
    try:
        asyncio.run(operate(install))
    except ControllerError:
        raise
    except Exception:
        # Only the log masks what an unforeseen text may hold.
        log.exception("ended")
        return 1
    return 0


async def operate(install: Install) -> None:
    """Work until a signal comes or something that we are made of ends."""
    stop = asyncio.Event()
    _heed_signals(stop)
    metrics = Metrics()
    with closing(MailDatabase(install.url, owner=install.owner, frozen=install.frozen)) as database:
        async with (
            connected(install.namespaces, install.source_namespaces, metrics) as cluster,
            opened(install.messages) as founder,
        ):
            loop = Loop(
                database=database,
                world=cluster,
                source_namespaces=install.source_namespaces,
                metrics=metrics,
                features=install.features,
                founder=founder,
                retention=install.retention,
                whole_cluster=not install.namespaces,
            )
            await _Operator(install, cluster, loop, metrics, stop).run()


class _Operator:
    """The parts of one process, and their order."""

    def __init__(self, install: Install, cluster: Cluster, loop: Loop, metrics: Metrics, stop: asyncio.Event) -> None:
        self._install = install
        self._cluster = cluster
        self._loop = loop
        self._metrics = metrics
        self._stop = stop
        self._watch: Watch | None = None

    async def run(self) -> None:
        # The loop ends before the probes, and all of them before the watch, which takes younger tasks along.
        try:
            probes = Probes(self._loop.vitals, self._watching, self._metrics)
            async with served(probes.application, self._install.health_port) as port:
                log.info("probes", port=port)
                await self._cluster.require_lists()
                await self._work()
        finally:
            if self._watch is not None:
                await self._watch.close()
        log.info("stopped")

    def _watching(self) -> bool:
        return self._watch is None or self._watch.lives

    async def _work(self) -> None:
        working = asyncio.create_task(self._loop.run(self._stop), name="loop")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await self._introduced(working, stopping)
            self._watch = await watch(self._cluster, self._install.watched, self._loop.notice)
            _heed_signals(self._stop)
            ending = asyncio.create_task(self._watch.end(), name="watch")
            await asyncio.wait({working, stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
        finally:
            self._stop.set()
            await stopping
            await _finish(working)

    async def _introduced(self, *ends: asyncio.Task[Any]) -> None:
        """The watch begins with a list of its own: it shows what has changed since that of the loop.

        Before, it would tell of each of the first statuses as well, which is as much work as to write them.
        """
        introducing = asyncio.create_task(self._loop.introduced.wait(), name="introduced")
        try:
            await asyncio.wait({introducing, *ends}, timeout=INTRODUCTION, return_when=asyncio.FIRST_COMPLETED)
        finally:
            introducing.cancel()


async def _finish(working: asyncio.Task[None]) -> None:
    """Let the loop finish what it is about, within reason. Raises what it has failed with."""
    _, late = await asyncio.wait({working}, timeout=GRACE)
    if late:
        log.warning("stop_forced", seconds=GRACE)
        working.cancel()
        await asyncio.wait({working})
    if not working.cancelled():
        working.result()


def _heed_signals(stop: asyncio.Event) -> None:
    """Let the loop finish on a signal. kopf would end at once instead, and cancel what the loop is about."""
    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, stop.set)

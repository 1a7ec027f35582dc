"""What do the probes answer, and what do they leave alone?"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
import pytest

from controller.engine.loop import Vitals
from controller.errors import InvalidInput
from controller.observability.metrics import Metrics
from controller.operator.probes import LONGEST_TURN, Probes, served

NOW = 10_000.0


@dataclass
class Process:
    """A process whose state a test changes, and its probes over HTTP."""

    vitals: Vitals
    watching: bool = True
    address: str = ""

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.address + path) as response:
            return response.status, await response.text()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process(Vitals(beat=NOW, leading=True, started=True))
    metrics = Metrics()
    metrics.gauges(leading=True, epoch=7)
    probes = Probes(lambda: process.vitals, lambda: process.watching, metrics, clock=lambda: NOW)
    async with served(probes.application, 0) as port:
        process.address = f"http://127.0.0.1:{port}"
        yield process


async def test_a_process_whose_watch_lives_is_healthy(process: Process) -> None:
    assert await process.get("/healthz") == (200, "ok")


async def test_a_process_whose_watch_has_ended_is_not(process: Process) -> None:
    process.watching = False
    assert await process.get("/healthz") == (503, "the watch has ended")


async def test_a_long_turn_is_healthy_and_a_wedged_one_is_not(process: Process) -> None:
    process.vitals = replace(process.vitals, beat=NOW - LONGEST_TURN + 1)
    assert await process.get("/healthz") == (200, "ok")
    process.vitals = replace(process.vitals, beat=NOW - LONGEST_TURN - 1)
    assert await process.get("/healthz") == (503, "the loop stands still")


@pytest.mark.parametrize(
    ("leading", "started", "answer"),
    [
        (True, True, (200, "leading")),
        (False, True, (200, "standby")),
        (True, False, (503, "starting")),
        (False, False, (503, "starting")),
    ],
)
async def test_it_is_ready_when_it_works_or_stands_by(
    process: Process, *, leading: bool, started: bool, answer: tuple[int, str]
) -> None:
    process.vitals = Vitals(NOW, leading, started)
    assert await process.get("/readyz") == answer


async def test_a_start_is_no_reason_for_a_restart(process: Process) -> None:
    process.vitals = Vitals(NOW, leading=False, started=False)
    assert await process.get("/healthz") == (200, "ok")


async def test_metrics_are_in_the_text_format(process: Process) -> None:
    async with aiohttp.ClientSession() as session, session.get(process.address + "/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "\nmaildomain_epoch 7.0\n" in await response.text()


async def test_a_port_that_is_taken_is_said_so(process: Process) -> None:
    taken = int(process.address.rpartition(":")[2])
    with pytest.raises(InvalidInput, match=f"MDC_HEALTH_PORT: names port {taken}, which is not to be had"):
        async with served(Probes(lambda: process.vitals, lambda: True, Metrics()).application, taken):
            raise AssertionError("two servers on one port")

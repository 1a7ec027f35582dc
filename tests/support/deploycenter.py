"""Which DeployCenter does a test talk to? The double with a small world, and a client that is opened on it."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import pytest

from controller.entitlements.opening import open_source
from controller.entitlements.pacing import Lanes, Timing
from controller.entitlements.source import Source
from controller.planning.facts import Subject, UserId
from controller.resources.model import API_VERSION, SecretKeyRef
from controller.resources.names import Email
from controller.resources.source import EntitlementSource
from controller.sandbox.deploycenter import Account, Double, Organization, World

API_KEY = "correct-horse-battery"
PIVOT = "21000000000001"
OTHER = "21000000000002"
INACTIVE = "21000000000048"
UNSUBSCRIBED = "21000000000049"
NOBODYS = "21000000009999"
ADMIN = "admin@d1.example"
PLAIN = "plain@d1.example"

T = TypeVar("T")


def world() -> World:
    """Two open organizations, one inactive, one without subscription; one administrator and one plain account."""
    return World(
        [
            Organization(PIVOT, "Commune 001", {"domains": ["d1.example", "d2.example"]}),
            Organization(OTHER, "Commune 002", {"domains": ["d3.example"]}),
            Organization(INACTIVE, "Commune 048", {"domains": ["d48.example"]}, active=False),
            Organization(UNSUBSCRIBED, "Commune 049", active=None),
        ],
        [Account(ADMIN, PIVOT, roles=("admin",)), Account(PLAIN, PIVOT)],
        api_key=API_KEY,
    )


@pytest.fixture
def double() -> Double:
    """The double, not yet served."""
    return Double(world())


@pytest.fixture
async def url(double: Double) -> AsyncIterator[str]:
    """The double's endpoint, served in the test's event loop."""
    async with double.serve() as address:
        yield address


def declared(
    url: str, *, name: str = "deploycenter", pivots: tuple[str, ...] = (PIVOT,), **spec: Any
) -> EntitlementSource:
    """A source towards this endpoint: GET, one pivot, one second of patience, 1000 requests a second."""
    claims = spec.pop("claims", ())
    center = {
        "url": url,
        "insecureHTTP": True,
        "serviceId": 1,
        "apiKeySecretRef": {"name": "deploycenter", "key": "api-key"},
        "organization": {"pivotSirets": pivots, "claims": claims},
        "timeout": "1s",
        "requestsPerSecond": 1000,
        **spec,
    }
    return EntitlementSource.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "EntitlementSource",
            "metadata": {"name": name},
            "spec": {"provider": {"deployCenter": center}},
        }
    )


def secret(text: str = API_KEY) -> Callable[[SecretKeyRef], str]:
    """Every Secret holds this text."""
    return lambda _: text


@asynccontextmanager
async def opened(url: str, *, key: str = API_KEY, lanes: Lanes | None = None, **spec: Any) -> AsyncIterator[Source]:
    """A client that is closed afterwards."""
    source = open_source(declared(url, **spec), secret(key), lanes or Lanes())
    try:
        yield source
    finally:
        await source.close()


def subject(email: str = ADMIN, *, user: str | None = None, **known: Any) -> Subject:
    """One user; their id is their e-mail unless the test says otherwise."""
    return Subject(UserId(user or email), Email(email), **known)


class VirtualTime:
    """A clock that only moves when everybody sleeps."""

    def __init__(self, chance: Callable[[], float] = lambda: 1.0) -> None:
        self.now = 0.0
        self.timing = Timing(clock=lambda: self.now, sleep=self.sleep, random=chance)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock has come that far."""
        waking = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), waking))
        await waking

    async def run(self, work: Awaitable[T]) -> T:
        """Let time pass until the work is done."""
        task = asyncio.ensure_future(work)
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            if not self._sleepers:
                raise AssertionError("everybody waits and nobody sleeps")
            self.now, _, waking = heapq.heappop(self._sleepers)
            if not waking.done():
                waking.set_result(None)

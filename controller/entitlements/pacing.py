"""How fast may one service be asked? One lane for each address and credential, shared by all sources that use it."""

import asyncio
import hashlib
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from weakref import WeakValueDictionary

from controller.entitlements.breaker import Breaker
from controller.entitlements.posting import Postings
from controller.planning.facts import UserId

BACK_OFF = 0.1
"""Seconds: the longest first pause after failures of two users in a row; doubled by each further one."""
BACK_OFF_AT_MOST = 5.0
"""Seconds."""
RETRY_AFTER_AT_MOST = 60.0
"""Seconds that a service may ask us to wait."""
SHORTEST_SLEEP = 0.001
"""Seconds: less than a timer can tell apart."""


class CircuitOpen(Exception):  # noqa: N818  # a refusal within this room; it becomes a verdict
    """The service has failed too often: no call is made."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one source allows itself."""

    requests_per_second: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Where time and chance come from."""

    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    """Uniform in `0..1`."""


class TokenBucket:
    """Never more than `rate * t + burst` calls within any `t` seconds: a token is taken when its call may go."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._rate = 1.0
        self._burst = self._tokens = math.inf  # full; `allow` says how much that is
        self._filled_at = timing.clock()
        self._paused_until = self._filled_at
        self._turn = asyncio.Lock()

    def allow(self, rate: float, burst: float) -> None:
        """Set calls per second and how many may go at once. What was saved up stays, up to the new burst."""
        self._fill()
        self._rate, self._burst = rate, burst
        self._tokens = min(self._tokens, burst)

    def pause(self, seconds: float) -> None:
        """Let no call go for this long. A shorter pause does not end a longer one."""
        self._paused_until = max(self._paused_until, self._timing.clock() + seconds)

    async def take(self) -> None:
        """Wait for a token, first come, first served."""
        async with self._turn:
            while (wait := self._wait()) > 0:
                await self._timing.sleep(max(wait, SHORTEST_SLEEP))
            self._tokens -= 1

    def _wait(self) -> float:
        self._fill()
        needed = max(0.0, 1 - self._tokens) / self._rate
        return max(needed, self._paused_until - self._filled_at)

    def _fill(self) -> None:
        now = self._timing.clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now


class Turn:
    """The right to make one call. Say how it went; a turn that says nothing was given up and counts for nothing."""

    def __init__(self, lane: "Lane", user: UserId, *, probe: bool) -> None:
        self._lane = lane
        self._user = user
        self._probe = probe

    def answered(self) -> None:
        """The service answered, whatever it said."""
        self._lane.breaker.succeed()

    def failed(self) -> None:
        """The service failed: back off with full jitter, open the circuit when it was one user after another."""
        breaker = self._lane.breaker
        breaker.fail(self._user, probe=self._probe)
        if breaker.failing > 1:
            longest = min(BACK_OFF_AT_MOST, BACK_OFF * 2.0 ** (breaker.failing - 2))
            self._lane.bucket.pause(longest * self._lane.timing.random())

    def throttled(self, seconds: float | None) -> None:
        """The service asked for a pause, maybe without saying how long. One that lets nobody through has failed."""
        self.failed()
        if seconds is None:
            seconds = BACK_OFF_AT_MOST * self._lane.timing.random()
        self._lane.bucket.pause(min(seconds, RETRY_AFTER_AT_MOST))


class Lane:
    """Rate, concurrency, back-off and breaker towards one service. Every call takes a token, repeated ones too."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.bucket = TokenBucket(timing)
        self.breaker = Breaker(timing.clock, timing.random)
        self._paces: list[Pace] = []
        self._slots = asyncio.Semaphore(1)
        self._probed = asyncio.Event()

    def join(self, pace: Pace) -> None:
        """One more source uses the lane; the most careful one sets the pace."""
        self._paces.append(pace)
        self._set_pace()

    def leave(self, pace: Pace) -> None:
        """A source that joined with this pace is closed."""
        self._paces.remove(pace)
        if self._paces:
            self._set_pace()

    @asynccontextmanager
    async def turn(self, user: UserId) -> AsyncIterator[Turn]:
        """Wait for the right to make one call about this user.

        Raises `CircuitOpen` at once while the circuit is open. While a probe is under way its outcome is awaited, so
        that a service that came back loses nobody.
        """
        await self._admit()
        async with self._slots:
            await self._take()
            probe = self.breaker.begin()
            if probe:
                self._probed.clear()
            try:
                yield Turn(self, user, probe=probe)
            finally:
                if probe:
                    self.breaker.abandon()
                    self._probed.set()

    async def _admit(self) -> None:
        while self.breaker.probing:
            await self._probed.wait()
        if self.breaker.refuses:
            raise CircuitOpen

    async def _take(self) -> None:
        """Take a token that is used now: one from before somebody's probe would let too many go after it."""
        while True:
            await self._admit()
            await self.bucket.take()
            if not self.breaker.probing:
                break
        await self._admit()

    def _set_pace(self) -> None:
        rate = min(pace.requests_per_second for pace in self._paces)
        concurrency = min(pace.concurrency for pace in self._paces)
        self.bucket.allow(rate, burst=min(rate, concurrency))
        self._slots = asyncio.Semaphore(concurrency)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes in use. A lane is forgotten with its last source, and with it that the service was failing."""

    timing: Timing = Timing()
    postings: Postings = field(default_factory=Postings)
    """Which addresses answer POST, whether a lane leads there now or not."""
    _lanes: WeakValueDictionary[bytes, Lane] = field(default_factory=WeakValueDictionary)

    def join(self, url: str, credential: str, pace: Pace) -> Lane:
        """Give the lane towards this address with this credential, and count one more source in."""
        name = hashlib.sha256(f"{url}\n{credential}".encode()).digest()
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(self.timing)
        lane.join(pace)
        return lane


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read `Retry-After`: seconds, or an HTTP date compared with `now` (aware). None when it is neither."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())

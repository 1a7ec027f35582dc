"""How fast may a service be asked? A token bucket, a concurrency limit, back-off and a circuit breaker a lane.

A lane is one (URL, credential): two sources that share both share its limits. Back-off only ever delays: a service in
trouble never gets more calls than a healthy one (anchors, incident 18).
"""

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from controller.planning.facts import UserId
from controller.resources.names import ResourceKey

BREAKS_AFTER: Final = 10
"""So many different users in a row without an answer open the circuit."""
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 60.0
"""Seconds for which an open circuit, or a `Retry-After`, keeps the lane closed: the first time, and at most."""


@dataclass(slots=True)
class Lane:
    """The way to one service with one credential. Times are seconds of `clock`."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    jitter: Callable[[float, float], float] = random.uniform
    _limits: dict[ResourceKey, tuple[float, int]] = field(default_factory=dict)
    _free_at: float = 0.0
    """When the bucket has its next token."""
    _closed_until: float = 0.0
    _active: int = 0
    _queue: deque[asyncio.Future[None]] = field(default_factory=deque)
    _failing: set[UserId] = field(default_factory=set)
    """Users without an answer, in a row, with no answer in between."""
    _openings: int = 0
    """How often in a row the circuit has opened."""
    _probing: bool = False

    def limit(self, source: ResourceKey, *, rate: float, concurrency: int) -> None:
        """Set what one source asks for; the strictest of those that share the lane counts."""
        self._limits[source] = (rate, concurrency)

    def leave(self, source: ResourceKey) -> None:
        """A source is closed: its limits count no longer."""
        self._limits.pop(source, None)

    @property
    def open(self) -> bool:
        """Whether the circuit is open: nothing is asked."""
        return len(self._failing) >= BREAKS_AFTER

    async def enter(self) -> bool:
        """Wait for a place and a token. False when the circuit is open: don't ask. Each True needs a `done`."""
        await self._take_place()
        try:
            if self.open and not self._may_probe():
                self._give_place()
                return False
            await self._take_token()
        except BaseException:
            self._give_place()
            raise
        return True

    def done(self, user: UserId, *, answered: bool, retry_after: float | None = None) -> None:
        """Tell how an ask ended. `retry_after` are the seconds that the service asked for."""
        self._give_place()
        if answered:
            self._failing.clear()
            self._openings = 0
            self._probing = False
            return
        was_open = self.open
        self._failing.add(user)
        if self.open and (self._probing or not was_open):
            self._openings += 1
            self._probing = False
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._openings - 1))
            self._close_for(self.jitter(longest / 2, longest))
        elif len(self._failing) > 1:
            self._close_for(self.jitter(0.0, min(FIRST_PAUSE, 0.05 * 2 ** len(self._failing))))
        if retry_after is not None:
            self._close_for(min(LONGEST_PAUSE, retry_after))

    def _close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self.clock() + seconds)

    def _may_probe(self) -> bool:
        """After its pause an open circuit lets one ask through."""
        if self._probing or self.clock() < self._closed_until:
            return False
        self._probing = True
        return True

    async def _take_token(self) -> None:
        rate = min((rate for rate, _ in self._limits.values()), default=1.0)
        now = self.clock()
        at = max(self._free_at, now, self._closed_until)
        self._free_at = at + 1.0 / rate
        if at > now:
            await self.sleep(at - now)

    async def _take_place(self) -> None:
        most = min((most for _, most in self._limits.values()), default=1)
        while self._active >= most:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            await turn
        self._active += 1

    def _give_place(self) -> None:
        self._active -= 1
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return


@dataclass(frozen=True, slots=True)
class Lanes:
    """All lanes of this process, by URL and credential. The credential is kept as a digest."""

    make: Callable[[], Lane] = Lane
    _lanes: dict[str, Lane] = field(default_factory=dict)

    def lane(self, url: str, credential: str) -> Lane:
        """The lane to this URL with this credential."""
        digest = hashlib.sha256(f"{url}\0{credential}".encode()).hexdigest()
        if digest not in self._lanes:
            self._lanes[digest] = self.make()
        return self._lanes[digest]

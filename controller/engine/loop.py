"""Who works, and when is the next turn? The lease, the pace, and what happens when something we need is away."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from controller.engine.foundry import Founder
from controller.engine.news import News, Tells
from controller.engine.reign import Reign, Surroundings
from controller.engine.roster import Roster
from controller.engine.world import World
from controller.entitlements.pacing import Lanes
from controller.errors import ClusterUnavailable, ControllerError, MigrationNeeded, SchemaUnknown
from controller.maildb.database import MailDatabase
from controller.observability.lasting import LastingFailures
from controller.observability.metrics import Metrics
from controller.planning.features import ALL_FEATURES, Features
from controller.resources.conditions import Reason

log = structlog.get_logger(__name__)

TURN = 2.0
"""Seconds between two turns when nothing wakes the loop: how soon a change in the mail database is seen."""
RENEWAL = 5.0
"""Seconds between two renewals of the lease, a third of its life."""
DEBOUNCE = 0.1
"""Seconds for which a burst of events is gathered into one turn."""
OUTAGE = 60.0
"""Seconds for which the mail database may be away before every object tells of it."""
LONGEST_PAUSE = 30.0
"""Seconds that the loop waits at most before it tries again what was away."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the loop is, for the probes."""

    beat: float
    """Monotonic time of its last turn."""
    leading: bool
    started: bool
    """Whether the first list is done, or it stands by."""


class Loop:
    """The loop of one replica: it works while it holds the lease, and stands by while another does."""

    def __init__(
        self,
        *,
        database: MailDatabase,
        world: World,
        source_namespaces: Collection[str],
        metrics: Metrics,
        features: Features = ALL_FEATURES,
        founder: Founder | None = None,
        retention: timedelta | None = None,
        whole_cluster: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._wake = asyncio.Event()
        self.introduced = asyncio.Event()
        """Whether each object has its first status, or has none to wait for because another replica works."""
        self._news = News()
        self._lasting = LastingFailures(clock)
        self._around = Surroundings(
            database,
            world,
            source_namespaces,
            metrics,
            clock,
            _utc,
            self._wake.set,
            self.introduced.set,
            self._news,
            features,
            founder,
            retention,
            self._lasting,
            whole_cluster,
        )
        self._lanes = Lanes()
        # What is known of the services outlives a lease.
        self._reign: Reign | None = None
        self._epoch: int | None = None
        # The epoch of our lease as far as we know; the write itself checks it (invariant 9).
        self._beat = clock()
        self._started = False
        self._failures = 0
        self._failing_since = 0.0

    def notice(self, event: Mapping[str, Any]) -> None:
        """The watch has told of an object. Only from the event loop's thread."""
        tells = self._news.takes(event)
        if self._reign is None or tells is Tells.NOTHING:
            return
        if tells is Tells.GAP:
            self._reign.notice()
        else:
            self._take(event, self._reign)
        self._wake.set()

    def _take(self, event: Mapping[str, Any], reign: Reign) -> None:
        try:
            reign.take(event)
        except Exception as error:  # noqa: BLE001  # whatever it is, a list tells as much and fails where it is seen
            log.warning("event_not_read", error=type(error).__name__)
            reign.notice()

    def vitals(self) -> Vitals:
        """How the loop is."""
        return Vitals(self._beat, self._reign is not None, self._started)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; the transaction that is under way then is finished first.

        Raises `ClusterUnavailable` when the watch keeps silent about what lists show: only a restart helps.
        """
        stopping = asyncio.create_task(stop.wait(), name="stop")
        leasing = asyncio.create_task(self._keep_lease(), name="lease")
        try:
            while not stop.is_set():
                pause = await self._turn()
                self._beat = self._clock()
                if self._news.deaf:
                    raise ClusterUnavailable("the watch does not tell of changes that lists show: start again")
                await self._rest(pause, stopping, leasing)
        finally:
            stopping.cancel()
            leasing.cancel()
            await self._abdicate()
            await self._give_lease_back()

    # --- the turn ---

    async def _turn(self) -> float:
        """One turn; returns the seconds until the next one if nothing happens before."""
        try:
            if self._epoch is None:
                await self._abdicate()
                return TURN
            if self._reign is None:
                self._reign = self._begin()
                log.info("leading", epoch=self._epoch)
            await self._reign.turn()
        except (SchemaUnknown, MigrationNeeded) as error:
            reason = Reason.SCHEMA_UNKNOWN if isinstance(error, SchemaUnknown) else Reason.MIGRATION_NEEDED
            return await self._failed(error, reason)
        except ControllerError as error:
            return await self._failed(error, None)
        self._started = True
        self._failures = 0
        self._metrics.failed(0)
        self._lasting.worked("turn")
        return TURN

    def _begin(self) -> Reign:
        """Begin a term, with clients of its own."""
        asking, subscribing = (Roster(self._lanes, self._around.features) for _ in range(2))
        return Reign(self._around, asking, subscribing)

    async def _failed(self, error: ControllerError, stalls: Reason | None) -> float:
        """Something is away or unknown: say so, and wait longer each time, with full jitter."""
        if not self._failures:
            self._failing_since = self._clock()
        self._failures += 1
        self._metrics.passed("failed", 0.0)
        self._metrics.failed(self._failures)
        log.warning("turn_failed", error=type(error).__name__, detail=str(error), failures=self._failures)
        self._lasting.failed("turn", type(error).__name__)
        if self._reign is not None:
            with suppress(ControllerError):
                await self._tell_of(error, stalls, self._reign)
        longest = min(LONGEST_PAUSE, TURN * 2**self._failures)
        return random.uniform(TURN / 2, longest)  # noqa: S311  # a pause, not a secret

    async def _tell_of(self, error: ControllerError, stalls: Reason | None, reign: Reign) -> None:
        """A restart of the database is nobody's business; an outage is, and so is one that lets us read only."""
        if stalls is not None:
            await reign.stall(stalls)
        elif not isinstance(error, ClusterUnavailable) and self._clock() - self._failing_since >= OUTAGE:
            await reign.interrupt(Reason.DATABASE_UNAVAILABLE)

    async def _rest(self, pause: float, *ends: asyncio.Task[Any]) -> None:
        waking = asyncio.create_task(self._wake.wait(), name="wake")
        try:
            await asyncio.wait((waking, *ends), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        if self._wake.is_set():
            await asyncio.sleep(DEBOUNCE)
            self._wake.clear()
        for task in ends:
            if task.done() and not task.cancelled():
                task.result()

    async def _abdicate(self) -> None:
        if self._reign is not None:
            reign, self._reign = self._reign, None
            await reign.close()
            self._metrics.gauges(leading=False)

    # --- the lease ---

    async def _keep_lease(self) -> None:
        """Take the lease when it is free and renew it while we have it, beside whatever the turns do."""
        while True:
            try:
                epoch = await asyncio.to_thread(self._database.acquire)
                if epoch is None:
                    self._started = True
                    self.introduced.set()
            except ControllerError as error:
                log.warning("lease_unreachable", error=type(error).__name__)
                if self._epoch is None:
                    # Whoever leads is told of by its turns.
                    self._lasting.failed("lease", type(error).__name__)
            else:
                self._lasting.worked("lease")
                if (epoch is None) != (self._epoch is None):
                    log.info("lease", held=epoch is not None)
                    self._wake.set()
                self._epoch = epoch
            await asyncio.sleep(RENEWAL if self._epoch is not None else TURN)

    async def _give_lease_back(self) -> None:
        if self._epoch is not None:
            with suppress(ControllerError):
                await asyncio.to_thread(self._database.release, self._epoch)


def _utc() -> datetime:
    return datetime.now(UTC)

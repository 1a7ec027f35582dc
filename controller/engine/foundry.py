"""Which domains are being created? Orders are carried out one by one, beside the passes, with pauses after failures."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from controller.messages.client import Outcome
from controller.observability.lasting import LastingFailures
from controller.planning.founding import Order, founding
from controller.planning.plan import DomainPlan
from controller.resources.conditions import Reason
from controller.resources.names import ResourceKey

log = structlog.get_logger(__name__)

PAUSE = 5.0
"""Seconds before a failed order is tried again; doubled by each further failure."""
LONGEST_PAUSE = 600.0
"""Seconds."""
SETTLES = 30.0
"""Seconds in which what was done has to be seen in the database before it is asked for again."""

TROUBLES: Mapping[Outcome, Reason] = {
    Outcome.REFUSED: Reason.CREATION_REFUSED,
    Outcome.UNAUTHENTICATED: Reason.MESSAGES_UNAUTHENTICATED,
    Outcome.UNAVAILABLE: Reason.MESSAGES_UNAVAILABLE,
}

_AWAY = frozenset({Reason.MESSAGES_UNAVAILABLE, Reason.MESSAGES_UNAUTHENTICATED})
"""Troubles that are nobody's but the mail application's."""
_APPLICATION = "mail application"


class Founder(Protocol):
    """The mail application, as far as it creates domains."""

    async def carry_out(self, order: Order) -> Outcome:
        """Ask for one domain. Never raises for anything that the mail application does."""
        ...


Orders = Sequence[tuple[ResourceKey, Order]]


def due(plans: Sequence[DomainPlan]) -> Orders:
    """The orders of a plan, creations first: people wait for those."""
    found = ((item.standing.resource.key, founding(item)) for item in plans)
    orders = [(key, order) for key, one in found if one is not None and (order := one.due) is not None]
    return sorted(orders, key=lambda order: not order[1].creates)


async def carry_out(
    founder: Founder | None, orders: Orders, allowed: Callable[[], Awaitable[bool]]
) -> Mapping[ResourceKey, Reason | None]:
    """Carry orders out, and say what became of each: None is done, no entry is not tried.

    One domain that is refused stops no other; a mail application that does not answer, or not to us, is asked no more.
    `allowed` is asked before each: a lease that was lost, or a freeze, ends it.
    """
    found: dict[ResourceKey, Reason | None] = {}
    if founder is None:
        return dict.fromkeys((key for key, _ in orders), Reason.MESSAGES_NOT_CONFIGURED)
    for key, order in orders:
        if not await allowed():
            break
        outcome = await founder.carry_out(order)
        found[key] = TROUBLES.get(outcome)
        log.info("domain_ordered", resource=str(key), creates=order.creates, outcome=outcome.name.lower())
        if outcome in (Outcome.UNAUTHENTICATED, Outcome.UNAVAILABLE):
            reason = TROUBLES[outcome]
            found |= {other: reason for other, _ in orders if other not in found}
            break
    return found


@dataclass(slots=True)
class _Tried:
    """The last try of one order."""

    order: Order
    again_at: float
    failures: int
    trouble: Reason | None


@dataclass(slots=True)
class Foundry:
    """The orders of one reign."""

    founder: Founder | None
    clock: Callable[[], float]
    """Monotonic seconds."""
    allowed: Callable[[], Awaitable[bool]]
    wake: Callable[[], None]
    failures: LastingFailures = field(default_factory=LastingFailures)
    """What fails for longer than a term may last."""
    _tried: dict[ResourceKey, _Tried] = field(default_factory=dict)
    _work: asyncio.Task[None] | None = None

    @property
    def troubles(self) -> Mapping[ResourceKey, Reason]:
        """Why orders have come to nothing, by resource."""
        return {key: tried.trouble for key, tried in self._tried.items() if tried.trouble is not None}

    @property
    def work(self) -> asyncio.Task[None] | None:
        """The orders that are being carried out; None when there are none."""
        return self._work if self._work is not None and not self._work.done() else None

    def see(self, plans: Sequence[DomainPlan]) -> None:
        """Take over what a pass has found, and begin with what is due. What is no longer ordered is forgotten."""
        orders = due(plans)
        self._tried = {key: self._tried[key] for key, _ in orders if key in self._tried}
        if self.work is not None:
            return
        now = self.clock()
        ready = [(key, order) for key, order in orders if self._is_ready(key, order, now)]
        if ready:
            self._work = asyncio.create_task(self._run(ready), name="founding")

    async def close(self) -> None:
        """Stop. The request that is under way is given up; what came of it stands in the database."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def next_try(self, now: float) -> float:
        """Seconds until an order is due again; while orders are being carried out nothing else is."""
        if self.work is not None:
            return float("inf")
        return min((max(0.0, tried.again_at - now) for tried in self._tried.values()), default=float("inf"))

    def _is_ready(self, key: ResourceKey, order: Order, now: float) -> bool:
        tried = self._tried.get(key)
        return tried is None or tried.order != order or now >= tried.again_at

    async def _run(self, orders: Orders) -> None:
        try:
            outcomes = await carry_out(self.founder, orders, self.allowed)
        except Exception:
            # Invariant 11: it ends neither the reign nor the orders to come.
            log.exception("founding_failed")
            outcomes = dict.fromkeys((key for key, _ in orders), Reason.MESSAGES_UNAVAILABLE)
        self._note_failures(outcomes)
        now = self.clock()
        for key, order in orders:
            if key in outcomes:
                self._tried[key] = self._note(key, order, outcomes[key], now)
            else:
                self._tried[key] = _Tried(order, now + PAUSE, 0, None)
        if outcomes:
            self.wake()

    def _note_failures(self, outcomes: Mapping[ResourceKey, Reason | None]) -> None:
        away = sorted({reason.value for reason in outcomes.values() if reason in _AWAY})
        if away:
            self.failures.failed(_APPLICATION, away[0])
        elif outcomes:
            self.failures.worked(_APPLICATION)

    def _note(self, key: ResourceKey, order: Order, trouble: Reason | None, now: float) -> _Tried:
        if trouble is None:
            return _Tried(order, now + SETTLES, 0, None)
        before = self._tried.get(key)
        failures = before.failures + 1 if before is not None else 1
        longest = min(LONGEST_PAUSE, PAUSE * 2.0 ** min(failures - 1, 16))
        return _Tried(order, now + random.uniform(longest / 2, longest), failures, trouble)  # noqa: S311  # a pause, not a secret

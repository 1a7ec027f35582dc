"""What does the leading replica do about services? It asks about subscriptions, decides when there is news, and writes.

Beside the work about administrators, and after it: a turn in which that has written decides nothing here.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from controller.engine.roster import Secrets
from controller.engine.services import ServiceOutcome, ServiceQuestion, acting, carry_out, plan_services
from controller.engine.subscriptions import Subscriptions, wanted_purchases
from controller.errors import ControllerError
from controller.maildb.database import MailDatabase
from controller.planning.facts import Scope, Snapshot
from controller.planning.guard import Approvals
from controller.planning.standing import Standing
from controller.resources.charter import Charter
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource

log = structlog.get_logger(__name__)

AT_ONCE = 200
"""Organizations that one source is asked about before what it said is decided on."""
BREATHER = 3.0
"""Deciding is followed by a pause of this many times its length."""


@dataclass(slots=True)
class ServiceDesk:
    """Everything about services in one term of leadership."""

    database: MailDatabase
    subscriptions: Subscriptions
    wake: Callable[[], None]
    """Asks for a turn soon."""
    news: bool = False
    """Whether something has happened that was not decided on yet."""
    _charter: Charter = field(default_factory=Charter)
    _acting: Sequence[Standing] = ()
    _snapshot: Snapshot | None = None
    _asking: dict[ResourceKey, asyncio.Task[bool]] = field(default_factory=dict)
    _next: float = float("-inf")
    _idle: bool = False
    """Whether no domain decides on services, and none ever did."""

    async def open(self, charter: Charter, sources: Iterable[EntitlementSource], secrets: Secrets) -> None:
        """Open the sources that services name, among those that are honoured."""
        self._charter = charter
        await self.subscriptions.open(charter, sources, secrets)

    def see(self, standings: Sequence[Standing], snapshot: Snapshot) -> None:
        """Take over what is declared and what the database holds now."""
        self._acting, self._snapshot, self.news = standings, snapshot, True
        domains = acting(standings, snapshot.claims)
        self.subscriptions.want(wanted_purchases(domains, self._charter, snapshot.domains))

    def ask(self) -> None:
        """Let each source go on with what is due. None waits for another."""
        for key, task in list(self._asking.items()):
            if task.done():
                del self._asking[key]
                self.news = _result(key, task) or self.news
        for key, purchases in self.subscriptions.due().items():
            if key not in self._asking:
                task = asyncio.create_task(
                    self.subscriptions.ask(key, purchases[:AT_ONCE]), name=f"subscriptions {key}"
                )
                task.add_done_callback(lambda _: self.wake())
                self._asking[key] = task

    @property
    def busy(self) -> bool:
        """Whether a source is being asked."""
        return any(not task.done() for task in self._asking.values())

    @property
    def pending(self) -> bool:
        """Whether there is anything left to decide on that may be decided on."""
        frozen = self._snapshot is not None and self._snapshot.freeze is not None
        return bool(self._asking) or (self.news and not frozen)

    async def decide(self, now: float) -> ServiceOutcome | None:
        """Decide and write when there is news; None when there is not, or nothing may be written now.

        Raises `PlanOutdated` and what the database raises; the next turn tries again.
        """
        snapshot = self._snapshot
        if not self.news or now < self._next or snapshot is None or snapshot.freeze is not None:
            return None
        if await self._nothing_to_do():
            self.news = False
            return None
        started = self.subscriptions.clock()
        question = await self._question(snapshot)
        self.news = False
        try:
            outcome = await asyncio.to_thread(lambda: carry_out(self.database, plan_services(question)))
        except ControllerError:
            self.news = True
            raise
        ended = self.subscriptions.clock()
        self._next = ended + BREATHER * (ended - started)
        if outcome.written:
            log.info("services_written", domains=outcome.written, holds=len(outcome.holds))
        return outcome

    async def close(self) -> None:
        """Stop asking and give connections back."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        self._asking.clear()
        await self.subscriptions.close()

    async def _nothing_to_do(self) -> bool:
        """Most installs do not decide on services: they need not even look who is there."""
        if self._charter.objects or any(item.resource.spec.service_access is not None for item in self._acting):
            self._idle = False
        elif not self._idle:
            self._idle = not await asyncio.to_thread(self.database.has_service_rows)
        return self._idle

    async def _question(self, snapshot: Snapshot) -> ServiceQuestion:
        facts = await asyncio.to_thread(self.database.service_facts)
        named = {
            Scope("MailDomain", item.resource.key): hold
            for item in self._acting
            if (hold := item.resource.metadata.approved_hold) is not None
        }
        return ServiceQuestion(
            domains=acting(self._acting, snapshot.claims),
            charter=self._charter,
            subscribed=self.subscriptions.subscribed(),
            facts=facts,
            undecided=self.subscriptions.unasked(),
            approvals=Approvals(named),
        )


def _result(key: ResourceKey, task: asyncio.Task[bool]) -> bool:
    """Whatever ended it, one source's trouble ends neither the others nor the process (invariant 11)."""
    error = task.exception()
    if error is not None:
        log.error("asking_failed", source=str(key), error=type(error).__name__)
        return False
    return task.result()

"""Which organizations have bought which service? One question an organization and service, kept with its age (A-70).

Asked of the service's own source, at the pace of its lane, and again after each of its intervals. What was said counts
until `staleAfter`; a source that is down leaves it so, and touches no other.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.engine.roster import Roster, Secrets
from controller.entitlements.source import Reply, Source
from controller.entitlements.subscriptions import ask_subscription, for_subscriptions
from controller.permissions.realm import Subscribed
from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import AnswerReason, MailDomainRow, Malformed, Unavailable
from controller.planning.health import trouble_of
from controller.planning.sources import too_many
from controller.resources.charter import Charter
from controller.resources.conditions import Reason
from controller.resources.maildomain import MailDomain
from controller.resources.names import Email, ResourceKey
from controller.resources.source import EntitlementSource

UNANSWERED = 60.0
"""Seconds after which it is looked again whether a source that is not open has become so."""

_LASTING = frozenset({AnswerReason.UNAUTHENTICATED, AnswerReason.CIRCUIT_OPEN})
"""What is no matter of one question."""

Purchase = tuple[str, str]
"""Service and siret."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing to know, and which MailDomains hang on it."""

    source: ResourceKey
    probe: Email
    domains: tuple[ResourceKey, ...]


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """How one source did when it was asked about subscriptions."""

    key: ResourceKey
    asked: int
    """Organizations."""
    subscribed: int
    not_subscribed: int
    unknown: int
    """Those about which it did not say, and those of a source that is suspended."""
    unavailable: int
    """Those about which it could not be asked, or gave no answer."""
    requests: int
    trouble: Reason | None
    """Why it can't be asked, as for any other source."""


@dataclass(frozen=True, slots=True)
class Known:
    """The last answer that said something, and when somebody was asked last."""

    subscribed: bool | None
    good_until: float
    asked_at: float
    ask_at: float
    failure: AnswerReason | None = None
    """Why nobody answered when it was asked last."""

    def at(self, now: float) -> bool | None:
        """What is known at a moment."""
        return self.subscribed if now <= self.good_until else None


def wanted_purchases(
    domains: Iterable[MailDomain], charter: Charter, rows: tuple[MailDomainRow, ...]
) -> Mapping[Purchase, Wanted]:
    """What has to be known for these domains: one question an organization and service, however many domains it has.

    The organization is the declared one, else the one that the domain is stored with; without any nothing is asked.
    """
    bought = {item.id: item.spec.subscription for item in charter.services if item.spec.subscription is not None}
    located = locate(rows)
    found: dict[Purchase, Wanted] = {}
    for domain in domains:
        siret = _siret(domain, located.get(domain.domain, NOWHERE).row)
        access = domain.spec.service_access
        if access is None or siret is None:
            continue
        for name in {item.name for item in access.services}:
            if (subscription := bought.get(name)) is not None:
                before = found.get((name, siret))
                hanging = (*before.domains, domain.key) if before else (domain.key,)
                found[name, siret] = Wanted(subscription.source_ref.key, subscription.probe_email, hanging)
    return found


def _siret(domain: MailDomain, row: MailDomainRow | None) -> str | None:
    if domain.spec.organization is not None:
        return domain.spec.organization.siret
    return row.siret if row is not None else None


@dataclass(slots=True)
class Subscriptions:
    """What is known now, and what is to be asked next. Nothing of it survives the process."""

    clock: Callable[[], float]
    """Monotonic seconds."""
    roster: Roster
    wanted: Mapping[Purchase, Wanted] = field(default_factory=dict)
    _sources: Mapping[ResourceKey, EntitlementSource] = field(default_factory=dict)
    _open: Mapping[ResourceKey, Source] = field(default_factory=dict)
    _closed: Mapping[ResourceKey, AnswerReason] = field(default_factory=dict)
    _suspended: frozenset[ResourceKey] = frozenset()
    _requests: Counter[ResourceKey] = field(default_factory=Counter)
    _known: dict[Purchase, Known] = field(default_factory=dict)

    def want(self, wanted: Mapping[Purchase, Wanted]) -> None:
        """Take over what there is to know."""
        self.wanted = wanted
        self._known = {purchase: known for purchase, known in self._known.items() if purchase in wanted}

    async def open(self, charter: Charter, sources: Iterable[EntitlementSource], secrets: Secrets) -> None:
        """Open a client for each of these sources that a service names, and close the others."""
        bought = (item.spec.subscription for item in charter.services)
        keys = {subscription.source_ref.key for subscription in bought if subscription is not None}
        named = {item.key: item for item in sources if item.key in keys}
        self._suspended = frozenset(key for key, item in named.items() if item.spec.suspend)
        self._sources = {key: item for key, item in named.items() if key not in self._suspended}
        self._open, self._closed = await self.roster.update(map(for_subscriptions, self._sources.values()), secrets)

    async def close(self) -> None:
        """Close every client."""
        await self.roster.close()

    def due(self) -> Mapping[ResourceKey, Sequence[Purchase]]:
        """What each source is to be asked now: what was never asked first, then what was asked longest ago."""
        now = self.clock()
        never = Known(None, 0.0, 0.0, ask_at=float("-inf"))
        ask_at = {purchase: self._known.get(purchase, never).ask_at for purchase in self.wanted}
        found: dict[ResourceKey, list[Purchase]] = {}
        for purchase in sorted((purchase for purchase, at in ask_at.items() if at <= now), key=ask_at.__getitem__):
            found.setdefault(self.wanted[purchase].source, []).append(purchase)
        return found

    async def ask_everything(self) -> None:
        """Ask whatever is due, all sources at once."""
        async with asyncio.TaskGroup() as group:
            for key, purchases in self.due().items():
                group.create_task(self.ask(key, purchases))

    async def ask(self, key: ResourceKey, purchases: Sequence[Purchase]) -> bool:
        """Ask one source, as much at once as it allows; whether anything is known otherwise than before."""
        source = self._open.get(key)
        if source is None:
            failure = None if key in self._suspended else self._closed.get(key, AnswerReason.CONNECTION)
            news = [self._note(purchase, None, failure) for purchase in purchases]
            return any(news)
        slots = asyncio.Semaphore(source.workers)
        probes = {purchase: self.wanted[purchase].probe for purchase in purchases}

        async def ask(purchase: Purchase) -> bool:
            async with slots:
                reply = await ask_subscription(source, purchase[1], probes[purchase])
            self._requests[key] += reply.requests
            return self._note(purchase, reply.can_access, _failure(reply))

        return any(await asyncio.gather(*map(ask, purchases)))

    def subscribed(self) -> Subscribed:
        """What is known, by MailDomain and service, for `convene`."""
        now = self.clock()
        found: dict[tuple[ResourceKey, str], bool] = {}
        for purchase, wanted in self.wanted.items():
            known = self._known.get(purchase)
            said = known.at(now) if known is not None else None
            if said is not None:
                found.update(((key, purchase[0]), said) for key in wanted.domains)
        return found

    def unasked(self) -> frozenset[ResourceKey]:
        """The domains about which something was never asked: nothing is decided for them yet."""
        return frozenset(
            key for purchase, wanted in self.wanted.items() if purchase not in self._known for key in wanted.domains
        )

    def accounts(self) -> tuple[SourceAccount, ...]:
        """How each source that was asked did the last time."""
        asked: dict[ResourceKey, list[Known]] = {}
        for purchase, known in self._known.items():
            asked.setdefault(self.wanted[purchase].source, []).append(known)
        return tuple(self._account(key, some) for key, some in sorted(asked.items()))

    def _account(self, key: ResourceKey, some: Sequence[Known]) -> SourceAccount:
        failures = [known.failure for known in some if known.failure is not None]
        said = [known.at(known.asked_at) for known in some if known.failure is None]
        lasting = next((failure for failure in failures if failure in _LASTING), self._closed.get(key))
        trouble = None
        if key not in self._sources and key not in self._suspended:
            trouble = Reason.SOURCE_NOT_FOUND
        elif lasting is not None:
            trouble = trouble_of(lasting)
        elif too_many(len(failures), len(some)):
            trouble = Reason.UNREACHABLE
        counts = (said.count(True), said.count(False), said.count(None))
        return SourceAccount(key, len(some), *counts, len(failures), self._requests[key], trouble)

    def _note(self, purchase: Purchase, said: bool | None, failure: AnswerReason | None) -> bool:  # noqa: FBT001  # what was said
        """Whether it is known otherwise than when it was asked last. What nobody wants any more is no news."""
        if purchase not in self.wanted:
            return False
        now = self.clock()
        before = self._known.get(purchase)
        source = self._sources.get(self.wanted[purchase].source)
        ask_at = now + (source.spec.interval.total_seconds() if source is not None else UNANSWERED)
        if said is None and before is not None:
            known = Known(before.subscribed, before.good_until, now, ask_at, failure)
        else:
            stale_after = source.spec.stale_after.total_seconds() if source is not None else 0.0
            known = Known(said, now + stale_after, now, ask_at, failure)
        self._known[purchase] = known
        return before is None or before.at(before.asked_at) != known.at(now)


def _failure(reply: Reply) -> AnswerReason | None:
    """Why a reply says nothing, where that is no answer at all."""
    if reply.can_access is None and isinstance(reply.verdict, Unavailable | Malformed):
        return reply.verdict.reason
    return None

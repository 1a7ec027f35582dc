"""What is told about a pass? Statuses that differ, Events on transitions, and gauges."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from controller.engine.desk import Desk
from controller.engine.listing import Target
from controller.engine.triggers import Pokes
from controller.engine.world import Kind, World
from controller.observability.metrics import Metrics
from controller.planning.conditions import interrupted_conditions, stalled_conditions
from controller.planning.facts import CaseState, Hold, Scope, Snapshot, UserId
from controller.planning.health import SourceHealth
from controller.planning.plan import DomainPlan, Plan
from controller.planning.status import Round, Status, Wave, domain_status, overlaid_status, source_status
from controller.planning.supposing import BlastRadius
from controller.resources.conditions import ConditionType, Reason
from controller.resources.model import Metadata
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource

AT_ONCE = 500
"""Patches that are prepared at a time; the cluster bounds how many of them are under way."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status of a MailDomain is made of, but for the time."""

    plan: DomainPlan
    health: tuple[SourceHealth, ...]
    handled: str | None
    """The poke that has been carried out."""
    removals: bool
    """Whether somebody else removed rows lately."""
    trouble: Reason | None
    """Why the domain could not be created or changed."""
    wrote: bool
    """Whether rows of it were written just now."""


@dataclass(frozen=True, slots=True)
class Report:
    """The status that one object should have."""

    kind: Kind
    key: ResourceKey
    uid: str
    before: Status
    after: Status

    @property
    def target(self) -> Target:
        """Which object."""
        return self.kind, self.key

    @property
    def awaits_first_answers(self) -> bool:
        """Whether it says only that."""
        ready = _condition(self.after, ConditionType.READY)
        return ready is not None and ready["reason"] == Reason.PROGRESSING

    @property
    def differs(self) -> bool:
        """Whether anything is to be written."""
        return self.after != self.before


Told = Mapping[Target, Status]
"""The status that each object has now, as far as we know."""


def report_domain(facts: Facts, told: Told, health: Mapping[ResourceKey, SourceHealth], *, now: datetime) -> Report:
    """Write down one MailDomain."""
    resource = facts.plan.standing.resource
    before = told.get((Kind.DOMAIN, resource.key), {})
    status = domain_status(
        facts.plan,
        health,
        before,
        handled=facts.handled,
        wrote=facts.wrote,
        rows_removed=facts.removals,
        trouble=facts.trouble,
        now=now,
    )
    return Report(Kind.DOMAIN, resource.key, resource.metadata.uid, before, status)


def report_source(
    source: EntitlementSource,
    told: Told,
    health: SourceHealth,
    holds: Sequence[Hold],
    pokes: Pokes,
    *,
    desks: Mapping[ResourceKey, Desk],
    wave: Wave | None,
    radius: BlastRadius | None,
    population: "Population",
    snapshot: Snapshot,
    now: datetime,
) -> Report:
    """Write down one EntitlementSource. Its `wave` is the only heartbeat: it moves once an interval."""
    scope = Scope("EntitlementSource", source.key)
    before = told.get((Kind.SOURCE, source.key), {})
    estimate = population.estimate(source)
    status = source_status(
        source.metadata,
        before,
        health,
        suspended=source.spec.suspend,
        frozen=snapshot.freeze is not None,
        hold=next((hold for hold in holds if hold.scope == scope), None),
        wave=wave,
        estimate=estimate,
        radius=radius,
        too_slow=estimate is not None and _too_slow(source, estimate),
        epoch=snapshot.epoch,
        journal=snapshot.journal,
        handled=pokes.handled(Kind.SOURCE, source.key, desks),
        now=now,
    )
    return Report(Kind.SOURCE, source.key, source.metadata.uid, before, status)


def report_stalled(
    kind: Kind, key: ResourceKey, generation: int, told: Told, reason: Reason, *, now: datetime
) -> Report:
    """Write down an object that can't be worked on at all."""
    before = told.get((kind, key), {})
    return Report(kind, key, "", before, overlaid_status(generation, before, stalled_conditions(reason), now=now))


def report_interrupted(kind: Kind, item: Metadata, told: Told, reason: Reason, *, now: datetime) -> Report:
    """Write down an object that can't be worked on now. One that needs a person needs it still."""
    before = told.get((kind, item.key), {})
    stalled = _condition(before, ConditionType.STALLED)
    if stalled is not None and stalled["status"] == "True":
        return Report(kind, item.key, item.uid, before, before)
    after = overlaid_status(item.generation, before, interrupted_conditions(reason), now=now)
    return Report(kind, item.key, item.uid, before, after)


@dataclass(frozen=True, slots=True)
class Population:
    """How many people a source has to be asked about."""

    holders: Mapping[ResourceKey, frozenset[UserId]]
    everybody: int

    def estimate(self, source: EntitlementSource) -> Round | None:
        """How long a wave and a whole round take at the permitted rate; None where no calls are made."""
        center = source.spec.provider.deploy_center
        if center is None:
            return None
        holders = len(self.holders.get(source.key, ()))
        rate = center.requests_per_second
        return Round(timedelta(seconds=ceil(holders / rate)), timedelta(seconds=ceil(self.everybody / rate)))


def _too_slow(source: EntitlementSource, estimate: Round) -> bool:
    return estimate.holders > source.spec.interval or estimate.everybody > source.spec.discovery_interval


async def publish(world: World, reports: Sequence[Report], written: Callable[[Report], None]) -> None:
    """Patch the statuses that differ, and post Events for transitions of Ready; `written` hears of each patch.

    Raises `ClusterUnavailable` or `NotAuthorized` at the first patch that fails so.
    """
    changed = [report for report in reports if report.differs]

    async def send(report: Report) -> None:
        if await world.patch_status(report.kind, report.key, report.after, report.before):
            written(report)
            event = _transition(report)
            if event is not None:
                await world.post_event(report.kind, report.key, report.uid, **event)

    for start in range(0, len(changed), AT_ONCE):
        try:
            async with asyncio.TaskGroup() as group:
                for report in changed[start : start + AT_ONCE]:
                    group.create_task(send(report))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None


def _transition(report: Report) -> dict[str, Any] | None:
    """The Event of a change of Ready, or of rows that somebody else removed.

    A new object that becomes ready is no news, and neither is that its first answers are awaited.
    """
    if (removed := _removal(report)) is not None:
        return removed
    before, after = (_condition(status, ConditionType.READY) for status in (report.before, report.after))
    new = before is None or before["reason"] == Reason.PROGRESSING
    if after is None or (new and (after["status"] == "True" or after["reason"] == Reason.PROGRESSING)):
        return None
    if before is not None and (before["status"], before["reason"]) == (after["status"], after["reason"]):
        return None
    return {"reason": after["reason"], "note": after["message"], "warning": after["status"] == "False"}


def _removal(report: Report) -> dict[str, Any] | None:
    """The Event of rows that somebody else has removed."""
    before, after = (_condition(status, ConditionType.DRIFTED) for status in (report.before, report.after))
    if after is None or after["reason"] != Reason.ROWS_REMOVED or (before and before["reason"] == after["reason"]):
        return None
    return {"reason": after["reason"], "note": after["message"], "warning": True}


def _condition(status: Status, kind: ConditionType) -> Mapping[str, Any] | None:
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == kind), None)


def measure(metrics: Metrics, decided: Plan, snapshot: Snapshot) -> None:
    """Set the gauges after a pass."""
    oldest = min((case.opened_at for case in snapshot.cases), default=snapshot.taken_at)
    suspected = [case.opened_at for case in snapshot.cases if case.state is CaseState.SUSPECTED]
    since = min((hold.since for hold in decided.holds), default=snapshot.taken_at)
    metrics.gauges(
        leading=True,
        epoch=snapshot.epoch,
        frozen=snapshot.freeze is not None,
        open_cases=len(snapshot.cases),
        oldest_case_seconds=(snapshot.taken_at - oldest).total_seconds(),
        unconfirmed=len(suspected),
        oldest_unconfirmed_seconds=(snapshot.taken_at - min(suspected, default=snapshot.taken_at)).total_seconds(),
        held=sum(len(domain.held) for domain in decided.domains),
        pending=sum(domain.difference.pending for domain in decided.domains),
        contested=sum(domain.contested for domain in decided.domains),
        holds=len(decided.holds),
        oldest_hold_seconds=(snapshot.taken_at - since).total_seconds(),
    )

"""What stands in the status of a resource? Counts, the hold and the conditions, as the CRDs have them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from controller.planning.conditions import domain_conditions, source_conditions
from controller.planning.facts import Hold
from controller.planning.health import SourceHealth
from controller.planning.plan import DomainPlan
from controller.planning.sources import Tally
from controller.planning.supposing import BlastRadius
from controller.resources.conditions import ABOUT_SERVICES, Condition, Reason, render_conditions
from controller.resources.model import Metadata
from controller.resources.names import ResourceKey
from controller.resources.quantities import format_duration

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of one domain, as `status.admins` has them: after the pass."""

    desired: int
    actual: int
    owned: int
    foreign: int
    pending: int
    ambiguous: int
    protected: int
    contested: int
    """Accesses that something else writes as well."""
    pinned: int
    """Administrators whom a person has restored."""
    denied: int
    """Denied administrators whose rows stand."""
    suspected: int
    held: int


def count(domain: DomainPlan, *, carried_out: bool = True) -> Counts:
    """Count one domain as it is once the plan's changes are carried out, or as it is now."""
    difference = domain.difference
    gone = {item.access.id for item in domain.revocations} if carried_out else set()
    came = len(domain.grants) if carried_out else 0
    adopted = len(domain.adoptions) if carried_out else 0
    actual = len(difference.admins) - len(gone) + came
    owned = len(difference.owned - gone) + came + adopted
    return Counts(
        desired=len(difference.desired),
        actual=actual,
        owned=owned,
        foreign=actual - owned,
        pending=difference.pending,
        ambiguous=difference.ambiguous,
        protected=difference.protected,
        contested=domain.contested,
        pinned=difference.pinned,
        denied=sum(row.id not in gone for row in difference.denied),
        suspected=domain.suspected,
        held=len(domain.held),
    )


def domain_status(
    domain: DomainPlan,
    sources: Mapping[ResourceKey, SourceHealth],
    before: Status,
    *,
    handled: str | None,
    wrote: bool,
    rows_removed: bool,
    trouble: Reason | None = None,
    now: datetime,
) -> Status:
    """Write the whole status of one MailDomain.

    `before` is the one that it has now, `handled` is the poke that this pass has carried out; `wrote` tells whether
    rows of the domain were written in it, `rows_removed` whether somebody else removed some lately, and `trouble` why
    the domain could not be created or changed.
    """
    resource = domain.standing.resource
    known = before.get("conditions", ())
    conditions = domain_conditions(domain, sources, before=known, rows_removed=rows_removed, trouble=trouble)
    row = domain.difference.located.row
    hold = next((item.hold for item in domain.held), None)
    change = before.get("lastChange")
    if wrote:
        change = {"time": _time(now), "granted": len(domain.grants), "revoked": len(domain.revocations)}
    rendered = render_conditions(conditions, before=known, generation=resource.metadata.generation, now=now)
    # What is said about services stays until it is said anew, and goes where nothing is declared about them.
    about_services = resource.spec.service_access is not None
    return _present(
        observedGeneration=resource.metadata.generation,
        lastHandledReconcileAt=handled or before.get("lastHandledReconcileAt"),
        domainID=row.id if row is not None else None,
        admins=_admins(count(domain)),
        lastChange=change,
        hold=shown_hold(hold),
        serviceAccess=before.get("serviceAccess") if about_services else None,
        conditions=[*rendered, *(item for item in known if about_services and item["type"] in ABOUT_SERVICES)],
    )


@lru_cache(maxsize=4096)
def _admins(counts: Counts) -> Mapping[str, int]:
    """The numbers as a status has them; those of many domains are the same."""
    return {name: getattr(counts, name) for name in Counts.__slots__}


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave as the status of its source tells it."""

    started_at: datetime
    finished_at: datetime | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Round:
    """How long it takes to ask all holders, and everybody, at the permitted rate."""

    holders: timedelta
    everybody: timedelta


def source_status(
    metadata: Metadata,
    before: Status,
    health: SourceHealth,
    *,
    suspended: bool,
    frozen: bool,
    hold: Hold | None,
    wave: Wave | None,
    estimate: Round | None,
    radius: BlastRadius | None,
    too_slow: bool,
    epoch: int,
    journal: int,
    handled: str | None,
    now: datetime,
) -> Status:
    """The whole status of one EntitlementSource."""
    known = before.get("conditions", ())
    conditions = source_conditions(
        health, suspended=suspended, frozen=frozen, hold=hold, too_slow=too_slow, before=known
    )
    return _present(
        observedGeneration=metadata.generation,
        lastHandledReconcileAt=handled or before.get("lastHandledReconcileAt"),
        wave=_wave(wave) if wave is not None else before.get("wave"),
        estimatedRound=_round(estimate) if estimate is not None else before.get("estimatedRound"),
        blastRadius=_radius(radius) if radius is not None else before.get("blastRadius"),
        epoch=epoch,
        journal=journal,
        hold=shown_hold(hold),
        conditions=render_conditions(conditions, before=known, generation=metadata.generation, now=now),
    )


def overlaid_status(generation: int, before: Status, conditions: Iterable[Condition], *, now: datetime) -> Status:
    """The status of a resource that can't be worked on now; everything else in it stays."""
    rendered = render_conditions(conditions, before=before.get("conditions", ()), generation=generation, now=now)
    written = {condition["type"] for condition in rendered}
    kept = [condition for condition in before.get("conditions", ()) if condition["type"] not in written]
    return {**before, "observedGeneration": generation, "conditions": [*rendered, *kept]}


def _present(**fields: Any) -> Status:
    return {name: value for name, value in fields.items() if value is not None}


def shown_hold(hold: Hold | None) -> Status | None:
    """What waits for approval, as a status has it."""
    if hold is None:
        return None
    return {
        "id": hold.id,
        "scope": str(hold.scope),
        "limit": hold.limit,
        "since": _time(hold.since),
        "count": hold.count,
    }


def _wave(wave: Wave) -> Status:
    counts = {name: getattr(wave.tally, name) for name in Tally.__slots__}
    return _present(
        startedAt=_time(wave.started_at),
        finishedAt=_time(wave.finished_at) if wave.finished_at is not None else None,
        **counts,
    )


def read_sound_wave(status: Status) -> datetime | None:
    """When the wave ended that a status tells of; None when there is none, or more than half of it failed."""
    wave: Mapping[str, Any] = status.get("wave", {})
    counts = Tally(**{name: wave.get(name, 0) for name in Tally.__slots__})
    if "finishedAt" not in wave or counts.mostly_failed:
        return None
    return datetime.fromisoformat(wave["finishedAt"])


def _round(estimate: Round) -> Status:
    return {"holders": format_duration(estimate.holders), "everybody": format_duration(estimate.everybody)}


def _radius(radius: BlastRadius) -> Status:
    return {"accesses": radius.accesses, "domains": radius.domains, "stoppedAfter": radius.stopped_after}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

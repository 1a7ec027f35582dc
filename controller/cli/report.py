"""What does an outcome say? The document of a plan or a result, made from the values of the engine."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from controller.cli.document import (
    Applied,
    Change,
    Counts,
    Domain,
    HeldChange,
    PlanDocument,
    ShownCondition,
    ShownFreeze,
    ShownHold,
    ShownSource,
    Suppressed,
    Users,
)
from controller.cli.servicereport import report_services, row_digests
from controller.planning.conditions import domain_conditions
from controller.planning.facts import Freeze, Hold, UserId
from controller.planning.founding import founding
from controller.planning.plan import DomainPlan, Plan

if TYPE_CHECKING:
    from controller.engine.once import Outcome, SourceReport
    from controller.engine.services import ServiceOutcome


def report(outcome: "Outcome", *, show_pii: bool = False) -> PlanDocument:
    """Write an outcome down: a Plan, or a Result when something was to be applied. E-mails only with `show_pii`."""
    writer = _Writer(outcome, show_pii=show_pii)
    planned = sorted(outcome.plan.domains, key=lambda item: item.standing.resource.key)
    domains = tuple(writer.domain(item) for item in planned)
    applied = outcome.applied
    return PlanDocument(
        api_version="maildomain.dev/v1alpha1",
        kind="Plan" if applied is None else "Result",
        digest=digest(outcome.plan, outcome.services),
        counts=_counts(domains),
        domains=domains,
        holds=tuple(_hold(hold) for hold in sorted(outcome.holds, key=_hold_order)),
        sources=tuple(_source(item) for item in sorted(outcome.sources, key=lambda item: item.key)),
        services=None if outcome.services is None else report_services(outcome.services),
        frozen=shown_freeze(outcome.question.snapshot.freeze),
        applied=None if applied is None else Applied(**asdict(applied)),
    )


def shown_freeze(freeze: Freeze | None) -> ShownFreeze | None:
    """What stops every write, if anything does."""
    if freeze is None:
        return None
    return ShownFreeze(by="Process" if freeze.since is None else "Database", since=freeze.since, reason=freeze.reason)


def digest(plan: Plan, services: "ServiceOutcome | None" = None) -> str:
    """A digest of what the plan does and holds: no times, no ids of rows, holds or cases, no counts of anything else.

    Where rows about services differ it covers what these will say. Two plans with the same digest change the same
    accesses for the same reasons.
    """
    domains = [
        {
            "resource": str(item.standing.resource.key),
            "domain": item.standing.resource.domain,
            "grants": sorted([grant.user, grant.reason] for grant in item.grants),
            "revocations": sorted([revocation.access.user, revocation.reason] for revocation in item.revocations),
            "held": sorted([held.user, held.reason, str(held.hold.scope), held.hold.limit] for held in item.held),
            "adoptions": sorted(adoption.access.user for adoption in item.adoptions),
        }
        for item in sorted(plan.domains, key=lambda item: item.standing.resource.key)
    ]
    holds = sorted([str(hold.scope), hold.limit, sorted(map(list, hold.accesses))] for hold in plan.holds)
    rows = row_digests(services) if services is not None else {}
    covered = {"domains": domains, "holds": holds, **({"services": rows} if rows else {})}
    content = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


class _Writer:
    """Writes the domains of one outcome."""

    def __init__(self, outcome: "Outcome", *, show_pii: bool) -> None:
        self._users = outcome.question.snapshot.users if show_pii else {}
        self._health = {source.key: source.health for source in outcome.sources}
        self._troubles = outcome.troubles
        self._carried_out = outcome.applied is not None

    def domain(self, item: DomainPlan) -> Domain:
        resource = item.standing.resource
        conditions = domain_conditions(
            item, self._health, carried_out=self._carried_out, trouble=self._troubles.get(resource.key)
        )
        return Domain(
            namespace=resource.key.namespace,
            name=resource.key.name,
            domain=resource.domain,
            mode=item.mode.value,
            conditions=tuple(
                ShownCondition(type=one.type.value, status=one.status, reason=one.reason.value, message=one.message)
                for one in conditions
            ),
            grants=self._changes((grant.user, grant.reason) for grant in item.grants),
            revocations=self._changes((one.access.user, one.reason) for one in item.revocations),
            held=tuple(
                HeldChange(user=held.user, reason=held.reason, hold=held.hold.id, email=self._email(held.user))
                for held in sorted(item.held, key=lambda held: (held.user, held.reason))
            ),
            suppressed=Suppressed(grants=item.suppressed_grants, revocations=item.suppressed_revocations),
            adoptions=len(item.adoptions),
            pending=item.difference.pending,
            ambiguous=item.difference.ambiguous,
            denied=len(item.difference.denied) or None,
            provisioning=_provisioning(item),
            contested=item.contested or None,
        )

    def _changes(self, changes: Iterable[tuple[UserId, str]]) -> tuple[Change, ...]:
        return tuple(Change(user=user, reason=reason, email=self._email(user)) for user, reason in sorted(changes))

    def _email(self, user: UserId) -> str | None:
        row = self._users.get(user)
        return row.email.reveal() if row is not None and row.email is not None else None


def _provisioning(item: DomainPlan) -> Literal["create", "update"] | None:
    """What the mail application is asked to do about a domain before anything else."""
    found = founding(item)
    if found is None or found.due is None:
        return None
    return "create" if found.due.creates else "update"


def _counts(domains: Sequence[Domain]) -> Counts:
    return Counts(
        domains=len(domains),
        grants=sum(len(domain.grants) for domain in domains),
        revocations=sum(len(domain.revocations) for domain in domains),
        adoptions=sum(domain.adoptions for domain in domains),
        held=sum(len(domain.held) for domain in domains),
        pending=sum(domain.pending for domain in domains),
        ambiguous=sum(domain.ambiguous for domain in domains),
    )


def _hold(hold: Hold) -> ShownHold:
    return ShownHold(id=hold.id, scope=str(hold.scope), limit=hold.limit, count=hold.count)


def _hold_order(hold: Hold) -> tuple[str, str, str]:
    return str(hold.scope), hold.limit, hold.id


def _source(source: "SourceReport") -> ShownSource:
    return ShownSource(
        namespace=source.key.namespace,
        name=source.key.name,
        users=Users(**asdict(source.health.tally)),
        requests=source.requests,
    )

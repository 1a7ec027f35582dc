"""What is said about a resource? The Ready table of the design as one function a kind (kstatus)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.planning.facts import Hold
from controller.planning.founding import founding
from controller.planning.guard import LIMIT_REASONS, kind_of
from controller.planning.health import SourceHealth
from controller.planning.plan import DomainPlan
from controller.resources.conditions import Condition, ConditionType, Reason, Truth
from controller.resources.maildomain import Mode

_STALLING = frozenset(
    {
        Reason.NOT_AUTHORIZED,
        Reason.DOMAIN_CLAIM_CONFLICT,
        Reason.FOREIGN_OWNER,
        Reason.SCHEMA_UNKNOWN,
        Reason.MIGRATION_NEEDED,
        Reason.INVALID_SPEC,
        Reason.NON_CONVERGENT,
        Reason.FEATURE_DISABLED,
        Reason.DOMAIN_AMBIGUOUS,
        Reason.DOMAIN_ALIAS,
    }
)


_REASONS: Mapping[Any, Reason] = {reason.value: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Ready:
    """One line of the Ready table. `status` None leaves Ready as it was."""

    status: Truth | None
    reason: Reason


def domain_conditions(
    domain: DomainPlan,
    sources: Mapping[Any, SourceHealth],
    *,
    before: Iterable[Mapping[str, Any]] = (),
    carried_out: bool = True,
    rows_removed: bool = False,
    trouble: Reason | None = None,
) -> tuple[Condition, ...]:
    """Write the conditions of one MailDomain.

    `before` are its present conditions, for situations that leave Ready unchanged. `carried_out` tells whether the
    plan's changes are in the database now; a plan that is only shown leaves them to be made. `rows_removed` tells that
    somebody else removed rows lately, though they are back; `trouble` is why the domain could not be created.
    """
    health = [sources[key] for key in domain.standing.sources]
    ready = _ready(domain, health, carried_out=carried_out)
    held = next((item.hold for item in domain.held), None)
    return (
        _unchanged_or(ready, before),
        _reconciling(domain, ready),
        _stalled(ready.reason),
        _flag(ConditionType.FRESH, ready.reason is not Reason.SOURCE_STALE, Reason.FRESH, Reason.SOURCE_STALE),
        _drifted(domain, carried_out=carried_out, rows_removed=rows_removed or domain.restored > 0),
        held_condition(held, domain.halted),
        *_provisioned(domain, trouble),
    )


def _provisioned(domain: DomainPlan, trouble: Reason | None) -> Iterator[Condition]:
    """Say how a domain that is to be created stands; nothing about those that are only waited for."""
    found = founding(domain)
    if found is None:
        return
    if found.order is not None:
        reason = Reason.SUPPRESSED_BY_MODE if found.suppressed else trouble or Reason.CHANGES_PENDING
    else:
        reason = Reason.ATTRIBUTES_CONFLICT if found.conflict else Reason.PROVISIONED
    yield _flag(ConditionType.PROVISIONED, reason is Reason.PROVISIONED, Reason.PROVISIONED, reason)


def stalled_conditions(reason: Reason) -> tuple[Condition, ...]:
    """Write the conditions of a resource of either kind that can't be worked on at all."""
    return (
        Condition(ConditionType.READY, "False", reason),
        Condition(ConditionType.RECONCILING, "False", reason),
        Condition(ConditionType.STALLED, "True", reason),
    )


def interrupted_conditions(reason: Reason) -> tuple[Condition, ...]:
    """Write what is said of a resource of either kind while something that all of them need is away."""
    return (
        Condition(ConditionType.READY, "Unknown", reason),
        Condition(ConditionType.RECONCILING, "True", reason),
        Condition(ConditionType.STALLED, "False", Reason.RECONCILED),
    )


def source_conditions(
    health: SourceHealth,
    *,
    suspended: bool,
    hold: Hold | None,
    frozen: bool = False,
    too_slow: bool = False,
    before: Iterable[Mapping[str, Any]] = (),
) -> tuple[Condition, ...]:
    """Write the conditions of one EntitlementSource."""
    ready = _source_ready(health, suspended=suspended, hold=hold)
    if suspended:
        progress = Condition(ConditionType.RECONCILING, "False", Reason.SUSPENDED)
    elif frozen:
        progress = Condition(ConditionType.RECONCILING, "False", Reason.FROZEN)
    elif health.gathering:
        progress = Condition(ConditionType.RECONCILING, "True", Reason.PROGRESSING)
    else:
        progress = Condition(
            ConditionType.RECONCILING, "False", Reason.RATES_TOO_LOW if too_slow else Reason.RECONCILED
        )
    reachable = _flag(
        ConditionType.REACHABLE, health.trouble is None, Reason.ANSWERING, health.trouble or Reason.ANSWERING
    )
    if health.trouble is None and not health.tally.asked:
        reachable = Condition(ConditionType.REACHABLE, "Unknown", Reason.PROGRESSING)
    held = held_condition(hold, Reason.CANARY_WRONG if health.canary_wrong else None)
    return (_unchanged_or(ready, before), progress, _stalled(ready.reason), reachable, held)


def held_condition(hold: Hold | None, halted: Reason | None = None) -> Condition:
    """Say whether revocations are halted, which no approval helps, or something waits for approval, and why."""
    if halted is not None:
        return Condition(ConditionType.REVOCATIONS_HELD, "True", halted)
    if hold is None:
        return Condition(ConditionType.REVOCATIONS_HELD, "False", Reason.WITHIN_LIMITS)
    return Condition(ConditionType.REVOCATIONS_HELD, "True", LIMIT_REASONS[kind_of(hold)])


def _ready(domain: DomainPlan, health: list[SourceHealth], *, carried_out: bool) -> Ready:
    refusal = domain.standing.refusal or domain.difference.located.missing
    if refusal is not None:
        return Ready("False", refusal)
    if domain.suspended:
        return Ready(None, domain.suspended)
    if domain.standing.curtailed:
        return Ready("False", Reason.FEATURE_DISABLED)
    if domain.mode is Mode.WITHDRAW:
        return _withdrawn(domain, carried_out=carried_out)
    if any(source.stale for source in health):
        return Ready("Unknown", Reason.SOURCE_STALE)
    if any(source.gathering for source in health):
        return Ready(None, Reason.PROGRESSING)
    return _outcome(domain, carried_out=carried_out)


def _outcome(domain: DomainPlan, *, carried_out: bool) -> Ready:
    """Where everything that a decision needs is there: what it came to."""
    if domain.waits:
        return Ready("False", Reason.REVOCATIONS_HELD)
    if not carried_out and (domain.grants or domain.revocations or domain.adoptions):
        return Ready(None, Reason.CHANGES_PENDING)
    if domain.suspected:
        return Ready(None, Reason.SUSPECTED)
    if domain.contested:
        return Ready("False", Reason.CONTESTED)
    return Ready("True", Reason.OBSERVING if domain.suppressed else Reason.IN_SYNC)


def _withdrawn(domain: DomainPlan, *, carried_out: bool) -> Ready:
    """Giving a domain up asks no source, so none can be in its way."""
    if domain.held:
        return Ready("False", Reason.REVOCATIONS_HELD)
    if not carried_out and domain.revocations:
        return Ready(None, Reason.CHANGES_PENDING)
    return Ready("True", Reason.WITHDRAWN)


def _source_ready(health: SourceHealth, *, suspended: bool, hold: Hold | None) -> Ready:
    if suspended:
        return Ready(None, Reason.SUSPENDED)
    if health.trouble is not None:
        return Ready("False", health.trouble)
    if hold is not None or health.canary_wrong:
        return Ready("False", Reason.REVOCATIONS_HELD)
    if health.gathering:
        return Ready(None, Reason.PROGRESSING)
    return Ready("Unknown", Reason.SOURCE_STALE) if health.stale else Ready("True", Reason.ANSWERING)


def _unchanged_or(ready: Ready, before: Iterable[Mapping[str, Any]]) -> Condition:
    if ready.status is not None:
        return Condition(ConditionType.READY, ready.status, ready.reason)
    known = next((condition for condition in before if condition.get("type") == ConditionType.READY), {})
    reason = _REASONS.get(known.get("reason"))
    if reason is None:
        return Condition(ConditionType.READY, "Unknown", ready.reason)
    return Condition(ConditionType.READY, known["status"], reason)


def _reconciling(domain: DomainPlan, ready: Ready) -> Condition:
    if ready.reason in (Reason.DOMAIN_MISSING, Reason.SOURCE_NOT_FOUND):
        return Condition(ConditionType.RECONCILING, "True", ready.reason)
    if ready.status is None and not domain.suspended:
        return Condition(ConditionType.RECONCILING, "True", ready.reason)
    return Condition(ConditionType.RECONCILING, "False", domain.suspended or Reason.RECONCILED)


def _stalled(reason: Reason) -> Condition:
    stalls = reason in _STALLING
    return Condition(ConditionType.STALLED, "True" if stalls else "False", reason if stalls else Reason.RECONCILED)


def _drifted(domain: DomainPlan, *, carried_out: bool, rows_removed: bool) -> Condition:
    if domain.suppressed:
        return Condition(ConditionType.DRIFTED, "True", Reason.SUPPRESSED_BY_MODE)
    if domain.suspected or domain.held:
        return Condition(
            ConditionType.DRIFTED, "True", Reason.SUSPECTED if domain.suspected else Reason.REVOCATIONS_HELD
        )
    if rows_removed:
        return Condition(ConditionType.DRIFTED, "True", Reason.ROWS_REMOVED)
    if not carried_out and (domain.grants or domain.revocations):
        return Condition(ConditionType.DRIFTED, "True", Reason.CHANGES_PENDING)
    if domain.contested:
        return Condition(ConditionType.DRIFTED, "True", Reason.CONTESTED)
    return Condition(ConditionType.DRIFTED, "False", Reason.NO_DRIFT)


def _flag(kind: ConditionType, holds: bool, good: Reason, bad: Reason) -> Condition:  # noqa: FBT001  # the fact itself
    return Condition(kind, "True" if holds else "False", good if holds else bad)

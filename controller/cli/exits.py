"""Which exit code does a run end with? They never overlap; the most serious finding wins (DESIGN section 7)."""

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from controller.errors import ControllerError, InvalidInput
from controller.resources.conditions import Reason

if TYPE_CHECKING:
    from controller.engine.once import Outcome
    from controller.permissions.effects import Effect
    from controller.planning.plan import DomainPlan
    from controller.resources.names import ResourceKey


class Exit(IntEnum):
    """What a caller can tell from the exit code."""

    DONE = 0
    """Nothing to do, or `apply` did everything that the modes allow. Adoptions alone are this too."""
    USAGE = 2
    """The command line or the environment can't be used."""
    GRANTS = 3
    """The plan has grants only."""
    DENIED = 3
    """`review`: the answer is no."""
    REVOCATIONS = 4
    """The plan has revocations."""
    HELD = 5
    """Something waits for approval."""
    INVALID = 6
    """A document can't be used; nothing was written."""
    UNAVAILABLE = 7
    """A source or the database can't be used now; what could be done was done."""
    INTERRUPTED = 130
    """Ctrl-C."""


_BY_SERIOUSNESS = (Exit.INVALID, Exit.USAGE, Exit.UNAVAILABLE, Exit.HELD, Exit.REVOCATIONS, Exit.GRANTS)

OUTSIDE_OF_DOCUMENTS = ("environment", "command line", "database URL")
"""Where problems lie that are a matter of usage."""


def most_serious(findings: Collection[Exit]) -> Exit:
    """The one code for everything that a run found."""
    return next((code for code in _BY_SERIOUSNESS if code in findings), Exit.DONE)


def of_plan(outcome: "Outcome") -> Exit:
    """The code of `plan`: what it would do, what it would hold, and whom it could not ask."""
    domains = outcome.plan.domains
    effects = [effect for each in _effects(outcome).values() for effect in each.values()]
    findings = {
        Exit.GRANTS: any(domain.grants or _founds(domain) for domain in domains) or any(one.gains for one in effects),
        Exit.REVOCATIONS: any(domain.revocations for domain in domains) or any(one.loses for one in effects),
        Exit.HELD: any(domain.waits for domain in domains) or bool(outcome.services and outcome.services.holds),
        Exit.UNAVAILABLE: sources_failed(outcome) or bool(outcome.troubles),
    }
    return most_serious({code for code, found in findings.items() if found})


def of_result(outcome: "Outcome") -> Exit:
    """The code of `apply`: what it carried out is no finding any more."""
    code = of_plan(outcome)
    return Exit.DONE if code in (Exit.GRANTS, Exit.REVOCATIONS) else code


def _effects(outcome: "Outcome") -> "Mapping[ResourceKey, Mapping[str, Effect]]":
    """Who gains or loses a service counts as much as who becomes an administrator, or is one no more."""
    return outcome.services.effects if outcome.services is not None else {}


def _founds(domain: "DomainPlan") -> bool:
    """Whether the mail application would be asked to create or change the domain, which takes nothing from anybody."""
    from controller.planning.founding import founding  # noqa: PLC0415  # as the outcome itself

    found = founding(domain)
    return found is not None and found.due is not None


def sources_failed(outcome: "Outcome") -> bool:
    """Whether a source that is referenced is not there or could not be asked. Single users are only counted."""
    missing = any(domain.standing.refusal is Reason.SOURCE_NOT_FOUND for domain in outcome.plan.domains)
    accounts = outcome.services.accounts if outcome.services is not None else ()
    failed = (source.health.failed for source in outcome.sources)
    return missing or any(failed) or any(account.trouble is not None for account in accounts)


def of_error(error: ControllerError) -> Exit:
    """The code of an error that ended the run."""
    if not isinstance(error, InvalidInput):
        return Exit.UNAVAILABLE
    outside = all(problem.where in OUTSIDE_OF_DOCUMENTS for problem in error.problems)
    return Exit.USAGE if outside else Exit.INVALID

"""Who may open what? One function for rows, for the HTTP API and for the command line: the rules of C2, in their order.

A missing domain or an empty service id is an error, never a no. An empty list never means everything. Listing services
and opening one are the same call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Literal

from controller.errors import InvalidInput, Problem, Unavailable
from controller.permissions.census import Census, Person
from controller.permissions.decisions import Decision, decide
from controller.permissions.impersonation import may_act_as
from controller.permissions.realm import Realm, Usable
from controller.permissions.reasons import AccessReason, Gate
from controller.permissions.standing import Standing, standing
from controller.resources.names import DomainName, Email, canonical_domain
from controller.resources.serviceaccess import ImpersonationMode


class Every(Enum):
    """Instead of one service: all that the domain lists."""

    SERVICE = "every service"


EVERY: Final = Every.SERVICE


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. None and empty texts are errors, except that nobody need be acted as."""

    domain: str | None
    actor: str | None
    """The e-mail of the one who asks."""
    acting_as: str | None = None
    """The e-mail of the one whom the actor acts as; None for nobody."""
    service: str | Literal[Every.SERVICE] | None = EVERY


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. A gate that is shut shuts everything, acting as somebody included (B-17)."""

    gate: Gate
    reason: AccessReason
    services: tuple[Decision, ...]
    """By name: what the actor may open, or, acting as somebody, what then."""
    actor: Person | None = None
    subject: Person | None = None
    """Whom the actor acts as. Set only where that is granted."""
    advisory: bool = False
    """Whether the domain is only audited: a no keeps nobody out yet."""

    @property
    def known(self) -> bool:
        """Whether nothing of the answer waits for a source."""
        return self.reason is not AccessReason.STALE and all(each.allowed is not None for each in self.services)


class NotKnown(Unavailable):
    """The question can't be answered now: the e-mail means more than one active user."""


# --- one question -----------------------------------------------------------------------------------------------------


def resolve(realms: Mapping[DomainName, Realm], census: Census, question: Question) -> Verdict:
    """Answer one question. Raises `InvalidInput` for one that makes no sense, and `NotKnown`."""
    realm = _realm(realms, question.domain)
    return replace(_answer(realm, census, question), advisory=realm.advisory)


def _answer(realm: Realm, census: Census, question: Question) -> Verdict:
    services = _services(realm, question.service)
    actor = _person(census, question.actor, "user")
    subject = actor if question.acting_as is None else _person(census, question.acting_as, "actingAs")
    if actor is None:
        return _shut(services, AccessReason.NOT_MEMBER)
    if not actor.active or (subject is not None and not subject.active):
        return _shut(services, AccessReason.USER_INACTIVE, actor)
    own = standing(realm, census, actor)
    if (shut := _gate(realm, own)) is not None:
        if subject is actor:
            return Verdict(Gate.FORBIDDEN, shut, _decisions(realm, census, actor, services), actor)
        return _shut(services, shut, actor)
    if subject is actor:
        return Verdict(Gate.ALLOWED, own.grants, _decisions(realm, census, actor, services), actor)
    if subject is None or not may_act_as(realm, census, actor, subject):
        return _shut(services, AccessReason.IMPERSONATION_DENIED, actor)
    decisions = _decisions(realm, census, subject, services)
    if realm.impersonation is ImpersonationMode.INTERSECTION:
        decisions = tuple(map(_both, _decisions(realm, census, actor, services), decisions))
    return Verdict(Gate.ALLOWED, own.grants, decisions, actor, subject)


def _realm(realms: Mapping[DomainName, Realm], domain: str | None) -> Realm:
    if not domain:
        raise _invalid("domain", "is missing", "name the mail domain")
    realm = realms.get(canonical_domain(domain) or DomainName(""))
    if realm is None:
        raise _invalid("domain", "is declared by no MailDomain with serviceAccess", "declare it, or correct the name")
    return realm


def _services(realm: Realm, service: str | Literal[Every.SERVICE] | None) -> tuple[str, ...]:
    if service is EVERY:
        return tuple(realm.services)
    if not service:
        raise _invalid("service", "is empty", "name a CatalogService, or leave it out to ask about all of them")
    return (service,)


def _person(census: Census, email: str | None, field: str) -> Person | None:
    if not email or "@" not in email:
        raise _invalid(field, "is no e-mail" if email else "is missing", "write the e-mail of a user")
    found = census.named(Email(email).key)
    if len(found) > 1 and found[0].active:
        raise NotKnown("more than one active user has that e-mail: nobody can say which one is meant")
    return found[0] if found else None


def _invalid(path: str, found: str, remedy: str) -> InvalidInput:
    return InvalidInput(Problem("question", path, found, remedy))


def _gate(realm: Realm, own: Standing) -> AccessReason | None:
    """Why the gate is shut for somebody with this standing, or None: it takes one usable service (B-17, B-18)."""
    covered = {usable for name, usable in realm.services.items() if own.covers(name)}
    if Usable.YES in covered:
        return None
    if own.refuses is AccessReason.NOT_MEMBER:
        return AccessReason.NOT_MEMBER
    return AccessReason.STALE if Usable.UNKNOWN in covered else AccessReason.ACTOR_HAS_NO_SERVICE


def _shut(services: tuple[str, ...], reason: AccessReason, actor: Person | None = None) -> Verdict:
    allowed = None if reason is AccessReason.STALE else False
    return Verdict(Gate.FORBIDDEN, reason, tuple(Decision(name, allowed, reason) for name in services), actor)


def _both(actor: Decision, subject: Decision) -> Decision:
    """What both may open: the first no decides, else what is not known."""
    refusals = [each for each in (subject, actor) if each.allowed is False]
    unknown = [each for each in (subject, actor) if each.allowed is None]
    return next(iter((*refusals, *unknown)), subject)


def _decisions(realm: Realm, census: Census, person: Person, services: tuple[str, ...]) -> tuple[Decision, ...]:
    return decide(realm, standing(realm, census, person), person.key, services)

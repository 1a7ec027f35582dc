"""Who is asked about, and with what? Subjects made from the snapshot: e-mail as stored, claims, sirets (D17)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import Snapshot, Subject, UserId
from controller.planning.identity import askable
from controller.planning.standing import Standing
from controller.resources.names import DomainName, Email
from controller.resources.source import Canary

_CANARY = "canary/"
MAX_SIRETS = 4
"""Sirets of a user's domains that are tried at most, after pivots and claims."""


def canary_id(place: int) -> UserId:
    """Who the canary at this place of the list is asked about as. No user has such an id."""
    return UserId(f"{_CANARY}{place}")


def is_canary(user: UserId) -> bool:
    """Whether this is nobody of the mail database, but a canary."""
    return user.startswith(_CANARY)


@dataclass(frozen=True, slots=True)
class Directory:
    """Everybody who can be asked about."""

    snapshot: Snapshot
    sirets: Mapping[DomainName, str]
    """Whose domain each one is: the declared siret, else the stored `custom_attributes.siret`."""
    administered: Mapping[UserId, tuple[DomainName, ...]]
    """The declared domains on which somebody is an administrator."""

    def subject(self, user: UserId) -> Subject | None:
        """One user as a source needs to know them, or None when nobody can ask about them (D24, A-51)."""
        row = self.snapshot.users.get(user)
        if row is None or not askable(row) or row.email is None:
            return None
        return Subject(user, row.email, row.claims, self._sirets(row.email, self.administered.get(user, ())))

    def subjects(self, users: Iterable[UserId]) -> Iterable[Subject]:
        """Those of these users who can be asked about, lazily."""
        return (subject for user in users if (subject := self.subject(user)) is not None)

    def canaries(self, canaries: Iterable[Canary]) -> tuple[Subject, ...]:
        """The canaries of a source, in their order, asked about as users of their domains would be."""
        return tuple(
            Subject(canary_id(place), item.email, {}, self._sirets(item.email, map(DomainName, item.domains)))
            for place, item in enumerate(canaries)
        )

    def _sirets(self, email: Email, administered: Iterable[DomainName]) -> tuple[str, ...]:
        domains = (*((email.domain,) if email.domain else ()), *administered)
        return tuple(dict.fromkeys(self.sirets[domain] for domain in domains if domain in self.sirets))[:MAX_SIRETS]


def directory(snapshot: Snapshot, standings: Sequence[Standing]) -> Directory:
    """Index the sirets of all domains and the domains of each administrator."""
    sirets: dict[DomainName, str] = {}
    located = locate(snapshot.domains)
    for name, place in located.items():
        if place.row is not None and place.row.siret:
            sirets[name] = place.row.siret
    administered: dict[UserId, list[DomainName]] = defaultdict(list)
    for standing in standings:
        domain = standing.resource.domain
        if standing.resource.spec.organization is not None:
            sirets[domain] = standing.resource.spec.organization.siret
        row = located.get(domain, NOWHERE).row
        if row is not None:
            for access in snapshot.accesses.get(row.id, ()):
                if access.admin:
                    administered[access.user].append(domain)
    return Directory(snapshot, sirets, {user: tuple(domains) for user, domains in administered.items()})

"""What may somebody open in one domain, as far as it depends on them? Roles, ADMIN rows, membership."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from controller.permissions.census import Census, Person
from controller.permissions.realm import Realm
from controller.permissions.reasons import AccessReason
from controller.permissions.roles import Role
from controller.resources.role import Choice
from controller.resources.serviceaccess import SuperuserAccess, UnassignedMembers

NOTHING: frozenset[str] = frozenset()


class Place(NamedTuple):
    """What a standing depends on. Most members of a domain have the same."""

    superuser: bool
    admin: bool
    ambiguous: bool
    """Roles give somebody nothing whose e-mail another active user has as well (invariant 7)."""
    native: bool
    """Whether the e-mail is of the domain."""
    held: tuple[str, ...]
    """The names of the roles that bindings give."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Which services somebody's rights cover, and the reasons to give."""

    mode: Choice
    services: frozenset[str]
    grants: AccessReason
    """Why a service that is covered may be opened."""
    refuses: AccessReason
    """Why one that is not covered may not."""
    restrictable: bool = True
    """Whether ServiceGroupRestrictions apply: not to administrators, nor to superusers."""

    def covers(self, service: str) -> bool:
        """Tell whether the rights cover a service. An empty list covers nothing."""
        return self.mode is Choice.ALL or service in self.services


def place_of(realm: Realm, census: Census, person: Person) -> Place:
    """Look somebody up in one domain."""
    return Place(
        superuser=person.superuser,
        admin=person.id in census.admins_of(realm.domain),
        ambiguous=person.id in census.ambiguous,
        native=person.email is not None and person.email.domain == realm.domain,
        held=realm.held.get(person.key, ()),
    )


def standing_of(realm: Realm, place: Place) -> Standing:
    """The level of C2: superusers, administrators, the union of roles, the default for members without one."""
    if place.superuser and realm.superusers is SuperuserAccess.ALL:
        return _everything(AccessReason.SUPERUSER, restrictable=False)
    if place.admin:
        return _everything(AccessReason.DOMAIN_ADMIN, restrictable=False)
    if place.ambiguous:
        return _nothing(AccessReason.NO_ROLE)
    if place.held:
        return _united(realm, place.held)
    return _unassigned(realm) if place.native else _nothing(AccessReason.NOT_MEMBER)


def standing(realm: Realm, census: Census, person: Person) -> Standing:
    """The standing of one person."""
    return standing_of(realm, place_of(realm, census, person))


def members(realm: Realm, census: Census) -> Iterator[Person]:
    """Everybody active whose e-mail is of the domain, whom a binding names, or who has an ADMIN row; each once."""
    natives = census.by_domain.get(realm.domain, ())
    bound = (person for key in realm.held for person in census.by_key.get(key, ()))
    admins = (census.people[person_id] for person_id in census.admins_of(realm.domain) if person_id in census.people)
    found = {person.id: person for some in (natives, bound, admins) for person in some if person.active}
    yield from found.values()


def is_member(realm: Realm, census: Census, person: Person) -> bool:
    """Whether somebody active is a member of the domain."""
    place = place_of(realm, census, person)
    return person.active and (place.native or place.admin or bool(place.held))


def _united(realm: Realm, held: tuple[str, ...]) -> Standing:
    """All that the roles cover together. One that does not exist gives nothing, and no default steps in (B-11)."""
    roles = [realm.roles[name] for name in held if name in realm.roles]
    if not roles:
        return _nothing(AccessReason.NO_ROLE)
    if any(role.mode is Choice.ALL for role in roles):
        return _everything(AccessReason.ROLE_ALL)
    return _listed(roles, AccessReason.ROLE_SELECTED)


def _unassigned(realm: Realm) -> Standing:
    """What members without a binding have: evaluated here and nowhere else (B-12)."""
    if realm.unassigned is UnassignedMembers.ALLOW_ALL:
        return _everything(AccessReason.UNASSIGNED_ALLOWED)
    role = realm.roles.get(realm.default_role or "")
    if role is None:
        return _nothing(AccessReason.NO_ROLE)
    if role.mode is Choice.ALL:
        return _everything(AccessReason.DEFAULT_ROLE)
    return _listed([role], AccessReason.DEFAULT_ROLE)


def _everything(grants: AccessReason, *, restrictable: bool = True) -> Standing:
    return Standing(Choice.ALL, NOTHING, grants, AccessReason.NOT_SELECTED, restrictable)


def _nothing(refuses: AccessReason) -> Standing:
    return Standing(Choice.NONE, NOTHING, refuses, refuses)


def _listed(roles: list[Role], grants: AccessReason) -> Standing:
    services = NOTHING.union(*(role.services for role in roles if role.mode is Choice.SELECTED))
    if not services:
        return _nothing(AccessReason.ROLE_NONE)
    return Standing(Choice.SELECTED, services, grants, AccessReason.NOT_SELECTED)

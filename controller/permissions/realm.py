"""What holds in one domain? Services, roles, who holds them and what narrows them, ready to be asked.

Compiled once from what is declared and from what is known of subscriptions; it knows no user of the mail database.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from controller.permissions.links import Links, bring_roles
from controller.permissions.roles import Groups, Roles, compiled_groups, compiled_roles, keys_of
from controller.resources.catalogservice import CatalogService
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain, Mode
from controller.resources.names import DomainName, ResourceKey
from controller.resources.restriction import ServiceGroupRestriction
from controller.resources.rolebinding import MailDomainRoleBinding
from controller.resources.serviceaccess import (
    DomainServiceAccess,
    Enforcement,
    ImpersonationMode,
    LegacyGroupRestrictions,
    SuperuserAccess,
    UnassignedMembers,
)

Subscribed = Mapping[tuple[ResourceKey, str], bool]
"""Whether the organization of a MailDomain has an active subscription to a service; absent = not known."""


class Usable(StrEnum):
    """Whether anybody of a domain may open a service."""

    YES = "Yes"
    INACTIVE = "Inactive"
    NOT_SUBSCRIBED = "NotSubscribed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Restriction:
    """One ServiceGroupRestriction that is applied: who may open each service that has a row."""

    key: ResourceKey
    open_to: Mapping[str, frozenset[str]]
    """E-mail keys by service. A service that is not in it is closed."""
    last: frozenset[str]
    """Those of the last row."""

    def closes(self, service: str, key: str) -> bool:
        """Whether it keeps somebody from a service: the row of that service has to hold them, and no other (B-32)."""
        return key not in self.open_to.get(service, ())

    def closed_once(self, service: str, key: str) -> bool:
        """The same as it was read before: for a service without a row the last row decided (B-32)."""
        return key not in self.open_to.get(service, self.last)


@dataclass(frozen=True, slots=True)
class Realm:
    """One domain with its services, roles and holders."""

    key: ResourceKey
    """The MailDomain that declares it."""
    domain: DomainName
    services: Mapping[str, Usable]
    """The services that the domain lists, by name (B-26)."""
    roles: Roles
    """Every role that a binding of this domain may name, those of links included."""
    held: Mapping[str, tuple[str, ...]]
    """The names of the roles that bindings give, by e-mail key; also of roles that do not exist."""
    default_role: str | None
    unassigned: UnassignedMembers
    superusers: SuperuserAccess
    impersonation: ImpersonationMode | None
    restrictions: tuple[Restriction, ...]
    """Those that are applied: none while the deprecated switch is off (B-34)."""
    advisory: bool
    """Whether it is only audited, or observed: what is decided keeps nobody out."""


@dataclass(frozen=True, slots=True)
class Court:
    """Every domain that decides on services, and what came of the links between them."""

    realms: Mapping[DomainName, Realm]
    links: Links


def convene(domains: Iterable[MailDomain], charter: Charter, subscribed: Subscribed) -> Court:
    """Compile everything that is declared. Each name stands once in `domains`; one without `serviceAccess` is left out.

    Links are resolved here, in memory: no object is written, and what an upstream says now holds now (C7).
    """
    known = {domain.key: domain for domain in domains}
    deciding = {key: domain.spec.service_access for key, domain in known.items() if domain.spec.service_access}
    groups = compiled_groups(charter.groups)
    catalog = {service.id: service for service in charter.services}
    links = bring_roles(deciding, charter, compiled_roles(charter.roles, groups))
    bindings, restrictions = _by_domain(charter.bindings), _by_domain(charter.restrictions)
    realms = (
        Realm(
            key=key,
            domain=known[key].domain,
            services=_services(key, access, catalog, subscribed),
            roles=links.roles[key],
            held=_held(bindings.get(key, ()), groups),
            default_role=access.default_role_ref.name if access.default_role_ref else None,
            unassigned=access.unassigned_members,
            superusers=access.superuser_access,
            impersonation=access.impersonation_mode,
            restrictions=_applied(access, restrictions.get(key, ()), groups),
            advisory=known[key].spec.mode is Mode.OBSERVE or access.enforcement is Enforcement.AUDIT,
        )
        for key, access in deciding.items()
    )
    return Court({realm.domain: realm for realm in realms}, links)


AboutDomain = TypeVar("AboutDomain", MailDomainRoleBinding, ServiceGroupRestriction)


def _by_domain(objects: Iterable[AboutDomain]) -> Mapping[ResourceKey, list[AboutDomain]]:
    found: dict[ResourceKey, list[AboutDomain]] = defaultdict(list)
    for item in objects:
        found[item.domain_key].append(item)
    return found


def _services(
    key: ResourceKey, access: DomainServiceAccess, catalog: Mapping[str, CatalogService], subscribed: Subscribed
) -> Mapping[str, Usable]:
    names = sorted({service.name for service in access.services})
    return {name: _usable(key, catalog.get(name), subscribed) for name in names}


def _usable(key: ResourceKey, service: CatalogService | None, subscribed: Subscribed) -> Usable:
    if service is None or not service.spec.active:
        return Usable.INACTIVE
    if service.spec.subscription is None:
        return Usable.YES
    known = subscribed.get((key, service.id))
    if known is None:
        return Usable.UNKNOWN
    return Usable.YES if known else Usable.NOT_SUBSCRIBED


def _held(bindings: Iterable[MailDomainRoleBinding], groups: Groups) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for binding in bindings:
        for subject in binding.spec.subjects:
            for key in keys_of(subject, binding.metadata.namespace, groups):
                found[key].add(binding.spec.role_ref.name)
    # One tuple for all who hold the same.
    same: dict[tuple[str, ...], tuple[str, ...]] = {}
    return {key: same.setdefault(names, names) for key, roles in found.items() for names in (tuple(sorted(roles)),)}


def _applied(
    access: DomainServiceAccess, restrictions: Iterable[ServiceGroupRestriction], groups: Groups
) -> tuple[Restriction, ...]:
    if access.legacy_group_restrictions is LegacyGroupRestrictions.DISABLED:
        return ()
    return tuple(_restriction(declared, groups) for declared in restrictions if declared.spec.restrict)


def _restriction(declared: ServiceGroupRestriction, groups: Groups) -> Restriction:
    namespace = declared.metadata.namespace
    rows = declared.spec.groups
    members = {row.service: groups.get(ResourceKey(namespace, row.group), frozenset()) for row in rows}
    return Restriction(declared.key, members, members[rows[-1].service] if rows else frozenset())

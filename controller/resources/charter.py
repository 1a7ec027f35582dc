"""What is declared about who may open what? Everything beside the MailDomains, and what of it contradicts itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.errors import Problem
from controller.resources.catalogservice import CatalogService
from controller.resources.group import MailDomainGroup
from controller.resources.link import MailDomainLink
from controller.resources.maildomain import MailDomain
from controller.resources.names import ResourceKey
from controller.resources.restriction import ServiceGroupRestriction
from controller.resources.role import MailDomainRole
from controller.resources.rolebinding import MailDomainRoleBinding
from controller.resources.serviceaccess import LegacyGroupRestrictions

ServiceKind = (
    CatalogService | MailDomainRole | MailDomainRoleBinding | MailDomainGroup | MailDomainLink | ServiceGroupRestriction
)
"""An object of one of the kinds that a charter holds."""


@dataclass(frozen=True, slots=True)
class Charter:
    """Objects of the kinds that decide on services, in the order in which they were read."""

    services: tuple[CatalogService, ...] = ()
    roles: tuple[MailDomainRole, ...] = ()
    bindings: tuple[MailDomainRoleBinding, ...] = ()
    groups: tuple[MailDomainGroup, ...] = ()
    links: tuple[MailDomainLink, ...] = ()
    restrictions: tuple[ServiceGroupRestriction, ...] = ()

    @classmethod
    def of(cls, objects: Iterable[object]) -> "Charter":
        """Sort objects by kind; those of other kinds are left out."""
        found = list(objects)
        return cls(
            services=tuple(item for item in found if isinstance(item, CatalogService)),
            roles=tuple(item for item in found if isinstance(item, MailDomainRole)),
            bindings=tuple(item for item in found if isinstance(item, MailDomainRoleBinding)),
            groups=tuple(item for item in found if isinstance(item, MailDomainGroup)),
            links=tuple(item for item in found if isinstance(item, MailDomainLink)),
            restrictions=tuple(item for item in found if isinstance(item, ServiceGroupRestriction)),
        )


def contradictions(domains: Iterable[MailDomain], charter: Charter) -> Iterator[Problem]:
    """What two objects say against each other.

    A role that impersonates needs the domain's word on what that means; a restriction needs the deprecated switch.
    """
    known = {domain.key: domain for domain in domains}
    yield from _modes_missing(known, charter)
    for restriction in charter.restrictions:
        domain = known.get(restriction.domain_key)
        access = domain.spec.service_access if domain else None
        if domain and (access is None or access.legacy_group_restrictions is LegacyGroupRestrictions.DISABLED):
            found = f"is about MailDomain {domain.key}, whose legacyGroupRestrictions is Disabled"
            remedy = "delete it, and write a MailDomainRole instead"
            yield Problem(f"ServiceGroupRestriction {restriction.key}", "spec.mailDomainRef", found, remedy)


def _modes_missing(domains: Mapping[ResourceKey, MailDomain], charter: Charter) -> Iterator[Problem]:
    """One problem a domain in which somebody holds a role that impersonates, without an impersonationMode."""
    impersonating = {role.key for role in charter.roles if role.impersonates}
    held: dict[ResourceKey, ResourceKey] = {}
    for binding in charter.bindings:
        if binding.role_key in impersonating:
            held.setdefault(binding.domain_key, binding.role_key)
    for key, role in held.items():
        domain = domains.get(key)
        access = domain.spec.service_access if domain else None
        if access is not None and access.impersonation_mode is None:
            found = f"is missing, and MailDomainRole {role} lets its holders act as others"
            remedy = "write Subject (they may open what the other may) or Intersection (what both may)"
            yield Problem(f"MailDomain {key}", "spec.serviceAccess.impersonationMode", found, remedy)

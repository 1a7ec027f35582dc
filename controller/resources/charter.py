"""What is declared about who may open what? Everything beside the MailDomains, and what of it contradicts itself."""

from collections.abc import Iterable, Iterator
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

    @property
    def objects(self) -> tuple[ServiceKind, ...]:
        """All of them."""
        return (*self.services, *self.roles, *self.bindings, *self.groups, *self.links, *self.restrictions)

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

    Where somebody holds a role that lets them act as others, the domain has to say what that means.
    """
    known = {domain.key: domain for domain in domains}
    impersonating = {role.key for role in charter.roles if role.impersonates}
    held: dict[ResourceKey, ResourceKey] = {}
    for binding in charter.bindings:
        if binding.role_key in impersonating:
            held.setdefault(binding.domain_key, binding.role_key)
    for key, role in held.items():
        domain = known.get(key)
        access = domain.spec.service_access if domain else None
        if access is not None and access.impersonation_mode is None:
            found = f"is missing, and MailDomainRole {role} lets its holders act as others"
            remedy = "write Subject (they may open what the other may) or Intersection (what both may)"
            yield Problem(f"MailDomain {key}", "spec.serviceAccess.impersonationMode", found, remedy)

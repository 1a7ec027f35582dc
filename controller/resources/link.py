"""What is a MailDomainLink? Which roles of an upstream domain a domain gets, and how services are translated."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from controller.resources.model import Declared, LocalRef, Name, NameOrAll, ObjectRef, Resource
from controller.resources.names import ResourceKey


class LocalServices(StrEnum):
    """Whether the services that a following role lists itself count (B-47)."""

    KEEP = "Keep"
    DROP = "Drop"


class ConflictPolicy(StrEnum):
    """What happens to a role of the downstream that has an upstream role's name and does not follow it (B-42, B-43)."""

    REFUSE = "Refuse"
    OVERWRITE = "Overwrite"


class MatchedRoles(Declared):
    """Which roles of the upstream are brought."""

    match_names: Annotated[tuple[NameOrAll, ...], Field(min_length=1, max_length=256)] = ("*",)

    def matches(self, name: str) -> bool:
        """Tell whether a role of this name is brought."""
        return "*" in self.match_names or name in self.match_names


class Override(Declared):
    """One service of the upstream and the one of the downstream that stands for it."""

    upstream: Name
    downstream: Name


class ServiceMapping(Declared):
    """How services are translated: overrides first, then what `CatalogService.spec.upstreamRef` names."""

    by_upstream_ref: Annotated[bool, Field(strict=True)] = True
    overrides: Annotated[tuple[Override, ...], Field(max_length=256)] = ()


class MailDomainLinkSpec(Declared):
    """The spec of a MailDomainLink."""

    upstream: ObjectRef
    downstream: LocalRef
    roles: MatchedRoles = MatchedRoles()
    service_mapping: ServiceMapping = ServiceMapping()
    local_services: LocalServices = LocalServices.KEEP
    conflict_policy: ConflictPolicy = ConflictPolicy.REFUSE


class MailDomainLink(Resource):
    """One MailDomainLink. It lives with the downstream."""

    kind: Literal["MailDomainLink"]
    spec: MailDomainLinkSpec

    @property
    def upstream_key(self) -> ResourceKey:
        """The MailDomain whose roles are brought."""
        return self.spec.upstream.key

    @property
    def downstream_key(self) -> ResourceKey:
        """The MailDomain that gets them."""
        return ResourceKey(self.metadata.namespace, self.spec.downstream.name)

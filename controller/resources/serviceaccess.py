"""What does a MailDomain say about the services that its members may open?"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controller.resources.model import Declared, LocalRef, Name, NameOrAll
from controller.resources.names import ResourceKey


class Enforcement(StrEnum):
    """Whether what is computed is served."""

    AUDIT = "Audit"
    ENFORCE = "Enforce"


class UnassignedMembers(StrEnum):
    """What members without a binding may open (B-12, B-24)."""

    DEFAULT_ROLE = "DefaultRole"
    ALLOW_ALL = "AllowAll"


class ImpersonationMode(StrEnum):
    """What somebody who acts as another member may open: what that member may, or what both may."""

    SUBJECT = "Subject"
    INTERSECTION = "Intersection"


class SuperuserAccess(StrEnum):
    """Whether superusers of the mail application may open everything (B-09)."""

    ALL = "All"
    RESTRICTED = "Restricted"


class LegacyGroupRestrictions(StrEnum):
    """The deprecated switch: whether ServiceGroupRestrictions are applied at all (B-34)."""

    DISABLED = "Disabled"
    ENABLED = "Enabled"


class Downstream(Declared):
    """A MailDomain that may get roles from this one, or all of a namespace."""

    namespace: Name
    name: NameOrAll

    def admits(self, key: ResourceKey) -> bool:
        """Tell whether it names this MailDomain."""
        return self.namespace == key.namespace and self.name in ("*", key.name)


class DomainServiceAccess(Declared):
    """`spec.serviceAccess` of a MailDomain."""

    services: Annotated[tuple[LocalRef, ...], Field(min_length=1, max_length=64)]
    default_role_ref: LocalRef | None = None
    enforcement: Enforcement = Enforcement.AUDIT
    unassigned_members: UnassignedMembers = UnassignedMembers.DEFAULT_ROLE
    impersonation_mode: ImpersonationMode | None = None
    """No default: what acting as somebody means is decided on purpose."""
    superuser_access: SuperuserAccess = SuperuserAccess.ALL
    legacy_group_restrictions: LegacyGroupRestrictions = LegacyGroupRestrictions.DISABLED
    allowed_downstreams: Annotated[tuple[Downstream, ...], Field(max_length=256)] = ()

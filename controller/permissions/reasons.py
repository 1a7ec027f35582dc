"""Why may somebody open a service, or not? Every reason, with one fixed text each (C2)."""

from enum import StrEnum

from controller.resources.conditions import Explained


class Gate(StrEnum):
    """Whether the one who asks gets in at all."""

    ALLOWED = "Allowed"
    FORBIDDEN = "Forbidden"


class AccessReason(Explained):
    """Every reason of a decision or of the gate. `text` is the fixed message."""

    # allowed
    SUPERUSER = "Superuser", "Superusers of the mail application may open every service."
    DOMAIN_ADMIN = "DomainAdmin", "Administrators of the domain may open every service."
    ROLE_ALL = "RoleAll", "A role of theirs opens every service."
    ROLE_SELECTED = "RoleSelected", "A role of theirs lists the service."
    DEFAULT_ROLE = "DefaultRole", "They have no role of their own, and the default role opens the service."
    UNASSIGNED_ALLOWED = "UnassignedAllowed", "They have no role, and unassignedMembers is AllowAll."

    # denied
    NOT_MEMBER = "NotMember", "They are no member of the domain."
    NO_ROLE = "NoRole", "They have no role that exists, and no default role applies."
    ROLE_NONE = "RoleNone", "Their roles open no service."
    NOT_SELECTED = "NotSelected", "Their roles do not list the service."
    NOT_SUBSCRIBED = "NotSubscribed", "The organization has no active subscription to the service."
    SERVICE_INACTIVE = "ServiceInactive", "The service is not active, or the domain does not list it."
    LEGACY_GROUP = "LegacyGroup", "A ServiceGroupRestriction keeps them out."
    USER_INACTIVE = "UserInactive", "The user is not active."
    ACTOR_HAS_NO_SERVICE = "ActorHasNoService", "They may open no service themselves."
    IMPERSONATION_DENIED = "ImpersonationDenied", "They may not act as that user."

    # not known
    STALE = "Stale", "Whether the organization has a subscription is not known."

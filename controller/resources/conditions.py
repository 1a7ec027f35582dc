"""What can be said about a resource? Condition types, reasons with one fixed text each, and how conditions change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, Self

Truth = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """The condition types of all kinds (kstatus: Ready, Reconciling, Stalled)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    FRESH = "Fresh"
    DRIFTED = "Drifted"
    REVOCATIONS_HELD = "RevocationsHeld"
    REACHABLE = "Reachable"
    PROVISIONED = "Provisioned"
    SERVICE_ACCESS_READY = "ServiceAccessReady"
    DEPRECATED_RESTRICTION_IN_USE = "DeprecatedRestrictionInUse"
    LINK_SYNCED = "LinkSynced"
    SYNCED = "Synced"
    ALL_MAPPED = "AllMapped"


ABOUT_SERVICES = frozenset(
    {ConditionType.SERVICE_ACCESS_READY, ConditionType.DEPRECATED_RESTRICTION_IN_USE, ConditionType.LINK_SYNCED}
)
"""The conditions of a MailDomain that are about services: decided apart from those about administrators."""


class Explained(StrEnum):
    """Words that each have one fixed text."""

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        """Keep the fixed text beside the value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class Reason(Explained):
    """Every reason of a condition or an event. `text` is the fixed message: no counts, no times, no names."""

    # Ready of a MailDomain
    IN_SYNC = "InSync", "The administrators are what the sources say."
    WITHDRAWN = "Withdrawn", "Nothing of this controller is left on the domain; the MailDomain can be deleted."
    OBSERVING = "Observing", "There is a difference that the mode does not allow to carry out."
    PROGRESSING = "Progressing", "Answers are still being gathered."
    RECONCILED = "Reconciled", "Nothing is under way."
    CHANGES_PENDING = "ChangesPending", "There are changes that have not been carried out yet."
    CONTESTED = (
        "Contested",
        "Something undoes what is written here, probably the mail application at login; those accesses are left to it.",
    )
    DOMAIN_MISSING = "DomainMissing", "The mail database has no such domain yet."
    DOMAIN_AMBIGUOUS = "DomainAmbiguous", "The mail database has this domain under a name that is not canonical only."
    DOMAIN_ALIAS = "DomainAlias", "The domain is an alias of another one; aliases have no administrators of their own."
    SOURCE_STALE = "SourceStale", "Too many administrators have no answer that is young enough to decide on."
    SOURCE_NOT_FOUND = "SourceNotFound", "A source that is referenced does not exist."
    SUSPENDED = "Suspended", "Suspended: nothing is written until suspend is false."
    FROZEN = "Frozen", "Everything is frozen: nothing is written until the freeze is lifted."
    NOT_AUTHORIZED = "NotAuthorized", "A source that is referenced does not admit this namespace or this domain."
    DOMAIN_CLAIM_CONFLICT = "DomainClaimConflict", "Another MailDomain claims this domain and is older."
    FOREIGN_OWNER = "ForeignOwner", "The domain is claimed by another installation."
    SCHEMA_UNKNOWN = "SchemaUnknown", "The mail database has an unknown schema; nothing is written."
    DATABASE_UNAVAILABLE = "DatabaseUnavailable", "The mail database can't be used now; nothing is read or written."
    MIGRATION_NEEDED = "MigrationNeeded", "The controller's own tables are missing or of another version: run migrate."
    FEATURE_DISABLED = "FeatureDisabled", "A feature flag of this install does not allow what is declared by hand."
    NON_CONVERGENT = "NonConvergent", "What was written is to be written again, though nobody else has changed a row."
    INVALID_SPEC = "InvalidSpec", "The spec can't be used."

    # Fresh, Drifted, RevocationsHeld
    FRESH = "Fresh", "The answers are young enough to decide on."
    NO_DRIFT = "NoDrift", "The rows are as the sources say."
    SUPPRESSED_BY_MODE = "SuppressedByMode", "The rows differ from what the sources say; the mode leaves them."
    ROWS_REMOVED = "RowsRemoved", "Somebody else has removed rows of ours; they are granted again."
    SUSPECTED = "Suspected", "Rows that no source names are being confirmed before they are revoked."
    WITHIN_LIMITS = "WithinLimits", "Nothing is held."
    REVOCATION_LIMIT = "RevocationLimit", "More revocations than the limit allows wait for approval."
    MIN_ADMINS = "MinAdmins", "Revocations that would leave fewer than minAdmins administrators wait for approval."
    IDENTITY_CHANGED = (
        "IdentityChanged",
        "Administrators whose e-mail has changed since they became so are kept for a day, or until approved.",
    )
    MAX_ADMINS = "MaxAdmins", "Grants that would make more than maxAdmins administrators wait for approval."
    ADMIN_EMAIL_DOMAINS = "AdminEmailDomains", "Grants to people of other e-mail domains wait for approval."
    GRANT_LIMIT = "GrantLimit", "More grants in a day than the source usually makes wait for approval."
    WITHDRAWAL = "Withdrawal", "All that this controller granted or adopted here waits for approval to be removed."
    ADOPTION = "Adoption", "Administrators whom no source names wait for approval to be adopted."
    TERMS_CHANGED = (
        "TermsChanged",
        "The first revocations after an upgrade or a change of what is declared wait for approval.",
    )
    CANARY_WRONG = (
        "CanaryWrong",
        "A canary got another answer than the known one; nothing is revoked until it is right.",
    )
    WAVE_IMPLAUSIBLE = "WaveImplausible", "Answers of which more than half would revoke wait for approval."

    # Provisioned
    PROVISIONED = "Provisioned", "The domain is in the mail database as it is declared."
    ATTRIBUTES_CONFLICT = (
        "AttributesConflict",
        "The mail database has other values of attributes; they are left.",
    )
    CREATION_REFUSED = "CreationRefused", "The mail application refused the domain or its attributes."
    MESSAGES_NOT_CONFIGURED = "MessagesNotConfigured", "This install does not know how to reach the mail application."
    MESSAGES_UNAVAILABLE = (
        "MessagesUnavailable",
        "The mail application does not answer; it is asked again later.",
    )
    MESSAGES_UNAUTHENTICATED = "MessagesUnauthenticated", "The mail application refused the key for creating domains."

    # services
    SERVICES_IN_SYNC = "ServicesInSync", "What members may open is as it is declared."
    AUDITED = "Audited", "What members may open is only computed; nothing is served as denied."
    SERVICE_NOT_FOUND = "ServiceNotFound", "A CatalogService that is named does not exist."
    DEFAULT_ROLE_MISSING = "DefaultRoleMissing", "The default role does not exist; who has no other may open nothing."
    IMPERSONATION_MODE_MISSING = (
        "ImpersonationModeMissing",
        "A role lets people act as others, and impersonationMode does not say what that means.",
    )
    SUBSCRIPTIONS_UNKNOWN = "SubscriptionsUnknown", "Whether a service is bought is not known; what stands is kept."
    RESTRICTION_IN_USE = "RestrictionInUse", "A deprecated ServiceGroupRestriction narrows what roles allow."
    NOT_APPLIED = "NotApplied", "The domain does not apply ServiceGroupRestrictions."
    AVAILABLE = "Available", "The service may be opened where a domain lists it."
    SWITCHED_OFF = "SwitchedOff", "The service is not active: nobody may open it."
    RESOLVED = "Resolved", "Everything that it names exists."
    GROUP_NOT_FOUND = "GroupNotFound", "A MailDomainGroup that is named does not exist; it counts as empty."
    ROLE_NOT_FOUND = "RoleNotFound", "The MailDomainRole does not exist; it gives nothing."
    DOMAIN_NOT_FOUND = "DomainNotFound", "No MailDomain of that name decides on services here."
    SYNCED = "Synced", "The roles of the upstream are here."
    ROLE_CONFLICT = "RoleConflict", "Roles of the upstream have names that other roles have here; none is brought."
    NOT_ALLOWED = "NotAllowed", "The upstream does not list this MailDomain in allowedDownstreams; nothing is brought."
    CYCLE = "Cycle", "The upstream gets roles from this MailDomain itself; nothing is brought."
    UPSTREAM_MISSING = "UpstreamMissing", "The upstream is no MailDomain that decides on services; nothing is brought."
    DOWNSTREAM_MISSING = (
        "DownstreamMissing",
        "The downstream is no MailDomain that decides on services; nothing is brought.",
    )
    ALL_MAPPED = "AllMapped", "Every service of the roles has a counterpart."
    SERVICES_UNMAPPED = "ServicesUnmapped", "Services of the roles have no counterpart here; they are left out."
    RESTRICTIONS_END = "RestrictionsEnd", "People whom a restriction that has ended kept out wait for approval."

    # a source
    ANSWERING = "Answering", "The source answers."
    REVOCATIONS_HELD = "RevocationsHeld", "Something waits for approval."
    UNREACHABLE = "Unreachable", "Too many users have no answer from the source."
    UNAUTHENTICATED = "Unauthenticated", "The source refused the API key (401); the sweep was stopped."
    CIRCUIT_OPEN = "CircuitOpen", "The source failed too often in a row; it is asked again after a pause."
    PIVOT_CLOSED = "PivotClosed", "No siret opens the answers: no active subscription."
    SECRET_MISSING = "SecretMissing", "A Secret or a key that is referenced is missing or not readable."
    PROVIDER_UNUSABLE = "ProviderUnusable", "The external provider is not installed, or refuses its config."
    RATES_TOO_LOW = "RatesTooLow", "The permitted rate can't meet the intervals; see estimatedRound."


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition before the API server knows it: no time, no generation."""

    type: ConditionType
    status: Truth
    reason: Reason

    @property
    def message(self) -> str:
        """The fixed text of the reason."""
        return self.reason.text


def render_conditions(
    conditions: Iterable[Condition], *, before: Iterable[Mapping[str, Any]], generation: int, now: datetime
) -> list[Mapping[str, Any]]:
    """Write conditions as the API has them; `lastTransitionTime` moves only when `status` changes.

    `before` are the conditions that the object holds now. In file mode there are none and `generation` is 0.
    """
    held = {condition.get("type"): condition for condition in before}
    written = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        _rendered(condition, generation, _since(condition, held.get(condition.type), written))
        for condition in conditions
    ]


def _since(condition: Condition, before: Mapping[str, Any] | None, now: str) -> str:
    unchanged = before is not None and before.get("status") == condition.status
    return str(before["lastTransitionTime"]) if unchanged and before else now


@lru_cache(maxsize=4096)
def _rendered(condition: Condition, generation: int, since: str) -> Mapping[str, Any]:
    """One condition. Most of ten thousand objects say the same since the same second: it is held once."""
    return {
        "type": condition.type.value,
        "status": condition.status,
        "reason": condition.reason.value,
        "message": condition.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }

"""What can be said about a resource? Condition types, reasons with one fixed text each, and how conditions change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

Truth = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """The condition types of both kinds (kstatus: Ready, Reconciling, Stalled)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    FRESH = "Fresh"
    DRIFTED = "Drifted"
    REVOCATIONS_HELD = "RevocationsHeld"
    REACHABLE = "Reachable"
    PROVISIONED = "Provisioned"
    SERVICE_ACCESS_READY = "ServiceAccessReady"


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
) -> list[dict[str, Any]]:
    """Write conditions as the API has them; `lastTransitionTime` moves only when `status` changes.

    `before` are the conditions that the object holds now. In file mode there are none and `generation` is 0.
    """
    held = {condition.get("type"): condition for condition in before}
    return [_render(condition, held.get(condition.type), generation, now) for condition in conditions]


def _render(condition: Condition, before: Mapping[str, Any] | None, generation: int, now: datetime) -> dict[str, Any]:
    unchanged = before is not None and before.get("status") == condition.status
    since = before["lastTransitionTime"] if unchanged and before else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": condition.type.value,
        "status": condition.status,
        "reason": condition.reason.value,
        "message": condition.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }

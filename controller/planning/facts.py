"""What is known before anything is decided? Answers, users, rows, ledger, cases, holds: values without behaviour.

Every room speaks in these types: `entitlements` makes answers, `maildb` makes the snapshot and carries changes out,
`planning` decides between them. Times on answers are seconds of a monotonic clock, times of the database are aware
datetimes of the database's clock; the two are never compared with each other.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from controller.resources.names import DomainName, Email, ResourceKey

UserId = NewType("UserId", str)
"""`messages_user.id` as dashed lower-case text."""

DomainId = NewType("DomainId", str)
"""`messages_maildomain.id` as dashed lower-case text."""

AccessId = NewType("AccessId", str)
"""`messages_maildomainaccess.id` as dashed lower-case text."""

Hint = Email | DomainName
"""Somebody, or the administrators of a domain, about whom something may have changed: a reason to ask, never a fact."""


# --- what a source says -----------------------------------------------------------------------------------------------


class AnswerReason(StrEnum):
    """Why an answer is not a plain list. Counted in metrics, shown by `explain`; never holds a vendor's text."""

    NOT_DOMAIN_NAMES = "NotDomainNames"
    """Partial: some items are no domain name."""
    KEY_ABSENT = "KeyAbsent"
    """Unknown: 2xx without `can_admin_maildomains`."""
    NOT_ACTIVATED = "NotActivated"
    """Unknown: the organization has no active subscription."""
    NO_ORGANIZATION = "NoOrganization"
    """Unknown: the siret is not known."""
    NO_SIRET = "NoSiret"
    """Unknown: there is no siret to ask with."""
    LOCAL = "Local"
    """Unknown: the local provider knows nothing."""
    REFUSED = "Refused"
    """Unknown: a 400 about this one user."""
    NOT_JSON = "NotJson"
    WRONG_SHAPE = "WrongShape"
    TOO_LARGE = "TooLarge"
    TOO_DEEP = "TooDeep"
    TIMEOUT = "Timeout"
    CONNECTION = "Connection"
    REDIRECT = "Redirect"
    UNAUTHENTICATED = "Unauthenticated"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    CLIENT_ERROR = "ClientError"
    SERVER_ERROR = "ServerError"
    THROTTLED = "Throttled"
    CIRCUIT_OPEN = "CircuitOpen"
    SECRET_MISSING = "SecretMissing"  # noqa: S105  # a reason, no secret
    FEATURE_DISABLED = "FeatureDisabled"
    """Unavailable: a feature flag does not allow a source that is written by hand."""
    PROVIDER_UNUSABLE = "ProviderUnusable"
    """Unavailable: the external provider is not installed, or refuses its config."""
    PROVIDER_FAILED = "ProviderFailed"
    """Unavailable: the provider raised an error that nobody has foreseen."""


@dataclass(frozen=True, slots=True)
class Entitled:
    """The whole list, possibly empty. The only verdict that can ever revoke (invariant 1)."""

    domains: frozenset[DomainName]


@dataclass(frozen=True, slots=True)
class Partial:
    """A list with items that are no domain name: the readable ones grant, nothing is revoked."""

    domains: frozenset[DomainName]
    reason: AnswerReason = AnswerReason.NOT_DOMAIN_NAMES


@dataclass(frozen=True, slots=True)
class Unknown:
    """An answer that says nothing about domains: holds what is there. Missing is not empty."""

    reason: AnswerReason


@dataclass(frozen=True, slots=True)
class Malformed:
    """An answer of another shape: holds."""

    reason: AnswerReason


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer: holds."""

    reason: AnswerReason


Listed = Entitled | Partial
"""A verdict that holds a list of names."""

Verdict = Entitled | Partial | Unknown | Malformed | Unavailable


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said about one user when asked with one e-mail."""

    user: UserId
    email: Email
    """The e-mail that was asked, as stored then. An answer about another e-mail is no answer (D11)."""
    source: ResourceKey
    verdict: Verdict
    at: float
    """When it was received: monotonic seconds."""
    since: float
    """When the same verdict was first received, without another one in between: monotonic seconds, `<= at`.
    Two asks at least `confirmRevocations.after` apart agree when `at - since` is that long."""
    can_access: bool | None = None
    access_reason: str | None = None
    """DeployCenter's `can_access_reason`, when it is one of the known ones."""
    siret: str | None = None
    """The siret that opened the answer."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One user as a source needs to know them."""

    user: UserId
    email: Email
    claims: Mapping[str, str] = field(default_factory=dict)
    """The stored `oidc_claims` that are texts."""
    sirets: tuple[str, ...] = ()
    """The sirets of the user's mail domains, the own one first (D17); asked after pivots and claims."""


# --- what the mail database holds -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """One row of `messages_user`."""

    id: UserId
    email: Email | None
    active: bool
    claims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MailDomainRow:
    """One row of `messages_maildomain`. The stored name need not be canonical (A5)."""

    id: DomainId
    name: str
    alias: bool
    siret: str | None = None
    """`custom_attributes.siret`, when it is a text."""
    oidc_autojoin: bool = False
    identity_sync: bool = False
    attributes: str = "{}"
    """`custom_attributes` as JSON. Read where it is compared, which few domains are."""


@dataclass(frozen=True, slots=True)
class Access:
    """One row of `messages_maildomainaccess`."""

    id: AccessId
    domain: DomainId
    user: UserId
    admin: bool
    """Whether its role is ADMIN; rows of another role are never touched (invariant 2)."""


class Origin(StrEnum):
    """How a row became ours."""

    GRANTED = "granted"
    ADOPTED = "adopted"


class Holding(NamedTuple):
    """The key of an access: which user on which domain."""

    domain: DomainId
    user: UserId


@dataclass(frozen=True, slots=True)
class Owned:
    """One ledger entry: this very row is ours. Another row of the same holding is not."""

    access: AccessId
    domain: DomainId
    user: UserId
    origin: Origin
    since: datetime
    """Database time at which it became ours."""
    identity: str | None = None
    """The sealed e-mail that the source was asked about then."""


class CaseState(StrEnum):
    """The life of a revocation. The first four are open."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    HELD = "held"
    APPROVED = "approved"
    EXECUTED = "executed"
    CLOSED = "closed"


OPEN_STATES = frozenset({CaseState.SUSPECTED, CaseState.CONFIRMED, CaseState.HELD, CaseState.APPROVED})


@dataclass(frozen=True, slots=True)
class Case:
    """One revocation under way: about one row, kept in our schema until it is executed or closed."""

    id: str
    access: AccessId
    domain: DomainId
    user: UserId
    state: CaseState
    opened_at: datetime
    """Database time."""
    hold: str | None = None
    """The hold that it waits for (state held) or that was approved (state approved)."""
    evidence: tuple["Evidence", ...] = ()
    """What each source of the domain last said."""

    @property
    def holding(self) -> Holding:
        """Which user on which domain."""
        return Holding(self.domain, self.user)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What made a case: a source, the type of its answer, and how many names that held. No personal data."""

    source: ResourceKey
    verdict: str
    names: int
    siret: str | None = None


class Scope(NamedTuple):
    """The object whose limit speaks."""

    kind: str
    """`MailDomain` or `EntitlementSource`."""
    key: ResourceKey

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True, slots=True)
class Hold:
    """Accesses that wait for one approval: single use, exactly these, until it expires."""

    id: str
    scope: Scope
    limit: str
    """The limit that tripped, as people read it: `revocations 25% in 24h`, `minAdmins 1`, `maxAdmins 50`."""
    accesses: frozenset[Holding]
    since: datetime
    """Database time since when this scope and limit have held something without a break."""
    expires_at: datetime
    approved: bool = False
    closed: bool = False
    """Used, expired or no longer needed: its id never approves anything again."""

    @property
    def count(self) -> int:
        """How many accesses it covers."""
        return len(self.accesses)


@dataclass(frozen=True, slots=True)
class Activity:
    """What the journal says was carried out on one domain within a window, in database time."""

    granted: int = 0
    revoked: int = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """What the journal says became ours through one source, granted or adopted, in database time."""

    today: int = 0
    """Within the last 24 hours."""
    week: int = 0
    """Within the seven days before them."""


@dataclass(frozen=True, slots=True)
class Known:
    """One source that this owner has worked with before."""

    scope: Scope
    since: datetime
    """Database time of the first time."""
    terms: str | None = None
    """The terms under which it was last let revoke; None when an older version has noted none."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who owns a domain name in this mail database, and for which resource."""

    owner: str
    resource: ResourceKey
    terms: str | None = None
    """The terms under which the resource was last let revoke; None when none are noted."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The terms of a MailDomain that count from now on."""

    domain: DomainName
    terms: str


@dataclass(frozen=True, slots=True)
class Pin:
    """One row that a person has restored: no case is opened about it until it is released."""

    access: AccessId
    domain: DomainId
    user: UserId
    name: DomainName
    since: datetime
    """Database time at which it was restored."""
    hold: str | None = None
    """The hold whose approval had let the removal go."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One removal, as the journal has it."""

    entry: int
    """The id of the journal entry, which holds the whole row."""
    at: datetime
    access: Access
    name: DomainName
    reason: str
    hold: str | None
    fits: bool
    """Whether the row of then has exactly the columns of now; another one can't be restored as it was."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What the journal of the last day says about one access that something else may write as well."""

    vanished: bool = False
    """We have written the row three times, and have not removed it ourselves: if it is missing, somebody removes it."""
    removed: bool = False
    """We have removed the row, and not written it since: if it is there, somebody has brought it back."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A key that only this database has, to recognise an e-mail without keeping it."""

    key: str = field(repr=False)

    def of(self, email: Email) -> str:
        """What is kept in place of the e-mail."""
        return hashlib.blake2b(email.key.encode(), key=self.key.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Freeze:
    """Everything is stopped, by a row in our schema or by the process itself."""

    since: datetime | None = None
    """Database time; None when the process's own setting stops it."""
    reason: str | None = None
    """What whoever set it has written down: for the commands of people, never for statuses or logs."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The mail database at one moment, read in one transaction."""

    taken_at: datetime
    """Database time."""
    epoch: int
    """The fence's epoch; a write needs the same one (invariant 9). 0 before the first `migrate`."""
    migrated: bool
    """Whether our own tables are there; without them ledger, cases, holds and journal are empty."""
    users: Mapping[UserId, User]
    domains: tuple[MailDomainRow, ...]
    accesses: Mapping[DomainId, tuple[Access, ...]]
    """Rows of any role, of the domains that were asked for."""
    ledger: Mapping[AccessId, Owned]
    cases: tuple[Case, ...]
    """Open cases."""
    holds: tuple[Hold, ...]
    """Open holds about administrators, with their accesses."""
    spent_holds: frozenset[str]
    """Ids of closed holds: they approve nothing again."""
    activity: Mapping[timedelta, Mapping[DomainName, Activity]]
    """For each window that was asked for: what was carried out within it, by canonical domain name."""
    claims: Mapping[DomainName, Claim]
    freeze: Freeze | None = None
    """Whether everything is stopped; asked again inside each write."""
    granted: Mapping[ResourceKey, Granted] = field(default_factory=dict)
    """What the sources made this owner grant and adopt; those that are missing: nothing."""
    known: Mapping[Scope, Known] = field(default_factory=dict)
    """Declared objects that this owner has worked with."""
    removed: Mapping[timedelta, Mapping[ResourceKey, Mapping[DomainName, int]]] = field(default_factory=dict)
    """For each window: how much of each domain this owner has revoked at the word of each source, declared or not."""
    pins: Mapping[AccessId, Pin] = field(default_factory=dict)
    """Rows that a person has restored."""
    contests: Mapping[Holding, Contest] = field(default_factory=dict)
    """Accesses that something else may write as well."""
    seal: Seal | None = None
    """How e-mails are recognised; None before the first `migrate`."""
    journal: int = 0
    """The number of this owner's newest entry of the journal about an access; it only ever rises. 0 = there is none."""

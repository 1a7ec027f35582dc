"""What is to be written? The changes that one pass carries out, all in one transaction."""

from dataclasses import dataclass, fields

from controller.planning.facts import (
    Access,
    AccessId,
    Agreed,
    Case,
    DomainId,
    Evidence,
    Hold,
    Holding,
    Known,
    Pin,
    Removal,
    UserId,
)
from controller.resources.maildomain import AdoptionPolicy
from controller.resources.names import DomainName, ResourceKey


@dataclass(frozen=True, slots=True)
class Grant:
    """A row to insert: the user becomes ADMIN of the domain."""

    domain: DomainId
    name: DomainName
    user: UserId
    sources: tuple[ResourceKey, ...]
    """The sources that name the user (D12: union)."""
    reason: str = "Entitled"
    identity: str | None = None
    """The sealed e-mail that was asked about."""
    hold: str | None = None
    """The hold whose approval let it through."""

    @property
    def holding(self) -> Holding:
        """Which user on which domain."""
        return Holding(self.domain, self.user)


@dataclass(frozen=True, slots=True)
class Adoption:
    """A row that stands already and becomes ours, because we would have created it."""

    access: Access
    name: DomainName
    sources: tuple[ResourceKey, ...]
    reason: AdoptionPolicy = AdoptionPolicy.MATCHING
    """`Matching` when a source names the user, `All` when none does and a person has approved it."""
    identity: str | None = None
    """The sealed e-mail that was asked about."""
    hold: str | None = None
    """The hold whose approval let it through."""

    @property
    def holding(self) -> Holding:
        """Which user on which domain."""
        return Holding(self.access.domain, self.access.user)


@dataclass(frozen=True, slots=True)
class Denied:
    """Proof of an emergency revocation: the user is in `deniedAdmins`; no answer is needed."""


@dataclass(frozen=True, slots=True)
class NotEntitled:
    """Proof of an ordinary revocation: a judged case, with what every source of the domain said (invariant 1)."""

    case: Case
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Proof of a withdrawal: a person has approved the hold over this case; no answer is needed."""

    case: Case


@dataclass(frozen=True, slots=True)
class Revocation:
    """A row to delete, with what allows it."""

    access: Access
    name: DomainName
    sources: tuple[ResourceKey, ...]
    """All sources of the domain: the removal counts for each of them."""
    proof: Denied | NotEntitled | Withdrawn

    @property
    def reason(self) -> str:
        """`Denied`, `NotEntitled` or `Withdrawn`."""
        return type(self.proof).__name__


@dataclass(frozen=True, slots=True)
class Restoration:
    """A row to insert again as it was, with its ledger entry, and to pin."""

    removal: Removal

    @property
    def access(self) -> Access:
        """The row as it was."""
        return self.removal.access

    @property
    def name(self) -> DomainName:
        """Its domain."""
        return self.removal.name


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything one transaction writes. Empty means in sync: no statement at all (invariant 4)."""

    grants: tuple[Grant, ...] = ()
    adoptions: tuple[Adoption, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    forgotten: tuple[AccessId, ...] = ()
    """Ledger entries whose row is proved gone."""
    cases: tuple[Case, ...] = ()
    """Cases whose state changed, in their new state (new ones included)."""
    holds: tuple[Hold, ...] = ()
    """Holds that are new or changed, in their new state."""
    claims: tuple[tuple[DomainName, ResourceKey], ...] = ()
    """Domains whose winning resource is new."""
    known: tuple[Known, ...] = ()
    """Sources that are worked with for the first time, or under new terms."""
    agreed: tuple[Agreed, ...] = ()
    """Domains of ours whose terms are new."""
    restorations: tuple[Restoration, ...] = ()
    released: tuple[Pin, ...] = ()
    """Pins to take away."""

    def __bool__(self) -> bool:
        return any(getattr(self, part.name) for part in fields(self))

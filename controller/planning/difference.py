"""How do the rows of one domain differ from what its sources say? Before modes, limits and cases have their say."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from controller.planning.changes import Adoption, Grant
from controller.planning.facts import (
    Access,
    AccessId,
    Contest,
    DomainId,
    Evidence,
    Holding,
    MailDomainRow,
    Snapshot,
    UserId,
)
from controller.planning.identity import Identities
from controller.planning.sources import Voice, evidence
from controller.resources.conditions import Reason
from controller.resources.maildomain import AdoptionPolicy, MailDomain, Ownership
from controller.resources.names import DomainName, ResourceKey, canonical_domain


class KeepReason(StrEnum):
    """Why an ADMIN row stays. The order is the order of explanation."""

    ENTITLED = "Entitled"
    PROTECTED = "Protected"
    PINNED = "Pinned"
    CONTESTED = "Contested"
    FOREIGN = "Foreign"
    INACTIVE = "Inactive"
    NO_EMAIL = "NoEmail"
    SOURCE_SILENT = "SourceSilent"


Id = TypeVar("Id", UserId, AccessId)

_NONE: frozenset[Any] = frozenset()

_OPEN = (None, KeepReason.SOURCE_SILENT)
"""What closes no case: a row that is suspect, and a silent source, which says nothing. Any other row is right."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row that every source of the domain fails to name."""

    access: Access
    evidence: tuple[Evidence, ...]
    confirmed: bool
    """Whether each source has said so at two asks that lie far enough apart."""
    renamed: bool = False
    """Whether the user had another e-mail when the row became ours."""


@dataclass(frozen=True, slots=True)
class Located:
    """The row of a declared domain in the mail database, or why there is none to act on."""

    row: MailDomainRow | None
    missing: Reason | None
    """DomainMissing, DomainAmbiguous (only twins that are not canonical) or DomainAlias."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One domain compared with its sources."""

    located: Located
    desired: frozenset[UserId] = frozenset()
    """Users who should be administrators and can be."""
    admins: tuple[Access, ...] = ()
    """The ADMIN rows."""
    owned: frozenset[AccessId] = frozenset()
    """Those of them that are ours."""
    missing: tuple[Grant, ...] = ()
    adoptable: tuple[Adoption, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    denied: tuple[Access, ...] = ()
    """ADMIN rows of denied administrators."""
    settled: frozenset[AccessId] = frozenset()
    """ADMIN rows that are known to be right: an open case about one of them closes."""
    protected: int = 0
    """ADMIN rows of protected administrators."""
    pinned: int = 0
    """ADMIN rows that a person has restored."""
    contested: int = 0
    """Accesses that something else writes as well: neither granted nor revoked."""
    pending: int = 0
    ambiguous: int = 0


def locate(domains: tuple[MailDomainRow, ...]) -> Mapping[DomainName, Located]:
    """Find the row of each canonical name. A twin that is not canonical never stands in for it (A5)."""
    found: dict[DomainName, Located] = {}
    for row in domains:
        name = canonical_domain(row.name)
        if name is None:
            continue
        if row.name == name:
            found[name] = Located(None, Reason.DOMAIN_ALIAS) if row.alias else Located(row, None)
        else:
            found.setdefault(name, Located(None, Reason.DOMAIN_AMBIGUOUS))
    return found


NOWHERE = Located(None, Reason.DOMAIN_MISSING)


def compare(
    domain: MailDomain, located: Located, voices: tuple[Voice, ...], snapshot: Snapshot, identities: Identities
) -> Difference:
    """Compare what the sources say with what is there.

    A missing access is granted when any source names the user (D12: union). A present one is suspect only when every
    source of the domain has a fresh `Entitled` answer for that user and none names the domain (invariant 1).
    """
    denied = identities.matching(domain.spec.denied_admins)
    named = frozenset().union(*(voice.names.get(domain.domain, ()) for voice in voices)) - denied
    unclear = named & identities.ambiguous
    desired = _held_once(named - unclear)
    pending = _undeliverable(domain, voices, identities)
    if located.row is None:
        return Difference(
            located, desired=desired, pending=pending + len(desired), ambiguous=_people(unclear, snapshot)
        )

    rows = snapshot.accesses.get(located.row.id, ())
    holders = {row.user for row in rows}
    admins = tuple([row for row in rows if row.admin])
    owned = frozenset([row.id for row in admins if row.id in snapshot.ledger])
    protected = identities.matching(domain.spec.protected_admins)
    view = _View(domain, voices, snapshot, named, protected, owned)
    absent = desired - holders
    vanished = {user for user in absent if _contest(snapshot, located.row.id, user).vanished}
    judged = [(row, view.reason_to_keep(row)) for row in admins if row.user not in denied]
    foreign = [row for row, keep in judged if keep is not None and row.id not in owned]
    settled = frozenset([row.id for row, keep in judged if keep not in _OPEN])
    return Difference(
        located,
        desired=desired,
        admins=admins,
        owned=owned,
        missing=tuple(
            Grant(located.row.id, domain.domain, user, view.naming(user), identity=view.identity(user))
            for user in sorted(absent - vanished)
        ),
        adoptable=_adoptable(domain, foreign, desired, view),
        suspects=tuple([view.suspect(row) for row, keep in judged if keep is None]),
        denied=tuple([row for row in admins if row.user in denied]),
        settled=_held_once(settled, owned),
        protected=sum([row.user in protected for row in admins]),
        pinned=sum([row.id in snapshot.pins for row in admins]),
        contested=len(vanished) + sum([keep is KeepReason.CONTESTED for _, keep in judged]),
        pending=pending,
        ambiguous=_people(unclear - holders, snapshot),
    )


def reason_to_keep(
    domain: MailDomain, access: Access, voices: tuple[Voice, ...], snapshot: Snapshot, identities: Identities
) -> KeepReason | None:
    """The first rule that keeps one ADMIN row, or None when it has to go. For `explain`."""
    if access.user in identities.matching(domain.spec.denied_admins):
        return None
    named = frozenset(user for voice in voices for user in voice.names.get(domain.domain, ()))
    protected = identities.matching(domain.spec.protected_admins)
    owned = frozenset({access.id} & snapshot.ledger.keys())
    return _View(domain, voices, snapshot, named, protected, owned).reason_to_keep(access)


@dataclass(frozen=True, slots=True)
class _View:
    """What judging one row of one domain needs."""

    domain: MailDomain
    voices: tuple[Voice, ...]
    snapshot: Snapshot
    named: frozenset[UserId]
    protected: frozenset[UserId]
    owned: frozenset[AccessId]

    def reason_to_keep(self, access: Access) -> KeepReason | None:
        if access.user in self.named:
            return KeepReason.ENTITLED
        if access.user in self.protected:
            return KeepReason.PROTECTED
        if access.id in self.snapshot.pins:
            return KeepReason.PINNED
        if access.id not in self.owned and _contest(self.snapshot, access.domain, access.user).removed:
            return KeepReason.CONTESTED
        if self.domain.spec.ownership is Ownership.LEDGER and access.id not in self.owned:
            return KeepReason.FOREIGN
        user = self.snapshot.users.get(access.user)
        if user is None or not user.active:
            return KeepReason.INACTIVE
        if user.email is None:
            return KeepReason.NO_EMAIL
        if not self.voices or any(voice.denies(access.user, self.domain.domain) is None for voice in self.voices):
            return KeepReason.SOURCE_SILENT
        return None

    def suspect(self, access: Access) -> Suspect:
        said = [(voice, voice.denies(access.user, self.domain.domain)) for voice in self.voices]
        proofs = [(voice, answer) for voice, answer in said if answer is not None]
        return Suspect(
            access,
            tuple(evidence(voice, answer) for voice, answer in proofs),
            confirmed=all(voice.agrees_twice(answer) for voice, answer in proofs),
            renamed=self._renamed(access),
        )

    def _renamed(self, access: Access) -> bool:
        owned = self.snapshot.ledger.get(access.id)
        return owned is not None and owned.identity is not None and owned.identity != self.identity(access.user)

    def identity(self, user: UserId) -> str | None:
        """What the ledger keeps of the user's present e-mail."""
        email, seal = self.snapshot.users[user].email, self.snapshot.seal
        return seal.of(email) if seal is not None and email is not None else None

    def naming(self, user: UserId) -> tuple[ResourceKey, ...]:
        return tuple(voice.key for voice in self.voices if user in voice.names.get(self.domain.domain, ()))


def _adoptable(
    domain: MailDomain, foreign: Sequence[Access], desired: frozenset[UserId], view: _View
) -> tuple[Adoption, ...]:
    """Which of the rows that somebody else granted, and that stay, become ours."""
    policy = domain.spec.adoption
    if policy is AdoptionPolicy.NEVER:
        return ()
    matching = [
        Adoption(row, domain.domain, view.naming(row.user), identity=view.identity(row.user))
        for row in foreign
        if row.user in desired
    ]
    if policy is AdoptionPolicy.MATCHING:
        return tuple(matching)
    sources = tuple(voice.key for voice in view.voices)
    others = [
        Adoption(row, domain.domain, sources, policy, view.identity(row.user))
        for row in foreign
        if row.user not in desired
    ]
    return (*matching, *others)


def withdrawing(difference: Difference, spared: Collection[UserId], pins: Collection[AccessId]) -> Difference:
    """The same domain when it is given up: what is ours has to go, whatever the sources say, and nothing comes.

    Protected administrators (`spared`) and what a person has restored (`pins`) stay.
    """
    denied = {row.id for row in difference.denied}
    leaving = tuple(
        row
        for row in difference.admins
        if row.id in difference.owned and row.id not in denied and row.user not in spared and row.id not in pins
    )
    going = {row.id for row in leaving}
    return replace(
        difference,
        missing=(),
        adoptable=(),
        suspects=tuple(Suspect(row, (), confirmed=True) for row in leaving),
        settled=frozenset(row.id for row in difference.admins if row.id not in going),
    )


def _held_once(found: frozenset[Id], other: frozenset[Id] = _NONE) -> frozenset[Id]:
    """The other set if it is the same, as in nearly each of ten thousand domains: a set of one takes 216 bytes."""
    return next((same for same in (other, _NONE) if same == found), found)


def _contest(snapshot: Snapshot, domain: DomainId, user: UserId) -> Contest:
    return snapshot.contests.get(Holding(domain, user), Contest())


def _undeliverable(domain: MailDomain, voices: tuple[Voice, ...], identities: Identities) -> int:
    """How many names of a declaration belong to nobody yet: protected administrators and static grants (D1)."""
    waiting = (email for voice in voices for email in voice.promised.get(domain.domain, ()))
    emails = {email.key: email for email in (*domain.spec.protected_admins, *waiting)}
    return identities.unmatched(emails.values())


def _people(users: Collection[UserId], snapshot: Snapshot) -> int:
    """How many different e-mails these users have."""
    return len({email.key for user in users if (email := snapshot.users[user].email) is not None})

"""Which removals come back? What a rollback restores, what the guard holds of it, and what can't be restored."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.planning.ceilings import strangers
from controller.planning.changes import Changes, Denied, Restoration
from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import DomainId, Hold, Holding, MailDomainRow, Pin, Removal, Scope, Snapshot
from controller.planning.guard import ADMIN_EMAIL_DOMAINS, MAX_ADMINS, Approvals, Bench
from controller.resources.maildomain import DomainLimits, MailDomain
from controller.resources.names import DomainName, ResourceKey


class SkipReason(StrEnum):
    """Why a removal is not undone."""

    DENIED = "Denied"
    """It was an emergency: take the person off `deniedAdmins`, then the sources decide."""
    FOREIGN_OWNER = "ForeignOwner"
    DOMAIN_GONE = "DomainGone"
    """Gone, renamed, or an alias now."""
    USER_GONE = "UserGone"
    USER_INACTIVE = "UserInactive"
    ACCESS_EXISTS = "AccessExists"
    """The person has a row on the domain again, of whatever role."""
    COLUMNS_CHANGED = "ColumnsChanged"
    """The table has other columns now than the row of then."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """One removal that stays as it is."""

    removal: Removal
    because: SkipReason


@dataclass(frozen=True, slots=True)
class HeldRestoration:
    """One removal whose undoing waits for approval."""

    removal: Removal
    hold: Hold


@dataclass(frozen=True, slots=True)
class Rollback:
    """What one rollback does and leaves."""

    restorations: tuple[Restoration, ...] = ()
    held: tuple[HeldRestoration, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    released: tuple[Pin, ...] = ()
    used: tuple[Hold, ...] = ()
    """Approved holds that this rollback uses up."""

    @property
    def changes(self) -> Changes:
        """What one transaction writes."""
        return Changes(restorations=self.restorations, released=self.released, holds=self.used)


def roll_back(
    removals: Sequence[Removal],
    snapshot: Snapshot,
    *,
    owner: str,
    declared: Iterable[MailDomain] = (),
    approvals: Approvals,
) -> Rollback:
    """Decide about each removal. Deterministic, like a plan.

    The limits on grants are those of `declared` domains; others have the defaults. A hold covers one domain.
    """
    judge = _Judge(snapshot, owner, {row.id: row for row in snapshot.domains})
    skipped = {removal.entry: because for removal in removals if (because := judge.reason_to_skip(removal))}
    by_domain: dict[DomainName, list[Removal]] = defaultdict(list)
    for removal in removals:
        if removal.entry not in skipped:
            by_domain[removal.name].append(removal)
    bench = Bench(snapshot.taken_at, approvals, {hold.id: hold for hold in snapshot.holds}, snapshot.spent_holds)
    specs = {item.domain: item for item in declared}
    held: dict[Holding, Hold] = {}
    for name, items in sorted(by_domain.items()):
        held |= _hold(name, items, specs.get(name), snapshot, bench)
    returning = [item for items in by_domain.values() for item in items]
    return Rollback(
        restorations=tuple(Restoration(item) for item in returning if _holding(item) not in held),
        held=tuple(HeldRestoration(item, held[_holding(item)]) for item in returning if _holding(item) in held),
        skipped=tuple(Skipped(item, skipped[item.entry]) for item in removals if item.entry in skipped),
        used=tuple(hold for hold in bench.over() if hold.id in bench.used),
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    snapshot: Snapshot
    owner: str
    rows: Mapping[DomainId, MailDomainRow]

    def reason_to_skip(self, removal: Removal) -> SkipReason | None:
        """The first rule that leaves a removal as it is; the order is the order of explanation."""
        access, claim = removal.access, self.snapshot.claims.get(removal.name)
        user = self.snapshot.users.get(access.user)
        located = locate(tuple(row for row in (self.rows.get(access.domain),) if row)).get(removal.name, NOWHERE)
        if removal.reason == Denied.__name__:
            return SkipReason.DENIED
        if claim is not None and claim.owner != self.owner:
            return SkipReason.FOREIGN_OWNER
        if located.row is None:
            return SkipReason.DOMAIN_GONE
        if user is None:
            return SkipReason.USER_GONE
        if not user.active:
            return SkipReason.USER_INACTIVE
        if any(row.user == access.user for row in self.snapshot.accesses.get(access.domain, ())):
            return SkipReason.ACCESS_EXISTS
        return None if removal.fits else SkipReason.COLUMNS_CHANGED


def _hold(
    name: DomainName, removals: Sequence[Removal], declared: MailDomain | None, snapshot: Snapshot, bench: Bench
) -> Mapping[Holding, Hold]:
    """What waits of one domain: strangers by themselves, and everything when it would be too many."""
    claim = snapshot.claims.get(name)
    key = declared.key if declared else claim.resource if claim else ResourceKey("default", name)
    limits = declared.spec.limits if declared else DomainLimits()
    wanted = frozenset(_holding(item) for item in removals)
    held: dict[Holding, Hold] = {}

    def wait(limit: str, holdings: frozenset[Holding]) -> None:
        for hold in bench.hold(Scope("MailDomain", key), limit, holdings):
            if not hold.approved:
                held.update(dict.fromkeys(hold.accesses, hold))

    wait(ADMIN_EMAIL_DOMAINS, strangers(wanted, limits.admin_email_domains, snapshot))
    rest = wanted.difference(held)
    present = snapshot.accesses.get(removals[0].access.domain, ())
    if sum(row.admin for row in present) + len(rest) > limits.max_admins:
        wait(f"{MAX_ADMINS} {limits.max_admins}", rest)
    bench.use(wanted.difference(held))
    return held


def _holding(removal: Removal) -> Holding:
    return Holding(removal.access.domain, removal.access.user)

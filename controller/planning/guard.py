"""May it be carried out? Limits over windows, and the holds that wait for a person when one trips (invariant 5).

A limit counts what was revoked within its window (the journal, in database time) and every open case, confirmed or
not, against the ADMIN rows at the window's start. When it trips it holds all open cases of its scope. A source speaks
before its domains: what a source's hold covers needs no second hold of the domain for the same kind of limit.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controller.planning.cases import OpenCase
from controller.planning.facts import Activity, Case, CaseState, Hold, Holding, Scope
from controller.resources.conditions import Reason
from controller.resources.model import RevocationLimit
from controller.resources.names import ResourceKey

HOLD_LIFETIME = timedelta(hours=24)
"""How long a hold may be approved; afterwards what still trips gets a new one."""

REVOCATIONS = "revocations"
MIN_ADMINS = "minAdmins"
MAX_ADMINS = "maxAdmins"

LIMIT_REASONS = {
    REVOCATIONS: Reason.REVOCATION_LIMIT,
    MIN_ADMINS: Reason.MIN_ADMINS,
    MAX_ADMINS: Reason.MAX_ADMINS,
}


@dataclass(frozen=True, slots=True)
class Approvals:
    """Which holds a person has approved."""

    by_object: Mapping[Scope, str] = field(default_factory=dict)
    """The hold id in the annotation of the object whose limit tripped."""
    by_command: frozenset[str] = frozenset()
    """Hold ids given to `apply --approve`."""

    def cover(self, hold: Hold) -> bool:
        """Whether this very hold was approved, now or before."""
        return hold.approved or hold.id in self.by_command or self.by_object.get(hold.scope) == hold.id


@dataclass(frozen=True, slots=True)
class Bench:
    """The holds of this moment: which stand, which are new, which are over. Holds are looked up by scope and limit."""

    now: datetime
    approvals: Approvals
    recorded: Mapping[str, Hold]
    """Open holds of the database, by id."""
    spent: Collection[str]
    standing: dict[str, Hold] = field(default_factory=dict)
    """Holds that stand after this judgement, by id."""
    used: dict[str, Hold] = field(default_factory=dict)
    """Approved holds of which nothing is left: their ids are spent, even when they were never recorded."""

    def over(self) -> tuple[Hold, ...]:
        """Holds that stand no more, closed."""
        ended = {hold.id: hold for hold in self.recorded.values() if hold.id not in self.standing} | self.used
        return tuple(replace(hold, closed=True) for hold in ended.values())

    def use(self, carried_out: Collection[Holding]) -> None:
        """Take what is carried out now off the approved holds. An empty one is used up: single use."""
        for hold in [hold for hold in self.standing.values() if hold.approved]:
            rest = hold.accesses - frozenset(carried_out)
            if rest:
                self.standing[hold.id] = replace(hold, accesses=rest)
            else:
                self.used[hold.id] = self.standing.pop(hold.id)

    def keep(self, holds: Iterable[Hold]) -> None:
        """Leave holds of scopes that are not judged now as they are."""
        self.standing.update((hold.id, hold) for hold in holds)

    def undecided(self, *, judged: Collection[Scope], declared: Collection[Scope]) -> Iterable[Hold]:
        """Recorded holds that this pass leaves as they are: of objects that are not judged, while they last.

        Holds of `maxAdmins` are decided in every pass for every declared domain, because grants do not wait for waves.
        """
        for hold in self.recorded.values():
            decided = declared if kind_of(hold) == MAX_ADMINS else judged
            if hold.scope not in decided and hold.expires_at > self.now:
                yield hold

    def of(self, scope: Scope, kind: str) -> tuple[Hold, ...]:
        """The recorded, unexpired holds of one limit of one object."""
        return tuple(
            hold
            for hold in self.recorded.values()
            if hold.scope == scope and kind_of(hold) == kind and hold.expires_at > self.now
        )

    def hold(self, scope: Scope, kind: str, limit: str, accesses: frozenset[Holding]) -> tuple[Hold, ...]:
        """Hold these accesses under one limit, minus those that a person has approved; return what stands.

        A recorded hold keeps its id while it shrinks. When it would grow, a new id takes its place: an approval covers
        exactly what the person saw. The time since when something is held is carried on.
        """
        approved, waiting = [], accesses
        for hold in self.of(scope, kind):
            if self.approvals.cover(hold) and (covered := hold.accesses & accesses):
                approved.append(replace(hold, approved=True, accesses=covered))
                waiting -= covered
        pending = [hold for hold in self.of(scope, kind) if not self.approvals.cover(hold)]
        standing = [*approved, *self._pending(scope, kind, limit, waiting, pending)]
        self.keep(standing)
        return tuple(standing)

    def _pending(
        self, scope: Scope, kind: str, limit: str, waiting: frozenset[Holding], before: Sequence[Hold]
    ) -> tuple[Hold, ...]:
        if not waiting:
            return ()
        same = next((hold for hold in before if waiting <= hold.accesses), None)
        if same is not None:
            return (replace(same, limit=limit, accesses=waiting),)
        since = min((hold.since for hold in before), default=self.now)
        fresh = Hold(self._new_id(scope, kind, waiting), scope, limit, waiting, since, self.now + HOLD_LIFETIME)
        return (replace(fresh, approved=self.approvals.cover(fresh)),)

    def _new_id(self, scope: Scope, kind: str, accesses: frozenset[Holding]) -> str:
        """An id that follows from what is held, so that `plan` and `apply` name the same hold; never a spent one."""
        content = "|".join((str(scope), kind, *(f"{domain}:{user}" for domain, user in sorted(accesses))))
        for attempt in range(len(self.spent) + len(self.recorded) + 1):
            digest = hashlib.sha256(f"{content}|{attempt}".encode()).hexdigest()[:12]
            if digest not in self.spent and digest not in self.recorded:
                return digest
        raise AssertionError("more attempts than ids that are taken")


def kind_of(hold: Hold) -> str:
    """Which limit of its object tripped: `revocations`, `minAdmins` or `maxAdmins`."""
    return hold.limit.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Ward:
    """One object with a limit on revocations, and what counts against it."""

    scope: Scope
    limit: RevocationLimit
    floor: int
    """What a share allows at least: 1 for a domain, 10 for a source."""
    rows: int
    """ADMIN rows now."""
    activity: Activity
    """What was carried out within the limit's window."""
    cases: tuple[OpenCase, ...]
    offset: int = 0
    """What is taken off the count: grants of the same window that stand (a domain's team may be replaced)."""

    @property
    def tripped(self) -> bool:
        """Whether more is revoked or about to be than the limit allows."""
        at_start = max(0, self.rows - self.activity.granted + self.activity.revoked)
        counted = self.activity.revoked + len(self.cases) - self.offset
        return bool(self.cases) and counted > self.limit.max.of(at_start, floor=self.floor)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the guard decided about the open cases."""

    executable: tuple[OpenCase, ...]
    cases: tuple[Case, ...]
    """All judged cases that stay open, in their new state."""


def judge(
    sources: Sequence[Ward],
    domains: Sequence[Ward],
    floors: Mapping[ResourceKey, "Floor"],
    bench: Bench,
    *,
    ripe: Collection[ResourceKey],
) -> Judgement:
    """Judge the open cases of these sources and domains together.

    `ripe` are the MailDomains whose cases may be executed now: a wave has ended and each of their sources has
    completed one. Cases of other domains count, and may be held, but are not executed.
    """
    held: dict[Holding, Hold] = {}
    settled: set[Holding] = set()
    """What a source's hold has decided, held or approved."""
    for ward in sources:
        _weigh(ward, frozenset(item.case.holding for item in ward.cases), bench, held, settled)
    for ward in domains:
        own = frozenset(item.case.holding for item in ward.cases) - settled
        _weigh(ward, own, bench, held, settled=None)
    for ward in domains:
        _defend_floor(ward, floors, bench, held, ripe)
    cases = {item.case.access: item for ward in domains for item in ward.cases}
    executable = tuple(item for item in cases.values() if _goes(item, held, ripe))
    going = {item.case.access for item in executable}
    bench.use([item.case.holding for item in executable])
    rest = tuple(_restate(item, held, bench) for access, item in cases.items() if access not in going)
    return Judgement(executable, rest)


@dataclass(frozen=True, slots=True)
class Floor:
    """How many administrators a domain keeps at least."""

    min_admins: int
    after_grants: int
    """ADMIN rows after this pass's grants and before its revocations."""


def _weigh(
    ward: Ward, accesses: frozenset[Holding], bench: Bench, held: dict[Holding, Hold], settled: set[Holding] | None
) -> None:
    if not ward.tripped:
        return
    for hold in bench.hold(ward.scope, REVOCATIONS, str(ward.limit), accesses):
        if settled is not None:
            settled |= hold.accesses
        if not hold.approved:
            held.update((access, hold) for access in hold.accesses if access not in held)


def _defend_floor(
    ward: Ward,
    floors: Mapping[ResourceKey, Floor],
    bench: Bench,
    held: dict[Holding, Hold],
    ripe: Collection[ResourceKey],
) -> None:
    floor = floors[ward.scope.key]
    going = frozenset(item.case.holding for item in ward.cases if _goes(item, held, ripe))
    if not going or floor.after_grants - len(going) >= floor.min_admins:
        return
    for hold in bench.hold(ward.scope, MIN_ADMINS, f"{MIN_ADMINS} {floor.min_admins}", going):
        if not hold.approved:
            held.update((access, hold) for access in hold.accesses)


def _goes(item: OpenCase, held: Mapping[Holding, Hold], ripe: Collection[ResourceKey]) -> bool:
    return item.executable and item.resource in ripe and item.case.holding not in held


def _restate(item: OpenCase, held: Mapping[Holding, Hold], bench: Bench) -> Case:
    case = item.case
    hold = held.get(case.holding)
    if hold is not None:
        return replace(case, state=CaseState.HELD, hold=hold.id)
    approved = next((hold for hold in bench.standing.values() if hold.approved and case.holding in hold.accesses), None)
    if approved is not None:
        return replace(case, state=CaseState.APPROVED, hold=approved.id)
    if case.state in (CaseState.HELD, CaseState.APPROVED):
        return replace(case, state=CaseState.CONFIRMED if item.confirmed else CaseState.SUSPECTED, hold=None)
    return case


def hold_grants(
    scope: Scope, limit: int, grants: Collection[Holding], after: int, bench: Bench
) -> Mapping[Holding, Hold]:
    """Which of a domain's grants wait because there would be more than `maxAdmins` administrators: all, or none.

    `after` is the number of administrators if everything of this pass were carried out.
    """
    if not grants or after <= limit:
        return {}
    holds = bench.hold(scope, MAX_ADMINS, f"{MAX_ADMINS} {limit}", frozenset(grants))
    bench.use(grants)
    return {access: hold for hold in holds if not hold.approved for access in hold.accesses}

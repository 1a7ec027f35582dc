"""May it be carried out? Limits over windows, and the holds that wait for a person when one trips (invariant 5).

A limit counts what was revoked within its window (the journal, in database time) and every open case, confirmed or
not, against the ADMIN rows at the window's start. When it trips it holds all open cases of its scope. A source speaks
before its domains: what a source's hold covers needs no second hold of the domain for the same kind of limit.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from controller.planning.cases import OpenCase
from controller.planning.facts import Activity, Case, CaseState, Hold, Holding, Scope
from controller.resources.conditions import Reason
from controller.resources.model import RevocationLimit
from controller.resources.names import ResourceKey
from controller.resources.quantities import format_duration

IDENTITY_DOUBT = timedelta(hours=24)
"""How long somebody whose e-mail has changed keeps what no source names any more."""
HOLD_LIFETIME = timedelta(hours=24)
"""How long a hold may be approved; afterwards what still trips gets a new one."""

REVOCATIONS = "revocations"
PLAUSIBILITY = "plausibility"
MIN_ADMINS = "minAdmins"
MAX_ADMINS = "maxAdmins"
IDENTITY_CHANGED = "identityChanged"
ADMIN_EMAIL_DOMAINS = "adminEmailDomains"
GRANTS = "grants"
ADOPTION = "adoption"
WITHDRAWAL = "withdrawal"
CHANGE = "change"
RESTRICTIONS = "legacyGroupRestrictions"
"""Not of administrators: the end of restrictions lets people in. Decided and recorded where services are."""

LIMIT_REASONS = {
    REVOCATIONS: Reason.REVOCATION_LIMIT,
    PLAUSIBILITY: Reason.WAVE_IMPLAUSIBLE,
    MIN_ADMINS: Reason.MIN_ADMINS,
    MAX_ADMINS: Reason.MAX_ADMINS,
    IDENTITY_CHANGED: Reason.IDENTITY_CHANGED,
    ADMIN_EMAIL_DOMAINS: Reason.ADMIN_EMAIL_DOMAINS,
    GRANTS: Reason.GRANT_LIMIT,
    ADOPTION: Reason.ADOPTION,
    WITHDRAWAL: Reason.WITHDRAWAL,
    CHANGE: Reason.TERMS_CHANGED,
    RESTRICTIONS: Reason.RESTRICTIONS_END,
}
WITHOUT_ANSWERS = frozenset({ADOPTION, WITHDRAWAL})
"""What a person decides alone: no source is asked about it, before an approval or after."""
EVERY_PASS = frozenset({MAX_ADMINS, ADMIN_EMAIL_DOMAINS, GRANTS}) | WITHOUT_ANSWERS
"""Limits that are judged in every pass, because they do not wait for waves."""
PLAUSIBLE = 50
"""Of a hundred answers about administrators, how many may revoke before the source itself is doubted."""


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

    def undecided(self, *, judged: Collection[Scope], gathered: Collection[Scope]) -> Iterable[Hold]:
        """Recorded holds that this pass leaves as they are: of objects that are not judged, while they last.

        Limits of `EVERY_PASS` are decided for all objects whose sources have been heard: before that an answer that
        is still to come is not a grant that is no longer wanted.
        """
        for hold in self.recorded.values():
            decided = gathered if kind_of(hold) in EVERY_PASS else judged
            known = hold.id in self.standing or hold.id in self.used
            if not known and hold.scope not in decided and hold.expires_at > self.now:
                yield hold

    def of(self, scope: Scope, kind: str) -> tuple[Hold, ...]:
        """The recorded, unexpired holds of one limit of one object."""
        return tuple(
            hold
            for hold in self.recorded.values()
            if hold.scope == scope and kind_of(hold) == kind and hold.expires_at > self.now
        )

    def hold(self, scope: Scope, limit: str, accesses: frozenset[Holding]) -> tuple[Hold, ...]:
        """Hold these accesses under one limit, minus those that a person has approved; return what stands.

        A recorded hold keeps its id while it shrinks. When it would grow, a new id takes its place: an approval covers
        exactly what the person saw. The time since when something is held is carried on.
        """
        kind, approved, waiting = limit_kind(limit), [], accesses
        for hold in self.of(scope, kind):
            if self.approvals.cover(hold) and (covered := hold.accesses & accesses):
                approved.append(replace(hold, approved=True, accesses=covered))
                waiting -= covered
        pending = [hold for hold in self.of(scope, kind) if not self.approvals.cover(hold)]
        standing = [*approved, *self._pending(scope, limit, waiting, pending)]
        self.keep(standing)
        return tuple(standing)

    def _pending(
        self, scope: Scope, limit: str, waiting: frozenset[Holding], before: Sequence[Hold]
    ) -> tuple[Hold, ...]:
        if not waiting:
            return ()
        same = next((hold for hold in before if waiting <= hold.accesses), None)
        if same is not None:
            return (replace(same, limit=limit, accesses=waiting),)
        since = min((hold.since for hold in before), default=self.now)
        fresh = Hold(
            self._new_id(scope, limit_kind(limit), waiting), scope, limit, waiting, since, self.now + HOLD_LIFETIME
        )
        return (replace(fresh, approved=self.approvals.cover(fresh)),)

    def _new_id(self, scope: Scope, kind: str, accesses: frozenset[Holding]) -> str:
        """An id that follows from what is held, so that `plan` and `apply` name the same hold; never a spent one."""
        content = "|".join((str(scope), kind, *(f"{domain}:{user}" for domain, user in sorted(accesses))))
        digests = (hashlib.sha256(f"{content}|{attempt}".encode()).hexdigest()[:12] for attempt in count())
        return next(digest for digest in digests if digest not in self.spent and digest not in self.recorded)


def kind_of(hold: Hold) -> str:
    """Which limit of its object tripped: a key of `LIMIT_REASONS`."""
    return limit_kind(hold.limit)


def limit_kind(limit: str) -> str:
    """The same of a limit as people read it."""
    return limit.partition(" ")[0]


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
    answers: int | None = None
    """How many administrators the source has said anything about; None where that is not weighed (a domain)."""
    changes: tuple[str, ...] = ()
    """The terms that are others than those under which it was last let revoke."""

    @property
    def objections(self) -> Iterator[str]:
        """The limits that trip, as people read them. What the declared one holds need not be doubted as well."""
        if self.tripped:
            yield str(self.limit)
        if self.implausible:
            yield f"{PLAUSIBILITY} {PLAUSIBLE}% of a wave"
        if self.changes and self.cases:
            yield f"{CHANGE} of {', '.join(self.changes)}"

    @property
    def implausible(self) -> bool:
        """Whether so many of the answers would revoke that it is the source and not the people."""
        if self.answers is None:
            return False
        doubted = len({item.access.user for item in self.cases if item.suspect is not None})
        return doubted > self.floor and 100 * doubted > PLAUSIBLE * self.answers

    @property
    def tripped(self) -> bool:
        """Whether more is revoked or about to be than the limit allows."""
        return bool(self.cases) and len(self.cases) > self._left

    @property
    def left(self) -> int:
        """How many cases the limit still allows in its window."""
        return max(0, self._left)

    @property
    def _left(self) -> int:
        at_start = self.rows - self.activity.granted + self.activity.revoked
        return self.limit.max.of(at_start, floor=self.floor) - self.activity.revoked + self.offset


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
        settled |= _weigh(ward, bench, held, before=())
    for ward in domains:
        _weigh(ward, bench, held, before=settled)
    for ward in domains:
        _doubt_identities(ward, bench, held)
    for ward in domains:
        _defend_floor(ward, floors[ward.scope.key], bench, held)
    cases = {item.case.access: item for ward in domains for item in ward.cases}
    approved = {access: hold.id for hold in bench.standing.values() if hold.approved for access in hold.accesses}
    executable = tuple(
        replace(item, case=replace(item.case, hold=approved.get(item.case.holding)))
        for item in cases.values()
        if _goes(item, held, ripe)
    )
    going = {item.case.access for item in executable}
    bench.use([item.case.holding for item in executable])
    rest = tuple(_restate(item, held, bench) for access, item in cases.items() if access not in going)
    return Judgement(executable, rest)


def judge_withdrawal(scope: Scope, cases: Sequence[OpenCase], bench: Bench) -> Judgement:
    """Judge the cases of a domain that is given up: exactly those go that a person has approved."""
    held: dict[Holding, Hold] = {}
    for hold in bench.hold(scope, WITHDRAWAL, frozenset(item.case.holding for item in cases)):
        if not hold.approved:
            held.update(dict.fromkeys(hold.accesses, hold))
    going = tuple(item for item in cases if item.case.holding not in held)
    bench.use([item.case.holding for item in going])
    rest = (item.case for item in cases if item.case.holding in held)
    return Judgement(going, tuple(_wait_for(held[case.holding], case) for case in rest))


@dataclass(frozen=True, slots=True)
class Floor:
    """How many administrators a domain keeps at least."""

    min_admins: int
    after_grants: int
    """ADMIN rows after this pass's grants and before its revocations."""


def _weigh(ward: Ward, bench: Bench, held: dict[Holding, Hold], before: Collection[Holding]) -> frozenset[Holding]:
    """Hold what the limits of one object object to, and return what they have decided, held or approved.

    Accesses that were decided `before` need no second hold, neither by a source for its domain nor by one limit for
    the next.
    """
    decided: frozenset[Holding] = frozenset()
    for limit in ward.objections:
        waiting = frozenset(item.case.holding for item in ward.cases) - frozenset(before) - decided
        for hold in bench.hold(ward.scope, limit, waiting):
            decided |= hold.accesses
            if not hold.approved:
                held.update((access, hold) for access in hold.accesses if access not in held)
    return decided


def _doubt_identities(ward: Ward, bench: Bench, held: dict[Holding, Hold]) -> None:
    """Hold who had another e-mail when the row became ours: perhaps the answer is about somebody else's address."""
    young = (item for item in ward.cases if bench.now - item.case.opened_at < IDENTITY_DOUBT)
    doubted = (item for item in young if item.suspect is not None and item.suspect.renamed)
    waiting = frozenset(item.case.holding for item in doubted).difference(held)
    for hold in bench.hold(ward.scope, f"{IDENTITY_CHANGED} {format_duration(IDENTITY_DOUBT)}", waiting):
        if not hold.approved:
            held.update((access, hold) for access in hold.accesses)


def _defend_floor(ward: Ward, floor: Floor, bench: Bench, held: dict[Holding, Hold]) -> None:
    """Hold what would go below the floor, also where it can't go now: an approval outlasts a wave that failed."""
    going = frozenset(item.case.holding for item in ward.cases if item.executable and item.case.holding not in held)
    if not going or floor.after_grants - len(going) >= floor.min_admins:
        return
    for hold in bench.hold(ward.scope, f"{MIN_ADMINS} {floor.min_admins}", going):
        if not hold.approved:
            held.update((access, hold) for access in hold.accesses)


def _goes(item: OpenCase, held: Mapping[Holding, Hold], ripe: Collection[ResourceKey]) -> bool:
    return item.executable and item.resource in ripe and item.case.holding not in held


def _restate(item: OpenCase, held: Mapping[Holding, Hold], bench: Bench) -> Case:
    case = item.case
    hold = held.get(case.holding)
    if hold is not None:
        return _wait_for(hold, case)
    approved = next((hold for hold in bench.standing.values() if hold.approved and case.holding in hold.accesses), None)
    if approved is not None:
        return replace(case, state=CaseState.APPROVED, hold=approved.id)
    if case.state in (CaseState.HELD, CaseState.APPROVED):
        return replace(case, state=CaseState.CONFIRMED if item.confirmed else CaseState.SUSPECTED, hold=None)
    return case


def _wait_for(hold: Hold, case: Case) -> Case:
    return replace(case, state=CaseState.HELD, hold=hold.id)

"""Was it allowed? A second opinion on every write, from what was said on the wire and what stands in the tables.

It knows the design and not the planner: no function of `controller.planning` is used here. Whatever it is unsure of it
lets pass, so that each of its objections is one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tests.support.stage import Person, Row, Scenery

DAY = 24 * 3600.0
STALE = 1800.0
CONFIRM = 30.0
THRICE = 3

Key = tuple[str, str]
"""Domain name and user."""
Rows = dict[str, Row]
"""By id."""


class Said(NamedTuple):
    """One answer, as its bytes say: `list` is the whole truth, `partial` only grants, `nothing` says nothing."""

    at: float
    kind: Literal["list", "partial", "nothing"]
    domains: frozenset[str]

    def names(self, domain: str) -> bool:
        return self.kind != "nothing" and domain in self.domains

    def denies(self, domain: str) -> bool:
        return self.kind == "list" and domain not in self.domains


@dataclass
class Limit:
    """A share of the rows, or a count."""

    number: int
    share: bool

    def of(self, rows: int, *, floor: int) -> int:
        if not self.share:
            return self.number
        return 0 if self.number == 0 else max(floor, self.number * rows // 100)

    def __str__(self) -> str:
        return f"{self.number}%" if self.share else str(self.number)


@dataclass
class Policy:
    """What is declared about one domain."""

    sources: tuple[str, ...]
    mode: str = "Enforce"
    ownership: str = "Ledger"
    adoption: str = "Matching"
    suspend: bool = False
    protected: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    limit: Limit = field(default_factory=lambda: Limit(50, share=True))
    min_admins: int = 0
    max_admins: int = 50


NOBODY = Policy(())
"""What is declared about a domain that is not declared."""


@dataclass
class Owner:
    """What is declared about one source."""

    limit: Limit
    suspend: bool = False


class Removal(NamedTuple):
    at: float
    domain: str
    sources: tuple[str, ...]


class Deed(NamedTuple):
    """What we wrote about one access."""

    at: float
    what: Literal["written", "revoked", "denied"]


@dataclass
class Oracle:
    """Everything that was said and seen, and the judge of what was written."""

    policies: dict[str, Policy] = field(default_factory=dict)
    """By domain; a domain that is not declared has none."""
    owners: dict[str, Owner] = field(default_factory=dict)
    said: dict[Key, list[Said]] = field(default_factory=lambda: defaultdict(list))
    """By source and e-mail."""
    approved: set[Key] = field(default_factory=set)
    started: float = 0.0
    """When the present process began, on the clock of the answers."""
    counts: Counter[str] = field(default_factory=Counter)
    _granted: dict[str, float] = field(default_factory=dict)
    """Rows that the controller inserted, and when on the database's clock."""
    _identities: dict[str, str | None] = field(default_factory=dict)
    """Rows that became ours, and the e-mail that their user had then."""
    _open: dict[Key, float] = field(default_factory=dict)
    """Open cases, and since when on the database's clock."""
    _deeds: dict[Key, list[Deed]] = field(default_factory=lambda: defaultdict(list))
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Every row that ever stood: its domain and when it was last seen, on the database's clock."""
    _removals: list[Removal] = field(default_factory=list)

    # --- looking on ---

    def see(self, scenery: Scenery, clock: float) -> None:
        """Note what stands."""
        self._seen |= {key: (row.domain, clock) for key, row in scenery.rows.items() if row.admin}
        self._open = {key: self._open.get(key, clock) for key in scenery.cases}

    def vanishes(self, key: Key, clock: float) -> bool:
        """Whether somebody keeps removing what we write: it is left to them."""
        lately = [deed for deed in self._deeds[key] if deed.at > clock - DAY]
        return sum(1 if deed.what == "written" else -1 for deed in lately) >= THRICE

    def returned(self, key: Key, clock: float) -> bool:
        """Whether we have removed the row lately: if it stands, somebody has brought it back, and it is left alone."""
        lately = [deed.what for deed in self._deeds[key] if deed.at > clock - DAY and deed.what != "denied"]
        return lately[-1:] == ["revoked"]

    def undone(self, before: Scenery, after: Scenery, clock: float) -> None:
        """Object to a rollback that does more than bring back what was revoked."""
        came = {key: row for key, row in after.rows.items() if key not in before.rows}
        self._same(before, after, {}, came, deed="restored")
        assert came.keys() <= self._seen.keys(), "another row came back than the one that had gone"
        assert came.keys() <= after.pins
        self.counts["restored"] += len(came)
        for key, row in came.items():
            self._deeds[row.domain, row.user].append(Deed(clock, "written"))
            self._granted.setdefault(key, clock)
        self.see(after, clock)

    # --- judging ---

    def judge(self, before: Scenery, after: Scenery, now: float, clock: float) -> None:
        """Object to a write that broke a rule."""
        self.see(before, clock)
        gone = {key: row for key, row in before.rows.items() if key not in after.rows}
        came = {key: row for key, row in after.rows.items() if key not in before.rows}
        self.counts["writes"] += 1
        self.counts["revoked"] += len(gone)
        self.counts["granted"] += len(came)
        self._same(before, after, gone, came, deed="granted")
        for row in came.values():
            self._grant(row, before, now, clock)
        adopted = {key: before.rows[key] for key in after.ours - before.ours - came.keys()}
        for row in adopted.values():
            self._adoption(row, before, now)
        judged = [row for key, row in gone.items() if self._weighs(key, row, before, now, clock)]
        for key, row in (came | adopted).items():
            self._identities[key] = before.people[row.user].email
        self._granted |= dict.fromkeys(came, clock)
        for row in came.values():
            self._deeds[row.domain, row.user].append(Deed(clock, "written"))
        self._removals += [Removal(clock, row.domain, self.policies[row.domain].sources) for row in judged]
        self.see(after, clock)
        self._limits(judged, after, clock)
        self._ceiling(list(came.values()), after)

    def _same(self, before: Scenery, after: Scenery, gone: Rows, came: Rows, deed: str) -> None:
        """Invariants 2, 3 and 6: nothing else moved, and rows, ledger and journal tell the same."""
        assert before.people == after.people
        assert all(after.rows[key] == row for key, row in before.rows.items() if key not in gone)
        assert not after.ours & gone.keys()
        assert deed == "restored" or came.keys() <= after.ours
        for what, rows in ((deed, came), ("revoked", gone)):
            assert after.deeds[what] - before.deeds[what] == len(rows), f"the journal tells of another number {what}"

    def _weighs(self, key: str, row: Row, before: Scenery, now: float, clock: float) -> bool:
        """Judge one removal; whether it counts for the limits."""
        access = (row.domain, row.user)
        if self._denied(row, before.people.get(row.user)):
            self._deeds[access].append(Deed(clock, "denied"))
            self.counts["denied"] += 1
            return False
        try:
            if self.policies.get(row.domain, NOBODY).mode == "Withdraw":
                self._withdrawal(key, row, before)
            else:
                self._revocation(key, row, before, now, clock)
        except AssertionError:
            self.counts["false revocations"] += 1
            raise
        self._deeds[access].append(Deed(clock, "revoked"))
        approved = access in self.approved
        self.approved.discard(access)
        self.counts["approved"] += approved
        return not approved

    def _grant(self, row: Row, before: Scenery, now: float, clock: float) -> None:
        policy = self._acting(row, "GrantOnly", "Enforce")
        person = before.people[row.user]
        assert row.admin
        assert person.active
        assert person.email is not None
        twins = [other for other in before.people.values() if other.active and _same_address(other.email, person.email)]
        assert len(twins) == 1, "an e-mail of two active users grants nothing (invariant 7)"
        assert self._named(person, row.domain, policy, now), "nobody named them"
        assert not any(_same_address(person.email, email) for email in policy.denied)
        assert not self.vanishes((row.domain, row.user), clock), "somebody else removes it each time"

    def _adoption(self, row: Row, before: Scenery, now: float) -> None:
        policy = self._acting(row, "GrantOnly", "Enforce")
        assert row.admin
        assert policy.adoption != "Never"
        named = self._named(before.people[row.user], row.domain, policy, now)
        approved = policy.adoption == "All" and (row.domain, row.user) in self.approved
        assert named or approved, "a row became ours that nobody names, and nobody has approved it"

    def _withdrawal(self, key: str, row: Row, before: Scenery) -> None:
        """A domain that is given up."""
        policy = self._acting(row, "Withdraw")
        assert row.admin, "another role is never touched"
        assert key in before.ours, "not ours"
        assert key not in before.pins, "a person has restored it"
        assert not any(_same_address(before.people[row.user].email, email) for email in policy.protected)
        assert (row.domain, row.user) in self.approved, "nothing is withdrawn that nobody has approved"

    def _revocation(self, key: str, row: Row, before: Scenery, now: float, clock: float) -> None:
        """Invariants 1, 2 and 7."""
        policy = self._acting(row, "Enforce")
        assert row.admin, "another role is never touched"
        person = before.people[row.user]
        assert person.active
        assert person.email is not None
        assert key in before.ours or policy.ownership == "Authoritative", "not ours"
        assert key not in before.pins, "a person has restored it"
        assert not any(_same_address(person.email, email) for email in policy.protected)
        self._undisputed(key, row, person, before, clock)
        for source in policy.sources:
            said = self.said[source, person.email]
            assert not self.owners[source].suspend
            assert said, f"{source} was never asked"
            last = _latest(said, now)
            assert any(item.denies(row.domain) for item in last), f"{source} does not deny it"
            assert now - last[-1].at <= STALE, f"the answer of {source} is old"
            assert said[-1].at >= self.started, f"{source} was not asked since the start"
            if (row.domain, row.user) not in self.approved:
                denials = list(_last_run(said, row.domain))
                assert denials[-1] - denials[0] >= CONFIRM, "it was said once only"

    def _undisputed(self, key: str, row: Row, person: Person, before: Scenery, clock: float) -> None:
        access = (row.domain, row.user)
        if key not in before.ours:
            assert not self.returned(access, clock), "somebody has brought back what we had removed"
        elif access not in self.approved and not _same_address(self._identities[key], person.email):
            assert clock - self._open.get(access, clock) >= DAY, "they had another e-mail when the row became ours"

    def _limits(self, judged: list[Row], after: Scenery, clock: float) -> None:
        """Invariant 5, over sliding windows, whatever was restarted meanwhile."""
        for domain in sorted({row.domain for row in judged}):
            policy = self.policies[domain]
            fresh = [key for key, at in self._granted.items() if at > clock - DAY and key in after.rows]
            offset = sum(after.rows[key].domain == domain for key in fresh)
            removed = sum(item.domain == domain and item.at > clock - DAY for item in self._removals)
            assert removed - offset <= policy.limit.of(self._rows({domain}, clock), floor=1), f"too many in {domain}"
            left = sum(row.domain == domain and row.admin for row in after.rows.values())
            assert left >= policy.min_admins, f"too few are left in {domain}"
        for source in sorted({source for row in judged for source in self.policies[row.domain].sources}):
            declared = {name for name, policy in self.policies.items() if source in policy.sources}
            gone = [item.domain for item in self._removals if source in item.sources and item.at > clock - DAY]
            rows = self._rows(declared, clock) + sum(domain not in declared for domain in gone)
            assert len(gone) <= self.owners[source].limit.of(rows, floor=10), f"too many of {source}"

    def _ceiling(self, came: list[Row], after: Scenery) -> None:
        for domain in {row.domain for row in came if (row.domain, row.user) not in self.approved}:
            standing = {(row.domain, row.user) for row in after.rows.values() if row.domain == domain and row.admin}
            leaving = {key for key in after.cases if key[0] == domain}
            most = self.policies[domain].max_admins
            assert len(standing - leaving) <= most or not came, f"more than {most} in {domain}"

    def _acting(self, row: Row, *modes: str) -> Policy:
        policy = self.policies.get(row.domain)
        assert policy is not None, "an undeclared domain is never touched (invariants 2 and 8)"
        assert policy.mode in modes
        assert not policy.suspend
        return policy

    def _denied(self, row: Row, person: Person | None) -> bool:
        policy = self.policies.get(row.domain)
        if policy is None or person is None or policy.mode not in ("Enforce", "Withdraw") or policy.suspend:
            return False
        return row.admin and any(_same_address(person.email, email) for email in policy.denied)

    def _named(self, person: Person, domain: str, policy: Policy, now: float) -> bool:
        asked = [source for source in policy.sources if not self.owners[source].suspend]
        lists = [_latest(self.said[source, person.email or ""], now) for source in asked]
        return any(item.names(domain) and now - item.at <= STALE for said in lists for item in said)

    def _rows(self, domains: Iterable[str], clock: float) -> int:
        """At most so many rows were there at any moment of the window."""
        return sum(domain in domains and at >= clock - DAY for domain, at in self._seen.values())


def _latest(said: list[Said], now: float) -> list[Said]:
    """The answers that a plan of this moment may have seen: those of this moment, and the last one before."""
    earlier = [item for item in said if item.at < now][-1:]
    return [*earlier, *(item for item in said if item.at == now)]


def _last_run(said: list[Said], domain: str) -> Iterable[float]:
    """When it was denied, since somebody last said otherwise."""
    run: list[float] = []
    for item in said:
        if item.names(domain):
            run.clear()
        elif item.denies(domain):
            run.append(item.at)
    return run


def _same_address(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.lower() == other.lower()

"""A small world for planning tests: people, domains, rows and answers, each named by the test that needs it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.planning.changes import Adoption, Changes, Grant, NotEntitled, Revocation
from controller.planning.facts import (
    OPEN_STATES,
    Access,
    AccessId,
    Activity,
    Answer,
    Case,
    Claim,
    Contest,
    DomainId,
    Entitled,
    Freeze,
    Granted,
    Hold,
    Holding,
    Known,
    MailDomainRow,
    Origin,
    Owned,
    Pin,
    Scope,
    Seal,
    Snapshot,
    User,
    UserId,
    Verdict,
)
from controller.planning.guard import Approvals
from controller.planning.health import SourceHealth, examine, holders
from controller.planning.plan import DomainPlan, Plan, Question, plan
from controller.planning.sources import SourceState
from controller.planning.standing import ClaimRules, Standing, resolve
from controller.resources.maildomain import MailDomain
from controller.resources.model import API_VERSION
from controller.resources.names import DomainName, Email, ResourceKey, canonical_domain
from controller.resources.source import EntitlementSource

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAY = timedelta(hours=24)


def source_key(name: str = "deploycenter", namespace: str = "default") -> ResourceKey:
    """The key of a source."""
    return ResourceKey(namespace, name)


def maildomain(domain: str, *, namespace: str = "default", name: str | None = None, **spec: Any) -> MailDomain:
    """A MailDomain in Enforce mode with one source, unless the test says otherwise."""
    metadata = {"name": name or domain.replace(".", "-"), "namespace": namespace, **spec.pop("metadata", {})}
    body = {"domain": domain, "mode": "Enforce", "sourceRefs": [{"name": "deploycenter"}], **spec}
    return MailDomain.model_validate(
        {"apiVersion": API_VERSION, "kind": "MailDomain", "metadata": metadata, "spec": body}
    )


def source(name: str = "deploycenter", *, namespace: str = "default", **spec: Any) -> EntitlementSource:
    """A local source; planning never asks it."""
    body = {"provider": {"local": {}}, **spec}
    metadata = {"name": name, "namespace": namespace}
    return EntitlementSource.model_validate(
        {"apiVersion": API_VERSION, "kind": "EntitlementSource", "metadata": metadata, "spec": body}
    )


@dataclass(frozen=True)
class Entry:
    """What the journal keeps of one change, as far as planning asks for it."""

    at: datetime
    domain: DomainName
    what: str
    sources: tuple[ResourceKey, ...]


@dataclass
class PlanningWorld:
    """Everything that a question is made of, and a database that carries plans out as the writer would."""

    owner: str = "test"
    now: float = 100_000.0
    time: datetime = START
    users: dict[UserId, User] = field(default_factory=dict)
    domains: dict[str, MailDomainRow] = field(default_factory=dict)
    rows: dict[AccessId, Access] = field(default_factory=dict)
    ledger: dict[AccessId, Owned] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    journal: list["Entry"] = field(default_factory=list)
    known: dict[Scope, Known] = field(default_factory=dict)
    claims: dict[DomainName, Claim] = field(default_factory=dict)
    declared: list[MailDomain] = field(default_factory=list)
    sources: dict[ResourceKey, EntitlementSource] = field(default_factory=dict)
    answers: dict[ResourceKey, dict[UserId, Answer]] = field(default_factory=dict)
    states: dict[ResourceKey, dict[str, Any]] = field(default_factory=dict)
    freeze: Freeze | None = None
    pins: dict[AccessId, Pin] = field(default_factory=dict)
    contests: dict[Holding, Contest] = field(default_factory=dict)
    seal: Seal | None = None
    _rows_made: int = 0

    # --- building ---

    def user(self, email: str | None, *, active: bool = True, name: str | None = None) -> UserId:
        """Add a user; its id is the local part of the e-mail unless named."""
        user = UserId(name or (email or "nobody").partition("@")[0])
        self.users[user] = User(user, Email(email) if email is not None else None, active)
        return user

    def domain(self, name: str, *, alias: bool = False, row: bool = True, **spec: Any) -> MailDomain:
        """Declare a domain, with a row in the mail database unless `row` is False."""
        if row:
            self.domains[name] = MailDomainRow(DomainId(name), name, alias)
        declared = maildomain(canonical_domain(name) or name, **spec)
        self.declared.append(declared)
        if not self.sources:
            self.add_source()
        return declared

    def add_source(self, name: str = "deploycenter", **spec: Any) -> ResourceKey:
        """Add a source."""
        key = source_key(name)
        self.sources[key] = source(name, **spec)
        self.answers.setdefault(key, {})
        return key

    def admin(self, user: str, domain: str, *, owned: bool = True, admin: bool = True) -> Access:
        """Add a row, ours unless `owned` is False, granted long ago."""
        self._rows_made += 1
        row = Access(AccessId(f"row-{self._rows_made:06d}"), DomainId(domain), UserId(user), admin)
        self.rows[row.id] = row
        if owned:
            self.ledger[row.id] = Owned(row.id, row.domain, row.user, Origin.GRANTED, self.time - 30 * DAY)
        return row

    def says(self, user: str, *domains: str, source: str = "deploycenter", verdict: Verdict | None = None) -> None:
        """Let a source answer now; the same answer as before keeps its `since`."""
        key, who = source_key(source), UserId(user)
        said = verdict or Entitled(frozenset(DomainName(name) for name in domains))
        before = self.answers[key].get(who)
        since = before.since if before is not None and before.verdict == said else self.now
        email = self.users[who].email or Email("")
        self.answers[key][who] = Answer(who, email, key, said, self.now, since)

    def all_say(self, *domains: str, source: str = "deploycenter") -> None:
        """Let a source answer the same for every user."""
        for user in self.users:
            self.says(user, *domains, source=source)

    def later(self, **by: float) -> None:
        """Let time pass, on both clocks."""
        passed = timedelta(**by)
        self.now += passed.total_seconds()
        self.time += passed

    # --- asking ---

    def snapshot(self) -> Snapshot:
        """The database now."""
        accesses: dict[DomainId, tuple[Access, ...]] = {}
        for row in self.rows.values():
            accesses[row.domain] = (*accesses.get(row.domain, ()), row)
        windows = {item.spec.limits.revocations.window for item in self.declared}
        windows |= {item.spec.limits.revocations.window for item in self.sources.values()}
        return Snapshot(
            taken_at=self.time,
            epoch=1,
            migrated=True,
            users=self.users,
            domains=tuple(self.domains.values()),
            accesses=accesses,
            ledger=dict(self.ledger),
            cases=tuple(case for case in self.cases.values() if case.state in OPEN_STATES),
            holds=tuple(hold for hold in self.holds.values() if not hold.closed),
            spent_holds=frozenset(hold.id for hold in self.holds.values() if hold.closed),
            activity={window: self._activity(window) for window in windows},
            claims=dict(self.claims),
            freeze=self.freeze,
            granted=self._granted(),
            known=dict(self.known),
            removed={window: self._removed(window) for window in windows},
            pins=dict(self.pins),
            contests=dict(self.contests),
            seal=self.seal,
        )

    def _activity(self, window: timedelta) -> dict[DomainName, Activity]:
        found: dict[DomainName, Activity] = {}
        for entry in self.journal:
            if entry.at > self.time - window and entry.what != "adopted":
                before = found.get(entry.domain, Activity())
                found[entry.domain] = replace(before, **{entry.what: getattr(before, entry.what) + 1})
        return found

    def _removed(self, window: timedelta) -> dict[ResourceKey, dict[DomainName, int]]:
        found: dict[ResourceKey, dict[DomainName, int]] = {}
        for entry in self.journal:
            for key in entry.sources if entry.what == "revoked" and entry.at > self.time - window else ():
                of = found.setdefault(key, {})
                of[entry.domain] = of.get(entry.domain, 0) + 1
        return found

    def _granted(self) -> dict[ResourceKey, Granted]:
        found: dict[ResourceKey, Granted] = {}
        for entry in self.journal:
            if entry.what == "revoked" or entry.at <= self.time - 8 * DAY:
                continue
            today = entry.at > self.time - DAY
            for key in entry.sources:
                before = found.get(key, Granted())
                found[key] = Granted(before.today + today, before.week + (not today))
        return found

    def standings(self) -> tuple[Standing, ...]:
        """Which of the declared domains may act."""
        rules = ClaimRules(self.owner, self.claims, None)
        return resolve(self.declared, self.sources, source_namespaces=None, rules=rules)

    def question(self, **options: Any) -> Question:
        """The question as it stands now."""
        states = {
            key: SourceState(key, item.spec, self.answers[key], **self.states.get(key, {}))
            for key, item in self.sources.items()
        }
        return Question(self.standings(), states, self.snapshot(), self.now, **options)

    def health(self) -> dict[ResourceKey, SourceHealth]:
        """How each source is."""
        question = self.question()
        held = holders(question.standings, question.snapshot)
        return {
            key: examine(state, state.answers.values(), held.get(key, ()), question.snapshot, now=self.now)
            for key, state in question.sources.items()
        }

    def plan(self, *, approve: Iterable[str] = (), **options: Any) -> Plan:
        """Decide, and change nothing."""
        return plan(self.question(approvals=Approvals(by_command=frozenset(approve)), **options))

    def plan_of(self, domain: str, **options: Any) -> DomainPlan:
        """What is decided about one domain."""
        decided = self.plan(**options).domains
        return next(item for item in decided if item.standing.resource.domain == domain)

    def apply(self, **options: Any) -> Plan:
        """Decide and carry out, as the writer would."""
        decided = self.plan(**options)
        self.carry_out(decided.changes)
        return decided

    def confirm_and_apply(self, **options: Any) -> Plan:
        """Ask the same again after the confirmation time, then decide and carry out."""
        self.apply(**options)
        self.repeat(seconds=31)
        return self.apply(**options)

    def repeat(self, **by: float) -> None:
        """Let time pass and every source say again what it said."""
        self.later(**by)
        for key, answers in self.answers.items():
            for user, answer in list(answers.items()):
                self.says(user, source=key.name, verdict=answer.verdict)

    # --- the writer ---

    def carry_out(self, changes: Changes) -> None:
        """What one transaction writes."""
        for revocation in changes.revocations:
            del self.rows[revocation.access.id]
            self.ledger.pop(revocation.access.id, None)
            # As the database counts: what no limit weighs uses none up.
            if isinstance(revocation.proof, NotEntitled):
                self._note("revoked", revocation)
        for access in changes.forgotten:
            self.ledger.pop(access, None)
        for grant in changes.grants:
            row = self.admin(grant.user, grant.domain, owned=False)
            self.ledger[row.id] = Owned(row.id, row.domain, row.user, Origin.GRANTED, self.time, grant.identity)
            self._note("granted", grant)
        for adoption in changes.adoptions:
            row = adoption.access
            self.ledger[row.id] = Owned(row.id, row.domain, row.user, Origin.ADOPTED, self.time, adoption.identity)
            self._note("adopted", adoption)
        self.cases.update((case.id, case) for case in changes.cases)
        self.holds.update((hold.id, hold) for hold in changes.holds)
        for domain, key in changes.claims:
            before = self.claims.get(domain)
            self.claims[domain] = Claim(self.owner, key, before.terms if before else None)
        for item in changes.agreed:
            self.claims[item.domain] = replace(self.claims[item.domain], terms=item.terms)
        self.known.update((known.scope, known) for known in changes.known)

    def _note(self, what: str, change: Grant | Adoption | Revocation) -> None:
        self.journal.append(Entry(self.time, change.name, what, change.sources))

    def admins_of(self, domain: str) -> set[str]:
        """Who administers a domain now."""
        return {row.user for row in self.rows.values() if row.domain == domain and row.admin}


def town(domains: int, admins: int, **spec: Any) -> PlanningWorld:
    """Domains with so many long-standing administrators each, all asked and entitled."""
    world = PlanningWorld()
    for number in range(domains):
        name = f"d{number:05d}.fr"
        world.domain(name, **spec)
        for place in range(admins):
            user = world.user(f"u{number:05d}-{place}@{name}")
            world.admin(user, name)
            world.says(user, name)
    return world

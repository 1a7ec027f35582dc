"""What can happen? Everybody's hands on one world, in any order.

A machine is a Hypothesis state machine whose rules are people, sources, faults, clocks and other writers. The loop is
the operator's own (`engine.reign`), answers pass the parser as bytes, and rows stand in a model or a real database.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from controller.engine.inventory import RELIST
from controller.engine.rollback import release, undo
from controller.engine.world import Kind
from controller.errors import PlanOutdated, SchemaUnknown
from controller.maildb.journal import Selection
from controller.resources.names import ResourceKey
from tests.support.judged import SOURCES, Breakage, Judged
from tests.support.machinery import FAULTS, Clockwork, Kinds
from tests.support.oracle import Limit, Owner, Policy

DOMAINS = ("a.fr", "b.fr", "c.fr", "d.fr")
ADDRESSES = tuple(f"zzperson{number}@x.fr" for number in range(7))

numbers = st.integers(0, 99)
"""Which one: what is drawn never depends on what stands, so that each world can be played again."""
addresses = st.sampled_from(ADDRESSES)
domains = st.sampled_from(DOMAINS)
sources = st.sampled_from(SOURCES)
modes = st.sampled_from(["Enforce", "Enforce", "Enforce", "GrantOnly", "Observe", "Withdraw"])
limits = st.sampled_from(
    [Limit(50, share=True), Limit(100, share=True), Limit(2, share=False), Limit(0, share=True), Limit(50, share=True)]
)

POISONED_SPECS: list[dict[str, Any]] = [
    {},
    {"mode": "Sometimes", "sourceRefs": [{"name": "deploycenter"}]},
    {"mode": "Enforce", "sourceRefs": [{"name": "deploycenter"}], "protectedAdmins": ["zzperson0", "\ud800@x.fr"]},
    {"mode": "Enforce", "sourceRefs": "deploycenter", "limits": [{"zzperson0@x.fr": None}]},
]
"""Of domains."""


def pick(which: int, found: Iterable[str]) -> str:
    """One of these, in their order."""
    names = list(found)
    return names[which % len(names)]


class Machine(Judged):
    """One world in which anything may happen."""

    # --- what is declared ---

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Two sources, three declared domains, and some people who are named."""
        for name in SOURCES:
            self.oracle.owners[name] = Owner(data.draw(st.sampled_from([Limit(25, share=True), Limit(3, share=False)])))
            self._apply_source(name)
        for domain in DOMAINS[:3]:
            chosen = SOURCES if domain == "b.fr" else SOURCES[:1]
            self.oracle.policies[domain] = Policy(
                chosen,
                mode=data.draw(st.sampled_from(["Enforce", "Enforce", "Enforce", "GrantOnly", "Observe"])),
                ownership=data.draw(st.sampled_from(["Ledger", "Ledger", "Authoritative"])),
                adoption=data.draw(st.sampled_from(["Matching", "Matching", "Never", "All"])),
                limit=data.draw(limits),
                min_admins=data.draw(st.sampled_from([0, 0, 1])),
                max_admins=data.draw(st.sampled_from([50, 50, 4])),
            )
            self._apply_domain(domain)
        for email in ADDRESSES[:5]:
            self.stage.add_user(email, active=True)
            for source in SOURCES:
                self.wires[source].says[email] = frozenset(DOMAINS[:3])
        self._settle(0)
        self._wave()

    @rule(domain=domains, mode=modes, limit=limits)
    def declare(self, domain: str, mode: str, limit: Limit) -> None:
        """A domain is declared, or its policy edited."""
        policy = self.oracle.policies.setdefault(domain, Policy(SOURCES[:1]))
        policy.mode, policy.limit = mode, limit
        self._apply_domain(domain)

    @rule(domain=domains)
    def undeclare(self, domain: str) -> None:
        """A resource is deleted (invariant 8)."""
        self.oracle.policies.pop(domain, None)
        self.broken.pop(domain, None)
        key = ResourceKey("default", domain.replace(".", "-"))
        if key in self.operating.world.objects[Kind.DOMAIN]:
            self.operating.tell(self.operating.world.delete(Kind.DOMAIN, key), "DELETED")

    @rule(domain=domains, email=st.none() | addresses, how=st.sampled_from(["protected", "denied"]))
    def name(self, domain: str, email: str | None, how: str) -> None:
        """Somebody is protected or denied, or nobody any more."""
        policy = self.oracle.policies.get(domain)
        if policy is not None:
            other = policy.denied if how == "protected" else policy.protected
            chosen = (email,) if email is not None and email not in other else ()
            policy.protected, policy.denied = (chosen, other) if how == "protected" else (other, chosen)
            self._apply_domain(domain)

    @rule(domain=domains, email=addresses)
    def deny_and_wait(self, domain: str, email: str) -> None:
        """Somebody is never to be an administrator here, at once."""
        self.name(domain, email, "denied")
        self._settle(2)

    @rule(domain=domains, suspend=st.booleans())
    def suspend_domain(self, domain: str, *, suspend: bool) -> None:
        """A domain stops, or goes on."""
        if domain in self.oracle.policies:
            self.oracle.policies[domain].suspend = suspend
            self._apply_domain(domain)

    @rule(source=sources, suspend=st.booleans())
    def suspend_source(self, source: str, *, suspend: bool) -> None:
        """A source stops, or goes on."""
        self.oracle.owners[source].suspend = suspend
        self._apply_source(source)

    # --- what is poisoned (invariant 11); a user is by `fail` ---

    @rule(domain=domains, spec=st.sampled_from(POISONED_SPECS))
    def poison_domain(self, domain: str, spec: dict[str, Any]) -> None:
        """A resource arrives that no schema would have let in."""
        self.oracle.policies.pop(domain, None)
        self.broken[domain] = "invalid"
        self.operating.world.apply(Kind.DOMAIN, domain.replace(".", "-"), **{"domain": domain} | spec)
        self._show(Kind.DOMAIN, ResourceKey("default", domain.replace(".", "-")))
        self._settle(0)

    @rule(source=sources, how=st.sampled_from(["invalid", "closed"]))
    def poison_source(self, source: str, how: Breakage) -> None:
        """A source can't be read, or not be opened."""
        self.broken[source] = how
        self._apply_source(source)
        self._settle(0)

    # --- what is said ---

    @rule(source=sources, email=addresses, named=st.sets(domains))
    def say(self, source: str, email: str, named: set[str]) -> None:
        """A right comes or goes."""
        self.wires[source].says[email] = frozenset(named)

    @rule(email=addresses)
    def dismiss(self, email: str) -> None:
        """A right goes, at all sources."""
        for wire in self.wires.values():
            wire.says[email] = frozenset()

    @rule(email=addresses)
    def dismiss_and_wait(self, email: str) -> None:
        """A right goes, and a wave finds out."""
        self.dismiss(email)
        self._wave()

    @rule()
    def say_everything_again(self) -> None:
        """All rights are back."""
        for wire in self.wires.values():
            wire.says.update(dict.fromkeys(ADDRESSES[:5], frozenset(DOMAINS[:3])))

    @rule(source=sources)
    def say_nothing_to_all(self, source: str) -> None:
        """`[]` for everybody."""
        self.wires[source].says.clear()

    @rule(source=sources, who=st.just("*") | addresses, kind=st.sampled_from(FAULTS))
    def fail(self, source: str, who: str, kind: Kinds) -> None:
        """A source fails, for everybody or for one."""
        self.wires[source].trouble[who] = kind

    @rule(email=addresses, kind=st.sampled_from(FAULTS))
    def fail_for_one_and_wait(self, email: str, kind: Kinds) -> None:
        """All sources fail for one person, and a wave finds out."""
        for wire in self.wires.values():
            wire.trouble = {email: kind}
        self._wave()

    @rule(source=sources)
    def heal(self, source: str) -> None:
        """It answers again."""
        self.wires[source].trouble.clear()
        if self.broken.pop(source, None) is not None:
            self._apply_source(source)

    # --- what others do in the database ---

    @rule(email=addresses, active=st.booleans())
    def sign_up(self, email: str, *, active: bool) -> None:
        """Somebody new, perhaps with an e-mail that somebody has."""
        if len(self.stage.scenery().people) < 9:
            self.stage.add_user(email, active=active)

    @rule(which=numbers, email=st.none() | addresses, active=st.sampled_from([True, True, False]))
    def change_user(self, which: int, email: str | None, *, active: bool) -> None:
        """Somebody is renamed, takes another's address, comes or goes."""
        self.stage.change_user(pick(which, self.stage.scenery().people), email, active=active)

    @rule(which=numbers, domain=domains, admin=st.sampled_from([True, True, False]))
    def add_by_hand(self, which: int, domain: str, *, admin: bool) -> None:
        """An access that is not ours."""
        scenery = self.stage.scenery()
        user = pick(which, scenery.people)
        if not any((row.domain, row.user) == (domain, user) for row in scenery.rows.values()):
            self.stage.add_row(user, domain, admin=admin)

    @rule(which=numbers)
    def delete_by_hand(self, which: int) -> None:
        """The application's login synchronisation, or a person."""
        rows = self.stage.scenery().rows
        if rows:
            self.stage.delete_row(pick(which, rows))

    @rule(email=addresses)
    def be_overtaken(self, email: str) -> None:
        """A right goes, and a command writes between the plan that finds out and its write."""
        self.overtake = True
        self.dismiss_and_wait(email)

    @rule(back=st.integers(1, 5))
    def resume_a_paused_process(self, back: int) -> None:
        """A process that slept writes what it had planned, long after others have written (invariant 9)."""
        if len(self.planned) < back:
            return
        changes, epoch = self.planned[-back]
        with self.stage.database.seized():
            pass
        before = self.stage.scenery()
        with suppress(PlanOutdated, SchemaUnknown):
            self.stage.database.write(changes, epoch=epoch)
        assert self.stage.scenery() == before, "a paused process wrote what it had planned (invariant 9)"

    @rule(frozen=st.sampled_from([True, False, False]))
    def freeze(self, *, frozen: bool) -> None:
        """Somebody stops everything, or lets it go on."""
        self.frozen = frozen
        if frozen:
            self.stage.database.freeze("a drill")
        else:
            self.stage.database.lift_freeze()

    @rule(email=addresses, long=st.sampled_from([False, False, True]))
    def alter_the_schema(self, email: str, *, long: bool) -> None:
        """The application is updated to what nobody knows, a right goes at once, and perhaps the update is undone."""
        self._alter(known=False)
        self.dismiss(email)
        self._poke()
        self.run(self.operating.settle())
        self._settle(RELIST)
        assert self.operating.refused, "nobody has looked at the schema for ten minutes (invariant 12)"
        if not long:
            self._alter(known=True)

    def _alter(self, *, known: bool) -> None:
        if self.altered is known:
            self.stage.alter(known=known)
            self.altered, self.looks = not known, 0
            self.oracle.counts["unknown schemas"] += not known

    @rule(hours=st.sampled_from([1, 30]))
    def roll_back(self, hours: int) -> None:
        """A person undoes what was removed lately, and pins it."""
        with self.reviewing():
            undo(self.stage.database, Selection(since=timedelta(hours=hours)), write=True)

    @rule(emails=st.lists(addresses, min_size=2, max_size=4, unique=True))
    def dismiss_one_by_one(self, emails: list[str]) -> None:
        """A slow bleed: no wave finds many."""
        for email in emails:
            self.dismiss_and_wait(email)

    @rule(email=addresses)
    def dismiss_and_undo(self, email: str) -> None:
        """A right goes, and a person brings it back."""
        self.dismiss_and_wait(email)
        self.roll_back(1)

    @rule()
    def release_pins(self) -> None:
        """What was restored is judged like everything else again."""
        with self.reviewing():
            release(self.stage.database, Selection(), write=True)

    # --- time ---

    @rule(seconds=st.sampled_from([1, 31, 300, 1900, 90_000]))
    def wait(self, seconds: int) -> None:
        """Time passes for the loop, or its clock jumps."""
        self._settle(seconds)

    @rule(times=st.sampled_from([1, 1, 2, 3]))
    def wave(self, times: int) -> None:
        """Whole intervals pass."""
        for _ in range(times):
            self._wave()

    @rule(turns=st.integers(1, 3), seconds=st.sampled_from([0, 2, 600]))
    def be_slow(self, turns: int, seconds: int) -> None:
        """A wave is left half-way: a few turns, and nobody waits for the answers."""

        async def turn() -> None:
            self.operating.now += seconds
            for _ in range(turns):
                await self.operating.turn()

        self.run(turn())

    @rule(hours=st.sampled_from([1, 13, 25]))
    def age(self, hours: int) -> None:
        """The database's clock jumps."""
        self.aged += 3600.0 * hours
        self.stage.age(hours)
        self.operating.reign.notice()

    @rule(hours=st.integers(-48, 48))
    def jump(self, hours: int) -> None:
        """The wall clock jumps: nothing depends on it."""
        cast("Clockwork", self.operating).wall = timedelta(hours=hours)

    @rule()
    def restart(self) -> None:
        """The process dies and another begins."""
        self.run(self.operating.restart())
        self.oracle.started = self.now

    # --- people ---

    @rule(which=numbers)
    def approve(self, which: int) -> None:
        """A person approves what they see held."""
        found = [
            (kind, key, body["status"]["hold"]["id"])
            for kind in (Kind.SOURCE, Kind.DOMAIN)
            for key, body in self.operating.world.objects[kind].items()
            if body["status"].get("hold")
        ]
        if found:
            kind, key, hold = found[which % len(found)]
            self.oracle.approved |= self.stage.held(hold)
            self.oracle.counts["approvals"] += 1
            self.operating.world.annotate(kind, key, approve=hold)
            self._show(kind, key)

    @rule(which=numbers)
    def approve_and_wait(self, which: int) -> None:
        """A person approves what they see held, and a wave carries it out."""
        self.approve(which)
        self._wave()

    @rule(domain=domains)
    def give_up(self, domain: str) -> None:
        """A domain is given up, and what is held of it approved."""
        if domain in self.oracle.policies:
            self.declare(domain, "Withdraw", self.oracle.policies[domain].limit)
            self._settle(0)
            self.approve_and_wait(0)

    @rule()
    def come_to_rest(self) -> None:
        """Nothing is away and nothing changes: whoever is named has their access, and then nothing is written.

        What is poisoned stays so, and stops nobody else.
        """
        for wire in self.wires.values():
            wire.trouble = {email: kind for email, kind in wire.trouble.items() if kind == "poison"}
        self.overtake = False
        self._alter(known=True)
        self.freeze(frozen=False)
        self._poke()
        self.operating.reign.notice()
        for _ in range(3):
            self._wave()
        self._nobody_waits()
        before, patches = self.stage.scenery(), len(self.operating.world.patches)
        self._wave()
        assert self.stage.scenery() == before, "in sync means no write (invariant 4)"
        told = {
            key.name.replace("-", ".") for kind, key in self.operating.world.patches[patches:] if kind is Kind.DOMAIN
        }
        # What a source that can't be opened has said grows old.
        ageing = {name for name, policy in self.oracle.policies.items() if self.broken.keys() & {*policy.sources}}
        assert told <= ageing, "in sync means no status but the heartbeat (invariant 4)"

    def _poke(self) -> None:
        """Everybody is asked about at once, not only who holds something."""
        for key, body in self.operating.world.objects[Kind.SOURCE].items():
            self.operating.world.annotate(Kind.SOURCE, key, requestedAt=f"step {self.oracle.counts['steps']}")
            self.operating.tell(body)

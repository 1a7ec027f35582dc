"""What does the leading replica do? List, ask, plan, write, report: one turn after another.

    turn: list what changed · read the database when it moved · let the desks ask · pass when there is news
    pass: standings -> plan -> one transaction -> statuses of domains -> statuses of sources

Nothing here decides about a row: that is `planning`. A reign ends with the lease; its answers end with it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from controller.engine.asking import Askers, wave_id
from controller.engine.convergence import Convergence
from controller.engine.desk import Desk, Phase
from controller.engine.foundry import Founder, Foundry
from controller.engine.hints import whom_to_ask
from controller.engine.inventory import Inventory
from controller.engine.lineage import RESTORED, is_behind
from controller.engine.listing import Absences, Listing
from controller.engine.news import News
from controller.engine.roster import Roster, read_secrets
from controller.engine.servicedesk import ServiceDesk
from controller.engine.servicereports import Telling, report_services
from controller.engine.services import ServiceOutcome
from controller.engine.subjects import Directory, directory
from controller.engine.subscriptions import Subscriptions
from controller.engine.telling import Outcome, Teller
from controller.engine.triggers import ApprovalDesk, Pokes, Removals
from controller.engine.world import Kind, World
from controller.errors import ControllerError, NotAuthorized, PlanOutdated
from controller.maildb.database import MailDatabase
from controller.maildb.pulse import Pulse
from controller.observability.lasting import LastingFailures
from controller.observability.metrics import Metrics
from controller.planning.facts import Snapshot, UserId
from controller.planning.features import ALL_FEATURES, Features
from controller.planning.health import SourceHealth, examine, holders
from controller.planning.plan import Plan, Question, plan
from controller.planning.sources import SourceState
from controller.planning.standing import ClaimRules, Standing, resolve
from controller.planning.supposing import blast_radius
from controller.resources.conditions import Reason
from controller.resources.names import DomainName, ResourceKey

log = structlog.get_logger(__name__)

TIDY = 86_400.0
"""Seconds after which the journal is pruned again, where it is not kept for ever."""
SECRETS = 60.0
"""Seconds after which Secrets are read again, so that a rotated key needs no restart."""
BREATHER = 3.0
"""A pass is followed by a pause of this many times its length, so that a stream of answers leaves the CPU to others.
Who has edited something does not wait for it, nor do objects whose first answers are there."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a reign works with."""

    database: MailDatabase
    world: World
    source_namespaces: Collection[str]
    metrics: Metrics
    clock: Callable[[], float]
    """Monotonic seconds."""
    utc: Callable[[], datetime]
    """The wall clock, for what people read."""
    wake: Callable[[], None]
    """Asks for a turn soon."""
    introduced: Callable[[], None] = lambda: None
    """Hears that each object has a status."""
    news: News = field(default_factory=News)
    """What the watch has told."""
    features: Features = ALL_FEATURES
    """What may be managed by hand."""
    founder: Founder | None = None
    """Who creates domains; None where that is not set up."""
    retention: timedelta | None = None
    """How long the journal is kept; None is for ever."""
    failures: LastingFailures = field(default_factory=LastingFailures)
    """What fails for longer than a term may last."""
    whole_cluster: bool = True
    """Whether this install looks after every namespace."""
    epochs: set[int] = field(default_factory=set)
    """Under which this process has worked."""


@dataclass(slots=True)
class Reign:
    """One term of leadership."""

    around: Surroundings
    roster: Roster = field(default_factory=Roster)
    subscribing: Roster = field(default_factory=Roster)
    """The clients that ask about subscriptions; they share the lanes of the others."""
    inventory: Inventory = field(init=False)
    desks: dict[ResourceKey, Desk] = field(default_factory=dict)
    _absences: Absences = field(default_factory=Absences)
    _pokes: Pokes = field(default_factory=Pokes)
    _approvals: ApprovalDesk = field(default_factory=ApprovalDesk)
    _removals: Removals = field(default_factory=Removals)
    _convergence: Convergence = field(default_factory=Convergence)
    _sight: "_Sight | None" = None
    _secrets_at: float = float("-inf")
    _tidy_at: float = float("-inf")
    _next_pass: float = float("-inf")
    _passes: int = 0
    _outdated: bool = False
    """Whether the snapshot is known to be behind: after a list, after a write, or when the world had moved."""
    _anew: bool = True
    """Whether the next snapshot is to be read whole, whatever the pulse says."""
    _revised: bool = False
    """Whether something else is declared than what was last looked at."""
    _news: bool = True
    _edited: bool = False
    """Whether the watch has told of a change since the last pass."""
    _askers: Askers = field(init=False)
    _foundry: Foundry = field(init=False)
    _teller: Teller = field(init=False)
    services: ServiceDesk = field(init=False)

    def __post_init__(self) -> None:
        self.inventory = Inventory(self.around.world, self.around.news)
        self._askers = Askers(self.around.clock, self.around.metrics, self._heard)
        self._foundry = Foundry(
            self.around.founder, self.around.clock, self._may_found, self._founded, self.around.failures
        )
        around = self.around
        self._teller = Teller(around.world, around.metrics, around.clock, around.utc, self.desks, self._pokes)
        subscriptions = Subscriptions(self.around.clock, self.subscribing)
        self.services = ServiceDesk(self.around.database, subscriptions, self.around.wake)

    def _heard(self, *, matters: bool) -> None:
        """An answer has come that matters to the next pass, or the last one of a phase."""
        self._news = self._news or matters
        self.around.wake()

    def notice(self) -> None:
        """Something was changed in the cluster, nobody knows what: list again at the next turn."""
        self.inventory.notice()
        self._edited = True

    def take(self, event: Mapping[str, Any]) -> None:
        """The watch has told of a change of one object: take it over at the next turn."""
        self._edited = self.inventory.take(event) or self._edited

    @property
    def listing(self) -> Listing:
        """What is declared."""
        return self.inventory.listing

    @property
    def founding(self) -> asyncio.Task[None] | None:
        """The domains that are being created at this moment."""
        return self._foundry.work

    @property
    def has_news(self) -> bool:
        """Whether something happened that the last pass has not seen."""
        return self._news or self.inventory.pending or self._outdated or self.services.pending

    async def turn(self) -> None:
        """Do what is due. Raises `Unavailable`, `SchemaUnknown` or `MigrationNeeded`; the next turn tries again."""
        now = self.around.clock()
        if self.inventory.due(now):
            await self._list(now)
        elif now - self._secrets_at >= SECRETS:
            await self._open_sources(now)
        if self.inventory.pending:
            await self._take_over(now)
        sight = await self._look(now)
        await self._follow_hints(sight)
        for desk in self.desks.values():
            desk.tick(now)
        self._askers.go_on()
        self.services.ask()
        if any(desk.doubting for desk in self.desks.values()):
            return
        self._news = self._news or self._foundry.next_try(now) <= 0 or self._teller.overdue
        ripe = self._in_phase(Phase.ASKED) or self._in_phase(Phase.JUDGING)
        if ripe or (self._news and (self._urgent or now >= self._next_pass)):
            await self._pass(sight)
        if not self._outdated:
            await self._decide_on_services(now)
        if self.around.retention is not None and now >= self._tidy_at and sight.snapshot.freeze is None:
            self._tidy_at = now + TIDY
            await self._tidy(self.around.retention)

    @property
    def _urgent(self) -> bool:
        """Whether somebody has edited something, or objects wait for nothing but the pass that tells them."""
        return self._edited or (self._teller.waiting and all(desk.gathered for desk in self.desks.values()))

    async def _decide_on_services(self, now: float) -> None:
        """After everything about administrators: a pass that has written them is followed by another turn."""
        try:
            outcome = await self.services.decide(now)
        except PlanOutdated:
            log.info("plan_outdated")
            self._outdated = True
            return
        if outcome is not None:
            await self._report_on_services(outcome)

    async def _report_on_services(self, outcome: ServiceOutcome) -> None:
        honoured = [key for key in self.listing.sources if self._honours(key)]
        telling = Telling(self._teller.known, honoured, self.around.whole_cluster, self.around.utc())
        try:
            await self._teller.publish(await asyncio.to_thread(report_services, outcome, telling))
        except ControllerError:
            self.services.news = True
            raise

    async def _tidy(self, retention: timedelta) -> None:
        """Prune the journal. A role that may not is no reason to stop working."""
        try:
            deleted = await asyncio.to_thread(self.around.database.prune_journal, retention)
        except ControllerError as error:
            log.warning("journal_not_pruned", error=type(error).__name__)
        else:
            log.info("journal_pruned", entries=deleted)

    async def close(self) -> None:
        """Stop asking and give connections back."""
        await self._askers.close()
        await self.roster.close()
        await self.services.close()
        await self._foundry.close()

    # --- looking around ---

    async def _list(self, now: float) -> None:
        self._teller.told = await self.inventory.read(now, self._teller.told)
        self._outdated = self._anew = True
        await self._open_declared(now)

    async def _take_over(self, now: float) -> None:
        revision = self.inventory.revise()
        if revision is None:
            return
        self._revised = True
        self._outdated = self._outdated or revision.outdated
        self._teller.meet(revision.statuses)
        if revision.sources:
            await self._open_declared(now)

    async def _open_declared(self, now: float) -> None:
        """Open the sources as they are declared now. Where that fails, everything is listed again."""
        try:
            await self._open_sources(now)
        except BaseException:
            self.inventory.give_up()
            raise

    async def _look(self, now: float) -> "_Sight":
        """Read the database where it moved, and see again who may act and who is to be asked."""
        database = self.around.database
        pulse = await asyncio.to_thread(database.pulse)
        self._convergence.see(pulse.accesses, now)
        known = self._sight
        current = known is not None and known.pulse == pulse and not self._outdated
        if known is not None and current and not self._revised and now < known.until:
            return known
        snapshot = known.snapshot if known is not None and current else await self._read()
        self._absences.see(
            {domain: claim.resource for domain, claim in snapshot.claims.items() if claim.owner == database.owner},
            (item.key for item in self.listing.domains),
            now,
        )
        rules = ClaimRules(database.owner, snapshot.claims, self._absences.seconds(now))
        resolved = resolve(
            self.listing.domains,
            self.listing.sources,
            source_namespaces=self.around.source_namespaces,
            rules=rules,
            features=self.around.features,
        )
        standings = self._convergence.judge(resolved)
        until = now + min(self._absences.next_change(now), self._convergence.next_change(now))
        sight = _Sight(pulse, snapshot, standings, directory(snapshot, standings), holders(standings, snapshot), until)
        if known is not None and known.snapshot.epoch != snapshot.epoch:
            # A command has worked beside us: what it revoked is not granted again on what we knew before.
            revoked = {known.snapshot.ledger[row].user for row in known.snapshot.ledger.keys() - snapshot.ledger.keys()}
            for desk in self.desks.values():
                desk.doubt(revoked)
        self._sight, self._outdated, self._revised, self._news = sight, False, False, True
        self._askers.see(sight.directory, snapshot.epoch)
        self._brief(sight, now)
        return sight

    async def _read(self) -> Snapshot:
        """Read the database. One that was restored is frozen before anything is decided: somebody has to look."""
        database, snapshot = self.around.database, await self._snapshot()
        if snapshot.freeze is None and self._is_behind(snapshot):
            # Whoever has lost the lease sees what somebody else does. The lease in a dump has ended, and is free.
            if await asyncio.to_thread(database.acquire) is None:
                return snapshot
            self._anew = True
            snapshot = await self._snapshot()
            if self._is_behind(snapshot):
                log.warning("database_restored", epoch=snapshot.epoch)
                await asyncio.to_thread(database.freeze, RESTORED)
                snapshot = await self._snapshot()
        self.around.epochs.add(snapshot.epoch)
        self._anew = False
        return snapshot

    async def _snapshot(self) -> Snapshot:
        names, windows = self.listing.names, self.listing.windows
        return await asyncio.to_thread(self.around.database.snapshot, names, windows, anew=self._anew)

    def _is_behind(self, snapshot: Snapshot) -> bool:
        """Whether the sources know a later database."""
        told = self._teller.told
        statuses = (told.get((Kind.SOURCE, key), {}) for key in self.listing.sources if self._honours(key))
        return is_behind(snapshot, self.around.epochs, statuses)

    def _brief(self, sight: "_Sight", now: float) -> None:
        """Tell the desks whom there is to ask, and see what people want by annotations."""
        named: dict[ResourceKey, set[DomainName]] = defaultdict(set)
        for standing in sight.standings:
            for key in standing.sources:
                named[key].add(standing.resource.domain)
        for key, desk in self.desks.items():
            desk.revise(self.listing.sources[key].spec)
            users = sight.snapshot.users if key in named else {}
            desk.update(users, sight.held_by.get(key, frozenset()), named[key], now)
        self._pokes.see_sources(self.listing.sources.values(), self._teller.told, self.desks)
        self._pokes.see_domains(sight.standings, self._teller.told, self.desks)
        self.services.see(sight.standings, sight.snapshot)
        self._approvals.see(sight.snapshot.holds, sight.standings, self.listing.sources.values(), self.desks)

    # --- asking ---

    async def _follow_hints(self, sight: "_Sight") -> None:
        """Ask soon about those whom webhooks named; what the webhooks said about them is not known here."""
        try:
            hints = await asyncio.to_thread(self.around.database.take_hints)
        except NotAuthorized:
            # Everything else goes on without them.
            log.warning("hints_not_allowed")
            return
        if not hints:
            return
        books = {key: desk.book for key, desk in self.desks.items()}
        for key, users in whom_to_ask(hints, sight.snapshot, sight.standings, books).items():
            if key in self.desks:
                self.desks[key].hurry(users)
        self.around.metrics.hinted("followed", len(hints))
        log.info("hints_followed", count=len(hints))

    async def _open_sources(self, now: float) -> None:
        """Open a client for each source that is honoured; a changed provider or Secret gets a new one."""
        honoured = [item for item in self.listing.sources.values() if self._honours(item.key)]
        secrets = await read_secrets(self.around.world, honoured)
        opened, closed = await self.roster.update(honoured, secrets)
        await self.services.open(self.listing.charter, honoured, secrets)
        self._secrets_at = now
        for key in self.desks.keys() - {item.key for item in honoured}:
            await self._askers.stop(key)
            del self.desks[key]
            self.around.metrics.forget(key)
            self.around.failures.worked(_failing(key))
        for item in honoured:
            if item.key not in self.desks:
                self._teller.recall_wave(item.key)
            desk = self.desks.setdefault(item.key, Desk(item.key, item.spec, now))
            await self._askers.serve(desk, opened.get(item.key))
            if item.spec.suspend:
                self.around.metrics.forget(item.key)
            else:
                self.around.metrics.expect(item.key, item.spec.interval.total_seconds())
            if item.key in closed:
                desk.refuse(closed[item.key], now)
                self._news = True

    def _honours(self, key: ResourceKey) -> bool:
        return key.namespace in self.around.source_namespaces

    # --- deciding and carrying out ---

    async def _pass(self, sight: "_Sight") -> None:
        """One pass; whatever it logs can be told by its number, its epoch, and the waves that it decides on."""
        self._passes += 1
        epoch = sight.snapshot.epoch
        ripe = (*self._in_phase(Phase.ASKED), *self._in_phase(Phase.JUDGING))
        waves = [wave_id(desk, epoch) for desk in ripe]
        with bound_contextvars(epoch=epoch, turn=f"{epoch}.{self._passes}", waves=waves):
            await self._pass_on(sight)

    async def _pass_on(self, sight: "_Sight") -> None:
        started = self.around.clock()
        self._news = self._edited = False
        decision = await self._decide(sight)
        wrote = await self._carry_out(decision.plan, sight)
        if wrote is None:
            return
        self._removals.see(decision.plan.domains if wrote else (), self.desks)
        for desk in decision.judged:
            self._end_wave(desk)
        self._foundry.see(decision.plan.domains)
        seconds = self.around.clock() - started
        try:
            await self._report(decision, sight, wrote=wrote)
        except ControllerError:
            self._news = True
            raise
        self._next_pass = self.around.clock() + BREATHER * seconds
        self.around.metrics.passed("wrote" if wrote else "quiet", seconds)

    async def _decide(self, sight: "_Sight") -> "_Decision":
        """Plan. A wave in which everybody was asked has its suspects confirmed first; without any it is judged at once.

        Desks go on while planning thinks, so only what they were when the question was put counts.
        """
        asked, judged = self._in_phase(Phase.ASKED), self._in_phase(Phase.JUDGING)
        question = self._question(sight)
        decided = await asyncio.to_thread(plan, question)
        for desk in asked:
            desk.confirm(decided.ask_again.get(desk.key, frozenset()), self.around.clock())
        self._askers.go_on()
        ripe = [desk for desk in asked if desk.phase is Phase.JUDGING]
        if ripe and sight.contested(decided):
            judged, question = self._in_phase(Phase.JUDGING), self._question(sight)
            return _Decision(question, await asyncio.to_thread(plan, question), judged)
        return _Decision(question, decided, [*judged, *ripe])

    def _in_phase(self, phase: Phase) -> list[Desk]:
        return [desk for desk in self.desks.values() if desk.phase is phase]

    def _question(self, sight: "_Sight") -> Question:
        approvals = self._approvals.collect(sight.standings, self.listing.sources.values(), self.desks)
        states = {key: self._state(desk) for key, desk in self.desks.items()}
        return Question(sight.standings, states, sight.snapshot, self.around.clock(), approvals)

    def _state(self, desk: Desk) -> SourceState:
        stale_after = desk.spec.stale_after.total_seconds()
        return SourceState(
            desk.key,
            desk.spec,
            dict(desk.book.answers),
            gathered=desk.gathered,
            complete=desk.complete,
            judging=desk.judging,
            settled=self.around.clock() - desk.started >= stale_after,
            refusal=desk.refusal,
            canaries=dict(desk.canaries),
        )

    async def _carry_out(self, decided: Plan, sight: "_Sight") -> bool | None:
        """Write in one transaction; None when the world moved under the plan and nothing was written."""
        if not decided.changes:
            return False
        self._outdated = True
        self._news = True
        if stuck := self._convergence.repeats(decided.domains, sight.pulse.accesses, self.around.clock()):
            log.warning("non_convergent", domains=len(stuck))
            self.around.wake()
            return None
        try:
            written = await asyncio.to_thread(self.around.database.write, decided.changes, epoch=sight.snapshot.epoch)
        except PlanOutdated:
            # A command that works beside us needs longer than a moment: the next turn is soon enough.
            log.info("plan_outdated")
            self.around.metrics.passed("outdated", 0.0)
            return None
        self._convergence.wrote(decided.domains, self.around.clock())
        changes = decided.changes
        counts = {
            "grants": len(changes.grants),
            "revocations": len(changes.revocations),
            "adoptions": len(changes.adoptions),
        }
        self.around.metrics.wrote(**counts)
        # The time is that of its lines in the journal.
        at = written.at.isoformat() if written.at is not None else None
        log.info("written", at=at, cases=len(changes.cases), holds=len(changes.holds), **counts)
        self.around.wake()
        return True

    def _end_wave(self, desk: Desk) -> None:
        desk.finish()
        self._teller.note_wave(desk)
        log.info("wave_finished", source=str(desk.key), number=desk.number, refusal=desk.refusal)

    async def _weigh(self, key: ResourceKey, question: Question) -> None:
        """What the source could take away, once a wave: it is no reason for a status of its own."""
        self._teller.note_radius(key, await asyncio.to_thread(blast_radius, question, key))

    # --- creating ---

    async def _may_found(self) -> bool:
        """Whether a domain may be created now: the lease is ours and nothing is frozen, looked for each time."""
        database = self.around.database
        epoch = self._sight.snapshot.epoch if self._sight is not None else 0
        try:
            pulse = await asyncio.to_thread(database.pulse)
            return pulse.freeze is None and await asyncio.to_thread(database.renew, epoch) is not None
        except ControllerError:
            return False

    def _founded(self) -> None:
        """Orders came to an end, well or not: look again, and tell."""
        self._outdated = self._news = True
        self.around.wake()

    # --- telling ---

    async def _report(self, decision: "_Decision", sight: "_Sight", *, wrote: bool) -> None:
        health = self._health(decision.question, sight)
        self._note_failures(health)
        outcome = Outcome(
            decision.plan,
            sight.snapshot,
            health,
            sight.held_by,
            self._removals.lately(self.desks),
            self._foundry.troubles,
            wrote,
        )
        await self._teller.tell_domains(self.listing, outcome)
        # What was said before is forgotten by now: two plans of ten thousand domains are in memory, not three.
        for desk in decision.judged:
            await self._weigh(desk.key, decision.question)
        await self._teller.tell_sources(self.listing, outcome)
        if not self._teller.waiting:
            self.around.introduced()

    def _note_failures(self, health: Mapping[ResourceKey, SourceHealth]) -> None:
        for key, source in health.items():
            # What a flag forbids is meant to be so.
            if source.trouble is None or source.trouble is Reason.FEATURE_DISABLED:
                self.around.failures.worked(_failing(key))
            else:
                self.around.failures.failed(_failing(key), source.trouble.value)

    async def stall(self, reason: Reason) -> None:
        """Say on every object that nothing can be done. What the next pass says is news."""
        self._news = True
        await self._teller.stall(self.listing, reason)

    async def interrupt(self, reason: Reason) -> None:
        """Say on every object that nothing is known now. What the next pass says is news."""
        self._news = True
        await self._teller.interrupt(self.listing, reason)

    def _health(self, question: Question, sight: "_Sight") -> dict[ResourceKey, SourceHealth]:
        """How the sources were when the question was put: what came later is for the next pass to tell."""
        found = {}
        for key, state in question.sources.items():
            last = self.desks[key].last
            wave = last.answers if last is not None else ()
            found[key] = examine(state, wave, sight.held_by.get(key, ()), question.snapshot, now=question.now)
        return found


@dataclass(frozen=True, slots=True)
class _Decision:
    """One plan, what was asked for it, and the waves that it has judged."""

    question: Question
    plan: Plan
    judged: list[Desk]


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the reign sees at one moment: the database, who may act, and whom there is to ask."""

    pulse: Pulse
    snapshot: Snapshot
    standings: tuple[Standing, ...]
    directory: Directory
    held_by: Mapping[ResourceKey, frozenset[UserId]]
    until: float
    """Monotonic time at which a claim may pass to somebody else."""

    def contested(self, decided: Plan) -> bool:
        """Whether there is anything to judge: an open case, a new one, a hold, or terms that a quiet wave accepts."""
        return bool(self.snapshot.cases or self.snapshot.holds or decided.changes.cases or decided.terms_changed)


def _failing(key: ResourceKey) -> str:
    return f"EntitlementSource {key}"

"""What does one run without a cluster do? Ask everybody once, suspects once more, decide, and write or only show."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from controller.engine.answers import AnswerBook
from controller.engine.foundry import Founder, carry_out, due
from controller.engine.roster import Roster, Secrets
from controller.engine.serviceonce import decide_once
from controller.engine.services import ServiceOutcome
from controller.engine.subjects import Directory, directory, is_canary
from controller.entitlements.source import Reply, Source
from controller.entitlements.sweep import sweep
from controller.errors import ControllerError, PlanOutdated
from controller.maildb.database import MailDatabase
from controller.planning.facts import AnswerReason, Hold, Snapshot, Subject, Unavailable, UserId, Verdict
from controller.planning.features import ALL_FEATURES, Features
from controller.planning.guard import Approvals
from controller.planning.health import SourceHealth, examine, holders
from controller.planning.identity import identify
from controller.planning.plan import Plan, Question, plan
from controller.planning.sources import SourceState, tally
from controller.planning.standing import ClaimRules, Standing, resolve
from controller.planning.supposing import supposing
from controller.resources.conditions import Reason
from controller.resources.documents import Declarations
from controller.resources.maildomain import MailDomain, Mode
from controller.resources.names import Email, ResourceKey
from controller.resources.source import EntitlementSource

Progress = Callable[[ResourceKey, int, int], None]
"""Called with a source, how many users were asked, and how many there are to ask."""

ATTEMPTS = 3
"""How often a run plans again when the database moved under its plan."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who runs it wants."""

    approve: frozenset[str] = frozenset()
    as_if: Mode | None = None
    confirm_after: timedelta | None = None
    holders_only: bool = False
    features: Features = ALL_FEATURES
    """What may be managed by hand."""
    only: str | None = None
    """An e-mail or a user id: nobody else is asked, and nothing is judged, because limits need to know everything."""
    supposed: Verdict | None = None
    """What all sources are taken to say about everybody; nobody is asked then."""
    hypothetical: bool = False
    """Whether another mode or another source is only thought of."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How one source did."""

    key: ResourceKey
    health: SourceHealth
    requests: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What was written."""

    grants: int
    revocations: int
    adoptions: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run found and did."""

    plan: Plan
    question: Question
    sources: tuple[SourceReport, ...]
    applied: Applied | None
    """None when nothing was to be written, as in `plan`."""
    troubles: Mapping[ResourceKey, Reason] = field(default_factory=dict)
    """Why domains could not be created or changed."""
    services: ServiceOutcome | None = None
    """What was decided about services; None where nothing is declared about them, or nobody was asked."""

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Everything that waits for approval."""
        return (*self.plan.holds, *(self.services.holds if self.services is not None else ()))


async def plan_once(
    database: MailDatabase,
    declared: Declarations,
    options: Options,
    *,
    secrets: Secrets,
    progress: Progress | None = None,
) -> Outcome:
    """Ask and decide, without writing. A suspect counts as confirmed: the plan shows what a second ask would allow.

    Raises `DatabaseUnavailable` or `SchemaUnknown`; a source that does not answer is part of the outcome.
    """
    run = _Run(database, declared, options, secrets, progress, Roster(features=options.features))
    try:
        if options.supposed is not None:
            question = await run.suppose(options.supposed)
            return run.outcome(question, plan(question), applied=None)
        question = await run.ask_all()
        outcome = run.outcome(question, plan(question), applied=None)
        return outcome if options.only is not None else await run.about_services(outcome)
    finally:
        await run.roster.close()


async def apply_once(
    database: MailDatabase,
    declared: Declarations,
    options: Options,
    *,
    secrets: Secrets,
    progress: Progress | None = None,
    founder: Founder | None = None,
) -> Outcome:
    """Ask everybody once and suspects once more, decide on a fresh snapshot, and write in one transaction.

    It is its own complete wave. Domains that are missing are created before, so that their grants are in it. Raises
    `DatabaseUnavailable`, `SchemaUnknown`, `MigrationNeeded`, `LeaseHeld`, and `PlanOutdated` when the database kept
    moving.
    """
    run = _Run(database, declared, options, secrets, progress, Roster(features=options.features))
    try:
        first = plan(run.question(await run.gather(), confirm_after=options.confirm_after))
        await run.found(founder, first)
        await run.confirm(first)
        return await run.about_services(await _persistently(run.write))
    finally:
        await run.roster.close()


async def _persistently(write: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Plan and write again while the database moves under the plan, a few times."""
    for attempt in range(ATTEMPTS):
        try:
            return await write()
        except PlanOutdated:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("every attempt returns or raises")


@dataclass(slots=True)
class _Run:
    """One run: the answers that it gathers, and what it decides from them."""

    database: MailDatabase
    declared: Declarations
    options: Options
    secrets: Secrets
    progress: Progress | None
    roster: Roster
    books: dict[ResourceKey, AnswerBook] = field(default_factory=dict)
    canaries: dict[ResourceKey, dict[str, Verdict]] = field(default_factory=dict)
    requests: dict[ResourceKey, int] = field(default_factory=dict)
    refusals: dict[ResourceKey, AnswerReason] = field(default_factory=dict)
    open: Mapping[ResourceKey, Source] = field(default_factory=dict)
    directory: Directory | None = None
    troubles: Mapping[ResourceKey, Reason] = field(default_factory=dict)

    @property
    def sources(self) -> Mapping[ResourceKey, EntitlementSource]:
        return {source.key: source for source in self.declared.sources}

    async def snapshot(self) -> Snapshot:
        names = {domain.domain for domain in self.declared.domains}
        windows = {domain.spec.limits.revocations.window for domain in self.declared.domains}
        windows |= {source.spec.limits.revocations.window for source in self.declared.sources}
        return await asyncio.to_thread(self.database.snapshot, names, windows)

    def standings(self, snapshot: Snapshot) -> tuple[Standing, ...]:
        rules = ClaimRules(self.database.owner, snapshot.claims, absent_for=None)
        return resolve(
            self.declared.domains, self.sources, source_namespaces=None, rules=rules, features=self.options.features
        )

    async def gather(self) -> Snapshot:
        """Ask every source that a domain uses about everybody, all sources at once."""
        snapshot = await self.snapshot()
        standings = self.standings(snapshot)
        used = {key for standing in standings for key in standing.sources}
        asked = [source for source in self.declared.sources if source.key in used and not source.spec.suspend]
        self.open, closed = await self.roster.update(asked, self.secrets)
        self.refusals.update(closed)
        self.directory = directory(snapshot, standings)
        await self.ask(self._whom(snapshot, standings), canaries=self.options.only is None)
        return snapshot

    async def ask_all(self) -> Question:
        """What there is to decide, with a single ask as good as two."""
        return self.question(await self.gather(), confirm_after=timedelta(0))

    async def suppose(self, said: Verdict) -> Question:
        """What there would be to decide if every source said this about everybody."""
        question = self.question(await self.snapshot(), confirm_after=timedelta(0))
        return supposing(question, said, question.sources.keys())

    def _whom(self, snapshot: Snapshot, standings: Sequence[Standing]) -> Mapping[ResourceKey, Collection[UserId]]:
        only = self.options.only
        if only is not None:
            meant = identify(snapshot.users).having(Email(only)) or (UserId(only),)
            return dict.fromkeys(self.open, meant)
        if self.options.holders_only:
            held = holders(standings, snapshot)
            return {key: held.get(key, frozenset()) for key in self.open}
        return dict.fromkeys(self.open, snapshot.users.keys())

    async def ask(self, whom: Mapping[ResourceKey, Collection[UserId]], *, canaries: bool = False) -> None:
        """Ask each source about its users, and about its canaries before."""
        assert self.directory is not None, "subjects are known once the snapshot is"  # noqa: S101
        async with asyncio.TaskGroup() as group:
            for key, users in whom.items():
                if key in self.open:
                    first = self.directory.canaries(self.sources[key].spec.canaries) if canaries else ()
                    group.create_task(self._sweep(self.open[key], (*first, *self.directory.subjects(users))))

    async def _sweep(self, source: Source, subjects: Sequence[Subject]) -> None:
        book = self.books.setdefault(source.key, AnswerBook(source.key))
        heard = self.canaries.setdefault(source.key, {})
        asked = 0

        def receive(subject: Subject, reply: Reply) -> None:
            nonlocal asked
            asked += 1
            if is_canary(subject.user):
                heard[subject.email.key] = reply.verdict
            else:
                book.write(subject, reply, time.monotonic())
            self.requests[source.key] = self.requests.get(source.key, 0) + reply.requests
            if isinstance(reply.verdict, Unavailable) and reply.verdict.reason in (
                AnswerReason.UNAUTHENTICATED,
                AnswerReason.CIRCUIT_OPEN,
            ):
                self.refusals[source.key] = reply.verdict.reason
            if self.progress is not None:
                self.progress(source.key, asked, len(subjects))

        await sweep(source, subjects, receive)

    async def found(self, founder: Founder | None, first: Plan) -> None:
        """Have domains created and changed."""
        outcomes = await carry_out(founder, due(first.domains), _always)
        self.troubles = {key: reason for key, reason in outcomes.items() if reason is not None}

    async def confirm(self, first: Plan) -> None:
        """Ask the suspects once more, after the longest confirmation time of their sources."""
        if not first.ask_again:
            return
        override = self.options.confirm_after
        waits = (self.sources[key].spec.confirm_revocations.after for key in first.ask_again)
        wait = max(waits) if override is None else override
        await asyncio.sleep(wait.total_seconds())
        await self.ask(first.ask_again)

    async def write(self) -> Outcome:
        """Decide, and write what there is to write in one transaction under a raised epoch. In sync writes nothing."""
        question = self.question(await self.snapshot(), confirm_after=self.options.confirm_after)
        decided = plan(question)
        if decided.changes:
            epoch = await asyncio.to_thread(self.database.seize)
            try:
                question = self.question(await self.snapshot(), confirm_after=self.options.confirm_after)
                decided = plan(question)
                await asyncio.to_thread(self.database.write, decided.changes, epoch=epoch)
            finally:
                # What can't be given back now ends by itself.
                with suppress(ControllerError):
                    await asyncio.to_thread(self.database.give_back, epoch)
        changes = decided.changes
        applied = Applied(len(changes.grants), len(changes.revocations), len(changes.adoptions))
        return self.outcome(question, decided, applied)

    async def about_services(self, outcome: Outcome) -> Outcome:
        """Decide on services as well, once everything about administrators stands, or as if it did."""
        snapshot = outcome.question.snapshot
        writing = outcome.applied is not None
        if snapshot.freeze is not None or (writing and not snapshot.migrated):
            return outcome
        domains = [self._supposed(standing.resource) for standing in outcome.question.standings if standing.admitted]
        services = await decide_once(
            self.database,
            self.declared,
            domains,
            approvals=outcome.question.approvals,
            secrets=self.secrets,
            roster=Roster(self.roster.lanes, self.options.features),
            changes=None if writing else outcome.plan.changes,
        )
        return replace(outcome, services=services)

    def _supposed(self, domain: MailDomain) -> MailDomain:
        """The domain with the mode that is thought of."""
        mode = self.options.as_if
        if mode is None:
            return domain
        return domain.model_copy(update={"spec": domain.spec.model_copy(update={"mode": mode})})

    def question(self, snapshot: Snapshot, *, confirm_after: timedelta | None) -> Question:
        return Question(
            self.standings(snapshot),
            {key: self._state(source) for key, source in self.sources.items()},
            snapshot,
            time.monotonic(),
            Approvals(by_command=self.options.approve),
            self.options.as_if,
            confirm_after,
            hypothetical=self.options.hypothetical,
        )

    def _state(self, source: EntitlementSource) -> SourceState:
        book = self.books.get(source.key, AnswerBook(source.key))
        refusal = self.refusals.get(source.key)
        sound = refusal is None and not tally(book.answers.values()).mostly_failed
        judging = self.options.only is None
        return SourceState(
            source.key,
            source.spec,
            book.answers,
            complete=sound,
            judging=judging,
            refusal=refusal,
            canaries=self.canaries.get(source.key, {}),
        )

    def outcome(self, question: Question, decided: Plan, applied: Applied | None) -> Outcome:
        held = holders(question.standings, question.snapshot)
        reports = tuple(
            SourceReport(
                key,
                examine(state, state.answers.values(), held.get(key, ()), question.snapshot, now=question.now),
                self.requests.get(key, 0),
            )
            for key, state in sorted(question.sources.items())
        )
        return Outcome(decided, question, reports, applied, self.troubles)


async def _always() -> bool:
    """A run on files is nobody's replica: asking for the same twice changes nothing."""
    return True

"""What is each object told? The status that it has now, and the one that a pass leaves on it."""

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controller.engine.desk import Desk
from controller.engine.listing import Listing, Target
from controller.engine.reports import (
    Facts,
    Population,
    Report,
    Told,
    measure,
    publish,
    report_domain,
    report_interrupted,
    report_source,
    report_stalled,
)
from controller.engine.triggers import Pokes
from controller.engine.world import Kind, World
from controller.observability.metrics import Metrics
from controller.planning.facts import Snapshot, UserId
from controller.planning.health import SourceHealth
from controller.planning.plan import DomainPlan, Plan
from controller.planning.status import Status, Wave, read_sound_wave
from controller.planning.supposing import BlastRadius
from controller.resources.conditions import Reason
from controller.resources.model import Metadata
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource

FIRST_ANSWERS = 30.0
"""Seconds of a term in which an object without a status waits for its first outcome: ten thousand are written once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass has come to."""

    plan: Plan
    snapshot: Snapshot
    health: Mapping[ResourceKey, SourceHealth]
    held_by: Mapping[ResourceKey, frozenset[UserId]]
    """Who holds a managed access, by source."""
    removals: Collection[ResourceKey]
    """Domains of which somebody else removed rows lately."""
    troubles: Mapping[ResourceKey, Reason]
    """Domains that could not be created or changed, and why."""
    wrote: bool


@dataclass(slots=True)
class Teller:
    """The statuses of one term."""

    world: World
    metrics: Metrics
    clock: Callable[[], float]
    """Monotonic seconds."""
    utc: Callable[[], datetime]
    desks: Mapping[ResourceKey, Desk]
    pokes: Pokes
    told: dict[Target, Status] = field(default_factory=dict)
    """The status that each object has now."""
    _waves: dict[ResourceKey, Wave] = field(default_factory=dict)
    _radii: dict[ResourceKey, BlastRadius] = field(default_factory=dict)
    _patient_until: float = field(init=False)
    _said: dict[Target, tuple[Facts, Status]] = field(default_factory=dict)
    """What MailDomains were last told, and of what it was made: most of ten thousand are the same in the next pass."""
    _drafts: dict[Target, Status] = field(default_factory=dict)
    """What would be said of objects that have no status yet and wait for their first outcome."""

    def __post_init__(self) -> None:
        self._patient_until = self.clock() + FIRST_ANSWERS

    def meet(self, statuses: Mapping[Target, Status | None]) -> None:
        """Take over the statuses of objects that are new; None is one that is gone."""
        for target, status in statuses.items():
            if status is None:
                self.told.pop(target, None)
            else:
                self.told[target] = status

    @property
    def waiting(self) -> bool:
        """Whether objects wait for their first outcome."""
        return bool(self._drafts)

    @property
    def overdue(self) -> bool:
        """Whether objects have waited long enough for their first outcome."""
        return self.waiting and self.clock() >= self._patient_until

    @property
    def known(self) -> Told:
        """What reports are written on: the statuses as they would be if nothing waited."""
        return ChainMap(self._drafts, self.told)

    def note_wave(self, desk: Desk) -> None:
        """The wave of a desk is over: the heartbeat of its source."""
        if desk.last is not None and desk.last.number == desk.number:
            now, utc = self.clock(), self.utc()
            started, finished = (utc - timedelta(seconds=now - at) for at in (desk.last.started, desk.last.finished))
            self._waves[desk.key] = Wave(started, finished, desk.last.tally)
            if not desk.last.tally.mostly_failed:
                self.metrics.wave_finished(desk.key, finished.timestamp(), partial=desk.last.tally.partial)

    def recall_wave(self, key: ResourceKey) -> None:
        """What the status of a source tells of its last wave, whoever has written it."""
        finished = read_sound_wave(self.told.get((Kind.SOURCE, key), {}))
        if finished is not None:
            self.metrics.wave_remembered(key, finished.timestamp())

    def note_radius(self, key: ResourceKey, radius: BlastRadius) -> None:
        """What a source could take away is told with its next status: it is no reason for one of its own."""
        self._radii[key] = radius
        self.metrics.could_lose(
            key, accesses=radius.accesses, domains=radius.domains, stopped_after=radius.stopped_after
        )

    async def tell_domains(self, listing: Listing, outcome: Outcome) -> None:
        """Write the statuses of MailDomains, and of everything invalid."""
        now = self.utc()
        stalled = [
            report_stalled(item.kind, item.key, item.generation, self.told, Reason.INVALID_SPEC, now=now)
            for item in listing.invalid
        ]
        facts = {(Kind.DOMAIN, item.standing.resource.key): self._facts(item, outcome) for item in outcome.plan.domains}
        said = {target: (item, self._said[target][1]) for target, item in facts.items() if self._says(target, item)}
        news = [item for target, item in facts.items() if target not in said]
        reports = [report_domain(item, self.known, outcome.health, now=now) for item in news]
        await self.publish([*self._ripe(reports), *stalled])
        for item, report in zip(news, reports, strict=True):
            status = self.told.get(report.target)
            if status == report.after:
                said[report.target] = item, status
        self._said = said

    async def tell_sources(self, listing: Listing, outcome: Outcome) -> None:
        """Write the statuses of sources. They are the last: a poke is echoed when its outcome stands."""
        now = self.utc()
        await self.publish([self._source(item, outcome, now) for item in listing.sources.values()])
        measure(self.metrics, outcome.plan, outcome.snapshot)

    def _facts(self, item: DomainPlan, outcome: Outcome) -> Facts:
        key = item.standing.resource.key
        return Facts(
            item,
            tuple(outcome.health[source] for source in item.standing.sources),
            self.pokes.handled(Kind.DOMAIN, key, self.desks),
            key in outcome.removals,
            outcome.troubles.get(key),
            outcome.wrote and bool(item.grants or item.revocations),
        )

    def _says(self, target: Target, facts: Facts) -> bool:
        """Whether the object says this already: the same facts make the same status, whatever the time."""
        before, status = self._said.get(target, (None, None))
        return before == facts and not facts.wrote and status is self.told.get(target)

    async def stall(self, listing: Listing, reason: Reason) -> None:
        """Say on every object that nothing can be done: the mail database has an unknown schema, or none of ours."""
        now = self.utc()
        await self.publish(
            report_stalled(kind, item.key, item.generation, self.told, reason, now=now)
            for kind, item in _items(listing)
        )

    async def interrupt(self, listing: Listing, reason: Reason) -> None:
        """Say on every object that nothing is known now: the mail database has been away for a while."""
        now = self.utc()
        await self.publish(report_interrupted(kind, item, self.told, reason, now=now) for kind, item in _items(listing))

    async def publish(self, reports: Iterable[Report]) -> None:
        """Write the statuses that differ. Raises `ClusterUnavailable` or `NotAuthorized`."""
        telling = [self._about_to_be_told(report) for report in reports]
        await publish(self.world, telling, self._written)
        for report in telling:
            self._drafts.pop(report.target, None)

    def _written(self, report: Report) -> None:
        self.told[report.target] = report.after
        self.metrics.patched(report.kind.value)

    def _about_to_be_told(self, report: Report) -> Report:
        """What was written on a draft differs from what the object has by the draft as well."""
        known = self.told.get(report.target, {})
        return replace(report, before=known) if report.target in self._drafts else report

    def _ripe(self, reports: Iterable[Report]) -> Iterator[Report]:
        """While first answers are a matter of seconds, what they come to is the first that is said of an object."""
        patient, drafts = self.clock() < self._patient_until, self._drafts
        self._drafts = {}
        for report in reports:
            untold = not self.told.get(report.target, {}).get("conditions")
            if patient and untold and report.awaits_first_answers:
                self._drafts[report.target] = report.after
                continue
            if report.target in drafts:
                self._drafts[report.target] = drafts[report.target]
            yield report

    def _source(self, source: EntitlementSource, outcome: Outcome, now: datetime) -> Report:
        if source.key not in outcome.health:
            generation = source.metadata.generation
            return report_stalled(Kind.SOURCE, source.key, generation, self.told, Reason.NOT_AUTHORIZED, now=now)
        return report_source(
            source,
            self.told,
            outcome.health[source.key],
            outcome.plan.holds,
            self.pokes,
            desks=self.desks,
            wave=self._waves.get(source.key),
            radius=self._radii.get(source.key),
            population=Population(outcome.held_by, len(outcome.snapshot.users)),
            snapshot=outcome.snapshot,
            now=now,
        )


def _items(listing: Listing) -> Iterator[tuple[Kind, Metadata]]:
    yield from ((Kind.DOMAIN, item.metadata) for item in listing.domains)
    yield from ((Kind.SOURCE, item.metadata) for item in listing.sources.values())

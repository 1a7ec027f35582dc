"""Who may open which service, as rows: decided for every domain, compared by digest, written where it differs.

    people x ADMIN rows x declarations x subscriptions -> court -> rulings -> rows that differ, a few domains at a time

The same for the loop and for a run on files; what differs is only who gathers the inputs.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.engine.subscriptions import SourceAccount
from controller.maildb.database import MailDatabase
from controller.maildb.services import DomainRows, ServiceChanges, ServiceFacts
from controller.permissions.effects import Effect, effects
from controller.permissions.realm import Court, Subscribed, convene
from controller.permissions.rows import RowChanges, Ruling, StandingRows, rule
from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import Claim, DomainId, Hold, Holding, Scope, UserId
from controller.planning.guard import RESTRICTIONS, Approvals, Bench
from controller.planning.standing import Standing
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey

ROWS_AT_ONCE = 20_000
"""Rows that one transaction compares at most, unless one domain has more: memory does not grow with the database."""


@dataclass(frozen=True, slots=True)
class ServiceQuestion:
    """Everything that deciding about services depends on."""

    domains: Sequence[MailDomain]
    """Those that may act, with or without `serviceAccess`; each name once."""
    charter: Charter
    subscribed: Subscribed
    facts: ServiceFacts
    undecided: Collection[ResourceKey] = ()
    """Domains for which a source was never asked yet: their rows stay as they are."""
    approvals: Approvals = field(default_factory=Approvals)


@dataclass(frozen=True, slots=True)
class Decided:
    """What is decided for one domain."""

    resource: MailDomain
    row: DomainId
    ruling: Ruling
    hold: Hold | None = None
    """What waits until a person has approved that people are let in."""

    @property
    def scope(self) -> Scope:
        """Whose approval it takes."""
        return Scope("MailDomain", self.resource.key)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """The decision for every domain."""

    question: ServiceQuestion
    court: Court
    decided: Mapping[ResourceKey, Decided]
    cleared: Mapping[DomainId, MailDomain]
    """Domains that decide on no services any more."""

    @property
    def differing(self) -> Iterator[Decided]:
        """Those whose rows may say something else."""
        digests = self.question.facts.digests
        return (item for item in self.decided.values() if digests.get(item.row) != item.ruling.digest)

    @property
    def settled(self) -> bool:
        """Whether everything stands as it is decided, and nothing waits."""
        return not (any(self.differing) or self.cleared or self.question.facts.holds)


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """What one pass has decided and written."""

    question: ServiceQuestion
    court: Court
    decided: Mapping[ResourceKey, Decided]
    effects: Mapping[ResourceKey, Mapping[str, Effect]] = field(default_factory=dict)
    """What becomes of each domain of which something was written, or would be, by service."""
    cleared: tuple[MailDomain, ...] = ()
    """Those of them that decide on no services any more."""
    used: tuple[Hold, ...] = ()
    """Holds whose approval was carried out."""
    accounts: tuple[SourceAccount, ...] = ()
    """How the sources of subscriptions did, where they were asked for this."""

    @property
    def written(self) -> int:
        """Domains of which something was written."""
        return len(self.effects)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """What waits for approval."""
        return tuple(item.hold for item in self.decided.values() if item.hold is not None)


def acting(standings: Iterable[Standing], claims: Mapping[DomainName, Claim]) -> Sequence[MailDomain]:
    """The MailDomains that may act, of those whose claim is recorded: others have no rows of ours yet."""
    return [
        item.resource
        for item in standings
        if item.admitted
        and (claim := claims.get(item.resource.domain)) is not None
        and claim.resource == item.resource.key
    ]


def plan_services(question: ServiceQuestion) -> ServicePlan:
    """Decide about services. Pure, and blind to the rows that stand.

    Every domain that may act takes part in links; decided are those that the database has and that are not suspended.
    """
    located = locate(question.facts.population.domains)
    acting = {
        item.key: (item, row.id)
        for item in question.domains
        if not item.spec.suspend and (row := located.get(item.domain, NOWHERE).row) is not None
    }
    court = convene(question.domains, question.charter, question.subscribed)
    census = question.facts.population.census
    decided = {
        realm.key: Decided(item, row, rule(realm, census))
        for realm in court.realms.values()
        if realm.key in acting and realm.key not in question.undecided
        for item, row in (acting[realm.key],)
    }
    cleared = {
        row: item for item, row in acting.values() if item.spec.service_access is None and row in question.facts.digests
    }
    return ServicePlan(question, court, decided, cleared)


def carry_out(database: MailDatabase, plan: ServicePlan) -> ServiceOutcome:
    """Write what differs, some domains in one transaction, each of them as a whole. In sync nothing is written.

    Blocks. Raises `Frozen` and `PlanOutdated`; what was written before stands.
    """
    facts = plan.question.facts
    return _Pass(database, plan, lambda changes: database.write_services(changes, epoch=facts.epoch)).outcome()


def foresee(database: MailDatabase, plan: ServicePlan) -> ServiceOutcome:
    """What `carry_out` would do now. Blocks."""
    return _Pass(database, plan, lambda _: None).outcome()


class _Pass:
    """One pass while it is being carried out, or only thought through."""

    def __init__(self, database: MailDatabase, plan: ServicePlan, write: Callable[[ServiceChanges], None]) -> None:
        facts = plan.question.facts
        self._plan = plan
        self._decided = dict(plan.decided)
        self._effects: dict[ResourceKey, Mapping[str, Effect]] = {}
        self._database = database
        self._write = write
        self._facts = facts
        self._bench = Bench(
            facts.taken_at, plan.question.approvals, {hold.id: hold for hold in facts.holds}, facts.spent_holds
        )

    def outcome(self) -> ServiceOutcome:
        """Go through everything that differs, domains that decide no more first."""
        self._clear()
        for some in _portions(self._plan.differing):
            self._settle(some)
        self._close_holds()
        cleared, used = tuple(self._plan.cleared.values()), tuple(self._bench.used.values())
        return ServiceOutcome(self._plan.question, self._plan.court, self._decided, self._effects, cleared, used)

    def _clear(self) -> None:
        cleared = self._plan.cleared
        for row, item in cleared.items():
            standing = self._database.service_rows([row])[row]
            self._effects[item.key] = effects(RowChanges(gone=frozenset(standing.said)), standing)
        self._write(ServiceChanges(cleared=tuple((row, item.domain) for row, item in cleared.items())))

    def _settle(self, some: Sequence[Decided]) -> None:
        rows = self._database.service_rows([item.row for item in some])
        settled = [self._hold(item, rows[item.row]) for item in some]
        self._decided.update((item.resource.key, item) for item in settled)
        domains = tuple(changed for item in settled if (changed := self._changed(item, rows[item.row])) is not None)
        self._write(ServiceChanges(domains, holds=self._changed_holds({item.scope for item in settled})))

    def _close_holds(self) -> None:
        """Close what nobody waits for any more. A domain that is not decided now keeps what waits, while it lasts."""
        decided = {item.scope for item in self._decided.values()}
        self._bench.keep(self._bench.undecided(judged=decided, gathered=decided))
        self._write(ServiceChanges(holds=tuple(hold for hold in self._bench.over() if hold.id not in self._bench.used)))

    def _hold(self, item: Decided, standing: StandingRows) -> Decided:
        """Hold whoever would be let in because restrictions end, but for those of whom a person has approved it."""
        entering = frozenset(Holding(item.row, UserId(person)) for person in item.ruling.lets_in(standing))
        if not entering:
            return item
        holds = self._bench.hold(item.scope, RESTRICTIONS, entering)
        self._bench.use([access for hold in holds if hold.approved for access in hold.accesses])
        waiting = next((hold for hold in holds if not hold.approved), None)
        kept_out = frozenset(access.user for access in waiting.accesses) if waiting is not None else frozenset()
        return replace(item, ruling=replace(item.ruling, kept_out=kept_out), hold=waiting)

    def _changed(self, item: Decided, standing: StandingRows) -> DomainRows | None:
        digest, changes = item.ruling.digest, item.ruling.changes(standing)
        if not changes and digest == self._facts.digests.get(item.row):
            return None
        self._effects[item.resource.key] = effects(changes, standing)
        return DomainRows(item.row, item.resource.domain, digest, changes)

    def _changed_holds(self, scopes: Collection[Scope]) -> tuple[Hold, ...]:
        """The holds of these domains that are new or otherwise, and those that have just been used up."""
        standing = [
            hold
            for hold in self._bench.standing.values()
            if hold.scope in scopes and self._bench.recorded.get(hold.id) != hold
        ]
        used = [replace(hold, closed=True) for hold in self._bench.used.values() if hold.scope in scopes]
        return (*standing, *used)


def _portions(items: Iterable[Decided]) -> Iterator[list[Decided]]:
    some: list[Decided] = []
    rows = 0
    for item in items:
        if some and rows + item.ruling.size > ROWS_AT_ONCE:
            yield some
            some, rows = [], 0
        some.append(item)
        rows += item.ruling.size
    if some:
        yield some

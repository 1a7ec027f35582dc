"""May it be granted? Grants and adoptions that wait for a person: too many of a source, strangers, too many admins.

These limits do not wait for a wave: they are judged in every pass, before anything is granted. A source speaks before
its domains, and what one limit holds is not weighed by the next.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from controller.planning.draft import Arrivals, Draft
from controller.planning.facts import Granted, Hold, Holding, Scope, Snapshot
from controller.planning.guard import ADMIN_EMAIL_DOMAINS, ADOPTION, GRANTS, MAX_ADMINS, Bench
from controller.resources.maildomain import AdoptionPolicy
from controller.resources.names import ResourceKey

HISTORY = timedelta(days=7)
"""How long a source must have been at work before there is a usual day to compare with."""
TIMES_THE_USUAL = 3
GRANTS_FLOOR = 20
"""Grants and adoptions of a day that never trip, however quiet the source usually is."""
GRANTS_SHARE = 20
"""Neither does one row in so many of the source's rows."""


@dataclass(frozen=True, slots=True)
class Admissions:
    """What was decided about grants and adoptions."""

    held: Mapping[Holding, Hold] = field(default_factory=dict)
    """What waits, with the hold that it waits for."""
    let_through: Mapping[Holding, str] = field(default_factory=dict)
    """What a person has approved, with the id of the hold."""


@dataclass(slots=True)
class _Weighing:
    """The limits on what is granted in one pass."""

    snapshot: Snapshot
    bench: Bench
    held: dict[Holding, Hold] = field(default_factory=dict)
    """What waits, with the hold that it waits for."""
    approved: set[Holding] = field(default_factory=set)
    """Adoptions that a person has decided: they count as grants and are held by no other limit."""
    let_through: dict[Holding, str] = field(default_factory=dict)
    """What an approval covers, with the id of its hold; of several the last one."""

    def weigh(self, drafts: Sequence[Draft]) -> None:
        """Judge what these domains would grant and adopt now, and note what has to wait."""
        acting = [(draft, arrivals) for draft in drafts if draft.acts and (arrivals := draft.arrivals)]
        for draft, _ in acting:
            self._weigh_adoptions(draft)
        self._weigh_sources([arrivals for _, arrivals in acting], drafts)
        for draft, arrivals in acting:
            self._weigh_emails(draft, arrivals)
            self._weigh_number(draft)
        self.bench.use({holding for _, arrivals in acting for holding in arrivals} - self.held.keys())

    def _weigh_adoptions(self, draft: Draft) -> None:
        """A row that no source names becomes ours when a person says so."""
        adoptions = draft.difference.adoptable
        asked = {item.holding for item in adoptions if item.reason is AdoptionPolicy.ALL}
        if asked:
            self._hold(draft.scope, f"{ADOPTION} All", asked)
            self.approved |= asked - self.held.keys()

    def _weigh_sources(self, arrivals: Sequence[Arrivals], drafts: Sequence[Draft]) -> None:
        by_source: dict[ResourceKey, set[Holding]] = defaultdict(set)
        for of_domain in arrivals:
            for holding, sources in of_domain.items():
                if holding not in self.held:
                    for key in sources:
                        by_source[key].add(holding)
        for key, coming in sorted(by_source.items()):
            if self._exceeds(key, len(coming), drafts):
                limit = f"{GRANTS} {TIMES_THE_USUAL}x the usual of a day"
                self._hold(Scope("EntitlementSource", key), limit, coming - self.approved)

    def _exceeds(self, key: ResourceKey, coming: int, drafts: Sequence[Draft]) -> bool:
        known = self.snapshot.known.get(Scope("EntitlementSource", key))
        if known is None or self.snapshot.taken_at - known.since < HISTORY:
            return False
        granted = self.snapshot.granted.get(key, Granted())
        today = granted.today + coming
        if today <= GRANTS_FLOOR or HISTORY.days * today <= TIMES_THE_USUAL * granted.week:
            return False
        rows = sum(len(draft.difference.admins) for draft in drafts if key in draft.standing.sources)
        return GRANTS_SHARE * today > rows

    def _weigh_emails(self, draft: Draft, arrivals: Arrivals) -> None:
        allowed = draft.standing.resource.spec.limits.admin_email_domains
        outside = strangers(arrivals, allowed, self.snapshot)
        self._hold(draft.scope, ADMIN_EMAIL_DOMAINS, outside - self.held.keys() - self.approved)

    def _weigh_number(self, draft: Draft) -> None:
        """All grants wait, or none. A team that is replaced may exceed the limit by those who are on their way out."""
        limit = draft.standing.resource.spec.limits.max_admins
        coming = {grant.holding for grant in draft.difference.missing} - self.held.keys()
        leaving = len(draft.docket.open) + len(draft.difference.denied) if draft.revokes else 0
        if len(draft.difference.admins) + len(coming) - leaving > limit:
            self._hold(draft.scope, f"{MAX_ADMINS} {limit}", coming)

    def _hold(self, scope: Scope, limit: str, holdings: Iterable[Holding]) -> None:
        waiting = frozenset(holdings)
        for hold in self.bench.hold(scope, limit, waiting):
            if hold.approved:
                self.let_through.update(dict.fromkeys(hold.accesses, hold.id))
            else:
                self.held.update((holding, hold) for holding in hold.accesses if holding not in self.held)


def ceilings(drafts: Sequence[Draft], snapshot: Snapshot, bench: Bench) -> Admissions:
    """Which grants and adoptions of this pass wait for approval, and for which."""
    judged = _Weighing(snapshot, bench)
    judged.weigh(drafts)
    return Admissions(judged.held, judged.let_through)


def strangers(arrivals: Iterable[Holding], allowed: Collection[str] | None, snapshot: Snapshot) -> frozenset[Holding]:
    """Those whose e-mail is of none of the `allowed` domains; nobody where any is."""
    if allowed is None:
        return frozenset()
    users = snapshot.users
    return frozenset(
        holding for holding in arrivals if (email := users[holding.user].email) and email.domain not in allowed
    )

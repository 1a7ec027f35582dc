"""What is still to be answered? Pokes and approvals by annotation, and rows that somebody else has removed."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from controller.engine.desk import Desk
from controller.engine.listing import Target
from controller.engine.world import Kind
from controller.planning.facts import Hold, Scope
from controller.planning.guard import WITHOUT_ANSWERS, Approvals, kind_of
from controller.planning.plan import DomainPlan
from controller.planning.standing import Standing
from controller.planning.status import Status
from controller.resources.model import Metadata
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource


@dataclass(frozen=True, slots=True)
class Poke:
    """One value of `requestedAt`, and the waves that have to end before it counts as handled."""

    value: str
    waves: Mapping[ResourceKey, int]

    def handled(self, desks: Mapping[ResourceKey, Desk]) -> bool:
        """Whether every wave that it waits for is over. A source that is gone is waited for no longer."""
        return _over(self.waves, desks)


def _over(waves: Mapping[ResourceKey, int], desks: Mapping[ResourceKey, Desk]) -> bool:
    return all(key not in desks or desks[key].finished >= number for key, number in waves.items())


@dataclass(slots=True)
class Pokes:
    """The pokes that are not handled yet."""

    _open: dict[Target, Poke] = field(default_factory=dict)
    _seen: dict[Target, Mapping[str, str]] = field(default_factory=dict)
    """The annotations as they were last."""
    _newest: dict[Target, str] = field(default_factory=dict)

    def see_domains(
        self, standings: Iterable[Standing], told: Mapping[Target, Status], desks: Mapping[ResourceKey, Desk]
    ) -> None:
        """Note new pokes of MailDomains: each of their sources asks its holders, and those whom answers named."""
        for standing in standings:
            resource = standing.resource
            sources = () if resource.spec.suspend else standing.sources
            status = told.get((Kind.DOMAIN, resource.key), {})
            self._see(Kind.DOMAIN, resource.metadata, status, sources, desks, everybody=False)

    def see_sources(
        self, sources: Iterable[EntitlementSource], told: Mapping[Target, Status], desks: Mapping[ResourceKey, Desk]
    ) -> None:
        """Note new pokes of EntitlementSources: everybody is asked at once."""
        for item in sources:
            status = told.get((Kind.SOURCE, item.key), {})
            self._see(Kind.SOURCE, item.metadata, status, (item.key,), desks, everybody=True)

    def handled(self, kind: Kind, key: ResourceKey, desks: Mapping[ResourceKey, Desk]) -> str | None:
        """The value to echo, once the outcome is carried out, held or failed."""
        poke = self._open.get((kind, key))
        return poke.value if poke is not None and poke.handled(desks) else None

    def _see(
        self,
        kind: Kind,
        metadata: Metadata,
        status: Status,
        sources: Iterable[ResourceKey],
        desks: Mapping[ResourceKey, Desk],
        *,
        everybody: bool,
    ) -> None:
        target = (kind, metadata.key)
        value = self._latest(target, metadata.requests)
        if value is None or status.get("lastHandledReconcileAt") == value:
            self._open.pop(target, None)
        elif target not in self._open or self._open[target].value != value:
            asked = [desks[key] for key in sources if key in desks and not desks[key].spec.suspend]
            self._open[target] = Poke(value, {desk.key: desk.request(everybody=everybody) for desk in asked})

    def _latest(self, target: Target, requests: Mapping[str, str]) -> str | None:
        """The request that came last: two annotations, and their values need not be times."""
        before, self._seen[target] = self._seen.get(target, {}), requests
        fresh = [value for name, value in requests.items() if before.get(name) != value]
        if fresh:
            self._newest[target] = max(fresh)
        elif self._newest.get(target) not in requests.values():
            self._newest.pop(target, None)
        return self._newest.get(target)


@dataclass(slots=True)
class Removals:
    """Domains of which somebody else has removed rows of ours: told until a later wave finds everything in place."""

    _waves: dict[ResourceKey, Mapping[ResourceKey, int]] = field(default_factory=dict)

    def see(self, plans: Iterable[DomainPlan], desks: Mapping[ResourceKey, Desk]) -> None:
        """Note the domains whose rows a plan has restored."""
        for item in plans:
            if item.restored:
                asked = (key for key in item.standing.sources if not desks[key].spec.suspend)
                self._waves[item.standing.resource.key] = {key: desks[key].number + 1 for key in asked}

    def lately(self, desks: Mapping[ResourceKey, Desk]) -> Collection[ResourceKey]:
        """Those of which it is told now."""
        self._waves = {key: waves for key, waves in self._waves.items() if not _over(waves, desks)}
        return self._waves.keys()


@dataclass(slots=True)
class ApprovalDesk:
    """The approvals on objects. One that is seen gets a wave at once, and counts when that has asked again."""

    _waves: dict[str, Mapping[ResourceKey, int]] = field(default_factory=dict)
    """For each hold that was found approved, the waves in which its people are asked about again."""

    def see(
        self,
        holds: Iterable[Hold],
        standings: Iterable[Standing],
        sources: Iterable[EntitlementSource],
        desks: Mapping[ResourceKey, Desk],
    ) -> None:
        """Note the holds that are approved now.

        Only the object whose limit tripped can approve, and only a hold that is recorded: an annotation that names
        any other id approves nothing, now or later.
        """
        approved = _annotations(standings, sources)
        found = [hold for hold in holds if approved.get(hold.scope) == hold.id]
        sources_of = {standing.resource.key: standing.sources for standing in standings} if found else {}
        waves = {}
        for hold in found:
            keys = (hold.scope.key,) if hold.scope.kind == "EntitlementSource" else sources_of.get(hold.scope.key, ())
            asking = [desks[key] for key in keys if key in desks and not desks[key].spec.suspend]
            if kind_of(hold) in WITHOUT_ANSWERS:
                asking = []
            before = self._waves.get(hold.id)
            waves[hold.id] = before or {desk.key: desk.request(everybody=False) for desk in asking}
        self._waves = waves

    def collect(
        self,
        standings: Iterable[Standing],
        sources: Iterable[EntitlementSource],
        desks: Mapping[ResourceKey, Desk],
    ) -> Approvals:
        """The approvals that count: those of holds whose people have been asked about since."""
        asked = {
            hold
            for hold, waves in self._waves.items()
            if all(key not in desks or desks[key].asked_since(number) for key, number in waves.items())
        }
        return Approvals({scope: hold for scope, hold in _annotations(standings, sources).items() if hold in asked})


def _annotations(standings: Iterable[Standing], sources: Iterable[EntitlementSource]) -> Mapping[Scope, str]:
    objects = [(Scope("MailDomain", standing.resource.key), standing.resource.metadata) for standing in standings]
    objects += [(Scope("EntitlementSource", item.key), item.metadata) for item in sources]
    return {scope: metadata.approved_hold for scope, metadata in objects if metadata.approved_hold is not None}

"""What about one domain, taken by itself? Its difference and its cases, before anything is judged across domains."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controller.planning.cases import Docket, update_docket
from controller.planning.difference import NOWHERE, Difference, Located, compare, withdrawing
from controller.planning.facts import Case, Holding, Origin, Scope, Snapshot
from controller.planning.identity import Identities
from controller.planning.sources import Voice
from controller.planning.standing import Standing
from controller.resources.conditions import Reason
from controller.resources.maildomain import MailDomain, Mode
from controller.resources.names import DomainName, ResourceKey

Arrivals = Mapping[Holding, tuple[ResourceKey, ...]]
"""Who would become an administrator of ours, with the sources that say so."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One declared domain, compared, with its cases brought up to date."""

    standing: Standing
    mode: Mode
    """The mode that counts: the declared one, or the one that is asked for."""
    suspended: Reason | None
    """Suspended by itself or because all of its sources are, or Frozen with everything else; None = it may act."""
    difference: Difference
    docket: Docket = field(default_factory=Docket)

    @property
    def key(self) -> ResourceKey:
        """The resource."""
        return self.standing.resource.key

    @property
    def name(self) -> DomainName:
        """The domain."""
        return self.standing.resource.domain

    @property
    def scope(self) -> Scope:
        """The resource as holds name it."""
        return Scope("MailDomain", self.key)

    @property
    def acts(self) -> bool:
        """Whether anything may be written for it."""
        located = self.difference.located.row is not None
        return self.standing.admitted and located and not self.suspended and self.mode is not Mode.OBSERVE

    @property
    def revokes(self) -> bool:
        """Whether revocations may be carried out."""
        return self.acts and self.mode in (Mode.ENFORCE, Mode.WITHDRAW)

    @property
    def withdraws(self) -> bool:
        """Whether the domain is given up: no answer is asked for, and nothing goes without approval."""
        return self.acts and self.mode is Mode.WITHDRAW

    @property
    def arrivals(self) -> Arrivals:
        """What would become ours, granted or adopted."""
        granted = {grant.holding: grant.sources for grant in self.difference.missing}
        return granted | {item.holding: item.sources for item in self.difference.adoptable}

    def granted_since(self, start: datetime, snapshot: Snapshot) -> int:
        """How many rows were granted after `start`, stand, and are under no case."""
        contested = {item.access.id for item in self.docket.open}
        entries = (snapshot.ledger.get(row.id) for row in self.difference.admins if row.id not in contested)
        return sum(entry is not None and entry.origin is Origin.GRANTED and entry.since > start for entry in entries)


@dataclass(frozen=True, slots=True)
class Drafter:
    """What drafting every domain needs, gathered once."""

    snapshot: Snapshot
    identities: Identities
    voices: Mapping[ResourceKey, Voice]
    located: Mapping[DomainName, Located]
    cases: Mapping[str, tuple[Case, ...]]
    """Open cases by the id of their domain."""
    as_if: Mode | None

    def draft(self, standing: Standing) -> Draft:
        """Compare one domain and update its cases. A domain that may not act is neither compared nor touched."""
        resource = standing.resource
        mode = self.as_if or resource.spec.mode
        voices = tuple(self.voices[key] for key in standing.sources)
        suspended = self._suspended(resource, voices)
        if not standing.admitted:
            return Draft(standing, mode, suspended, Difference(NOWHERE))
        located = self.located.get(resource.domain, NOWHERE)
        difference = compare(resource, located, voices, self.snapshot, self.identities)
        if mode is Mode.WITHDRAW:
            spared = self.identities.matching(resource.spec.protected_admins)
            difference = withdrawing(difference, spared, self.snapshot.pins)
        draft = Draft(standing, mode, suspended, difference)
        if located.row is None or suspended:
            return draft
        known = self.cases.get(located.row.id, ())
        if not known and not difference.suspects:
            return draft
        docket = update_docket(resource.key, difference, known, enforced=draft.revokes, now=self.snapshot.taken_at)
        return replace(draft, docket=docket)

    def _suspended(self, resource: MailDomain, voices: tuple[Voice, ...]) -> Reason | None:
        if self.snapshot.freeze is not None:
            return Reason.FROZEN
        silenced = bool(voices) and all(voice.state.spec.suspend for voice in voices)
        return Reason.SUSPENDED if resource.spec.suspend or silenced else None


def cases_by_domain(cases: Iterable[Case]) -> Mapping[str, tuple[Case, ...]]:
    """Group open cases by the id of their domain."""
    grouped: dict[str, tuple[Case, ...]] = {}
    for case in cases:
        grouped[case.domain] = (*grouped.get(case.domain, ()), case)
    return grouped


def window_start(snapshot: Snapshot, window: timedelta) -> datetime:
    """When a sliding window began, in database time."""
    return snapshot.taken_at - window

"""Does what is written stay written? A plan that comes back at once, while nobody else wrote, leads nowhere."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from controller.maildb.pulse import Beat
from controller.planning.plan import DomainPlan
from controller.planning.standing import Standing
from controller.resources.conditions import Reason
from controller.resources.names import ResourceKey

SOON = 120.0
"""Seconds within which the same plan must not be needed twice."""
PATIENCE = 600.0
"""Seconds after which it is tried again, though nothing has changed."""

_Deed = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Written:
    """What was last written of one domain."""

    deeds: tuple[_Deed, ...]
    at: float
    beat: Beat | None = None
    """The accesses as they were afterwards; None until they have been looked at."""


@dataclass(slots=True)
class Convergence:
    """The domains of one reign that are written, and those that are left alone because it does not help."""

    _written: dict[ResourceKey, _Written] = field(default_factory=dict)
    _stuck: dict[ResourceKey, tuple[int, Beat, float]] = field(default_factory=dict)
    """By MailDomain: its generation and the accesses when it was given up, and when."""

    def see(self, beat: Beat, now: float) -> None:
        """Note the accesses as they are now. What somebody has changed is tried again, and so is what is long ago."""
        self._written = {
            key: written if written.beat is not None else replace(written, beat=beat)
            for key, written in self._written.items()
            if now - written.at <= SOON
        }
        self._stuck = {
            key: found for key, found in self._stuck.items() if found[1] == beat and now - found[2] < PATIENCE
        }

    def next_change(self, now: float) -> float:
        """Seconds until a domain that was given up is tried again."""
        return min((max(0.0, since + PATIENCE - now) for _, _, since in self._stuck.values()), default=float("inf"))

    def judge(self, standings: Iterable[Standing]) -> tuple[Standing, ...]:
        """The same standings, without leave to act for those that lead nowhere. An edited one is tried again."""
        return tuple(
            replace(item, refusal=Reason.NON_CONVERGENT) if self._is_stuck(item) and item.admitted else item
            for item in standings
        )

    def repeats(self, plans: Iterable[DomainPlan], beat: Beat, now: float) -> Collection[ResourceKey]:
        """The domains whose last write is planned again as if it had never been; from now on they are left alone."""
        found = set()
        for item in plans:
            key, before = item.standing.resource.key, self._written.get(item.standing.resource.key)
            if before is not None and before.beat == beat and before.deeds == _deeds(item):
                self._stuck[key] = (item.standing.resource.metadata.generation, beat, now)
                found.add(key)
        return found

    def wrote(self, plans: Iterable[DomainPlan], now: float) -> None:
        """Note what was carried out."""
        written = ((item.standing.resource.key, _deeds(item)) for item in plans)
        self._written |= {key: _Written(deeds, now) for key, deeds in written if deeds}

    def _is_stuck(self, standing: Standing) -> bool:
        key = standing.resource.key
        if key in self._stuck and self._stuck[key][0] != standing.resource.metadata.generation:
            del self._stuck[key]
            self._written.pop(key, None)
        return key in self._stuck


def _deeds(item: DomainPlan) -> tuple[_Deed, ...]:
    """Planning is deterministic: the same deeds come in the same order."""
    grants = (("+", grant.user) for grant in item.grants)
    return (*grants, *(("-", removal.access.id) for removal in item.revocations))

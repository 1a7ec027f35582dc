"""What is declared in the cluster? Complete lists, parsed, and what the watch has told since.

An object that can't be used stalls alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from controller.engine.news import Mark, mark_of
from controller.engine.world import Kind, World
from controller.errors import InvalidInput
from controller.planning.standing import CLAIM_GRACE
from controller.planning.status import Status
from controller.resources.charter import Charter, ServiceKind
from controller.resources.documents import KINDS, parse_object
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource

Target = tuple[Kind, ResourceKey]


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as it was at one moment."""

    kind: Kind
    key: ResourceKey
    uid: str
    version: int
    """Its `resourceVersion`: of two moments of one object the later has the higher one, and so of two of one name."""
    generation: int
    mark: Mark
    resource: MailDomain | EntitlementSource | ServiceKind | None
    """None when it can't be used, or is gone."""
    gone: bool = False

    @property
    def target(self) -> Target:
        """Kind and name."""
        return self.kind, self.key


def read_entry(obj: Mapping[str, Any], *, gone: bool = False) -> Entry:
    """Read an object as the API server has it."""
    metadata = obj["metadata"]
    return Entry(
        kind=_KINDS[obj["kind"]],
        key=_key(obj),
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=metadata.get("generation", 0),
        mark=mark_of(metadata),
        resource=None if gone else _parsed(obj),
        gone=gone,
    )


def _key(obj: Mapping[str, Any]) -> ResourceKey:
    return ResourceKey(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


_KINDS = {kind.singular: kind for kind in Kind}


def _parsed(obj: Mapping[str, Any]) -> MailDomain | EntitlementSource | ServiceKind | None:
    # Its status is told by whoever writes it; what is declared need not keep it.
    declared = {name: part for name, part in obj.items() if name != "status"}
    try:
        return parse_object(KINDS[obj["kind"]], declared, strict=False)
    except InvalidInput:
        return None


@dataclass(frozen=True)
class Listing:
    """Everything that is declared, at one moment."""

    entries: Mapping[Target, Entry] = field(default_factory=dict)

    @cached_property
    def domains(self) -> tuple[MailDomain, ...]:
        """The MailDomains that can be used."""
        return tuple(item for item in self._resources if isinstance(item, MailDomain))

    @cached_property
    def sources(self) -> Mapping[ResourceKey, EntitlementSource]:
        """The EntitlementSources that can be used."""
        return {item.key: item for item in self._resources if isinstance(item, EntitlementSource)}

    @cached_property
    def charter(self) -> Charter:
        """What decides on services."""
        return Charter.of(self._resources)

    @cached_property
    def invalid(self) -> tuple[Entry, ...]:
        """What can't be used."""
        return tuple(entry for entry in self.entries.values() if entry.resource is None)

    @cached_property
    def names(self) -> frozenset[DomainName]:
        """The domains that are declared."""
        return frozenset(item.domain for item in self.domains)

    @cached_property
    def windows(self) -> frozenset[timedelta]:
        """The windows of all limits."""
        limits = [item.spec.limits.revocations for item in self.domains]
        limits += [item.spec.limits.revocations for item in self.sources.values()]
        return frozenset(limit.window for limit in limits)

    @property
    def _resources(self) -> Iterable[object]:
        return (entry.resource for entry in self.entries.values())

    def knows(self, obj: Mapping[str, Any]) -> bool:
        """Whether an object is known as it is here, but for its status, or later."""
        metadata, known = obj["metadata"], self.entries.get((_KINDS[obj["kind"]], _key(obj)))
        if known is None:
            return False
        as_here = (known.uid, known.mark) == (metadata["uid"], mark_of(metadata))
        return as_here or known.version >= int(metadata["resourceVersion"])

    def revised(self, told: Iterable[Entry]) -> "Listing":
        """Take over what the watch has told. What is older than what is known changes nothing."""
        entries = dict(self.entries)
        for entry in told:
            known = entries.get(entry.target)
            if known is not None and known.version >= entry.version:
                continue
            if not entry.gone:
                entries[entry.target] = entry
            elif known is not None:
                del entries[entry.target]
        return self if entries == self.entries else replace(self, entries=entries)


async def read_listing(world: World, told: Mapping[Target, Status]) -> tuple[Listing, dict[Target, Status]]:
    """List all kinds: what is declared, and the status of each object.

    `told` are the statuses that are known: one that has not changed is not held twice. Raises `ClusterUnavailable` or
    `NotAuthorized`; never a partial list.
    """
    statuses: dict[Target, Status] = {}

    def read(obj: Mapping[str, Any]) -> Entry:
        entry = read_entry(obj)
        known, status = told.get(entry.target), status_of(obj)
        statuses[entry.target] = known if known is not None and known == status else status
        return entry

    found = [entry for kind in Kind for entry in await world.read_objects(kind, read)]
    return Listing({entry.target: entry for entry in found}), statuses


def status_of(obj: Mapping[str, Any]) -> Status:
    """The status of an object as the API server has it."""
    return obj.get("status") or {}


@dataclass(slots=True)
class Absences:
    """Since when have the recorded winners of claims been gone from complete lists?"""

    _since: dict[DomainName, float] = field(default_factory=dict)

    def see(self, claimed: Mapping[DomainName, ResourceKey], present: Iterable[ResourceKey], now: float) -> None:
        """Take a complete list into account. A winner that comes back was never gone."""
        there = set(present)
        gone = {domain for domain, key in claimed.items() if key not in there}
        self._since = {domain: self._since.get(domain, now) for domain in gone}

    def seconds(self, now: float) -> Mapping[DomainName, float]:
        """For how long each has been gone."""
        return {domain: now - since for domain, since in self._since.items()}

    def next_change(self, now: float) -> float:
        """Seconds until a claim may pass to somebody else."""
        left = (CLAIM_GRACE - (now - since) for since in self._since.values())
        return min((seconds for seconds in left if seconds > 0), default=float("inf"))

"""What is declared in the cluster? Complete lists, parsed; an object that can't be used stalls alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from controller.engine.news import Mark, marks
from controller.engine.world import Kind, World
from controller.errors import InvalidInput
from controller.planning.standing import CLAIM_GRACE
from controller.resources.charter import Charter
from controller.resources.documents import KINDS, parse_maildomain, parse_object, parse_source
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource

Parsed_co = TypeVar("Parsed_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Invalid:
    """One object that can't be used, as far as it can be read."""

    kind: Kind
    key: ResourceKey
    generation: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that is declared, at one moment."""

    domains: Sequence[MailDomain] = ()
    sources: Mapping[ResourceKey, EntitlementSource] = field(default_factory=dict)
    charter: Charter = field(default_factory=Charter)
    """What decides on services."""
    invalid: Sequence[Invalid] = ()
    statuses: Mapping[tuple[Kind, ResourceKey], Mapping[str, Any]] = field(default_factory=dict)
    """The status of every object, as the API server holds it."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """What the watch should have told, by uid."""

    @property
    def windows(self) -> frozenset[timedelta]:
        """The windows of all limits."""
        limits = [item.spec.limits.revocations for item in self.domains]
        limits += [item.spec.limits.revocations for item in self.sources.values()]
        return frozenset(limit.window for limit in limits)


Objects = Mapping[Kind, Sequence[Mapping[str, Any]]]


async def read_listing(world: World) -> Listing:
    """List all kinds and parse them. Raises `ClusterUnavailable` or `NotAuthorized`; never a partial list."""
    return parse_listing(await list_all(world))


async def list_all(world: World) -> Objects:
    """All objects of all kinds. Raises `ClusterUnavailable` or `NotAuthorized`; never a partial list."""
    return {kind: await world.list_objects(kind) for kind in Kind}


def parse_listing(objects: Objects) -> Listing:
    """Parse them; one that can't be used is told of in `invalid`."""
    invalid: list[Invalid] = []
    sources = _parsed(Kind.SOURCE, objects[Kind.SOURCE], parse_source, invalid)
    domains = _parsed(Kind.DOMAIN, objects[Kind.DOMAIN], parse_maildomain, invalid)
    statuses = {(kind, _key(obj)): obj.get("status") or {} for kind in Kind for obj in objects[kind]}
    told = marks(obj for kind in Kind for obj in objects[kind])
    charter = Charter.of(
        item for kind in SERVICE_KINDS for item in _parsed(kind, objects[kind], _parser(kind), invalid)
    )
    return Listing(domains, {source.key: source for source in sources}, charter, invalid, statuses, told)


SERVICE_KINDS = tuple(kind for kind in Kind if kind not in (Kind.SOURCE, Kind.DOMAIN))
"""The kinds that decide on services."""


class _Parser(Protocol[Parsed_co]):
    def __call__(self, obj: Mapping[str, Any], *, strict: bool) -> Parsed_co: ...


def _parser(kind: Kind) -> _Parser[object]:
    return partial(parse_object, KINDS[kind.singular])


def _parsed(
    kind: Kind, objects: Iterable[Mapping[str, Any]], parse: _Parser[Parsed_co], invalid: list[Invalid]
) -> list[Parsed_co]:
    found = []
    for obj in objects:
        try:
            found.append(parse(obj, strict=False))
        except InvalidInput:
            invalid.append(Invalid(kind, _key(obj), obj["metadata"].get("generation", 0)))
    return found


def _key(obj: Mapping[str, Any]) -> ResourceKey:
    return ResourceKey(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


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

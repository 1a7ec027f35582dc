"""What do the deprecated restrictions still do? Who would be let in without them, and who was let in by mistake."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from controller.permissions.census import Census
from controller.permissions.membership import Change, compare, opened, resolve_members
from controller.permissions.realm import Realm, Restriction, Usable
from controller.permissions.reasons import AccessReason
from controller.resources.names import ResourceKey


@dataclass(frozen=True, slots=True)
class RestrictionReport:
    """What the restrictions of one domain do."""

    denied: Mapping[ResourceKey, frozenset[str]]
    """Whom each keeps from a service that everything else would let them open, by restriction."""
    leaked: Mapping[str, frozenset[str]]
    """Services that somebody could open only because the last row decided on those without a row (B-32), by person."""
    switched_off: Change
    """What switching all of them off would do: it can only widen (B-34)."""

    @property
    def idle(self) -> frozenset[ResourceKey]:
        """Those that keep nobody from anything: safe to delete."""
        return frozenset(key for key, people in self.denied.items() if not people)


def report_restrictions(realm: Realm, census: Census) -> RestrictionReport:
    """Look at the restrictions that are applied in one domain. A subscription that is not known counts as active:

    what has no effect then has none in any case.
    """
    usable = {name: Usable.YES if state is Usable.UNKNOWN else state for name, state in realm.services.items()}
    realm = replace(realm, services=usable)
    now = opened(resolve_members(realm, census))
    alone = {
        restriction.key: compare(now, resolve_members(_without(realm, restriction), census)).gains
        for restriction in realm.restrictions
    }
    free = compare(now, resolve_members(replace(realm, restrictions=()), census))
    return RestrictionReport(alone, dict(_leaked(realm, census)), free)


def _without(realm: Realm, restriction: Restriction) -> Realm:
    return replace(realm, restrictions=tuple(each for each in realm.restrictions if each is not restriction))


def _leaked(realm: Realm, census: Census) -> Iterator[tuple[str, frozenset[str]]]:
    if not realm.restrictions:
        return
    for person_id, decisions in resolve_members(realm, census).decisions.items():
        key = census.people[person_id].key
        services = frozenset(
            each.service
            for each in decisions
            if each.reason is AccessReason.LEGACY_GROUP
            and not any(restriction.closed_once(each.service, key) for restriction in realm.restrictions)
        )
        if services:
            yield person_id, services

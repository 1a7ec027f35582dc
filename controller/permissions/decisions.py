"""May somebody of a known standing open these services? The last steps of C2: usable, covered, not restricted."""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.permissions.realm import Realm, Usable
from controller.permissions.reasons import AccessReason
from controller.permissions.standing import Standing


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one service may be opened. None: not known; whoever was told something before keeps it."""

    service: str
    allowed: bool | None
    reason: AccessReason


def decide(realm: Realm, standing: Standing, key: str, services: Iterable[str]) -> tuple[Decision, ...]:
    """One decision a service, for somebody with this standing and e-mail key."""
    closed = closed_to(realm, standing, key)
    return tuple(_decide(realm, standing, service, closed) for service in services)


def closed_to(realm: Realm, standing: Standing, key: str) -> frozenset[str]:
    """The services of the domain that restrictions close to somebody. They never open any: AND alone (B-33)."""
    if not (realm.restrictions and standing.restrictable):
        return frozenset()
    return frozenset(name for name in realm.services if any(each.closes(name, key) for each in realm.restrictions))


def _decide(realm: Realm, standing: Standing, service: str, closed: frozenset[str]) -> Decision:
    usable = realm.services.get(service, Usable.INACTIVE)
    if usable is Usable.INACTIVE:
        return Decision(service, allowed=False, reason=AccessReason.SERVICE_INACTIVE)
    if usable is Usable.NOT_SUBSCRIBED:
        return Decision(service, allowed=False, reason=AccessReason.NOT_SUBSCRIBED)
    if not standing.covers(service):
        return Decision(service, allowed=False, reason=standing.refuses)
    if service in closed:
        return Decision(service, allowed=False, reason=AccessReason.LEGACY_GROUP)
    if usable is Usable.UNKNOWN:
        return Decision(service, allowed=None, reason=AccessReason.STALE)
    return Decision(service, allowed=True, reason=standing.grants)

"""Who of one domain may open what? Everybody at once, for rows and counts; the same decisions as for one question."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.permissions.census import Census
from controller.permissions.decisions import Decision, closed_to, decide
from controller.permissions.realm import Realm
from controller.permissions.standing import Place, Standing, members, place_of, standing_of

Decisions = tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class DomainAccess:
    """The decisions for every member of one domain. Members of the same standing share one tuple."""

    realm: Realm
    decisions: Mapping[str, Decisions]
    """By the id of the person; one decision a service that the domain lists, by name."""

    def allowed(self) -> Mapping[str, int]:
        """How many members may open each service."""
        shared: dict[int, tuple[Decisions, int]] = {}
        for decisions in self.decisions.values():
            _, number = shared.get(id(decisions), (decisions, 0))
            shared[id(decisions)] = (decisions, number + 1)
        counts = dict.fromkeys(self.realm.services, 0)
        for decisions, number in shared.values():
            for each in decisions:
                counts[each.service] += number if each.allowed else 0
        return counts


def resolve_members(realm: Realm, census: Census) -> DomainAccess:
    """Decide for every member. What it costs grows with members, not with members times services."""
    standings: dict[Place, Standing] = {}
    made: dict[tuple[Standing, frozenset[str]], Decisions] = {}
    found: dict[str, Decisions] = {}
    for person in members(realm, census):
        place = place_of(realm, census, person)
        own = standings.get(place) or standings.setdefault(place, standing_of(realm, place))
        closed = closed_to(realm, own, person.key)
        decisions = made.get((own, closed))
        if decisions is None:
            decisions = made[own, closed] = decide(realm, own, person.key, realm.services)
        found[person.id] = decisions
    return DomainAccess(realm, found)


@dataclass(frozen=True, slots=True)
class Change:
    """Who would open more, and who less, if one set of decisions took the place of another."""

    loses: frozenset[str]
    gains: frozenset[str]


def compare(before: Mapping[str, frozenset[str]], after: DomainAccess) -> Change:
    """Compare what people may open now, by id, with what is decided. What is not known stays as it is."""
    loses, gains = set(), set()
    for person_id in before.keys() | after.decisions.keys():
        now = before.get(person_id, frozenset())
        decided = after.decisions.get(person_id, ())
        kept = {each.service for each in decided if each.allowed is None} & now
        then = {each.service for each in decided if each.allowed} | kept
        if now - then:
            loses.add(person_id)
        if then - now:
            gains.add(person_id)
    return Change(frozenset(loses), frozenset(gains))


def opened(access: DomainAccess) -> Mapping[str, frozenset[str]]:
    """What every member may open, as `compare` takes it."""
    same: dict[int, frozenset[str]] = {}
    for decisions in access.decisions.values():
        if id(decisions) not in same:
            same[id(decisions)] = frozenset(each.service for each in decisions if each.allowed)
    return {person_id: same[id(decisions)] for person_id, decisions in access.decisions.items()}

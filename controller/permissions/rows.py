"""Which rows say who may open what? What is decided for one domain, laid over the rows that stand.

What is not known is no change: the row that stands is kept and marked stale, and where none stands none is made.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from controller.permissions.census import Census
from controller.permissions.impersonation import subjects_of
from controller.permissions.membership import Decisions, DomainAccess, resolve_members
from controller.permissions.realm import Realm, Usable
from controller.permissions.reasons import AccessReason


class Opening(NamedTuple):
    """The key of a row within a domain: who opens what."""

    person: str
    service: str


class Said(NamedTuple):
    """What a row says."""

    allowed: bool
    reason: str
    advisory: bool
    """Computed and not served: the domain is only audited, or observed."""
    stale: bool
    """Kept from before, because it is not known now."""

    @property
    def served(self) -> bool:
        """Whether readers are told that it may be opened: what is only audited keeps nobody out."""
        return self.allowed or self.advisory

    @property
    def restricted(self) -> bool:
        """Whether it is a deprecated restriction that keeps somebody out."""
        return not self.allowed and not self.advisory and self.reason == AccessReason.LEGACY_GROUP


class Acting(NamedTuple):
    """One right to act as somebody."""

    actor: str
    subject: str


@dataclass(frozen=True, slots=True)
class StandingRows:
    """The rows of one domain as they are."""

    said: Mapping[Opening, Said] = field(default_factory=dict)
    acting: frozenset[Acting] = frozenset()


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What is to be written for one domain. Empty means that its rows say it already."""

    said: Mapping[Opening, Said] = field(default_factory=dict)
    gone: frozenset[Opening] = frozenset()
    acting: frozenset[Acting] = frozenset()
    acting_gone: frozenset[Acting] = frozenset()

    def __bool__(self) -> bool:
        return any((self.said, self.gone, self.acting, self.acting_gone))

    @property
    def counts(self) -> Mapping[str, int]:
        """How much changes, for the journal."""
        allowed = sum(said.allowed for said in self.said.values())
        return {
            "allowed": allowed,
            "denied": len(self.said) - allowed,
            "removed": len(self.gone),
            "acting": len(self.acting),
            "actingRemoved": len(self.acting_gone),
        }


@dataclass(frozen=True, slots=True)
class Ruling:
    """Everything that is to stand for one domain."""

    access: DomainAccess
    acting: frozenset[Acting]
    advisory: bool
    kept_out: frozenset[str] = frozenset()
    """Whom the end of a restriction would let in, and for whom nobody has approved that yet."""

    @property
    def realm(self) -> Realm:
        """The domain."""
        return self.access.realm

    @property
    def size(self) -> int:
        """How many rows it takes at most."""
        return len(self.access.decisions) * len(self.realm.services) + len(self.acting)

    @property
    def digest(self) -> str:
        """The same for the same rows."""
        content = hashlib.sha256(f"{self.advisory}|{','.join(sorted(self.kept_out))}".encode())
        text = _each_once(lambda decisions: ",".join(f"{it.service}={it.allowed}:{it.reason}" for it in decisions))
        for person, decisions in sorted(self.access.decisions.items()):
            content.update(f"|{person}|{text(decisions)}".encode())
        for actor, subject in sorted(self.acting):
            content.update(f"|{actor}>{subject}".encode())
        return content.hexdigest()

    @property
    def would_lose(self) -> int:
        """How many members may open less than everything that is usable, where that is only audited."""
        if not self.advisory:
            return 0
        usable = frozenset(name for name, state in self.realm.services.items() if state is Usable.YES)
        denying = _each_once(lambda decisions: any(it.allowed is False and it.service in usable for it in decisions))
        return sum(map(denying, self.access.decisions.values()))

    @property
    def would_gain(self) -> int:
        """How many members wait for an approval to be let in."""
        return len(self.kept_out)

    def lets_in(self, standing: StandingRows) -> frozenset[str]:
        """Whom the end of the deprecated restrictions lets in: people whom a row that is served keeps out (B-34)."""
        if self.realm.restrictions or self.advisory:
            return frozenset()
        closed = {key for key, said in standing.said.items() if said.restricted}
        return frozenset(
            person
            for person in {key.person for key in closed}
            if any(it.allowed and (person, it.service) in closed for it in self.access.decisions.get(person, ()))
        )

    def changes(self, standing: StandingRows) -> RowChanges:
        """Compare what is to stand with what does."""
        wanted = dict(self._rows(standing.said))
        return RowChanges(
            said={key: said for key, said in wanted.items() if standing.said.get(key) != said},
            gone=frozenset(standing.said.keys() - wanted.keys()),
            acting=self.acting - standing.acting,
            acting_gone=standing.acting - self.acting,
        )

    def _rows(self, standing: Mapping[Opening, Said]) -> Iterator[tuple[Opening, Said]]:
        known = _each_once(self._known)
        for person, decisions in self.access.decisions.items():
            held = person in self.kept_out
            for decision, decided in zip(decisions, known(decisions), strict=True):
                key = Opening(person, decision.service)
                before = standing.get(key)
                if before is not None and held and before.restricted:
                    yield key, before
                elif decided is not None:
                    yield key, decided
                elif before is not None:
                    yield key, before._replace(advisory=self.advisory, stale=True)

    def _known(self, decisions: Decisions) -> tuple[Said | None, ...]:
        """What rows say about decisions; None where it is not known."""
        return tuple(
            None if it.allowed is None else Said(it.allowed, it.reason.value, self.advisory, stale=False)
            for it in decisions
        )


Value = TypeVar("Value")


def rule(realm: Realm, census: Census) -> Ruling:
    """Decide for every member of a domain, and who may act as whom."""
    holders = (person for key in realm.held for person in census.by_key.get(key, ()))
    acting = {Acting(actor.id, subject.id) for actor in holders for subject in subjects_of(realm, census, actor)}
    return Ruling(resolve_members(realm, census), frozenset(acting), realm.advisory)


def _each_once(function: Callable[[Decisions], Value]) -> Callable[[Decisions], Value]:
    """Members of one standing share their decisions: what follows from those is found once."""
    known: dict[int, Value] = {}

    def look_up(decisions: Decisions) -> Value:
        if id(decisions) not in known:
            known[id(decisions)] = function(decisions)
        return known[id(decisions)]

    return look_up

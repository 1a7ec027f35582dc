"""Who is there? The people of the mail database, found by e-mail, by domain and by what they administer."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.resources.names import DomainName, Email


@dataclass(frozen=True, slots=True)
class Person:
    """One user of the mail database."""

    id: str
    """`messages_user.id` as dashed lower-case text."""
    email: Email | None
    active: bool = True
    superuser: bool = False

    @property
    def key(self) -> str:
        """The e-mail as it is compared; empty without one, which matches nobody."""
        return self.email.key if self.email is not None else ""


Right = tuple[str, str]
"""The name of a domain, and the id of a person who administers it."""
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Census:
    """Everybody, indexed once for any number of questions."""

    people: Mapping[str, Person]
    by_key: Mapping[str, tuple[Person, ...]]
    """People of any state, by `Email.key`."""
    by_domain: Mapping[DomainName, tuple[Person, ...]]
    """People of any state, by the domain of their e-mail."""
    ambiguous: frozenset[str]
    """Active people who share their e-mail with another active one: roles give them nothing (invariant 7)."""
    admins: Mapping[str, frozenset[str]]
    """The holders of ADMIN rows, by the name of the domain as it stands in the database."""
    administers: Mapping[str, frozenset[str]]
    """The same the other way round."""

    @classmethod
    def of(cls, people: Iterable[Person], admins: Mapping[str, Iterable[str]]) -> "Census":
        """Index people and the ADMIN rows of every domain, declared or not."""
        known = {person.id: person for person in people}
        by_key: dict[str, list[Person]] = defaultdict(list)
        by_domain: dict[DomainName, list[Person]] = defaultdict(list)
        for person in known.values():
            if person.email is not None:
                by_key[person.key].append(person)
                if (domain := person.email.domain) is not None:
                    by_domain[domain].append(person)
        shared = ([person.id for person in same if person.active] for same in by_key.values() if len(same) > 1)
        holders = {name: frozenset(ids) for name, ids in admins.items()}
        administers: dict[str, set[str]] = defaultdict(set)
        for name, ids in holders.items():
            for person_id in ids:
                administers[person_id].add(name)
        return cls(
            people=known,
            by_key={key: tuple(same) for key, same in by_key.items()},
            by_domain={domain: tuple(same) for domain, same in by_domain.items()},
            ambiguous=frozenset(person_id for same in shared if len(same) > 1 for person_id in same),
            admins=holders,
            administers={person_id: frozenset(names) for person_id, names in administers.items()},
        )

    def after(self, granted: Iterable[Right], revoked: Iterable[Right]) -> "Census":
        """The same people once these rights of administrators have been granted, and those revoked."""
        rights = {(name, person) for name, ids in self.admins.items() for person in ids}
        admins: dict[str, list[str]] = defaultdict(list)
        for name, person in (rights - set(revoked)) | set(granted):
            admins[name].append(person)
        return Census.of(self.people.values(), admins)

    def named(self, key: str) -> tuple[Person, ...]:
        """Whom an e-mail means: the active people who have it, or, if there are none, the others."""
        found = self.by_key.get(key, ())
        return tuple(person for person in found if person.active) or found

    def admins_of(self, domain: DomainName) -> frozenset[str]:
        """The administrators of one domain, by its canonical name."""
        return self.admins.get(domain, NOBODY)

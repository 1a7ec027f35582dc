"""What is measured on? 10,000 domains, 100,000 users and 50,000 administrators in a PostgreSQL of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controller.maildb.database import MailDatabase
from controller.planning.facts import Answer, Entitled, Snapshot, UserId
from controller.planning.plan import Question
from controller.planning.sources import SourceState
from controller.planning.standing import ClaimRules, resolve
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource
from tests.support.database import MailWorld, fresh_database, opened
from tests.support.planning import maildomain, source, source_key

DOMAINS = 10_000
USERS = 100_000
ADMINS = 50_000


@dataclass(frozen=True, slots=True)
class Scale:
    """One database with everything that a pass needs beside it."""

    url: str
    database: MailDatabase
    declared: tuple[MailDomain, ...]
    sources: dict[ResourceKey, EntitlementSource]

    def snapshot(self, *, anew: bool = True) -> Snapshot:
        """Read the database; users `anew`, or only if they have changed, as in the passes of the operator."""
        windows = {item.spec.limits.revocations.window for item in self.declared}
        return self.database.snapshot({item.domain for item in self.declared}, windows, anew=anew)

    def answers(self, snapshot: Snapshot) -> dict[UserId, Answer]:
        """Half of the users administer the domain of their e-mail; everybody has been asked just now."""
        key, nothing = source_key(), Entitled(frozenset())
        found = {}
        for place, user in enumerate(sorted(snapshot.users.values(), key=lambda user: user.id)):
            assert user.email is not None
            domain = user.email.domain
            verdict = Entitled(frozenset({DomainName(domain)})) if place < ADMINS and domain else nothing
            found[user.id] = Answer(user.id, user.email, key, verdict, 100.0, 0.0)
        return found

    def question(self, snapshot: Snapshot, answers: dict[UserId, Answer]) -> Question:
        """What the pass has to decide."""
        rules = ClaimRules(self.database.owner, snapshot.claims, absent_for=None)
        standings = resolve(self.declared, self.sources, source_namespaces=None, rules=rules)
        states = {key: SourceState(key, item.spec, answers) for key, item in self.sources.items()}
        return Question(standings, states, snapshot, now=100.0)


@contextmanager
def scale(*, domains: int = DOMAINS, users: int = USERS) -> Iterator[Scale]:
    """Fill a fresh PostgreSQL database; gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        fresh_database("postgresql", Path(folder)) as url,
        opened(url, owner="bench") as database,
    ):
        MailWorld(url).population(users, domains, 0)
        declared = tuple(maildomain(f"d{number}.fr") for number in range(domains))
        made = source()
        yield Scale(url, database, declared, {made.key: made})

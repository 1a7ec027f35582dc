"""Who lives there? Small domains with a few administrators each, under the loop or under `apply`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from controller.engine.once import Options, Outcome, apply_once
from controller.errors import SecretMissing
from controller.maildb.database import MailDatabase
from controller.planning.facts import AnswerReason, Subject, Unavailable, Verdict
from controller.resources.charter import Charter
from controller.resources.documents import Declarations
from controller.resources.maildomain import MailDomain
from controller.resources.model import SecretKeyRef
from controller.sandbox.deploycenter import Double
from tests.support.database import MailWorld, homes
from tests.support.deploycenter import API_KEY, declared
from tests.support.operating import Operating

ADMINS = 2
DOMAINS = 6


async def settle_town(operating: Operating, world: MailWorld, domains: int, *, admins: int = 2) -> None:
    """Declare domains `d00000.fr` and so on, with administrators `u00000-0@d00000.fr` and so on, granted at once."""
    people = homes(domains, admins)
    world.inhabit(people)
    for name, emails in people.items():
        operating.source.says |= dict.fromkeys(emails, frozenset({name}))
        operating.domain(name)
    await operating.settle()
    assert len(rows(world)) == admins * domains


def rows(world: MailWorld) -> list[str]:
    """Every access, as text."""
    return world.rows_of("messages_maildomainaccess")


def down(_: Subject) -> Verdict:
    """The service is away."""
    return Unavailable(AnswerReason.CONNECTION)


@dataclass
class Town:
    """Six domains with two administrators each, all of them ours, and the DeployCenter that says so."""

    database: MailDatabase
    world: MailWorld
    double: Double
    url: str
    key: str | None = API_KEY
    domains: list[MailDomain] = field(default_factory=list)

    async def apply(self, **options: Any) -> Outcome:
        """One `apply`, with a second ask that does not wait."""
        source = declared(self.url)
        found = Declarations(tuple(self.domains), (source,), (), Charter())
        chosen = Options(confirm_after=timedelta(0), **options)
        return await apply_once(self.database, found, chosen, secrets=self.secret)

    def secret(self, namespace: str, reference: SecretKeyRef) -> str:
        """The API key, unless there is none."""
        if self.key is None:
            raise SecretMissing(f"Secret {namespace}/{reference.name} is not there")
        return self.key

    def people(self) -> Iterator[tuple[str, str]]:
        """E-mail and domain of everybody."""
        for number in range(DOMAINS):
            for place in range(ADMINS):
                yield f"u{place}@d{number}.example", f"d{number}.example"

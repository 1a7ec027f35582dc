"""What does a list of grants say? Exactly what is written down; everybody else administers nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.entitlements.source import Reply
from controller.planning.facts import Entitled, Subject
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import Static


@dataclass(frozen=True, slots=True)
class StaticSource:
    """A source whose answers are in its spec."""

    key: ResourceKey
    grants: Mapping[str, Entitled]
    """By `Email.key`."""
    workers: int = 1

    async def ask(self, subject: Subject) -> Reply:
        """The domains that are written down for this e-mail."""
        return Reply(self.grants.get(subject.email.key, _NOTHING))

    async def close(self) -> None:
        """There is nothing to close."""


_NOTHING = Entitled(frozenset())


def read_grants(static: Static) -> Mapping[str, Entitled]:
    """Gather the grants by e-mail; an e-mail that stands twice has the domains of both."""
    found: dict[str, frozenset[DomainName]] = {}
    for grant in static.grants:
        key = grant.email.key
        found[key] = found.get(key, frozenset()) | {DomainName(name) for name in grant.domains}
    return {key: Entitled(domains) for key, domains in found.items()}

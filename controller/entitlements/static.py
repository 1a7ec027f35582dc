"""What does a list in the resource itself say? The grants that are written down; everybody else has none."""

from collections import defaultdict

from controller.entitlements.source import Reply
from controller.planning.facts import Entitled, Subject
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import Static


class StaticSource:
    """Knows everybody: those who are not written down are entitled to nothing. E-mails match as `Email.key`."""

    workers = 1

    def __init__(self, key: ResourceKey, spec: Static) -> None:
        self.key = key
        grants: defaultdict[str, set[DomainName]] = defaultdict(set)
        for grant in spec.grants:
            grants[grant.email.key].update(DomainName(domain) for domain in grant.domains)
        self._replies = {email: Reply(Entitled(frozenset(domains))) for email, domains in grants.items()}

    async def ask(self, subject: Subject) -> Reply:
        """Look the user up."""
        return self._replies.get(subject.email.key, _NOTHING)

    async def close(self) -> None:
        """There is nothing to give back."""


_NOTHING = Reply(Entitled(frozenset()))

"""Who can be asked about a user? The port that every provider of answers implements."""

from dataclasses import dataclass
from typing import Protocol

from controller.planning.facts import Subject, Verdict
from controller.resources.names import ResourceKey


@dataclass(frozen=True, slots=True)
class Reply:
    """What one ask brought, before anybody remembers when it was."""

    verdict: Verdict
    can_access: bool | None = None
    access_reason: str | None = None
    siret: str | None = None
    """The siret that opened the answer."""
    requests: int = 0
    """HTTP requests that it took, over all sirets that were tried."""


class Source(Protocol):
    """One EntitlementSource that can be asked."""

    @property
    def key(self) -> ResourceKey:
        """The resource it was made from."""
        ...

    @property
    def workers(self) -> int:
        """How many asks may be under way at once."""
        ...

    async def ask(self, subject: Subject) -> Reply:
        """Ask about one user. Never raises for anything the service does: that is a verdict."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...

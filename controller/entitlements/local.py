"""What does the local provider say? That it knows nothing (A-06): nothing is granted, nothing is revoked."""

from dataclasses import dataclass

from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason, Subject, Unknown
from controller.resources.names import ResourceKey


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A source without a service."""

    key: ResourceKey
    workers: int = 1

    async def ask(self, subject: Subject) -> Reply:  # noqa: ARG002  # whoever it is
        """Unknown, about anybody."""
        return Reply(Unknown(AnswerReason.LOCAL))

    async def close(self) -> None:
        """There is nothing to close."""

"""What does a source say that has nobody to ask? That it knows nothing about anybody (A-06)."""

from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason, Subject, Unknown
from controller.resources.names import ResourceKey


class LocalSource:
    """Holds every access that is there. For development."""

    workers = 1

    def __init__(self, key: ResourceKey) -> None:
        self.key = key

    async def ask(self, subject: Subject) -> Reply:  # noqa: ARG002  # the port's parameter
        """Know nothing."""
        return _NOTHING_KNOWN

    async def close(self) -> None:
        """There is nothing to give back."""


_NOTHING_KNOWN = Reply(Unknown(AnswerReason.LOCAL))

"""What if asking goes wrong in a way that nobody has foreseen? Then nothing is known about that user, and no more."""

import structlog

from controller.entitlements.source import Reply, Source
from controller.planning.facts import AnswerReason, Subject, Unavailable
from controller.resources.names import ResourceKey

log = structlog.get_logger(__name__)

_FAILED = Reply(Unavailable(AnswerReason.PROVIDER_FAILED))


class Isolated:
    """A source whose errors stop nobody else and end nothing (invariant 11), whoever has written it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._failing = False

    @property
    def key(self) -> ResourceKey:
        """The resource it was made from."""
        return self._source.key

    @property
    def workers(self) -> int:
        """How many asks may be under way at once."""
        return self._source.workers

    async def ask(self, subject: Subject) -> Reply:
        """Ask. An exception is `Unavailable`, and told in the log when such errors begin."""
        try:
            reply = await self._source.ask(subject)
        except Exception as error:
            if not self._failing:
                log.exception("asking_failed", source=str(self.key), error=type(error).__name__)
            self._failing = True
            return _FAILED
        self._failing = False
        return reply

    async def close(self) -> None:
        """Give connections back."""
        await self._source.close()

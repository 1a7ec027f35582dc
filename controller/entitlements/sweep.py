"""Who has been asked? A round of asks by as many workers as the source allows, pulled as they get free."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from controller.entitlements.source import Reply, Source
from controller.planning.facts import AnswerReason, Subject, Unavailable

Receive = Callable[[Subject, Reply], None]
"""Takes each reply as it comes."""

_UNAUTHENTICATED = Unavailable(AnswerReason.UNAUTHENTICATED)


@dataclass(frozen=True, slots=True)
class Swept:
    """How far a sweep came."""

    asked: int
    """Subjects that have been received."""
    refusal: AnswerReason | None = None
    """Why it stopped before its end."""


async def sweep(source: Source, subjects: AsyncIterable[Subject] | Iterable[Subject], receive: Receive) -> Swept:
    """Ask about each subject and hand over its reply; stop at once when the service does not know our key.

    Each subject that was pulled is received exactly once: asks that a refusal cuts short are received as refused.
    When the sweep itself is cancelled, asks under way are given up and not received.
    """
    sweeping = _Sweep(source, _pull(subjects), receive)
    workers = sweeping.start()
    try:
        await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        for worker in workers:
            if worker.done() and not worker.cancelled():
                worker.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return Swept(sweeping.asked, sweeping.refusal)


class _Sweep:
    """One sweep: what its workers share."""

    def __init__(self, source: Source, subjects: AsyncIterator[Subject], receive: Receive) -> None:
        self.asked = 0
        self.refusal: AnswerReason | None = None
        self._source = source
        self._subjects = subjects
        self._receive = receive
        self._pulling = asyncio.Lock()
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> list[asyncio.Task[None]]:
        """Start the workers."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._source.workers)]
        return self._workers

    async def _work(self) -> None:
        while (subject := await self._next()) is not None:
            try:
                reply = await self._source.ask(subject)
            except asyncio.CancelledError:
                self._give_up(subject)
                raise
            self._hand_over(subject, reply)
            if reply.verdict == _UNAUTHENTICATED:
                return self._refuse()
            if not reply.requests:
                await asyncio.sleep(0)  # a reply without a call has given nobody else a turn
        return None

    async def _next(self) -> Subject | None:
        async with self._pulling:
            return await anext(self._subjects, None)

    def _refuse(self) -> None:
        """Stop the others here and now: none of them sends another byte."""
        self.refusal = AnswerReason.UNAUTHENTICATED
        for worker in self._workers:
            if worker is not asyncio.current_task():
                worker.cancel()

    def _give_up(self, subject: Subject) -> None:
        if self.refusal is not None:
            self._hand_over(subject, Reply(_UNAUTHENTICATED))

    def _hand_over(self, subject: Subject, reply: Reply) -> None:
        self.asked += 1
        self._receive(subject, reply)


async def _pull(subjects: AsyncIterable[Subject] | Iterable[Subject]) -> AsyncIterator[Subject]:
    if isinstance(subjects, AsyncIterable):
        async for subject in subjects:
            yield subject
    else:
        for subject in subjects:
            yield subject

"""How are many users asked? By a few workers that draw the next one when they are free, until a key is refused."""

import asyncio
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass

from controller.entitlements.source import Reply, Source
from controller.planning.facts import AnswerReason, Subject, Unavailable


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep ended."""

    asked: int
    refused: bool
    """The service does not know our key (401): nobody else was asked."""


class _Refused(Exception):  # noqa: N818  # a signal within this module
    """A worker got a 401."""


async def sweep(source: Source, subjects: AsyncIterable[Subject], receive: Callable[[Subject, Reply], None]) -> Swept:
    """Ask about each subject and hand every reply over as it comes.

    Subjects are drawn lazily, one by one. A 401 stops the whole sweep at once: every further call would be refused,
    and a wrong key is forwarded by the service to its identity provider.
    """
    drawing, remaining = asyncio.Lock(), aiter(subjects)
    asked, refused = 0, False

    async def work() -> None:
        nonlocal asked
        while (subject := await draw()) is not None:
            reply = await source.ask(subject)
            asked += 1
            receive(subject, reply)
            if reply.verdict == Unavailable(AnswerReason.UNAUTHENTICATED):
                raise _Refused

    async def draw() -> Subject | None:
        async with drawing:
            return await anext(remaining, None)

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(source.workers):
                workers.create_task(work())
    except* _Refused:
        refused = True
    return Swept(asked, refused)

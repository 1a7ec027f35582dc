"""Who is being asked? One task for each source, fed by its desk for as long as a reign lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from structlog.contextvars import bind_contextvars

from controller.engine.desk import Desk
from controller.engine.subjects import Directory, is_canary
from controller.entitlements.source import Reply, Source
from controller.entitlements.sweep import sweep
from controller.observability.metrics import Metrics
from controller.planning.facts import AnswerReason, Subject, Unavailable, UserId
from controller.resources.names import ResourceKey

log = structlog.get_logger(__name__)

REFUSALS = frozenset({AnswerReason.UNAUTHENTICATED, AnswerReason.CIRCUIT_OPEN})
"""Replies that end a sweep: the service does not know our key, or has failed too often."""


class Heard(Protocol):
    """Called when an answer matters to the next pass, or ends a phase of its desk."""

    def __call__(self, *, matters: bool) -> None: ...


@dataclass(slots=True)
class _Asking:
    """One source that is being asked."""

    desk: Desk
    source: Source
    work: asyncio.Event
    task: asyncio.Task[None]

    def tell_why_it_ended(self) -> None:
        """Log the error that has ended it, if one has."""
        error = None if self.task.cancelled() else self.task.exception()
        if error is not None:
            log.error("asking_failed", source=str(self.desk.key), error=type(error).__name__, exc_info=error)


@dataclass(slots=True)
class Askers:
    """The tasks of all sources. One source's trouble ends neither the others nor the process (invariant 11)."""

    clock: Callable[[], float]
    """Monotonic seconds."""
    metrics: Metrics
    heard: Heard
    _tasks: dict[ResourceKey, _Asking] = field(default_factory=dict)
    _directory: Directory | None = None
    _epoch: int = 0

    def see(self, directory: Directory, epoch: int) -> None:
        """Note who there is to ask about, and under which epoch."""
        self._directory, self._epoch = directory, epoch
        for asking in self._tasks.values():
            asking.desk.ask_anew(directory.subject)

    async def serve(self, desk: Desk, source: Source | None) -> None:
        """Ask a source for a desk, or nobody. A source that is another one than before gets a task of its own."""
        asking = self._tasks.get(desk.key)
        if asking is not None and asking.source is not source:
            await self.stop(desk.key)
            asking = None
        if source is not None and asking is None:
            desk.forgive()
            self._start(desk, source)

    def go_on(self) -> None:
        """See at once whether there is more to ask; a task that has ended begins anew."""
        for asking in list(self._tasks.values()):
            asking.work.set()
            if asking.task.done():
                asking.tell_why_it_ended()
                asking.desk.recall()
                self._start(asking.desk, asking.source)

    async def stop(self, key: ResourceKey) -> None:
        """Ask one source no more. Whoever was being asked about is asked about again later."""
        asking = self._tasks.pop(key, None)
        if asking is not None:
            asking.task.cancel()
            await asyncio.wait([asking.task])
            asking.tell_why_it_ended()
            asking.desk.recall()

    async def close(self) -> None:
        """Ask nobody any more."""
        for key in list(self._tasks):
            await self.stop(key)

    def _start(self, desk: Desk, source: Source) -> None:
        work = asyncio.Event()
        task = asyncio.create_task(self._ask(desk, source, work), name=f"ask {desk.key}")
        self._tasks[desk.key] = _Asking(desk, source, work, task)

    async def _ask(self, desk: Desk, source: Source, work: asyncio.Event) -> None:
        """Ask for as long as the reign lasts. A sweep ends early only when the service refuses our key."""
        while True:
            await sweep(source, self._subjects(desk, work), lambda subject, reply: self._receive(desk, subject, reply))
            desk.recall()

    def _receive(self, desk: Desk, subject: Subject, reply: Reply) -> None:
        now = self.clock()
        self.metrics.answered(desk.key, type(reply.verdict).__name__, reply.requests)
        before, gathered = desk.phase, desk.gathered
        matters = desk.receive(subject, reply, now) or desk.gathered is not gathered
        if self._directory is not None:
            # The question may have changed while it was put.
            desk.ask_anew(self._directory.subject, only=subject.user)
        if isinstance(reply.verdict, Unavailable) and reply.verdict.reason in REFUSALS and desk.refusal is None:
            log.warning("source_refused", source=str(desk.key), reason=reply.verdict.reason.value)
            desk.refuse(reply.verdict.reason, now)
        if matters or desk.phase is not before:
            self.heard(matters=matters)

    async def _subjects(self, desk: Desk, work: asyncio.Event) -> AsyncIterator[Subject]:
        while True:
            now = self.clock()
            known = self._directory
            user = desk.next(now) if known is not None else None
            if user is None or known is None:
                work.clear()
                with suppress(TimeoutError):
                    # `wait_for` of Python 3.11 passes over a cancellation that comes together with the event.
                    async with asyncio.timeout(desk.wait(now)):
                        await work.wait()
            elif (subject := _subject(known, desk, user)) is not None:
                # Each worker that asks has a context of its own.
                bind_contextvars(wave=wave_id(desk, self._epoch))
                yield subject
            else:
                desk.recall(user)


def wave_id(desk: Desk, epoch: int) -> str:
    """What the wave of a desk is called in the log; the epoch keeps those of other terms apart."""
    return f"{desk.key}#{epoch}.{desk.number}"


def _subject(known: Directory, desk: Desk, user: UserId) -> Subject | None:
    if not is_canary(user):
        return known.subject(user)
    return next((subject for subject in known.canaries(desk.spec.canaries) if subject.user == user), None)

"""Everybody is asked once, lazily, until the service refuses our key."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest
from structlog.testing import capture_logs

from controller.entitlements.isolation import Isolated
from controller.entitlements.source import Reply
from controller.entitlements.sweep import Swept, sweep
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Subject, Unavailable
from controller.resources.names import ResourceKey
from controller.sandbox.deploycenter import Behaviour, Double
from tests.support.deploycenter import opened, subject

NOTHING = Reply(Entitled(frozenset()), requests=1)
REFUSED = Reply(Unavailable(R.UNAUTHENTICATED), requests=1)
CIRCUIT_OPEN = Reply(Unavailable(R.CIRCUIT_OPEN))


class Asked:
    """A source that notes whom it was asked about; `answer` says what, or None to answer never."""

    def __init__(self, answer: Callable[[str], Reply | None] = lambda _: NOTHING, *, workers: int = 4) -> None:
        self.key = ResourceKey("default", "asked")
        self.workers = workers
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self._answer = answer

    async def ask(self, subject: Subject) -> Reply:
        self.asked.append(subject.user)
        reply = self._answer(subject.user)
        if reply is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.given_up.append(subject.user)
                raise
        assert reply is not None
        if reply.requests:
            await asyncio.sleep(0)
        return reply

    async def close(self) -> None:
        pass


class Received:
    """What a sweep handed over."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, Reply]] = []

    def __call__(self, subject: Subject, reply: Reply) -> None:
        self.replies.append((subject.user, reply))

    @property
    def users(self) -> list[str]:
        return sorted(user for user, _ in self.replies)


def people(number: int) -> list[Subject]:
    return [subject(user=f"{n:04}") for n in range(number)]


def users(number: int) -> list[str]:
    return [f"{n:04}" for n in range(number)]


@pytest.mark.parametrize("workers", [1, 4, 32])
@pytest.mark.parametrize("number", [0, 1, 3, 100])
async def test_everybody_is_asked_and_received_once(workers: int, number: int) -> None:
    source, received = Asked(workers=workers), Received()
    assert await sweep(source, people(number), received) == Swept(number)
    assert sorted(source.asked) == received.users == users(number)


async def test_subjects_may_come_over_time() -> None:
    async def arriving() -> AsyncIterator[Subject]:
        for one in people(20):
            await asyncio.sleep(0)
            yield one

    source, received = Asked(), Received()
    assert await sweep(source, arriving(), received) == Swept(20)
    assert received.users == users(20)


async def test_nobody_is_pulled_before_a_worker_is_free() -> None:
    pulled = 0

    def endless() -> Iterator[Subject]:
        nonlocal pulled
        for number in count():
            pulled += 1
            yield subject(user=str(number))

    source = Asked(lambda _: None, workers=3)
    sweeping = asyncio.create_task(sweep(source, endless(), Received()))
    for _ in range(50):
        await asyncio.sleep(0)
    assert pulled == 3
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping


async def test_failures_of_other_kinds_do_not_stop_it() -> None:
    received = Received()
    assert await sweep(Asked(lambda _: CIRCUIT_OPEN), people(100), received) == Swept(100)
    assert received.users == users(100)


async def test_an_error_that_nobody_has_foreseen_is_no_answer_and_stops_nobody_else() -> None:
    """Told when such errors begin, by its type: its text may name the user."""

    def stumble(user: str) -> Reply:
        if user in ("0003", "0004", "0050"):
            raise KeyError(f"{user}@x.fr")
        return NOTHING

    received = Received()
    with capture_logs() as records:
        assert await sweep(Isolated(Asked(stumble, workers=1)), people(100), received) == Swept(100)
    assert [user for user, reply in received.replies if reply != NOTHING] == ["0003", "0004", "0050"]
    assert {reply.verdict for _, reply in received.replies if reply != NOTHING} == {Unavailable(R.PROVIDER_FAILED)}
    assert [(record["event"], record["error"]) for record in records] == [("asking_failed", "KeyError")] * 2


async def test_a_refused_key_stops_it_at_once() -> None:
    source, received = Asked(lambda user: REFUSED if user == "0010" else NOTHING, workers=1), Received()
    assert await sweep(source, people(100), received) == Swept(11, R.UNAUTHENTICATED)
    assert source.asked == users(11)


async def test_asks_that_a_refusal_cuts_short_are_received_as_refused() -> None:
    source, received = Asked(lambda user: REFUSED if user == "0003" else None, workers=4), Received()
    assert await sweep(source, people(100), received) == Swept(4, R.UNAUTHENTICATED)
    assert source.asked == received.users == users(4)
    assert sorted(source.given_up) == users(3)
    assert {reply.verdict for _, reply in received.replies} == {Unavailable(R.UNAUTHENTICATED)}


async def test_a_refusal_wakes_workers_that_wait_for_somebody_to_ask() -> None:
    async def one_and_then_nobody() -> AsyncIterator[Subject]:
        yield subject(user="0000")
        await asyncio.Event().wait()

    received = Received()
    assert await sweep(Asked(lambda _: REFUSED), one_and_then_nobody(), received) == Swept(1, R.UNAUTHENTICATED)


async def test_on_the_wire_a_refused_key_is_asked_with_no_further(double: Double, url: str) -> None:
    double.behaviour = Behaviour.UNAUTHENTICATED
    received = Received()
    async with opened(url, concurrency=4) as source:
        swept = await sweep(source, people(200), received)
    assert swept.refusal is R.UNAUTHENTICATED
    assert swept.asked == len(received.replies) <= 4
    assert double.requests <= 4


async def test_a_cancelled_sweep_gives_up_what_is_under_way() -> None:
    source, received = Asked(lambda user: NOTHING if user < "0010" else None), Received()
    before = asyncio.all_tasks()
    sweeping = asyncio.create_task(sweep(source, people(100), received))
    for _ in range(50):
        await asyncio.sleep(0)
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
    assert received.users == users(10)
    assert sorted(source.given_up) == ["0010", "0011", "0012", "0013"]
    assert asyncio.all_tasks() == before


async def test_a_receiver_that_fails_ends_the_sweep_and_says_so() -> None:
    def fail(_: Subject, __: Reply) -> None:
        raise RuntimeError("full")

    source = Asked()
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="full"):
        await sweep(source, people(100), fail)
    assert len(source.asked) <= source.workers
    assert asyncio.all_tasks() == before


async def test_a_source_that_answers_by_heart_lets_others_have_their_turn() -> None:
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(somebody_else())
    await sweep(Asked(lambda _: CIRCUIT_OPEN, workers=1), people(1000), Received())
    other.cancel()
    assert turns >= 900

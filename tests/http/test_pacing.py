"""The laws of the lane: rate, concurrency, back-off, breaker. Time is virtual; nothing here waits."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import httpx
import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.entitlements.breaker import OPEN_AT_MOST, OPEN_FOR, OPENS_AFTER
from controller.entitlements.pacing import (
    BACK_OFF_AT_MOST,
    RETRY_AFTER_AT_MOST,
    CircuitOpen,
    Lane,
    Lanes,
    Pace,
    parse_retry_after,
)
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Unavailable, Unknown, UserId
from tests.support.deploycenter import VirtualTime, opened, subject

URL = "https://dc.example/api/v1.0/entitlements/"
Outcome = Literal["answered", "failed", "throttled", "given up"]


def lane(time: VirtualTime, *, rate: int = 1000, concurrency: int = 8) -> Lane:
    return Lanes(time.timing).join("https://dc.example/", "key", Pace(rate, concurrency))


async def call(lane: Lane, outcome: Outcome = "answered", user: str = "u") -> bool:
    """One call with this outcome; whether it could be made."""
    try:
        async with lane.turn(UserId(user)) as turn:
            if outcome == "answered":
                turn.answered()
            elif outcome == "failed":
                turn.failed()
            elif outcome == "throttled":
                turn.throttled(2.0)
    except CircuitOpen:
        return False
    return True


async def fail(lane: Lane, users: int) -> None:
    for number in range(users):
        await call(lane, "failed", f"u{number}")


def most_within(times: Sequence[float], window: float) -> int:
    return max(sum(start <= time <= start + window for time in times) for start in times)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no counterexample
@given(
    rate=st.integers(1, 60),
    concurrency=st.integers(1, 10),
    arrivals=st.lists(
        st.tuples(
            st.floats(0, 2),
            st.floats(0, 0.5),
            st.sampled_from(["answered", "answered", "answered", "failed", "throttled", "given up"]),
        ),
        min_size=1,
        max_size=40,
    ),
)
def test_calls_never_exceed_the_rate_nor_the_concurrency(
    rate: int, concurrency: int, arrivals: list[tuple[float, float, Outcome]]
) -> None:
    time = VirtualTime()
    calls: list[float] = []
    under_way = most = 0

    async def arrive(lane: Lane, number: int, at: float, lasts: float, outcome: Outcome) -> None:
        nonlocal under_way, most
        await time.sleep(at)
        try:
            async with lane.turn(UserId(str(number))) as turn:
                calls.append(time.now)
                under_way += 1
                most = max(most, under_way)
                await time.sleep(lasts)
                under_way -= 1
                if outcome == "answered":
                    turn.answered()
                elif outcome == "failed":
                    turn.failed()
                elif outcome == "throttled":
                    turn.throttled(0.5)
        except CircuitOpen:
            pass

    async def all_of_them() -> None:
        one = lane(time, rate=rate, concurrency=concurrency)
        await asyncio.gather(*(arrive(one, number, *arrival) for number, arrival in enumerate(arrivals)))

    asyncio.run(time.run(all_of_them()))
    burst = min(rate, concurrency)
    assert most <= concurrency
    for window in (0.0, 0.05, 0.3, 1.0, 5.0):
        assert most_within(calls, window) <= rate * window + burst + 1e-6


async def test_the_rate_is_used_up() -> None:
    time = VirtualTime()
    one = lane(time, rate=50, concurrency=8)
    await time.run(asyncio.gather(*(call(one) for _ in range(508))))
    assert time.now == pytest.approx(10.0, rel=0.01)


async def test_a_turn_that_is_given_up_leaves_its_place() -> None:
    time = VirtualTime()
    one = lane(time, concurrency=1)
    async with one.turn(UserId("first")):
        waiting = asyncio.create_task(call(one))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await time.run(call(one))


# --- sharing ------------------------------------------------------------------------------------------------------


def test_one_address_and_key_have_one_lane() -> None:
    lanes = Lanes(VirtualTime().timing)
    pace = Pace(50, 8)
    one = lanes.join("https://a/", "key", pace)
    assert lanes.join("https://a/", "key", pace) is one
    assert lanes.join("https://a/", "other", pace) is not one
    assert lanes.join("https://b/", "key", pace) is not one


async def test_the_most_careful_source_sets_the_pace_while_it_is_there() -> None:
    time = VirtualTime()
    lanes = Lanes(time.timing)
    slow, fast = Pace(1, 8), Pace(100, 8)
    one = lanes.join("https://a/", "key", fast)
    lanes.join("https://a/", "key", slow)
    await time.run(asyncio.gather(*(call(one) for _ in range(11))))
    assert time.now == pytest.approx(10.0, rel=0.01)
    one.leave(slow)
    await time.run(asyncio.gather(*(call(one) for _ in range(100))))
    assert time.now < 11.1


# --- back-off -----------------------------------------------------------------------------------------------------


async def test_one_users_failures_slow_nobody_down() -> None:
    time = VirtualTime()
    one = lane(time)
    for _ in range(50):
        await time.run(call(one, "failed", "poisoned"))
    assert await time.run(call(one))
    assert time.now < 0.1


async def test_failures_in_a_row_back_off_ever_longer() -> None:
    time = VirtualTime()
    one = lane(time)
    waits = []
    for number in range(OPENS_AFTER - 1):
        before = time.now
        await time.run(call(one, "failed", f"u{number}"))
        waits.append(time.now - before)
    assert waits == pytest.approx([0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, BACK_OFF_AT_MOST], abs=0.01)


async def test_back_off_has_full_jitter() -> None:
    time = VirtualTime(chance=lambda: 0.0)
    one = lane(time)
    await time.run(fail(one, OPENS_AFTER - 1))
    assert time.now < 0.1


@pytest.mark.parametrize(("seconds", "waited"), [(2.0, 2.0), (10_000.0, RETRY_AFTER_AT_MOST), (None, BACK_OFF_AT_MOST)])
async def test_a_service_that_asks_for_a_pause_gets_it(seconds: float | None, waited: float) -> None:
    time = VirtualTime()
    one = lane(time)
    async with one.turn(UserId("u")) as turn:
        turn.throttled(seconds)
    await time.run(call(one))
    assert time.now == pytest.approx(waited)


NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0661", None),
        ("9" * 400, float("inf")),
        ("Mon, 02 Mar 2026 08:01:30 GMT", 90.0),
        ("Mon, 02 Mar 2026 08:01:30 -0000", 90.0),
        ("Mon, 02 Mar 2026 07:00:00 GMT", 0.0),
        ("Mon, 02 Mar 99999 07:00:00 GMT", None),
        ("Mon, 02 Mar 2026 07:00:00 +9999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


# --- breaker ------------------------------------------------------------------------------------------------------


async def opened_circuit(time: VirtualTime) -> Lane:
    one = lane(time)
    await time.run(fail(one, OPENS_AFTER))
    assert not await time.run(call(one))
    return one


async def test_failures_of_different_users_in_a_row_open_the_circuit() -> None:
    time = VirtualTime()
    one = lane(time)
    await time.run(fail(one, OPENS_AFTER - 1))
    assert await time.run(call(one, "failed", "one more"))
    assert not await call(one)


async def test_one_user_never_opens_it() -> None:
    time = VirtualTime()
    one = lane(time)
    assert all([await time.run(call(one, "failed", "poisoned")) for _ in range(100)])


async def test_a_success_in_between_keeps_it_closed() -> None:
    time = VirtualTime()
    one = lane(time)
    for _ in range(5):
        await time.run(fail(one, OPENS_AFTER - 1))
        assert await time.run(call(one))


async def test_while_it_is_open_a_call_is_refused_without_waiting() -> None:
    time = VirtualTime()
    one = await opened_circuit(time)
    before = time.now
    assert not any([await call(one, user=str(number)) for number in range(1000)])
    assert time.now == before


async def test_one_probe_that_succeeds_closes_it_for_everybody_who_waited() -> None:
    time = VirtualTime()
    one = await opened_circuit(time)
    await time.run(time.sleep(OPEN_FOR))
    async with one.turn(UserId("probe")) as turn:
        others = [asyncio.create_task(call(one, user=str(number))) for number in range(20)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert not any(other.done() for other in others)
        turn.answered()
    assert all(await time.run(asyncio.gather(*others)))


async def test_those_who_waited_for_a_probe_keep_to_the_rate_after_it() -> None:
    time = VirtualTime(chance=lambda: 0.0)
    one = lane(time, rate=8, concurrency=8)
    await time.run(fail(one, OPENS_AFTER))
    await time.run(time.sleep(OPEN_FOR))
    calls: list[float] = []

    async def arrive(number: int) -> None:
        async with one.turn(UserId(str(number))) as turn:
            calls.append(time.now)
            if len(calls) == 1:
                await time.sleep(5)
            turn.answered()

    one.bucket.pause(0.5)
    await time.run(asyncio.gather(*(arrive(number) for number in range(40))))
    assert most_within(calls, 0) <= 8
    assert most_within(calls, 1) <= 16


async def test_a_probe_that_fails_keeps_it_open_for_longer_up_to_a_limit() -> None:
    time = VirtualTime()
    one = await opened_circuit(time)
    expected = OPEN_FOR
    for _ in range(8):
        await time.run(time.sleep(expected - 0.1))
        assert not await call(one)
        await time.run(time.sleep(0.2 + BACK_OFF_AT_MOST))
        assert await time.run(call(one, "failed", "u0"))
        expected = min(2 * expected, OPEN_AT_MOST)


async def test_a_failure_that_lasts_for_weeks_is_like_any_other() -> None:
    time = VirtualTime()
    one = await opened_circuit(time)
    for number in range(1100):
        await time.run(time.sleep(OPEN_AT_MOST))
        assert await time.run(call(one, "failed", f"w{number}"))
    await time.run(time.sleep(OPEN_AT_MOST))
    assert await time.run(call(one))
    assert await time.run(call(one))


async def test_others_who_wait_for_a_probe_that_fails_are_refused() -> None:
    time = VirtualTime()
    one = await opened_circuit(time)
    await time.run(time.sleep(OPEN_FOR))
    async with one.turn(UserId("probe")) as turn:
        others = [asyncio.create_task(call(one, user=str(number))) for number in range(20)]
        for _ in range(50):
            await asyncio.sleep(0)
        turn.failed()
    assert not any(await time.run(asyncio.gather(*others)))


async def test_a_probe_that_is_given_up_lets_the_next_one_go() -> None:
    time = VirtualTime()
    one = await opened_circuit(time)
    await time.run(time.sleep(OPEN_FOR))
    assert await time.run(call(one, "given up"))
    assert await time.run(call(one, "failed"))
    assert not await call(one)


async def test_failures_from_before_it_opened_do_not_keep_it_open() -> None:
    time = VirtualTime()
    one = lane(time)
    async with one.turn(UserId("straggler")) as late:
        await time.run(fail(one, OPENS_AFTER))
        await time.run(time.sleep(OPEN_FOR - 1))
        late.failed()
    await time.run(time.sleep(1))
    assert await time.run(call(one))


# --- as an ask sees it --------------------------------------------------------------------------------------------


@respx.mock
async def test_an_open_circuit_is_a_verdict_without_a_call() -> None:
    time = VirtualTime()
    route = respx.get(URL).mock(return_value=httpx.Response(500))
    async with opened(URL, lanes=Lanes(time.timing)) as source:
        replies = [await time.run(source.ask(subject(user=str(number)))) for number in range(OPENS_AFTER + 5)]
        assert [reply.verdict for reply in replies] == [
            *[Unavailable(R.SERVER_ERROR)] * OPENS_AFTER,
            *[Unavailable(R.CIRCUIT_OPEN)] * 5,
        ]
        assert [reply.requests for reply in replies[-5:]] == [0] * 5
        assert route.call_count == OPENS_AFTER
        route.mock(return_value=httpx.Response(200, json={"entitlements": {"can_admin_maildomains": []}}))
        await time.run(time.sleep(OPEN_FOR))
        assert (await time.run(source.ask(subject()))).verdict == Entitled(frozenset())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
@respx.mock
async def test_answers_that_are_no_failure_of_the_service_never_open_it(status: int) -> None:
    time = VirtualTime()
    respx.get(URL).mock(return_value=httpx.Response(status))
    async with opened(URL, lanes=Lanes(time.timing)) as source:
        replies = [await time.run(source.ask(subject(user=str(number)))) for number in range(3 * OPENS_AFTER)]
    assert Unavailable(R.CIRCUIT_OPEN) not in [reply.verdict for reply in replies]
    assert time.now < 1


@respx.mock
async def test_a_lone_500_among_others_slows_nobody_down() -> None:
    time = VirtualTime()

    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500 if "poisoned" in request.url.params["account_email"] else 400)

    respx.get(URL).mock(side_effect=serve)
    async with opened(URL, lanes=Lanes(time.timing)) as source:
        for number in range(50):
            await time.run(source.ask(subject("poisoned@d1.example", user=f"p{number}")))
            assert (await time.run(source.ask(subject(user=str(number))))).verdict == Unknown(R.REFUSED)
    assert time.now < 1


@respx.mock
async def test_two_sources_of_one_service_feel_one_circuit() -> None:
    time = VirtualTime()
    lanes = Lanes(time.timing)
    respx.get(URL).mock(return_value=httpx.Response(500))
    async with opened(URL, lanes=lanes, name="a") as one, opened(URL, lanes=lanes, name="b") as other:
        for number in range(OPENS_AFTER):
            await time.run(one.ask(subject(user=str(number))))
        assert (await other.ask(subject())).verdict == Unavailable(R.CIRCUIT_OPEN)

"""By which method is a service asked? POST where it is answered, GET elsewhere, and never both for long (A-67)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import respx

from controller.entitlements.answer import Received, read_answer
from controller.entitlements.pacing import Lanes
from controller.entitlements.posting import NO_USAGE, TRIES
from controller.entitlements.source import Reply, Source
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Unavailable
from controller.resources.names import DomainName
from controller.sandbox.deploycenter import Behaviour, Double
from tests.support.deploycenter import ADMIN, API_KEY, PIVOT, PLAIN, opened, subject

URL = "https://dc.example/api/v1.0/entitlements/"
OPEN = httpx.Response(200, json={"entitlements": {"can_access": True, "can_admin_maildomains": ["d1.example"]}})
RIGHTS = Entitled(frozenset({DomainName("d1.example"), DomainName("d2.example")}))


@asynccontextmanager
async def auto(url: str, *, lanes: Lanes | None = None) -> AsyncIterator[Source]:
    async with opened(url, lanes=lanes, metricsPush="Auto") as source:
        yield source


class Service:
    """A service, or what stands before it: answers POST and GET with these statuses in order, the last for ever."""

    def __init__(self, router: respx.MockRouter, post: Sequence[int], get: Sequence[int] = (200,)) -> None:
        self.methods: list[str] = []
        self._left = {"POST": list(post), "GET": list(get)}
        router.route(host="dc.example").mock(side_effect=self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.methods.append(request.method)
        left = self._left[request.method]
        status = left.pop(0) if len(left) > 1 else left[0]
        return OPEN if status == 200 else httpx.Response(status)


async def ask(source: Source, times: int = 1) -> list[Reply]:
    return [await source.ask(subject()) for _ in range(times)]


# --- the newer service ------------------------------------------------------------------------------------------------


async def test_a_service_that_answers_post_calls_nobody_back(double: Double, url: str) -> None:
    double.posting = True
    async with auto(url) as source:
        replies = await ask(source, 3)
    assert [(reply.verdict, reply.requests, reply.siret) for reply in replies] == [(RIGHTS, 1, PIVOT)] * 3
    assert double.methods == {"POST": 3}
    assert not double.scrapes


async def test_a_get_makes_it_call_back_for_the_person_and_the_organization(double: Double, url: str) -> None:
    double.posting = True
    async with opened(url, metricsPush="Never") as source:
        assert (await source.ask(subject())).verdict == RIGHTS
    assert (double.methods, double.scrapes) == ({"GET": 1}, {"user": 1, "organization": 1})


@respx.mock
async def test_the_question_is_the_same_and_tells_no_usage() -> None:
    route = respx.post(URL).mock(return_value=OPEN)
    async with auto(URL) as source:
        await source.ask(subject("Mixed.Case+tag@D1.Example"))
    request = route.calls.last.request
    assert dict(request.url.params.multi_items()) == {
        "service_id": "1",
        "account_type": "user",
        "siret": PIVOT,
        "account_email": "Mixed.Case+tag@D1.Example",
    }
    assert request.headers["X-Service-Auth"] == f"Bearer {API_KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.content == NO_USAGE
    assert b"@" not in NO_USAGE
    assert not any(figure in NO_USAGE for figure in (b"0", b"siret", b"storage"))


def test_quotas_and_usage_in_an_answer_are_kept_out_of_the_way() -> None:
    body = (
        b'{"entitlements": {"can_access": true, "can_admin_maildomains": ["d1.example"], "max_storage_account": null,'
        b' "max_storage_organization": 5, "can_store": false, "can_store_reason": {"a": []}},'
        b' "metrics": {"account": {"storage_used": 1}, "organization": null}, "operator": 7}'
    )
    reply = read_answer(Received(200, "application/json", body))
    assert reply == Reply(Entitled(frozenset({DomainName("d1.example")})), can_access=True)


# --- the older service ------------------------------------------------------------------------------------------------


async def test_an_older_service_is_tried_once_and_then_asked_by_get(double: Double, url: str) -> None:
    async with auto(url) as source:
        replies = await ask(source, 3)
    assert [(reply.verdict, reply.requests) for reply in replies] == [(RIGHTS, 2), (RIGHTS, 1), (RIGHTS, 1)]
    assert double.methods == {"POST": 1, "GET": 3}


async def test_one_try_serves_all_who_ask_at_once(double: Double, url: str) -> None:
    async with auto(url) as source:
        replies = await asyncio.gather(*(source.ask(subject(email)) for email in [ADMIN, PLAIN] * 8))
    assert double.methods == {"POST": 1, "GET": 16}
    assert sum(reply.requests for reply in replies) == 17


async def test_what_is_known_outlives_a_source_and_its_key(double: Double, url: str) -> None:
    lanes = Lanes()
    async with auto(url, lanes=lanes) as source:
        await ask(source)
    double.world.api_key = "rotated"
    async with opened(url, key="rotated", lanes=lanes, metricsPush="Auto") as source:
        await ask(source)
    assert double.methods == {"POST": 1, "GET": 2}


async def test_the_try_that_is_given_up_is_made_by_the_next(double: Double, url: str) -> None:
    double.posting = True
    double.behaviour = Behaviour.SLOW
    async with auto(url) as source:
        given_up = asyncio.create_task(source.ask(subject()))
        while not double.methods:  # noqa: ASYNC110  # the double has no event for it
            await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        double.behaviour = None
        await ask(source)
    assert double.methods == {"POST": 2}


# --- what stands between ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 405, 501])
@respx.mock
async def test_a_gateway_that_lets_only_get_through_costs_one_request(status: int) -> None:
    service = Service(respx.mock, post=[status])
    async with auto(URL) as source:
        replies = await ask(source, 3)
    assert all(isinstance(reply.verdict, Entitled) for reply in replies)
    assert service.methods == ["POST", "GET", "GET", "GET"]


@pytest.mark.parametrize("status", [400, 500, 503])
@respx.mock
async def test_a_post_that_fails_is_not_repeated_and_given_up_after_some(status: int) -> None:
    service = Service(respx.mock, post=[status])
    async with auto(URL) as source:
        replies = await ask(source, TRIES + 2)
    assert [isinstance(reply.verdict, Entitled) for reply in replies] == [False] * TRIES + [True] * 2
    assert service.methods == ["POST"] * TRIES + ["GET"] * 2


@respx.mock
async def test_a_wrong_key_says_nothing_about_the_method() -> None:
    service = Service(respx.mock, post=[401] * (TRIES + 1) + [200])
    async with auto(URL) as source:
        replies = await ask(source, TRIES + 2)
    assert replies[0].verdict == Unavailable(R.UNAUTHENTICATED)
    assert isinstance(replies[-1].verdict, Entitled)
    assert set(service.methods) == {"POST"}


@respx.mock
async def test_a_service_that_answered_post_may_fail_and_is_still_asked_so() -> None:
    service = Service(respx.mock, post=[200, 404, 500, 400, 500, 200])
    async with auto(URL) as source:
        await ask(source, 6)
    assert service.methods == ["POST"] * 6


@respx.mock
async def test_a_service_that_was_set_back_is_asked_by_get_from_then_on() -> None:
    service = Service(respx.mock, post=[200, 405])
    async with auto(URL) as source:
        replies = await ask(source, 3)
    assert all(isinstance(reply.verdict, Entitled) for reply in replies)
    assert service.methods == ["POST", "POST", "GET", "GET"]

"""The mail application's tests of its backends, one by one, for the providers of a source.

docs/upstream.md says of each whether it holds here as it stands, or differs and why.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from controller.entitlements.opening import open_source
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason, Entitled, Malformed, Unavailable, Unknown
from controller.resources.names import DomainName
from tests.support.deploycenter import API_KEY, PIVOT, opened, subject
from tests.support.planning import source

URL = "https://dc.example/api/v1.0/entitlements"
"""Without a slash at its end: an address is used as it is written."""


@pytest.fixture
def service() -> Iterator[respx.Route]:
    with respx.mock() as router:
        yield router.get(URL)


def answer(*domains: str) -> httpx.Response:
    return httpx.Response(200, json={"entitlements": {"can_access": True, "can_admin_maildomains": list(domains)}})


def entitled(*domains: str) -> Entitled:
    return Entitled(frozenset(map(DomainName, domains)))


async def ask(times: int = 1, **spec: Any) -> list[Reply]:
    """Ask about one user, several times if it matters."""
    async with opened(URL, **spec) as center:
        return [await center.ask(subject()) for _ in range(times)]


async def test_local_knows_nothing_and_has_no_list() -> None:
    local = open_source(source(provider={"local": {}}), lambda _: "", Lanes())
    assert await local.ask(subject()) == Reply(Unknown(AnswerReason.LOCAL), requests=0)


async def test_local_says_the_same_however_often_it_is_asked() -> None:
    local = open_source(source(provider={"local": {}}), lambda _: "", Lanes())
    assert await local.ask(subject()) == await local.ask(subject())


async def test_deploycenter_success_is_parsed(service: respx.Route) -> None:
    service.return_value = answer("one.fr", "two.fr")
    [reply] = await ask()
    assert (reply.verdict, reply.can_access) == (entitled("one.fr", "two.fr"), True)


async def test_deploycenter_is_sent_its_parameters_and_its_header(service: respx.Route) -> None:
    service.return_value = answer()
    await ask(serviceId=42)
    request = service.calls.last.request
    assert dict(request.url.params) == {
        "service_id": "42",
        "account_type": "user",
        "account_email": "admin@d1.example",
        "siret": PIVOT,
    }
    assert request.headers["X-Service-Auth"] == f"Bearer {API_KEY}"
    assert str(request.url.copy_with(query=None)) == URL


async def test_deploycenter_is_sent_the_listed_claims_and_no_others(service: respx.Route) -> None:
    service.return_value = answer()
    known = subject(claims={"siret": "21590350100017", "department": "59", "name": "Ada"})
    async with opened(URL, pivots=(), claims=["siret", "department"]) as center:
        await center.ask(known)
    params = dict(service.calls.last.request.url.params)
    assert {name: params.get(name) for name in ("siret", "department", "name")} == {
        "siret": "21590350100017",
        "department": "59",
        "name": None,
    }


async def test_deploycenter_is_not_sent_a_claim_that_is_missing(service: respx.Route) -> None:
    service.return_value = answer()
    async with opened(URL, claims=["siret", "department"]) as center:
        await center.ask(subject(claims={"siret": "21590350100017"}))
    assert "department" not in service.calls.last.request.url.params


async def test_deploycenter_500_is_unavailable(service: respx.Route) -> None:
    service.return_value = httpx.Response(500)
    [reply] = await ask()
    assert reply.verdict == Unavailable(AnswerReason.SERVER_ERROR)


async def test_deploycenter_connection_error_is_unavailable(service: respx.Route) -> None:
    service.side_effect = httpx.ConnectError("refused")
    [reply] = await ask()
    assert reply.verdict == Unavailable(AnswerReason.CONNECTION)


async def test_deploycenter_keeps_no_cache_so_that_a_second_call_is_a_second_request(service: respx.Route) -> None:
    service.return_value = answer("one.fr")
    first, second = await ask(times=2)
    assert (first, service.call_count) == (second, 2)


async def test_deploycenter_always_says_the_newest_list(service: respx.Route) -> None:
    service.side_effect = [answer("one.fr"), answer("two.fr")]
    assert [reply.verdict for reply in await ask(times=2)] == [entitled("one.fr"), entitled("two.fr")]


async def test_deploycenter_failure_after_an_answer_is_not_that_answer_again(service: respx.Route) -> None:
    service.side_effect = [answer("one.fr"), httpx.Response(500)]
    assert [reply.verdict for reply in await ask(times=2)] == [
        entitled("one.fr"),
        Unavailable(AnswerReason.SERVER_ERROR),
    ]


async def test_deploycenter_failure_without_an_answer_before_is_unavailable(service: respx.Route) -> None:
    service.side_effect = httpx.ReadTimeout("late")
    [reply] = await ask()
    assert reply.verdict == Unavailable(AnswerReason.TIMEOUT)


@pytest.mark.parametrize("body", [{"entitlements": {}}, {}], ids=["empty entitlements", "empty body"])
async def test_deploycenter_says_nothing_with_an_empty_body_or_empty_entitlements(
    service: respx.Route, body: dict[str, Any]
) -> None:
    service.return_value = httpx.Response(200, json=body)
    [reply] = await ask()
    assert (reply.verdict, reply.can_access) == (Unknown(AnswerReason.KEY_ABSENT), None)


async def test_deploycenter_answers_of_two_users_are_two(service: respx.Route) -> None:
    lists = {"ada@one.fr": ("one.fr",), "bob@two.fr": ("two.fr",)}
    service.side_effect = lambda request: answer(*lists[request.url.params["account_email"]])
    async with opened(URL) as center:
        said = {email: (await center.ask(subject(email))).verdict for email in lists}
    assert said == {email: entitled(*domains) for email, domains in lists.items()}


async def test_deploycenter_answer_that_is_no_json_is_malformed(service: respx.Route) -> None:
    service.return_value = httpx.Response(200, text="<html>login</html>", headers={"Content-Type": "text/html"})
    [reply] = await ask()
    assert reply.verdict == Malformed(AnswerReason.NOT_JSON)

"""What is sent, which sirets are tried and in what order, and what ends the tries (A-09..A-16, D17)."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import respx

from controller.entitlements.deploycenter import MAX_TRIES
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Malformed, Subject, Unavailable, Unknown, Verdict
from controller.resources.names import DomainName
from tests.support.deploycenter import ADMIN, API_KEY, INACTIVE, NOBODYS, OTHER, PIVOT, opened, subject

URL = "https://dc.example/api/v1.0/entitlements/"
OPEN = httpx.Response(200, json={"entitlements": {"can_access": True, "can_admin_maildomains": ["d1.example"]}})
CLOSED = httpx.Response(200, json={"entitlements": {"can_access": False, "can_access_reason": "not_activated"}})
NO_ORGANIZATION = httpx.Response(
    200, json={"entitlements": {"can_access": False, "can_access_reason": "no_organization"}}
)
REFUSED = httpx.Response(400, json={"account_email": ["Saisissez une adresse e-mail valide."]})


class Doors:
    """A service whose answer depends on the siret alone."""

    def __init__(self, router: respx.MockRouter, **doors: httpx.Response) -> None:
        self.doors = doors
        self.route = router.get(URL).mock(side_effect=self._open)

    def _open(self, request: httpx.Request) -> httpx.Response:
        return self.doors.get("_" + request.url.params["siret"], CLOSED)

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(call.request.url.params) for call in self.route.calls]

    @property
    def sirets(self) -> list[str]:
        return [query["siret"] for query in self.queries]


async def ask(who: Subject, **spec: Any) -> Any:
    async with opened(URL, **spec) as source:
        return await source.ask(who)


@respx.mock
async def test_the_question_is_the_one_of_login_sync() -> None:
    route = respx.get(URL).mock(return_value=OPEN)
    await ask(subject("Mixed.Case+tag@D1.Example", user="0b5f"))
    request = route.calls.last.request
    assert dict(request.url.params.multi_items()) == {
        "service_id": "1",
        "account_type": "user",
        "siret": PIVOT,
        "account_email": "Mixed.Case+tag@D1.Example",
    }
    assert request.headers["X-Service-Auth"] == f"Bearer {API_KEY}"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert not request.headers.keys() & {"authorization", "cookie"}


@respx.mock
async def test_an_open_door_is_said_with_its_siret() -> None:
    Doors(respx.mock, **{"_" + PIVOT: OPEN})
    reply = await ask(subject())
    assert reply.verdict == Entitled(frozenset({DomainName("d1.example")}))
    assert (reply.siret, reply.can_access, reply.requests) == (PIVOT, True, 1)


@pytest.mark.parametrize(
    ("opens", "asked"),
    [
        ("11111111111111", ["11111111111111"]),
        ("22222222222222", ["11111111111111", "22222222222222"]),
        ("33333333333333", ["11111111111111", "22222222222222", "33333333333333"]),
        ("44444444444444", ["11111111111111", "22222222222222", "33333333333333", "44444444444444"]),
        ("none", ["11111111111111", "22222222222222", "33333333333333", "44444444444444", "55555555555555"]),
    ],
)
@respx.mock
async def test_pivots_then_claims_then_the_domains(opens: str, asked: Sequence[str]) -> None:
    doors = Doors(respx.mock, **{"_" + opens: OPEN})
    who = subject(claims={"siret": "33333333333333"}, sirets=("44444444444444", "55555555555555"))
    reply = await ask(who, pivots=("11111111111111", "22222222222222"), claims=("siret",))
    assert doors.sirets == list(asked)
    assert reply.requests == len(asked)
    assert isinstance(reply.verdict, Entitled) == (opens != "none")
    assert reply.siret == (None if opens == "none" else opens)


@respx.mock
async def test_an_open_door_without_rights_ends_the_tries() -> None:
    empty = httpx.Response(200, json={"entitlements": {"can_admin_maildomains": []}})
    doors = Doors(respx.mock, **{"_" + PIVOT: empty, "_" + OTHER: OPEN})
    reply = await ask(subject(sirets=(OTHER,)))
    assert (doors.sirets, reply.verdict) == ([PIVOT], Entitled(frozenset()))


@respx.mock
async def test_no_siret_is_asked_twice() -> None:
    doors = Doors(respx.mock)
    await ask(subject(claims={"siret": f" {PIVOT} "}, sirets=(PIVOT, OTHER, f"{OTHER} ", "", " ")), claims=("siret",))
    assert doors.sirets == [PIVOT, OTHER]


@respx.mock
async def test_listed_claims_are_sent_under_their_names_and_no_others() -> None:
    doors = Doors(respx.mock)
    claims = {"siret": OTHER, "idp_id": "idp-1", "given_name": "Ada", "account_id": "sub-of-somebody-else"}
    await ask(subject(claims=claims), claims=("siret", "idp_id", "account_id", "account_email", "absent"))
    assert [query.keys() - {"service_id", "account_type", "siret", "account_email"} for query in doors.queries] == [
        set(),
        {"idp_id"},
    ]
    assert {query["account_email"] for query in doors.queries} == {ADMIN}


@respx.mock
async def test_claims_without_a_siret_open_nothing() -> None:
    doors = Doors(respx.mock)
    await ask(subject(claims={"idp_id": "idp-1", "siret": OTHER}), claims=("idp_id",))
    assert doors.sirets == [PIVOT]


@respx.mock
async def test_without_any_siret_nobody_is_called() -> None:
    doors = Doors(respx.mock)
    reply = await ask(subject(claims={"siret": OTHER}), pivots=())
    assert (reply.verdict, reply.requests, doors.sirets) == (Unknown(R.NO_SIRET), 0, [])


@respx.mock
async def test_all_doors_closed_says_the_last_reason() -> None:
    Doors(respx.mock, **{"_" + NOBODYS: NO_ORGANIZATION})
    assert (await ask(subject(sirets=(INACTIVE, NOBODYS)))).verdict == Unknown(R.NO_ORGANIZATION)
    assert (await ask(subject(sirets=(NOBODYS, INACTIVE)))).verdict == Unknown(R.NOT_ACTIVATED)


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (httpx.Response(500), Unavailable(R.SERVER_ERROR)),
        (httpx.Response(401), Unavailable(R.UNAUTHENTICATED)),
        (httpx.Response(200, html="<h1>Connexion</h1>"), Malformed(R.NOT_JSON)),
        (httpx.Response(200, json=[]), Malformed(R.WRONG_SHAPE)),
    ],
)
@respx.mock
async def test_a_failure_is_never_made_good_by_another_door(response: httpx.Response, verdict: Verdict) -> None:
    doors = Doors(respx.mock, **{"_" + PIVOT: response, "_" + OTHER: OPEN})
    reply = await ask(subject(sirets=(OTHER,)))
    assert (reply.verdict, reply.siret, doors.sirets) == (verdict, None, [PIVOT])


@respx.mock
async def test_an_address_that_cannot_be_asked_is_asked_once() -> None:
    doors = Doors(respx.mock, **{"_" + PIVOT: REFUSED, "_" + OTHER: OPEN})
    reply = await ask(subject("no address", sirets=(OTHER,)))
    assert (reply.verdict, doors.sirets) == (Unknown(R.REFUSED), [PIVOT])


@respx.mock
async def test_a_stored_siret_that_is_refused_does_not_shut_the_next_door() -> None:
    doors = Doors(respx.mock, **{"_1\0": REFUSED, "_" + OTHER: OPEN})
    reply = await ask(subject(sirets=("1\0", OTHER)))
    assert isinstance(reply.verdict, Entitled)
    assert doors.sirets == [PIVOT, "1\0", OTHER]


@respx.mock
async def test_the_number_of_tries_is_bounded() -> None:
    doors = Doors(respx.mock)
    await ask(subject(sirets=tuple(f"{number:014}" for number in range(100))))
    assert len(doors.sirets) == MAX_TRIES


@pytest.mark.parametrize("claim", ["\ud800", "x" * 100_000])
@respx.mock
async def test_a_claim_that_fits_in_no_address_is_not_asked(claim: str) -> None:
    doors = Doors(respx.mock)
    reply = await ask(subject(claims={"siret": claim}), claims=("siret",))
    assert (reply.verdict, reply.requests, doors.sirets) == (Unknown(R.REFUSED), 1, [PIVOT])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError, R.CONNECTION),
        (httpx.ConnectTimeout, R.TIMEOUT),
        (httpx.ReadError, R.CONNECTION),
        (httpx.RemoteProtocolError, R.CONNECTION),
        (httpx.ProxyError, R.CONNECTION),
        (OSError, R.CONNECTION),
    ],
)
@respx.mock
async def test_what_httpx_raises_is_a_verdict(error: type[Exception], reason: R) -> None:
    respx.get(URL).mock(side_effect=error)
    assert (await ask(subject())).verdict == Unavailable(reason)

"""The double answers as the service was observed to: rights, closed doors, errors, headers."""

from typing import Any

import httpx
import pytest

from controller.sandbox.deploycenter import Account, Double, Organization
from tests.support.deploycenter import ADMIN, API_KEY, INACTIVE, NOBODYS, OTHER, PIVOT, PLAIN, UNSUBSCRIBED, world

GOOD = {"service_id": "1", "account_type": "user", "siret": PIVOT, "account_email": ADMIN}
UNAUTHENTICATED = {"detail": "Informations d'authentification non fournies."}
REQUIRED = "Ce champ est obligatoire."
BLANK = "Ce champ ne peut être vide."
NUL = "Le caractère nul n\u2019est pas autorisé."
BAD_EMAIL = "Saisissez une adresse e-mail valide."


async def get(url: str, *without: str, method: str = "GET", headers: Any = None, **params: str) -> httpx.Response:
    query = {name: value for name, value in {**GOOD, **params}.items() if name not in without}
    sent = {"X-Service-Auth": f"Bearer {API_KEY}", "Accept": "application/json"} if headers is None else headers
    async with httpx.AsyncClient() as client:
        return await client.request(method, url, params=query, headers=sent)


async def said(url: str, **params: str) -> Any:
    response = await get(url, **params)
    assert response.status_code == 200, response.text
    return response.json()["entitlements"]


@pytest.mark.parametrize(
    ("account", "domains"),
    [
        (Account("x@d1.example", PIVOT, roles=("admin",)), ["d1.example", "d2.example"]),
        (Account("x@d1.example", PIVOT, roles=("member",)), []),
        (Account("x@d1.example", PIVOT, roles=("Admin",)), []),
        (Account("x@d1.example", PIVOT, links={"admin": {}}), ["d1.example", "d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": ["d2.example"]}}), ["d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": ["d2.example", "old.example"]}}), ["d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": ["D1.example"]}}), []),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": []}}), ["d1.example", "d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": None}}), ["d1.example", "d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": {"sites": ["d1"]}}), ["d1.example", "d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": []}), ["d1.example", "d2.example"]),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": "d1.example"}}), []),
        (Account("x@d1.example", PIVOT, links={"admin": {"domains": ["*"]}}), []),
        (Account("x@d1.example", PIVOT, links={"editor": {}}), []),
        (Account("x@d1.example", PIVOT, roles=("admin",), type="mailbox"), []),
        (Account("x@D1.Example", PIVOT, roles=("admin",)), ["d1.example", "d2.example"]),
        (Account("X@d1.example", PIVOT, roles=("admin",)), []),
        (Account("x@d1.example", INACTIVE, roles=("admin",)), []),
    ],
)
async def test_roles_and_scopes_grant_as_observed(
    double: Double, url: str, account: Account, domains: list[str]
) -> None:
    double.world.accounts.append(account)
    assert (await said(url, account_email="x@d1.example"))["can_admin_maildomains"] == domains


async def test_the_siret_is_only_a_gate(double: Double, url: str) -> None:
    double.world.accounts.append(Account(ADMIN, OTHER, roles=("admin",)))
    everything = ["d1.example", "d2.example", "d3.example"]
    assert (await said(url, siret=PIVOT))["can_admin_maildomains"] == everything
    assert (await said(url, siret=OTHER))["can_admin_maildomains"] == everything


@pytest.mark.parametrize("email", [PLAIN, "nobody@d1.example", "Admin@d1.example"])
async def test_the_unknown_and_the_plain_look_the_same(url: str, email: str) -> None:
    assert (await said(url, account_email=email))["can_admin_maildomains"] == []


async def test_an_account_id_asks_too(double: Double, url: str) -> None:
    double.world.accounts.append(Account("z@d3.example", OTHER, roles=("admin",), external_id="sub-1"))
    assert (await said(url, account_email="", account_id="sub-1"))["can_admin_maildomains"] == ["d3.example"]
    both = (await said(url, account_id="sub-1"))["can_admin_maildomains"]
    assert both == ["d1.example", "d2.example", "d3.example"]


@pytest.mark.parametrize("siret", [INACTIVE, UNSUBSCRIBED])
async def test_an_inactive_subscription_hides_the_key(url: str, siret: str) -> None:
    document = (await get(url, siret=siret)).json()
    assert document["entitlements"] == {"can_access": False, "can_access_reason": "not_activated"}
    assert document["operator"] is None
    assert document["potentialOperators"]


@pytest.mark.parametrize("siret", [NOBODYS, "abc", "210000000", "21000000 000001"])
async def test_an_unknown_siret_has_no_organization(url: str, siret: str) -> None:
    assert (await get(url, siret=siret)).json() == {
        "organization": None,
        "operator": None,
        "entitlements": {"can_access": False, "can_access_reason": "no_organization"},
    }


async def test_the_skeleton_of_an_answer(url: str) -> None:
    document = (await get(url)).json()
    assert document.keys() == {"organization", "operator", "entitlements"}
    assert document["organization"].keys() == {"id", "type", "name", "oidc_valid"}
    assert document["entitlements"] == {
        "can_access": True,
        "can_store": False,
        "can_store_resolve_level": "organization",
        "can_admin_maildomains": ["d1.example", "d2.example"],
    }


@pytest.mark.parametrize(
    ("metadata", "domains"),
    [
        ({"domains": "a.example,b.example"}, ["a", ".", "e", "x", "m", "p", "l", ",", "b"]),
        ({"domains": [1, None, "x.example"]}, [1, None, "x.example"]),
        ({"domains": {"x.example": 1}}, ["x.example"]),
        (
            {"domains": ["x.example ", " y.example", "X.EXAMPLE", "x.example", "x.example"]},
            ["x.example ", " y.example", "X.EXAMPLE", "x.example"],
        ),
        ({}, []),
        ([], []),
    ],
)
async def test_metadata_comes_out_as_it_is(double: Double, url: str, metadata: Any, domains: list[Any]) -> None:
    double.world.organizations[0].metadata = metadata
    assert (await said(url))["can_admin_maildomains"] == domains


@pytest.mark.parametrize(
    "metadata", [{"domains": [{"a": 1}]}, {"domains": [["x"]]}, {"domains": 5}, {"domains": True}, "x", 5]
)
async def test_poisoned_metadata_is_a_500_for_its_administrators(double: Double, url: str, metadata: Any) -> None:
    double.world.organizations[0].metadata = metadata
    poisoned = await get(url)
    assert (poisoned.status_code, poisoned.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert (await get(url, account_email="nobody@d1.example")).status_code == 200


@pytest.mark.parametrize(
    ("changed", "without", "errors"),
    [
        ({}, ["siret"], {"siret": [REQUIRED]}),
        ({"siret": ""}, [], {"siret": [BLANK]}),
        ({}, ["account_type"], {"account_type": [REQUIRED]}),
        ({}, ["siret", "account_type"], {"account_type": [REQUIRED], "siret": [REQUIRED]}),
        (
            {},
            ["account_email"],
            {"non_field_errors": ["Either 'account_id' or 'account_email' must be provided."]},
        ),
        (
            {"account_email": " ", "account_id": ""},
            [],
            {"non_field_errors": ["Either 'account_id' or 'account_email' must be provided."]},
        ),
        ({"account_email": "no address"}, [], {"account_email": [BAD_EMAIL]}),
        ({"account_email": "é@d1.example"}, [], {"account_email": [BAD_EMAIL]}),
        ({"account_email": '"a b"@d1.example'}, [], {"account_email": [BAD_EMAIL]}),
        ({"account_email": "a@intranet"}, [], {"account_email": [BAD_EMAIL]}),
        ({"account_email": "a" * 320 + "@d1.example"}, [], {"account_email": [BAD_EMAIL]}),
        ({"siret": "1\0"}, [], {"siret": [NUL]}),
        ({"account_email": "a\0@d1.example"}, [], {"account_email": [NUL, BAD_EMAIL]}),
    ],
)
async def test_what_a_400_says(url: str, changed: dict[str, str], without: list[str], errors: Any) -> None:
    response = await get(url, *without, **changed)
    assert (response.status_code, response.json()) == (400, errors)


@pytest.mark.parametrize("email", ["a@localhost", "a@élan.example", " admin@d1.example "])
async def test_what_is_an_address(url: str, email: str) -> None:
    assert (await get(url, account_email=email)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Service-Auth": "Bearer wrong"},
        {"X-Service-Auth": f"ApiKey {API_KEY}"},
        {"X-Service-Auth": API_KEY},
        {"X-Service-Auth": f"bearer {API_KEY}"},
        {"X-Service-Auth": f"Bearer  {API_KEY}"},
    ],
)
async def test_a_wrong_key_is_a_401(url: str, headers: dict[str, str]) -> None:
    response = await get(url, headers=headers)
    assert (response.status_code, response.json()) == (401, UNAUTHENTICATED)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("1", 200),
        (" 1 ", 200),
        ("+1", 200),
        ("999", 401),
        ("-1", 401),
        ("9" * 20, 401),
        ("abc", 500),
        ("", 500),
        ("1.0", 500),
    ],
)
async def test_an_unknown_service_is_a_401_and_a_bad_one_a_500(url: str, service: str, status: int) -> None:
    assert (await get(url, service_id=service)).status_code == status


async def test_an_authorization_header_spoils_a_good_key(url: str) -> None:
    headers = {"X-Service-Auth": f"Bearer {API_KEY}", "Authorization": "Bearer x"}
    response = await get(url, headers=headers)
    assert (response.status_code, response.json()) == (401, {"detail": "Token is not valid"})


async def test_a_key_that_is_not_ascii_is_a_500(url: str) -> None:
    assert (await get(url, headers={"X-Service-Auth": "Bearer clé".encode()})).status_code == 500


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_other_methods_are_refused_after_the_key(url: str, method: str) -> None:
    response = await get(url, method=method)
    assert (response.status_code, response.json()) == (405, {"detail": f"Méthode « {method} » non autorisée."})
    assert (await get(url, *GOOD, method=method)).status_code == 401


async def test_the_newer_one_answers_post_and_spares_what_the_body_covers(double: Double, url: str) -> None:
    double.posting = True
    sent = {"X-Service-Auth": f"Bearer {API_KEY}", "Accept": "application/json"}
    async with httpx.AsyncClient() as client:
        for body, scraped in [
            ({}, {"user", "organization"}),
            ({"usage_metrics": []}, {"user", "organization"}),
            ({"usage_metrics": [{"account": {"type": "user"}}]}, {"organization"}),
            ({"usage_metrics": [{"siret": PIVOT, "account": None, "metrics": {"tu": 1}}]}, {"user", "organization"}),
        ]:
            double.scrapes.clear()
            response = await client.post(url, params=GOOD, headers=sent, json=body)
            assert response.json()["entitlements"]["can_admin_maildomains"] == ["d1.example", "d2.example"]
            assert set(double.scrapes) == scraped, body
        for body in ({"usage_metrics": [{"account": 5}]}, {"usage_metrics": 5}, []):
            assert (await client.post(url, params=GOOD, headers=sent, json=body)).status_code == 400
        assert (await client.post(url, headers=sent)).status_code == 401


async def test_paths(url: str) -> None:
    slashless = await get(url.rstrip("/"))
    assert (slashless.status_code, slashless.content) == (301, b"")
    assert slashless.headers["Location"].startswith("/api/v1.0/entitlements/?service_id=1")
    assert (await get(url.replace("v1.0", "v2.0"))).status_code == 404
    assert (await get(url, extra="x" * 4094)).status_code == 400


@pytest.mark.parametrize(
    ("accept", "status", "content_type"),
    [
        ("*/*", 200, "application/json"),
        ("text/html", 200, "text/html; charset=utf-8"),
        ("application/xml", 406, "application/json"),
    ],
)
async def test_negotiation(url: str, accept: str, status: int, content_type: str) -> None:
    response = await get(url, headers={"X-Service-Auth": f"Bearer {API_KEY}", "Accept": accept})
    assert (response.status_code, response.headers["Content-Type"]) == (status, content_type)


async def test_headers_of_an_answer(url: str) -> None:
    headers = (await get(url)).headers
    assert headers["Server"] == "gunicorn"
    assert headers["Vary"] == "Accept, origin, Accept-Language, Cookie"
    assert headers["Allow"] == "GET, HEAD, OPTIONS"
    assert headers["Content-Language"] == "fr-fr"
    assert not headers.keys() & {"etag", "cache-control", "content-encoding", "retry-after"}


def test_it_serves_callers_without_an_event_loop() -> None:
    double = Double(world())
    with double.serve_in_thread() as url:
        response = httpx.get(url, params=GOOD, headers={"X-Service-Auth": f"Bearer {API_KEY}"})
    assert response.json()["entitlements"]["can_admin_maildomains"] == ["d1.example", "d2.example"]
    assert double.asked == {ADMIN: 1}


async def test_changes_are_visible_at_once(double: Double, url: str) -> None:
    double.world.accounts[0].roles = ()
    assert (await said(url))["can_admin_maildomains"] == []
    double.world.organizations.append(Organization("21000000000003", "Commune 003", {"domains": ["d9.example"]}))
    double.world.accounts.append(Account(ADMIN, "21000000000003", roles=("admin",)))
    assert (await said(url))["can_admin_maildomains"] == ["d9.example"]

"""The provisioning API as a client meets it: the application's contract, and where we differ on purpose.

A test that is named `test_provisioning_...` is the counterpart of a case of the application's own tests.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from controller.observability.metrics import Metrics
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, Channel, EitherContract, KeyRing
from controller.provisioning.bodies import MAX_BODY
from controller.provisioning.declaring import Declaring
from controller.provisioning.maildomains import PATH, maildomains
from controller.provisioning.rates import Rates
from controller.resources.names import DomainName
from tests.support.provisioning import (
    BEARER,
    BY_CHANNEL,
    CHANNEL,
    CHANNEL_KEY,
    KEY,
    OTHER_SIRET,
    SIRET,
    TEMPLATE,
    MemoryStore,
    write_keys,
)

Body = dict[str, Any]


class Api:
    """The application with its store, and a client that has a key unless it is told otherwise."""

    def __init__(self, folder: Path, client_of: Any, *, keys: bool = True, rate: float = 10_000) -> None:
        bearer = write_keys(folder / "keys", installer=KEY) if keys else None
        channels = write_keys(folder / "channels", **{CHANNEL: CHANNEL_KEY}) if keys else None
        gate = EitherContract(Bearer(KeyRing(bearer)), Channel(KeyRing(channels)))
        self.store = MemoryStore()
        self.metrics = Metrics()
        rates = Rates(rate, 4 * rate)
        self.endpoint = maildomains(gate, rates, Declaring(self.store, TEMPLATE), self.metrics)
        self.client: httpx.AsyncClient = client_of(application([self.endpoint], self.metrics))

    async def post(self, body: Any, headers: dict[str, str] = BEARER, **options: Any) -> httpx.Response:
        sent = {"json": body} if not isinstance(body, bytes) else {"content": body}
        return await self.client.post(PATH, headers=headers, **sent, **options)

    async def said(self, body: Any, headers: dict[str, str] = BEARER) -> Body:
        response = await self.post(body, headers)
        assert response.status_code == 200, response.text
        found: Body = response.json()
        schema = self.endpoint.operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(found, schema)
        return found


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.example")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    found = Api(tmp_path, client_of)
    async with found.client:
        yield found


def result(created: tuple[str, ...] = (), existing: tuple[str, ...] = ()) -> Body:
    return {"created": list(created), "existing": list(existing), "errors": []}


# --- who may ask (A-71) -----------------------------------------------------------------------------------------------


async def test_provisioning_no_auth_is_403(api: Api) -> None:
    response = await api.post({"domains": ["x.fr"]}, {})

    assert (response.status_code, response.json()) == (403, {"detail": "Missing or unknown key."})
    assert api.store.objects == {}


async def test_provisioning_wrong_key_is_403(api: Api) -> None:
    response = await api.post({"domains": ["x.fr"]}, {"Authorization": "Bearer wrong"})

    assert response.status_code == 403
    assert api.store.objects == {}


@pytest.mark.parametrize("headers", [{}, BEARER, {"Authorization": "Bearer "}])
async def test_provisioning_unset_key_is_403_always(tmp_path: Path, headers: dict[str, str]) -> None:
    api = Api(tmp_path, client_of, keys=False)
    async with api.client:
        assert (await api.post({"domains": ["x.fr"]}, headers)).status_code == 403
        assert (await api.post({"domains": ["x.fr"]}, BY_CHANNEL)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Channel-Id": CHANNEL},
        {"X-API-Key": CHANNEL_KEY},
        {"X-Channel-Id": CHANNEL, "X-API-Key": "wrong"},
        {"X-Channel-Id": CHANNEL, "X-API-Key": KEY},
        {"X-Channel-Id": "unknown", "X-API-Key": CHANNEL_KEY},
        {"X-Channel-Id": "", "X-API-Key": ""},
    ],
)
async def test_provisioning_channel_missing_wrong_or_unknown_is_401(api: Api, headers: dict[str, str]) -> None:
    assert (await api.post({"domains": ["x.fr"]}, headers)).status_code == 401
    assert api.store.objects == {}


async def test_both_contracts_reach_the_same(api: Api) -> None:
    assert await api.said({"domains": ["x.fr"]}, BEARER) == result(created=("x.fr",))
    assert await api.said({"domains": ["x.fr"]}, BY_CHANNEL) == result(existing=("x.fr",))


async def test_a_refusal_comes_before_the_body_is_looked_at(api: Api) -> None:
    assert (await api.post(b"not json", {})).status_code == 403
    assert (await api.post(b"x" * (MAX_BODY + 1), {})).status_code == 403


# --- what becomes of names (A-72..A-77) -------------------------------------------------------------------------------


async def test_provisioning_creates_two_with_attributes(api: Api) -> None:
    body = {"domains": ["a.fr", "b.fr"], "custom_attributes": {"siret": SIRET, "org": "Mairie"}}

    assert await api.said(body) == result(created=("a.fr", "b.fr"))
    for name in ("a.fr", "b.fr"):
        assert api.store.spec(name)["organization"] == {"siret": SIRET}
        assert api.store.spec(name)["provisioning"] == {"customAttributes": {"siret": SIRET, "org": "Mairie"}}


async def test_provisioning_without_attributes_declares_none(api: Api) -> None:
    await api.said({"domains": ["x.fr"]})

    assert "provisioning" not in api.store.spec("x.fr")
    assert "organization" not in api.store.spec("x.fr")


async def test_provisioning_splits_existing_and_new_without_duplicates(api: Api) -> None:
    await api.said({"domains": ["old.fr"]})

    assert await api.said({"domains": ["old.fr", "new.fr"]}) == result(created=("new.fr",), existing=("old.fr",))
    assert sorted(api.store.objects) == ["new.fr", "old.fr"]


async def test_provisioning_updates_attributes_of_an_existing_domain(api: Api) -> None:
    await api.said({"domains": ["x.fr"], "custom_attributes": {"org": "before"}})

    assert await api.said({"domains": ["x.fr"], "custom_attributes": {"org": "after"}}) == result(existing=("x.fr",))
    assert api.store.spec("x.fr")["provisioning"] == {"customAttributes": {"org": "after"}}


async def test_provisioning_takes_text_with_commas(api: Api) -> None:
    assert await api.said({"domains": " a.fr, b.fr ,,"}) == result(created=("a.fr", "b.fr"))


async def test_provisioning_one_bad_of_two_is_200_with_one_error(api: Api) -> None:
    assert await api.said({"domains": ["good.fr", "bad name"]}) == {
        "created": ["good.fr"],
        "existing": [],
        "errors": [{"domain": "bad name", "error": "This is no domain name."}],
    }


@pytest.mark.parametrize("domains", [[], "", " , "])
async def test_provisioning_empty_is_400(api: Api, domains: object) -> None:
    response = await api.post({"domains": domains})

    assert (response.status_code, response.json()) == (400, {"domains": ["Name at least one domain."]})


async def test_provisioning_missing_is_400(api: Api) -> None:
    response = await api.post({"custom_attributes": {}})

    assert (response.status_code, response.json()) == (400, {"domains": ["This field is required."]})


async def test_provisioning_autojoin_and_identity_sync_have_no_default_here(api: Api) -> None:
    """The application's defaults are true and false; an absent field is not ours, so that nothing is reset (A-74)."""
    await api.said({"domains": ["x.fr"], "custom_attributes": {"a": "1"}})

    assert api.store.spec("x.fr")["provisioning"] == {"customAttributes": {"a": "1"}}


@pytest.mark.parametrize(("field", "declared"), [("oidc_autojoin", "oidcAutojoin"), ("identity_sync", "identitySync")])
@pytest.mark.parametrize("value", [True, False])
async def test_provisioning_explicit_switches_are_declared(api: Api, field: str, declared: str, value: bool) -> None:
    await api.said({"domains": ["x.fr"], field: value})

    assert api.store.spec("x.fr")["provisioning"] == {declared: value}


@pytest.mark.parametrize(("field", "declared"), [("oidc_autojoin", "oidcAutojoin"), ("identity_sync", "identitySync")])
async def test_provisioning_updates_each_switch_of_an_existing_domain(api: Api, field: str, declared: str) -> None:
    await api.said({"domains": ["x.fr"], field: True})

    assert await api.said({"domains": ["x.fr"], field: False}) == result(existing=("x.fr",))
    assert api.store.spec("x.fr")["provisioning"] == {declared: False}


async def test_fields_that_are_omitted_reset_nothing(api: Api) -> None:
    whole = {"custom_attributes": {"siret": SIRET, "a": "1"}, "oidc_autojoin": False, "identity_sync": True}
    await api.said({"domains": ["x.fr"], **whole})
    before = api.store.spec("x.fr")

    await api.said({"domains": ["x.fr"]})
    await api.said({"domains": ["x.fr"], "custom_attributes": {}})

    assert api.store.spec("x.fr") == before


async def test_provisioning_lookups_fold_case(api: Api) -> None:
    await api.said({"domains": ["Commune.FR"]})

    assert await api.said({"domains": ["commune.fr", "COMMUNE.FR", " commune.fr "]}) == result(existing=("commune.fr",))
    assert list(api.store.objects) == ["commune.fr"]


async def test_provisioning_kelvin_sign_never_matches(api: Api) -> None:
    await api.said({"domains": ["k.fr"]})

    [error] = (await api.said({"domains": ["\u212a.fr"]}))["errors"]
    assert error["error"] == "This is no domain name."


async def test_provisioning_u_label_reaches_its_a_label(api: Api) -> None:
    await api.said({"domains": ["élan.fr"]})

    assert await api.said({"domains": ["xn--lan-9la.fr"]}) == result(existing=("xn--lan-9la.fr",))


async def test_another_organization_is_an_error_for_that_name_and_writes_nothing(api: Api) -> None:
    await api.said({"domains": ["theirs.fr"], "custom_attributes": {"siret": OTHER_SIRET}})
    before = api.store.spec("theirs.fr")

    body = {"domains": ["theirs.fr", "new.fr"], "custom_attributes": {"siret": SIRET}, "oidc_autojoin": False}
    said = await api.said(body)

    assert said["created"] == ["new.fr"]
    assert [error["domain"] for error in said["errors"]] == ["theirs.fr"]
    assert OTHER_SIRET not in str(said), "whose it is, is nobody's business"
    assert api.store.spec("theirs.fr") == before


@pytest.mark.parametrize("occasion", [{"event_type": "subscription.deleted"}, {"is_active": False}])
async def test_a_subscription_that_has_ended_creates_nothing(api: Api, occasion: Body) -> None:
    assert await api.said({"domains": ["x.fr"], **occasion}) == result()
    assert api.store.objects == {}


async def test_whoever_names_the_same_domain_twice_gets_one_answer(api: Api) -> None:
    assert await api.said({"domains": ["x.fr", "x.fr", "X.fr"]}) == result(created=("x.fr",))


# --- what can not be had ----------------------------------------------------------------------------------------------


async def test_a_name_that_can_not_be_stored_now_stops_no_other_and_asks_to_come_again(api: Api) -> None:
    api.store.broken = frozenset({"b.fr"})
    response = await api.post({"domains": ["a.fr", "b.fr", "c.fr"]})

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json()["created"] == ["a.fr", "c.fr"]
    assert [error["domain"] for error in response.json()["errors"]] == ["b.fr"]
    api.store.broken = frozenset()
    assert await api.said({"domains": ["a.fr", "b.fr", "c.fr"]}) == result(created=("b.fr",), existing=("a.fr", "c.fr"))


async def test_an_error_of_ours_leaks_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(domain: DomainName) -> None:
        raise RuntimeError(f"s3cret {domain}")

    monkeypatch.setattr(api.store, "find", fail)
    response = await api.post({"domains": ["x.fr"]})

    assert (response.status_code, response.json()) == (500, {"detail": "Something went wrong here."})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"domains": NaN}', 400),
        (b'{"domains": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
        (b'{"domains": ["x.fr"], "n": ' + b"9" * 100_000 + b"}", 400),
        (b'"' + b"x" * MAX_BODY + b'"', 413),
        (b'{"domains": [' + b",".join([b'"x.fr"'] * 1001) + b"]}", 400),
        (b'{"domains": "' + b"x.fr," * 1001 + b'"}', 400),
    ],
    ids=["nothing", "torn", "no text", "NaN", "lists", "objects", "digits", "large", "many", "many as text"],
)
async def test_what_is_too_large_too_deep_or_no_json_is_refused_and_the_next_one_served(
    api: Api, body: bytes, status: int
) -> None:
    assert (await api.post(body)).status_code == status
    assert await api.said({"domains": ["x.fr"]}) == result(created=("x.fr",))


async def test_a_body_without_a_length_is_counted_as_it_comes(api: Api) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 65536

    response = await api.client.post(PATH, headers=BEARER, content=drip())
    assert response.status_code == 413


async def test_a_flood_is_refused_with_the_time_to_come_again(tmp_path: Path) -> None:
    api = Api(tmp_path, client_of, rate=1.0)
    async with api.client:
        statuses = [(await api.post({"domains": ["x.fr"]})).status_code for _ in range(6)]
        assert statuses[:2] == [200, 200]
        assert statuses[-1] == 429
        refused = await api.post({"domains": [f"x{number}.fr" for number in range(100)]})
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert (await api.post({"domains": ["x.fr"]}, BY_CHANNEL)).status_code == 200, "somebody else's bucket"


async def test_each_name_costs_its_caller_and_a_request_that_can_not_be_paid_does_nothing(tmp_path: Path) -> None:
    api = Api(tmp_path, client_of, rate=10.0)
    async with api.client:
        refused = await api.post({"domains": [f"x{number}.fr" for number in range(100)]})
        assert refused.status_code == 429
        assert api.store.objects == {}
        assert (await api.post({"domains": [f"x{number}.fr" for number in range(20)]})).status_code == 200


async def test_a_flood_without_a_key_costs_nobody_who_has_one(tmp_path: Path) -> None:
    api = Api(tmp_path, client_of, rate=1.0)
    async with api.client:
        statuses = {(await api.post({}, {})).status_code for _ in range(20)}
        assert statuses == {403, 429}
        assert (await api.post({"domains": ["x.fr"]})).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_nothing_but_post_is_allowed(api: Api, method: str) -> None:
    assert (await api.client.request(method, PATH, headers=BEARER)).status_code == 405


async def test_the_address_is_reached_with_and_without_its_slash(api: Api) -> None:
    response = await api.client.post(PATH.rstrip("/"), headers=BEARER, json={"domains": ["x.fr"]})
    assert response.json() == result(created=("x.fr",))


# --- what is beside it ------------------------------------------------------------------------------------------------


async def test_the_description_names_what_is_served(api: Api) -> None:
    document = (await api.client.get("/api/v1.0/schema")).json()

    assert document["openapi"] == "3.1.0"
    assert list(document["paths"]) == [PATH]
    operation = document["paths"][PATH]["post"]
    assert {"200", "400", "401", "403", "408", "413", "429", "500", "503"} == set(operation["responses"])
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"domains", "custom_attributes", "oidc_autojoin", "identity_sync"} == set(schema["properties"])


async def test_probes_answer_and_requests_are_counted(api: Api) -> None:
    await api.said({"domains": ["x.fr", "no name"]})
    await api.post({}, {})

    assert (await api.client.get("/healthz")).text == "ok"
    assert (await api.client.get("/readyz")).text == "ok"
    text = (await api.client.get("/metrics")).text
    assert f'maildomain_api_requests_total{{path="{PATH}",status="200"}} 1.0' in text
    assert f'maildomain_api_requests_total{{path="{PATH}",status="403"}} 1.0' in text
    assert 'maildomain_provisioned_names_total{outcome="created"} 1.0' in text
    assert 'maildomain_provisioned_names_total{outcome="not_a_name"} 1.0' in text
    assert "x.fr" not in text

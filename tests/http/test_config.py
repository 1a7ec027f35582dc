"""What everybody may read at `GET /api/v1.0/config/`: both feature flags, as this process started with them (A-83)."""

from typing import Any

import httpx
import jsonschema
import pytest

from controller.observability.metrics import Metrics
from controller.provisioning.application import application
from controller.provisioning.config import PATH, config
from controller.settings import read_settings

CREATE, MANAGE = "FEATURE_MAILDOMAIN_CREATE", "FEATURE_MAILDOMAIN_MANAGE_ACCESSES"


def client_of() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application([config(read_settings())], Metrics()))
    return httpx.AsyncClient(transport=transport, base_url="http://api.example")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (CREATE, MANAGE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("set_to", "shown"),
    [
        ({}, {CREATE: True, MANAGE: True}),
        ({CREATE: "false"}, {CREATE: False, MANAGE: True}),
        ({MANAGE: "0"}, {CREATE: True, MANAGE: False}),
        ({CREATE: "False", MANAGE: "no"}, {CREATE: False, MANAGE: False}),
    ],
)
@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/")])
async def test_both_flags_are_shown_to_whoever_has_no_key(
    monkeypatch: pytest.MonkeyPatch, set_to: dict[str, str], shown: dict[str, bool], path: str
) -> None:
    for name, value in set_to.items():
        monkeypatch.setenv(name, value)
    async with client_of() as client:
        response = await client.get(path)

    assert (response.status_code, response.json()) == (200, shown)


async def test_a_flag_that_changes_later_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of() as client:
        monkeypatch.setenv(CREATE, "false")
        assert (await client.get(PATH)).json()[CREATE] is True


async def test_the_description_says_that_no_key_is_needed() -> None:
    async with client_of() as client:
        document: dict[str, Any] = (await client.get("/api/v1.0/schema")).json()
        operation = document["paths"][PATH]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate((await client.get(PATH)).json(), schema | {"additionalProperties": False})

    assert "security" not in operation
    assert set(operation["responses"]) == {"200"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_there_is_nothing_to_set(method: str) -> None:
    async with client_of() as client:
        assert (await client.request(method, PATH, json={CREATE: False})).status_code == 405
        assert (await client.get(PATH)).json()[CREATE] is True

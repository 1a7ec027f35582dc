"""Does docs/provisioning.md show what the API does? Its template, its requests, its webhooks as they are sent."""

import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.observability.metrics import Metrics
from controller.planning.facts import Hint
from controller.provisioning import config as showing
from controller.provisioning import hooks as hooking
from controller.provisioning import maildomains as declaring_of
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, Channel, EitherContract, KeyRing
from controller.provisioning.declaring import Declaring, Trouble
from controller.provisioning.folder import FolderStore
from controller.provisioning.hooks import hooks
from controller.provisioning.maildomains import maildomains
from controller.provisioning.rates import Rates
from controller.provisioning.template import read_template
from controller.resources.names import Email
from tests.docs.pages import ROOT, Block, page, plain
from tests.support.provisioning import write_keys

PAGE = page(ROOT / "docs" / "provisioning.md")
SENT: dict[str, Any] = {
    "event_type": "subscription.updated",
    "subscription_is_active": True,
    "subscription_domains": "d1.mairie-004.example,d2.mairie-004.example",
    "organization_siret": "21000000000004",
    "organization_roles": [{"email": "u000@d1.mairie-004.example", "roles": ["admin"]}],
    "service_roles": [{"email": "u001@d1.mairie-004.example", "roles": {"admin": {"scope": {}}}}],
    "account_email": None,
}
"""What the service fills its templates with."""


def block(language: str, word: str) -> Block:
    [found] = [item for item in PAGE.blocks if item.language == language and word in item.text]
    return found


class Book:
    def __init__(self) -> None:
        self.noted: set[Hint] = set()

    def note_hints(self, hints: frozenset[Hint]) -> int:
        self.noted |= hints
        return len(hints)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def client(tmp_path: Path, book: Book) -> AsyncIterator[httpx.AsyncClient]:
    """The API as the page installs it without a cluster, with the page's template and keys."""
    shown = tmp_path / "template.yaml"
    shown.write_text(block("yaml", "sourceRefs").text, encoding="utf-8")
    domains = tmp_path / "domains"
    domains.mkdir()
    keys = KeyRing(write_keys(tmp_path / "keys", deploycenter="KEY\n$KEY"))
    metrics, rates = Metrics(), Rates(1000, 1000)
    gate = EitherContract(Bearer(keys), Channel(KeyRing(None)))
    endpoints = [
        maildomains(gate, rates, Declaring(FolderStore(domains), read_template(shown)), metrics),
        hooks(Bearer(KeyRing(write_keys(tmp_path / "hooks", deploycenter="HOOKS_KEY"))), rates, book, metrics),
    ]
    transport = httpx.ASGITransport(app=application(endpoints, metrics))
    async with httpx.AsyncClient(transport=transport) as found:
        yield found


async def test_the_request_that_is_shown_makes_the_domain_that_is_shown(client: httpx.AsyncClient) -> None:
    [_, _, header, _, body, url] = shlex.split(block("sh", "curl").text)
    name, _, value = header.partition(": ")
    response = await client.post(url, content=body, headers={name: value})

    shown = json.loads(block("json", '"created"').text)
    assert response.json()["created"] == shown["created"]
    assert shown["errors"] == [{"domain": "no name", "error": str(Trouble.NOT_A_NAME)}]


async def test_the_webhooks_that_are_shown_do_their_work(client: httpx.AsyncClient, book: Book) -> None:
    answers = []
    for webhook in json.loads(block("json", '"webhooks"').text)["webhooks"]:
        body = filled(webhook["body"])
        answers.append(await client.post(webhook["url"], json=body, headers=webhook["headers"]))

    domains, hint = answers
    assert domains.json()["created"] == SENT["subscription_domains"].split(",")
    assert hint.status_code == 202
    people = {Email(roles[0]["email"]) for roles in (SENT["organization_roles"], SENT["service_roles"])}
    assert book.noted == people | set(SENT["subscription_domains"].split(","))


async def test_the_webhook_of_a_subscription_that_ended_creates_nothing(client: httpx.AsyncClient) -> None:
    webhook = json.loads(block("json", '"webhooks"').text)["webhooks"][0]
    body = filled(webhook["body"]) | {"is_active": False}

    answer = await client.post(webhook["url"], json=body, headers=webhook["headers"])
    assert answer.json() == {"created": [], "existing": [], "errors": []}


def filled(template: Any) -> Any:
    """A template as the service fills it in."""
    if isinstance(template, dict):
        if set(template) == {"$val"}:
            return SENT[template["$val"]]
        return {name: filled(part) for name, part in template.items()}
    return template


def test_each_text_of_a_name_stands_there_with_a_remedy() -> None:
    rows = [row for row in PAGE.table("Domains") if plain(row[0]) in set(Trouble)]

    assert [plain(row[0]) for row in rows] == [str(trouble) for trouble in Trouble]
    assert all(row[1] for row in rows)


def test_the_addresses_are_those_that_are_served() -> None:
    text = PAGE.path.read_text(encoding="utf-8")

    for path in (declaring_of.PATH, hooking.PATH, showing.PATH, "/api/v1.0/schema"):
        assert path in text

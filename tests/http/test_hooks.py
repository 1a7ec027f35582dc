"""The address of DeployCenter's webhooks: whatever comes with a key is accepted, and nothing in it is believed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from controller.errors import DatabaseUnavailable
from controller.observability import lasting
from controller.observability.metrics import Metrics
from controller.planning.facts import Hint
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, KeyRing
from controller.provisioning.bodies import MAX_BODY
from controller.provisioning.hooks import PATH, hooks
from controller.provisioning.rates import Rates
from controller.resources.names import Email
from tests.support.provisioning import BEARER, BY_CHANNEL, KEY, write_keys


class Book:
    """Hints in memory."""

    def __init__(self) -> None:
        self.noted: set[Hint] = set()
        self.room = 1000
        self.broken = False

    def note_hints(self, hints: frozenset[Hint]) -> int:
        if self.broken:
            raise DatabaseUnavailable("away")
        self.noted |= hints
        return min(len(hints), self.room)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def client(tmp_path: Path, book: Book) -> AsyncIterator[httpx.AsyncClient]:
    gate = Bearer(KeyRing(write_keys(tmp_path / "keys", deploycenter=KEY)))
    metrics = Metrics()
    app = application([hooks(gate, Rates(1, 50), book, metrics)], metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.example") as found:
        yield found


async def test_whom_a_hook_names_is_noted(client: httpx.AsyncClient, book: Book) -> None:
    response = await client.post(PATH, headers=BEARER, json={"account_email": "a@x.example", "domains": "x.example"})

    assert (response.status_code, response.json()) == (202, {"detail": "Accepted."})
    assert book.noted == {Email("a@x.example"), "x.example"}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"not json", b'{"event_type": "unheard.of"}', b"[" * 100_000])
async def test_a_body_that_says_nothing_is_accepted_and_ignored(
    client: httpx.AsyncClient, book: Book, body: bytes
) -> None:
    assert (await client.post(PATH, headers=BEARER, content=body)).status_code == 202
    assert book.noted == set()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer other"}, BY_CHANNEL])
async def test_without_its_own_key_nothing_is_noted(
    client: httpx.AsyncClient, book: Book, headers: dict[str, str]
) -> None:
    assert (await client.post(PATH, headers=headers, json={"domains": "x.example"})).status_code == 403
    assert book.noted == set()


async def test_an_answer_never_tells_who_is_known(client: httpx.AsyncClient) -> None:
    answers = [
        (await client.post(PATH, headers=BEARER, json=body)).content
        for body in ({"account_email": "a@x.example"}, {"account_email": "nobody"}, {})
    ]
    assert len(set(answers)) == 1


async def test_what_finds_no_room_is_counted(client: httpx.AsyncClient, book: Book) -> None:
    book.room = 1
    assert (await client.post(PATH, headers=BEARER, json={"domains": "a.example,b.example"})).status_code == 202

    text = (await client.get("/metrics")).text
    assert 'maildomain_hints_total{outcome="noted"} 1.0' in text
    assert 'maildomain_hints_total{outcome="dropped"} 1.0' in text


async def test_a_database_that_is_away_is_said(client: httpx.AsyncClient, book: Book) -> None:
    book.broken = True
    response = await client.post(PATH, headers=BEARER, json={"domains": "x.example"})

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


async def test_a_database_that_is_away_for_long_is_one_error(
    client: httpx.AsyncClient, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "LASTING", 0.0)
    with capture_logs() as records:
        for broken in (True, True, False):
            book.broken = broken
            await client.post(PATH, headers=BEARER, json={"domains": "x.example"})
    assert [record["event"] for record in records] == [
        "hints_not_noted",
        "failure_lasts",
        "hints_not_noted",
        "failure_over",
    ]


async def test_a_flood_and_a_large_body_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, headers=BEARER, content=b"x" * (MAX_BODY + 1))).status_code == 413
    body: dict[str, Any] = {"domains": "x.example"}
    statuses = [(await client.post(PATH, headers=BEARER, json=body)).status_code for _ in range(60)]

    assert statuses[0] == 202
    assert statuses[-1] == 429

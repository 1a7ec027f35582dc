"""What is sent to the mail application, and what does its answer mean? Both versions of its contract (A-71..A-76)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from controller.errors import InvalidInput, SecretMissing
from controller.messages import client
from controller.messages.client import Messages, Outcome
from controller.messages.opening import opened, read_endpoint
from controller.planning.founding import Order
from controller.resources.names import DomainName
from controller.settings import Settings

URL = "https://messages.example/api/v1.0/provisioning/maildomains/"
X = DomainName("x.example")
CREATE = Order(X, creates=True, oidc_autojoin=None, identity_sync=None, custom_attributes=None)
UPDATE = Order(X, creates=False, oidc_autojoin=False, identity_sync=True, custom_attributes={"siret": "1", "old": [1]})


def answer(**lists: list[Any]) -> httpx.Response:
    return httpx.Response(200, json={"created": [], "existing": [], "errors": [], **lists})


async def send(order: Order = CREATE, *, channel: str | None = None, times: int = 1) -> list[Outcome]:
    messages = Messages(URL, lambda: "key", channel=channel)
    try:
        return [await messages.carry_out(order) for _ in range(times)]
    finally:
        await messages.close()


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "body"),
    [
        (CREATE, {"domains": ["x.example"]}),
        (
            UPDATE,
            {
                "domains": ["x.example"],
                "custom_attributes": {"siret": "1", "old": [1]},
                "oidc_autojoin": False,
                "identity_sync": True,
            },
        ),
    ],
)
@respx.mock
async def test_an_order_is_sent_as_it_is(order: Order, body: dict[str, Any]) -> None:
    route = respx.post(URL).mock(return_value=answer(created=["x.example"]))
    assert await send(order) == [Outcome.DONE]
    request = route.calls.last.request
    assert json.loads(request.content) == body
    assert request.headers["Authorization"] == "Bearer key"
    assert not request.headers.keys() & {"cookie", "x-channel-id", "x-api-key"}


@respx.mock
async def test_a_channel_names_itself_and_sends_no_bearer() -> None:
    route = respx.post(URL).mock(return_value=answer(existing=["x.example"]))
    assert await send(channel="c-1", times=2) == [Outcome.DONE] * 2
    for call in route.calls:
        assert (call.request.headers["X-Channel-Id"], call.request.headers["X-API-Key"]) == ("c-1", "key")
        assert "Authorization" not in call.request.headers


@respx.mock
async def test_an_older_application_is_found_out_by_one_refusal_and_remembered() -> None:
    def older(request: httpx.Request) -> httpx.Response:
        return answer(created=["x.example"]) if "Authorization" in request.headers else httpx.Response(403)

    route = respx.post(URL).mock(side_effect=older)
    assert await send(channel="c-1", times=3) == [Outcome.DONE] * 3
    assert route.call_count == 4


@respx.mock
async def test_a_key_that_neither_version_takes_is_said() -> None:
    respx.post(URL).mock(return_value=httpx.Response(401))
    assert await send(channel="c-1") == [Outcome.UNAUTHENTICATED]
    assert await send() == [Outcome.UNAUTHENTICATED]


@respx.mock
async def test_a_version_that_has_answered_is_not_doubted_by_a_later_refusal() -> None:
    route = respx.post(URL).mock(side_effect=[answer(created=["x.example"]), httpx.Response(403), httpx.Response(403)])
    outcomes = await send(channel="c-1", times=3)
    assert outcomes == [Outcome.DONE, Outcome.UNAUTHENTICATED, Outcome.UNAUTHENTICATED]
    assert all("X-Channel-Id" in call.request.headers for call in route.calls)


# --- what an answer means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (answer(created=["x.example"]), Outcome.DONE),
        (answer(existing=["x.example"]), Outcome.DONE),
        (answer(errors=[{"domain": "x.example", "error": "dsi@x.example is no attribute"}]), Outcome.REFUSED),
        (httpx.Response(400, json={"custom_attributes": ["no"]}), Outcome.REFUSED),
        (answer(created=["other.example"]), Outcome.UNAVAILABLE),
        (answer(), Outcome.UNAVAILABLE),
        (httpx.Response(200, html="<h1>Connexion</h1>"), Outcome.UNAVAILABLE),
        (httpx.Response(200, json=[]), Outcome.UNAVAILABLE),
        (httpx.Response(200, json={"created": None, "existing": [], "errors": []}), Outcome.UNAVAILABLE),
        (httpx.Response(200, json={"created": [], "existing": [], "errors": ["x.example"]}), Outcome.UNAVAILABLE),
        (httpx.Response(200, content=b" " * (client.MAX_BODY + 1)), Outcome.UNAVAILABLE),
        (httpx.Response(200, content=b"[" * 100_000), Outcome.UNAVAILABLE),
        (httpx.Response(401), Outcome.UNAUTHENTICATED),
        (httpx.Response(403), Outcome.UNAUTHENTICATED),
        (httpx.Response(302, headers={"Location": "https://login.example/"}), Outcome.UNAVAILABLE),
        (httpx.Response(404), Outcome.UNAVAILABLE),
        (httpx.Response(429), Outcome.UNAVAILABLE),
        (httpx.Response(500), Outcome.UNAVAILABLE),
    ],
)
@respx.mock
async def test_what_an_answer_means(response: httpx.Response, outcome: Outcome) -> None:
    route = respx.post(URL).mock(return_value=response)
    assert await send() == [outcome]
    assert route.call_count == 1


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, OSError])
@respx.mock
async def test_no_answer_is_unavailable(error: type[Exception]) -> None:
    respx.post(URL).mock(side_effect=error)
    assert await send() == [Outcome.UNAVAILABLE]


# --- on real connections ----------------------------------------------------------------------------------------------

Handler = Callable[[web.Request], Any]


@asynccontextmanager
async def served(handle: Handler) -> AsyncIterator[str]:
    """A mail application on loopback."""
    application = web.Application()
    application.router.add_post("/api/v1.0/provisioning/maildomains/", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1.0/provisioning/maildomains/"
    finally:
        await runner.cleanup()


async def test_the_key_is_read_again_for_each_request(tmp_path: Path) -> None:
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"created": (await request.json())["domains"], "existing": [], "errors": []})

    key = tmp_path / "key"
    async with served(handle) as url:
        endpoint = read_endpoint(Settings(messages_url=url, messages_key_file=key))
        async with opened(endpoint) as messages:
            assert messages is not None
            assert await messages.carry_out(CREATE) is Outcome.UNAUTHENTICATED
            for text in ("one\n", "two"):
                key.write_text(text)
                assert await messages.carry_out(CREATE) is Outcome.DONE
    assert seen == ["Bearer one", "Bearer two"]


async def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    release = asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with served(handle) as url:
        messages = Messages(url, lambda: "key", channel=None)
        assert await messages.carry_out(CREATE) is Outcome.UNAVAILABLE
        await messages.close()
        release.set()


# --- settings ---------------------------------------------------------------------------------------------------------


async def test_without_an_address_nobody_creates_domains() -> None:
    assert read_endpoint(Settings(messages_url=None, messages_key_file=None)) is None
    async with opened(None) as messages:
        assert messages is None


def test_an_address_without_a_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match="MDC_MESSAGES_KEY_FILE"):
        read_endpoint(Settings(messages_url=URL, messages_key_file=None))


@pytest.mark.parametrize("content", [b"", b" \n", b"two\nlines", "clé".encode()])
def test_a_file_without_a_usable_key_is_said_without_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    endpoint = read_endpoint(Settings(messages_url=URL, messages_key_file=file))
    assert endpoint is not None
    with pytest.raises(SecretMissing, match="holds no usable key"):
        endpoint.key()

"""What happens on real connections: kept, cut, slow, huge, redirected, proxied, encrypted."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.entitlements.deploycenter import DeployCenterSource
from controller.entitlements.opening import open_source
from controller.entitlements.pacing import Lanes
from controller.entitlements.sweep import sweep
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Malformed, Unavailable, Unknown, Verdict
from controller.resources.model import SecretKeyRef
from controller.resources.names import DomainName
from controller.sandbox.deploycenter import Behaviour, Double
from tests.support.deploycenter import ADMIN, API_KEY, declared, opened, subject, world

TLS = Path(__file__).parent / "tls"
BODY = b'{"entitlements":{"can_access":true,"can_admin_maildomains":["d1.example"]}}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
RIGHTS = Entitled(frozenset({DomainName("d1.example"), DomainName("d2.example")}))

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that writes bytes by itself; gives its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}/api/v1.0/entitlements/"


async def a_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


VERDICTS: dict[Behaviour, Verdict] = {
    Behaviour.DOWN: Unavailable(R.CONNECTION),
    Behaviour.SERVER_ERROR: Unavailable(R.SERVER_ERROR),
    Behaviour.UNAUTHENTICATED: Unavailable(R.UNAUTHENTICATED),
    Behaviour.THROTTLED: Unavailable(R.THROTTLED),
    Behaviour.UNDER_MAINTENANCE: Unavailable(R.THROTTLED),
    Behaviour.LOGIN_PAGE: Malformed(R.NOT_JSON),
    Behaviour.REDIRECT: Unavailable(R.REDIRECT),
    Behaviour.SLOW: Unavailable(R.TIMEOUT),
    Behaviour.DRIP: Unavailable(R.TIMEOUT),
    Behaviour.TRUNCATED: Unavailable(R.CONNECTION),
    Behaviour.HUGE: Malformed(R.TOO_LARGE),
    Behaviour.GZIP_BOMB: Malformed(R.NOT_JSON),
    Behaviour.EMPTY: Entitled(frozenset()),
    Behaviour.KEY_ABSENT: Unknown(R.NOT_ACTIVATED),
    Behaviour.CLOSE: RIGHTS,
    Behaviour.COOKIE: RIGHTS,
}


@pytest.mark.parametrize(("behaviour", "verdict"), VERDICTS.items())
async def test_every_behaviour_is_a_verdict(double: Double, url: str, behaviour: Behaviour, verdict: Verdict) -> None:
    double.behaviour = behaviour
    async with opened(url) as source:
        reply = await source.ask(subject())
    assert (reply.verdict, reply.requests, double.requests) == (verdict, 1, 1)


def test_no_behaviour_is_left_out() -> None:
    assert VERDICTS.keys() == set(Behaviour)


async def test_nobody_listening_is_a_connection_failure(double: Double) -> None:
    async with double.serve() as gone:
        pass
    async with opened(gone) as source:
        assert (await source.ask(subject())).verdict == Unavailable(R.CONNECTION)


async def test_one_connection_serves_one_ask_after_another(double: Double, url: str) -> None:
    async with opened(url) as source:
        for _ in range(10):
            assert (await source.ask(subject())).verdict == RIGHTS
    assert double.connections == 1


async def test_a_service_that_closes_each_connection_is_answered_just_the_same(double: Double, url: str) -> None:
    double.behaviour = Behaviour.CLOSE
    async with opened(url) as source:
        replies = [await source.ask(subject()) for _ in range(5)]
    assert [(reply.verdict, reply.requests) for reply in replies] == [(RIGHTS, 1)] * 5
    assert double.connections == 5


async def test_a_connection_that_was_kept_too_long_is_replaced_at_once() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(RESPONSE)
        await a_request(reader)

    async with server(once) as url, opened(url) as source:
        replies = [await source.ask(subject()) for _ in range(3)]
    assert [type(reply.verdict) for reply in replies] == [Entitled] * 3
    assert [reply.requests for reply in replies] == [1, 2, 2]


async def test_it_is_replaced_once_only() -> None:
    connections = 0

    async def first_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await a_request(reader)
        if connections == 1:
            writer.write(RESPONSE)
            await a_request(reader)

    async with server(first_only) as url, opened(url) as source:
        await source.ask(subject())
        reply = await source.ask(subject())
    assert (reply.verdict, reply.requests, connections) == (Unavailable(R.CONNECTION), 2, 2)


async def test_a_response_that_had_begun_is_not_asked_for_again() -> None:
    async def cut_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(RESPONSE)
        await a_request(reader)
        writer.write(RESPONSE[:-10])

    async with server(cut_the_second) as url, opened(url) as source:
        await source.ask(subject())
        reply = await source.ask(subject())
    assert (reply.verdict, reply.requests) == (Unavailable(R.CONNECTION), 1)


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 200 OK\r\nX: ", b"nonsense\r\n\r\n", b"\0" * 100, b"HTTP/1.1 999 \r\n\r\n"]
)
async def test_what_is_no_http_is_unavailable(line: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(line)

    async with server(talk) as url, opened(url) as source:
        assert isinstance((await source.ask(subject())).verdict, Unavailable)


async def test_endless_headers_are_unavailable() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Header: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with server(talk) as url, opened(url) as source:
        assert (await source.ask(subject())).verdict == Unavailable(R.CONNECTION)


async def test_a_redirect_is_not_followed_and_the_key_stays_here(double: Double, url: str) -> None:
    target = Double(world())
    async with target.serve() as elsewhere:
        double.behaviour, double.redirect_to = Behaviour.REDIRECT, elsewhere
        async with opened(url) as source:
            assert (await source.ask(subject())).verdict == Unavailable(R.REDIRECT)
    assert target.requests == 0


@pytest.mark.parametrize(
    "header",
    [
        b"Location: http://[::1",
        b"Location: http://a:99999999/",
        b"Location: \xff\xfe",
        b"Location: //",
        b"Location: http:///x",
        b"Location: mailto:x@y.example",
        b"Location: http://xn--/",
        b"Location: ",
        b"Set-Cookie: \xff=; Domain=.; Expires=never",
        b"Location: http://a/" + b"x" * 70_000,
    ],
)
async def test_hostile_headers_are_unavailable(header: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + header + b"\r\n\r\n")

    async with server(talk) as url, opened(url) as source:
        assert isinstance((await source.ask(subject())).verdict, Unavailable)


async def test_the_missing_slash_is_a_redirect_too(url: str) -> None:
    async with opened(url.rstrip("/")) as source:
        assert (await source.ask(subject())).verdict == Unavailable(R.REDIRECT)


async def test_cookies_are_not_kept(double: Double, url: str) -> None:
    double.behaviour = Behaviour.COOKIE
    async with opened(url) as source:
        await source.ask(subject())
        await source.ask(subject())
        assert isinstance(source, DeployCenterSource)
        assert not source._client.cookies
    assert double.requests == 2
    assert "Cookie" not in double.last_headers


async def test_no_credentials_are_taken_from_netrc(
    double: Double, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with opened(url) as source:
        assert (await source.ask(subject())).verdict == RIGHTS
    assert "Authorization" not in double.last_headers
    assert double.last_headers["X-Service-Auth"] == f"Bearer {API_KEY}"


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def test_a_proxy_of_the_environment_is_used(double: Double, url: str, no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("HTTP_PROXY", url.removesuffix("/api/v1.0/entitlements/"))
    async with opened("http://dc.example/api/v1.0/entitlements/") as source:
        assert (await source.ask(subject())).verdict == RIGHTS
    assert double.last_headers["Host"] == "dc.example"


async def test_no_proxy_is_honoured(double: Double, url: str, no_proxies: pytest.MonkeyPatch) -> None:
    proxy = Double(world())
    async with proxy.serve() as address:
        no_proxies.setenv("HTTP_PROXY", address.removesuffix("/api/v1.0/entitlements/"))
        no_proxies.setenv("NO_PROXY", "example.org,127.0.0.1")
        async with opened(url) as source:
            assert (await source.ask(subject())).verdict == RIGHTS
    assert (proxy.requests, double.requests) == (0, 1)


def certified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    return context


async def answer_well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await a_request(reader)
    writer.write(RESPONSE)
    await writer.drain()


async def test_a_private_authority_is_trusted_when_its_bundle_is_named() -> None:
    def secret(reference: SecretKeyRef) -> str:
        return "# Autorité privée\n" + (TLS / "localhost.crt").read_text() if reference.key == "ca.crt" else API_KEY

    async with server(answer_well, tls=certified()) as url:
        source = open_source(declared(url, caBundleSecretRef={"name": "ca", "key": "ca.crt"}), secret, Lanes())
        reply = await source.ask(subject())
        await source.close()
    assert isinstance(reply.verdict, Entitled)


async def test_an_authority_that_nobody_knows_is_a_connection_failure() -> None:
    async with server(answer_well, tls=certified()) as url, opened(url) as source:
        assert (await source.ask(subject())).verdict == Unavailable(R.CONNECTION)


async def test_an_ask_under_way_when_its_source_closes_is_unavailable() -> None:
    arrived, over = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        arrived.set()
        await over.wait()

    async with server(say_nothing) as url:
        source = open_source(declared(url, timeout="30s"), lambda _: API_KEY, Lanes())
        asking = asyncio.create_task(source.ask(subject()))
        await arrived.wait()
        await source.close()
        assert (await asking).verdict == Unavailable(R.CONNECTION)
        over.set()
        late = await source.ask(subject())
        assert (late.verdict, late.requests) == (Unavailable(R.CONNECTION), 0)
        await source.close()


async def test_no_more_asks_are_under_way_than_allowed(double: Double, url: str) -> None:
    verdicts: list[Verdict] = []
    async with opened(url, concurrency=3) as source:
        await sweep(
            source, (subject(user=str(number)) for number in range(60)), lambda _, r: verdicts.append(r.verdict)
        )
    assert verdicts == [RIGHTS] * 60
    assert double.largest_concurrency <= 3
    assert double.connections <= 3
    assert double.asked == {ADMIN: 60}

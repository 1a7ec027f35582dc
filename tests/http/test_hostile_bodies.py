"""Nothing but bytes that say so are `Entitled`: real answers, torn, spliced, re-encoded; a second reader judges."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controller.entitlements.answer import Received, read_answer
from controller.planning.facts import AnswerReason, Entitled, Malformed, Verdict
from controller.resources.names import DomainName
from tests.support.deploycenter import opened, subject
from tests.support.strictjson import Members, NotStrictError, Number, read_strictly, repeats_somewhere

JSON = "application/json"
ORGANIZATION = {"id": "de9b5cb9-2998-45e3-8101-3bcbdd688533", "type": "commune", "name": "Commune 001"}

# --- the second opinion -----------------------------------------------------------------------------------------------


def proved(body: bytes) -> frozenset[str] | None:
    """The domains that these bytes say for certain, or None when they say nothing of the kind."""
    try:
        document = read_strictly(body)
        if not isinstance(document, Members) or repeats_somewhere(document):
            return None
        entitlements = document.only("entitlements")
        names = entitlements.only("can_admin_maildomains") if isinstance(entitlements, Members) else None
    except (NotStrictError, KeyError):
        return None
    if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
        return None
    read = [host(name) for name in names]
    return None if None in read else frozenset(name for name in read if name is not None)


def host(text: str) -> str | None:
    """A host name by RFC 1123, lower-cased; other labels by RFC 3492, wherever the reader takes them at all."""
    name = "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text.strip())
    labels = [label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in name.split(".")]
    plain = all(
        0 < len(label) < 64 and set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and label.strip("-") == label
        for label in labels
    )
    name = ".".join(labels)
    return name if plain and 2 <= len(name) <= 253 else None


def judge(verdict: Verdict, body: bytes) -> None:
    """Entitled only where the bytes prove it, with exactly those names."""
    if isinstance(verdict, Entitled):
        assert verdict.domains == proved(body)


# --- what a service, a proxy or a portal may send ---------------------------------------------------------------------

ANSWERS: tuple[dict[str, Any], ...] = (
    {
        "organization": {**ORGANIZATION, "oidc_valid": None},
        "operator": {
            "id": "1b135e5f",
            "name": "Syndicat Alpha",
            "config": {"idps": [], "support_email": "s@a.example"},
        },
        "entitlements": {
            "can_access": True,
            "can_store": False,
            "can_store_resolve_level": "organization",
            "can_admin_maildomains": ["d1.mairie-001.example", "d2.mairie-001.example", "d3.mairie-001.example"],
        },
    },
    {"organization": ORGANIZATION, "entitlements": {"can_access": True, "can_admin_maildomains": []}},
    {"entitlements": {"can_admin_maildomains": ["Mairie-047.EXAMPLE", "élan-047.example", " y.example"]}},
    {"organization": None, "entitlements": {"can_access": False, "can_access_reason": "no_organization"}},
    {"entitlements": {"can_admin_maildomains": [1, None, "x.example"]}},
    {"can_admin_maildomains": [], "entitlements": {"can_access": True}},
)
PORTAL = b"<!doctype html><html><head><title>Connexion</title></head><body>can_admin_maildomains: []</body></html>"
SPLINTERS = (
    b'"entitlements":{"can_admin_maildomains":[]},',
    b'"entitlements":{},',
    b'"can_admin_maildomains":[],',
    b'"can_admin_maildomain\\u0073":[],',
    b'"can_admin_maildomains":null,',
    b'"can_access":"yes",',
    b'"x":NaN,',
    b'"x":-Infinity,',
    b'"x":' + b"9" * 5000 + b",",
    b'"x":1e999999,',
    b'"x":01,',
    b'"x":' + b"[" * 40 + b"]" * 40 + b",",
    b'"x":"\\ud800",',
    b"'x':1,",
    b"/* nothing */",
    b"null",
    b"[]",
    b",",
    b"]",
    b"}",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\\",
    PORTAL,
)
Change = Callable[[bytes], bytes]


def cut(at: int) -> Change:
    return lambda body: body[: at % (len(body) + 1)]


def without(at: int, length: int) -> Change:
    return lambda body: body[: at % (len(body) + 1)] + body[at % (len(body) + 1) + length :]


def twice(at: int, length: int) -> Change:
    def change(body: bytes) -> bytes:
        start = at % (len(body) + 1)
        return body[: start + length] + body[start:]

    return change


def spliced(at: int, splinter: bytes) -> Change:
    """After a bracket, where a member or an item may stand, as often as not."""

    def change(body: bytes) -> bytes:
        places = [place + 1 for place, byte in enumerate(body) if byte in b"{[,"] or [0]
        place = places[at % len(places)]
        return body[:place] + splinter + body[place:]

    return change


def replaced(at: int, byte: int) -> Change:
    def change(body: bytes) -> bytes:
        place = at % max(1, len(body))
        return body[:place] + bytes([byte]) + body[place + 1 :]

    return change


def spelled(encoding: str) -> Change:
    return lambda body: body.decode("utf-8", errors="replace").encode(encoding, errors="replace")


PLACE = st.integers(0, 2000)
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(spliced, PLACE, st.sampled_from(SPLINTERS)),
    st.builds(spliced, PLACE, st.sampled_from(SPLINTERS[:7])),
    st.builds(cut, PLACE),
    st.builds(without, PLACE, st.integers(1, 60)),
    st.builds(twice, PLACE, st.integers(1, 120)),
    st.builds(replaced, PLACE, st.integers(0, 255)),
    st.builds(spelled, st.sampled_from(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7"])),
    st.sampled_from([gzip.compress, zlib.compress, lambda body: body + body, lambda body: PORTAL + body]),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A real answer, changed a few times."""
    answer = draw(st.sampled_from(ANSWERS))
    layout: dict[str, Any] = {"separators": (",", ":")} if draw(st.booleans()) else {"indent": 1}
    body = json.dumps(answer, ensure_ascii=draw(st.booleans()), **layout).encode()
    for change in draw(st.lists(changes, max_size=3)):
        body = change(body)
    return body


at_leisure = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@settings(at_leisure, max_examples=1200)
@given(bodies())
@example(b'{"entitlements":{"can_admin_maildomains":["d1.example"],"can_admin_maildomain\\u0073":[]}}')
@example(b'{"entitlements":{"can_admin_maildomains":[]},"x":{"a":1,"a":2}}')
def test_no_body_is_entitled_unless_its_bytes_say_so(body: bytes) -> None:
    judge(read_answer(Received(200, JSON, body)).verdict, body)


@settings(at_leisure, max_examples=200)
@given(
    body=bodies() | st.sampled_from([json.dumps(answer).encode() for answer in ANSWERS[:2]]),
    status=st.sampled_from([200, 200, 206]) | st.integers(100, 599),
    content_type=st.just(JSON) | st.sampled_from(["text/html", "", f"{JSON}, text/html", f"{JSON};charset=utf-16"]),
    encoding=st.sampled_from(["", "identity", "gzip", "deflate", "br", "gzip, gzip", "identity, gzip", "x"]),
)
def test_no_header_makes_a_body_say_more(body: bytes, status: int, content_type: str, encoding: str) -> None:
    verdict = read_answer(Received(status, content_type, body, encoding)).verdict
    judge(verdict, body)
    if isinstance(verdict, Entitled):
        assert (status // 100, content_type) == (2, JSON)
        assert encoding in ("", "identity")


@settings(at_leisure, max_examples=200)
@given(st.lists(st.sampled_from(["a.example", "B.Example ", "élan-047.example"]), max_size=5), st.booleans(), st.data())
def test_what_is_said_plainly_is_heard(names: list[str], ascii_only: bool, data: st.DataObject) -> None:
    """The opposite mistake: a reader that is sure of nothing would never revoke, and never grant."""
    others = data.draw(
        st.dictionaries(st.text(max_size=5).filter(lambda key: key != "entitlements"), PLACE, max_size=4)
    )
    document = {**others, "entitlements": {"can_admin_maildomains": names}}
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    expected = proved(body)
    assert expected is not None
    assert read_answer(Received(200, JSON, body)).verdict == Entitled(frozenset(map(DomainName, expected)))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"entitlements":{"can_admin_maildomains":["a.example"]}}', frozenset({"a.example"})),
        (b'{"entitlements":{"can_admin_maildomains":[]},"entitlements":{"can_admin_maildomains":[]}}', None),
        (b'{"x":{"a":1,"a":1},"entitlements":{"can_admin_maildomains":[]}}', None),
        (b'{"entitlements":{"can_admin_maildomains":[1]}}', None),
        (b'{"entitlements":{"can_admin_maildomains":[]},}', None),
        (b'{"entitlements":{"can_admin_maildomains":[]},"x":+1}', None),
        (b'\xef\xbb\xbf{"entitlements":{"can_admin_maildomains":[]}}', None),
    ],
)
def test_the_second_reader_reads(body: bytes, names: frozenset[str] | None) -> None:
    assert proved(body) == names


def test_the_second_reader_tells_numbers_from_texts() -> None:
    assert read_strictly(b'[-0.5e+3, "\\u00e9"]') == [Number("-0.5e+3"), "é"]


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = gzip.compress(b'{"entitlements":{"can_admin_maildomains":[]},"x":"' + b"0" * 30_000_000 + b'"}')
    assert len(bomb) < 40_000
    for encoding in ("gzip", "", "identity"):
        assert read_answer(Received(200, JSON, bomb, encoding)).verdict == Malformed(AnswerReason.NOT_JSON)


# --- the same on a wire -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Framed:
    """A response as a server writes it, and the body that a client may believe in; None when it was cut."""

    head: bytes
    written: bytes
    believed: bytes | None


def framed(body: bytes, framing: str, cut_at: int, headers: bytes) -> Framed:
    start = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n" + headers
    length = len(body)
    part = body[: cut_at % (length + 1)]
    chunk = b"%x\r\n%b\r\n" % (length, body) if body else b""
    match framing:
        case "long":
            return Framed(start + b"Content-Length: %d\r\n\r\n" % (length + 1), body, None)
        case "short":
            return Framed(start + b"Content-Length: %d\r\n\r\n" % len(part), body, part)
        case "chunks":
            return Framed(start + b"Transfer-Encoding: chunked\r\n\r\n", chunk + b"0\r\n\r\n", body)
        case "cut chunks":
            return Framed(start + b"Transfer-Encoding: chunked\r\n\r\n", chunk, None)
        case "until closed":
            return Framed(start + b"\r\n", part, part)
    return Framed(start + b"Content-Length: %d\r\n\r\n" % length, body, body)


class Script:
    """A server on loopback that answers each request with the bytes that it was given last."""

    def __init__(self) -> None:
        self.answer = b""

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer)
                await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        listening = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with listening:
            yield f"http://127.0.0.1:{port}/api/v1.0/entitlements/"


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples of a test."""
    with asyncio.Runner() as found:
        yield found


FRAMINGS = ("whole", "long", "short", "chunks", "cut chunks", "until closed")
HEADERS = (
    b"",
    b"Content-Encoding: gzip\r\n",
    b"Content-Type: text/html\r\n",
    b"Set-Cookie: a=b\r\n",
    b"Content-Range: x\r\n",
)


@settings(at_leisure, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(bodies(), st.sampled_from(FRAMINGS), PLACE, st.sampled_from(HEADERS)), min_size=1, max_size=4)
)
def test_no_response_is_entitled_unless_its_whole_body_says_so(
    runner: asyncio.Runner, responses: list[tuple[bytes, str, int, bytes]]
) -> None:
    async def ask() -> None:
        script = Script()
        async with script.served() as url, opened(url) as source:
            for response in responses:
                sent = framed(*response)
                script.answer = sent.head + sent.written
                verdict = (await source.ask(subject())).verdict
                assert sent.believed is not None or not isinstance(verdict, Entitled)
                judge(verdict, sent.believed or b"")

    runner.run(ask())

"""What does DeployCenter say about one user? The same question that login sync asks, over HTTP (A-09..A-16, D17)."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import islice
from typing import Any, cast
from urllib.parse import urlencode

import httpx

from controller.entitlements.answer import MAX_BODY, Received, read_answer
from controller.entitlements.pacing import CircuitOpen, Lane, Pace, Turn, parse_retry_after
from controller.entitlements.posting import NO_USAGE, Posting
from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason, Listed, Malformed, Subject, Unavailable, Unknown, UserId
from controller.resources.names import Email, ResourceKey
from controller.resources.source import DeployCenter

MAX_TRIES = 16
"""Sirets that are tried for one user."""
KEEP_ALIVE = 1.5
"""Seconds that an idle connection is kept: gunicorn closes its side after 2."""

_OURS = frozenset({"service_id", "account_type", "account_email", "account_id"})
"""Parameters that no claim may set: another `account_id` would answer for another person (deploycenter.md 1.3.2)."""
_LOGS_ADDRESSES = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")
_THROTTLED = Unavailable(AnswerReason.THROTTLED)
_FAILED = frozenset(map(Unavailable, (AnswerReason.TIMEOUT, AnswerReason.CONNECTION, AnswerReason.SERVER_ERROR)))
"""The service's own failures."""


@dataclass(frozen=True, slots=True, repr=False)
class _Try:
    """One siret to ask with."""

    siret: str
    claims: Mapping[str, str]
    pivot: bool


class _Stale(Exception):  # noqa: N818  # it never leaves this module
    """The service had closed the idle connection that the request was written to."""


@dataclass(slots=True)
class _Wire:
    """What became of one request on the wire."""

    connected: bool = False
    """A new connection was made for it."""
    headers: bool = False
    """A response began."""

    async def trace(self, event: str, _: Mapping[str, Any]) -> None:
        """Listen to httpcore, which tells nobody else which connection it takes."""
        self.connected = self.connected or event.startswith("connection.connect_")
        self.headers = self.headers or event == "http11.receive_response_headers.complete"

    def stale(self, error: Exception) -> bool:
        """Whether it failed only because its connection had been kept for too long."""
        closed = isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError)
        return closed and not self.connected and not self.headers


@cache
def _usual_authorities() -> ssl.SSLContext:
    """Read once a process: it takes longer than a whole answer."""
    return httpx.create_ssl_context()


class DeployCenterSource:
    """One DeployCenter, asked with keep-alive at the pace of its lane; by POST where it answers that, else by GET.

    The key travels in `X-Service-Auth` alone: no `Authorization`, no cookies, no redirects. Proxies come from the
    environment. `tls` is None for the usual certificate authorities, `posting` where only GET is wanted.
    """

    def __init__(
        self,
        key: ResourceKey,
        spec: DeployCenter,
        *,
        api_key: str,
        tls: ssl.SSLContext | None,
        lane: Lane,
        pace: Pace,
        posting: Posting | None,
    ) -> None:
        self.key = key
        self._spec = spec
        self._lane = lane
        self._pace = pace
        self._posting = posting
        self._timeout = spec.timeout.total_seconds()
        silence_addresses()
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "maildomain-controller",
            "X-Service-Auth": f"Bearer {api_key}",
        }
        self._client = httpx.AsyncClient(
            auth=None,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            verify=_usual_authorities() if tls is None else tls,
            follow_redirects=False,
            event_hooks={"response": [_drop_location]},
            timeout=None,  # noqa: S113  # one deadline for the whole request, see `_fetch`
            limits=httpx.Limits(
                max_connections=spec.concurrency,
                max_keepalive_connections=spec.concurrency,
                keepalive_expiry=KEEP_ALIVE,
            ),
        )

    @property
    def workers(self) -> int:
        """How many asks may be under way at once."""
        return self._spec.concurrency

    async def ask(self, subject: Subject) -> Reply:
        """Try one siret after another until one opens the answer (D17). Never raises for what the service does.

        Closed doors say `Unknown`, and the last one's reason stands. Anything but a closed door ends the tries, and
        so does a 400 about a pivot: such a siret is well formed, so the e-mail is what can't be asked.
        """
        reply = Reply(Unknown(AnswerReason.NO_SIRET))
        requests = 0
        for attempt in islice(self._tries(subject), MAX_TRIES):
            reply = await self._open(subject, attempt)
            requests += reply.requests
            if not isinstance(reply.verdict, Unknown):
                break
            if reply.verdict.reason is AnswerReason.REFUSED and attempt.pivot:
                break
        return replace(reply, requests=requests)

    async def knock(self) -> AnswerReason | None:
        """Whether the service is there and knows our key, without a question about anybody; None when it does.

        A question without a siret is refused as soon as key and service are accepted, and costs no call back
        (deploycenter.md 1.6).
        """
        url = httpx.URL(self._spec.url, params={"service_id": str(self._spec.service_id)})
        reply = await self._exchange(UserId(""), httpx.Request("GET", url, headers=self._headers))
        match reply.verdict:
            case Unknown(AnswerReason.REFUSED):
                return None
            case Unavailable(reason) | Malformed(reason):
                return reason
            case _:
                return AnswerReason.WRONG_SHAPE

    async def close(self) -> None:
        """Close the connections. An ask that is under way, or comes later, is `Unavailable`."""
        if not self._client.is_closed:
            self._lane.leave(self._pace)
            await self._client.aclose()

    def _tries(self, subject: Subject) -> Iterator[_Try]:
        """Pivots, then the user's stored claims, then the sirets of their domains; none twice."""
        organization = self._spec.organization
        tried = set(organization.pivot_sirets)
        for siret in organization.pivot_sirets:
            yield _Try(siret, {}, pivot=True)
        claims = {name: subject.claims[name] for name in organization.claims if name in subject.claims}
        claimed = claims.get("siret", "").strip()
        for siret, others in ((claimed, claims), *((siret.strip(), {}) for siret in subject.sirets)):
            if siret and siret not in tried:
                tried.add(siret)
                yield _Try(siret, others, pivot=False)

    async def _open(self, subject: Subject, attempt: _Try) -> Reply:
        try:
            url = self._url(subject.email, attempt)
        except (httpx.InvalidURL, UnicodeError):
            return Reply(Unknown(AnswerReason.REFUSED))
        reply = await self._ask(subject.user, url)
        return replace(reply, siret=attempt.siret) if isinstance(reply.verdict, Listed) else reply

    def _url(self, email: Email, attempt: _Try) -> httpx.URL:
        ours = {
            "service_id": str(self._spec.service_id),
            "account_type": "user",
            "siret": attempt.siret,
            "account_email": email.reveal(),
        }
        others = {name: text for name, text in attempt.claims.items() if name not in _OURS}
        return httpx.URL(f"{self._spec.url}?{urlencode({**others, **ours})}")

    async def _ask(self, user: UserId, url: httpx.URL) -> Reply:
        """Ask by POST, and by GET when the service does not answer that: once, and then it is known."""
        get = httpx.Request("GET", url, headers=self._headers)
        if self._posting is None or not self._posting.begin():
            return await self._exchange(user, get)
        headers = {**self._headers, "Content-Type": "application/json"}
        try:
            reply = await self._exchange(user, httpx.Request("POST", url, headers=headers, content=NO_USAGE))
        except BaseException:
            self._posting.end(None)
            raise
        if not self._posting.end(reply.verdict):
            return reply
        again = await self._exchange(user, get)
        return replace(again, requests=reply.requests + again.requests)

    async def _exchange(self, user: UserId, request: httpx.Request) -> Reply:
        """Send a request, and once more at once when only its kept connection had been closed."""
        spent = 0
        while True:
            try:
                async with self._lane.turn(user) as turn:
                    if self._client.is_closed:
                        return Reply(Unavailable(AnswerReason.CONNECTION), requests=spent)
                    spent += 1
                    return replace(await self._call(turn, request, last=spent > 1), requests=spent)
            except CircuitOpen:
                return Reply(Unavailable(AnswerReason.CIRCUIT_OPEN), requests=spent)
            except _Stale:
                continue

    async def _call(self, turn: Turn, request: httpx.Request, *, last: bool) -> Reply:
        wire = _Wire()
        request.extensions["trace"] = wire.trace
        try:
            async with asyncio.timeout(self._timeout):
                received = await self._fetch(request)
        except (TimeoutError, httpx.TimeoutException):
            reply = Reply(Unavailable(AnswerReason.TIMEOUT))
        except (httpx.HTTPError, OSError) as error:
            if wire.stale(error) and not last:
                raise _Stale from None
            reply = Reply(Unavailable(AnswerReason.CONNECTION))
        else:
            reply = read_answer(received)
            if reply.verdict == _THROTTLED:
                turn.throttled(parse_retry_after(received.retry_after, datetime.now(UTC)))
                return reply
        if reply.verdict in _FAILED:
            turn.failed()
        else:
            turn.answered()
        return reply

    async def _fetch(self, request: httpx.Request) -> Received:
        """Read one response, at most one byte more than is looked at. Encoded bodies are not decoded."""
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            # httpx promises an iterator only; it is a generator, left half-way when the body is too large
            async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_BODY:
                        break
        finally:
            await response.aclose()
        return Received(
            status=response.status_code,
            content_type=response.headers.get("content-type", ""),
            body=bytes(body),
            content_encoding=response.headers.get("content-encoding", ""),
            retry_after=response.headers.get("retry-after"),
        )


async def _drop_location(response: httpx.Response) -> None:
    """Hide where a redirect leads: httpx parses it even when it does not follow, and raises on what is no address."""
    response.headers.pop("location", None)


def silence_addresses() -> None:
    """Keep the HTTP libraries from logging addresses and headers, at every level: they hold e-mails and the key.

    The library that is given the e-mail is silenced where it is given it, not only where logging is set up
    (invariant 10).
    """
    for name in _LOGS_ADDRESSES:
        logging.getLogger(name).disabled = True

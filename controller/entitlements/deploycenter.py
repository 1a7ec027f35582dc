"""How is DeployCenter asked about one user? One GET a siret that is tried, until one of them opens the answer."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from controller.entitlements.answer import MAX_BYTES, Reading, read_answer
from controller.entitlements.pacing import Lane
from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason, Malformed, Subject, Unavailable, Unknown
from controller.resources.names import ResourceKey
from controller.resources.source import DeployCenter

KEEP_ALIVE: Final = 1.5
"""Seconds for which an idle connection is kept: the service closes it after 2."""

_CUT = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@dataclass(frozen=True, slots=True)
class DeployCenterSource:
    """One DeployCenter endpoint with one key. Its answers are whole lists over all organizations of the user."""

    key: ResourceKey
    spec: DeployCenter
    lane: Lane
    client: httpx.AsyncClient = field(repr=False)

    @property
    def workers(self) -> int:
        """Asks that may be under way at once."""
        return self.spec.concurrency

    async def ask(self, subject: Subject) -> Reply:
        """Ask with one siret after the other until one opens; the first failure ends it (D17).

        Order: pivots, then the user's own stored claims, then the sirets of the user's domains.
        """
        reading, requests = Reading(Unknown(AnswerReason.NO_SIRET)), 0
        for params in self._attempts(subject):
            if not await self.lane.enter():
                return Reply(Unavailable(AnswerReason.CIRCUIT_OPEN), requests=requests)
            reading, calls = await self._paced(subject, params)
            requests += calls
            if reading.opened or isinstance(reading.verdict, Unavailable | Malformed):
                siret = params.get("siret") if reading.opened else None
                return Reply(reading.verdict, reading.can_access, reading.access_reason, siret, requests)
        return Reply(reading.verdict, reading.can_access, reading.access_reason, None, requests)

    async def close(self) -> None:
        """Give connections back."""
        self.lane.leave(self.key)
        await self.client.aclose()

    def _attempts(self, subject: Subject) -> Iterator[Mapping[str, str]]:
        tried: set[str] = set()
        claims = {name: subject.claims[name] for name in self.spec.organization.claims if subject.claims.get(name)}
        own = [claims] if "siret" in claims else []
        pivots = [{"siret": siret} for siret in self.spec.organization.pivot_sirets]
        for params in (*pivots, *own, *({"siret": siret} for siret in subject.sirets)):
            if params["siret"] not in tried:
                tried.add(params["siret"])
                yield params

    async def _paced(self, subject: Subject, params: Mapping[str, str]) -> tuple[Reading, int]:
        answered, retry_after = False, None
        try:
            reading, calls, retry_after = await self._get(subject, params)
            answered = not isinstance(reading.verdict, Unavailable) or reading.verdict.reason in _NOT_THE_SERVICE
            return reading, calls
        finally:
            self.lane.done(subject.user, answered=answered, retry_after=retry_after)

    async def _get(self, subject: Subject, params: Mapping[str, str]) -> tuple[Reading, int, float | None]:
        """One GET; once more when an idle connection turned out to be closed by the service."""
        request = self.client.build_request(
            "GET",
            self.spec.url,
            params={
                **params,
                "service_id": str(self.spec.service_id),
                "account_type": "user",
                "account_email": subject.email.reveal(),
            },
        )
        for calls in (1, 2):
            try:
                async with asyncio.timeout(self.spec.timeout.total_seconds()):
                    reading, retry_after = await self._send(request)
            except (TimeoutError, httpx.TimeoutException):
                return Reading(Unavailable(AnswerReason.TIMEOUT)), calls, None
            except _CUT:
                continue
            except (httpx.HTTPError, OSError):
                return Reading(Unavailable(AnswerReason.CONNECTION)), calls, None
            else:
                return reading, calls, retry_after
        return Reading(Unavailable(AnswerReason.CONNECTION)), 2, None

    async def _send(self, request: httpx.Request) -> tuple[Reading, float | None]:
        response = await self.client.send(request, stream=True)
        try:
            body = await _read_body(response)
        finally:
            await response.aclose()
        content_type = response.headers.get("content-type", "")
        return read_answer(response.status_code, content_type, body), _retry_after(response)


_NOT_THE_SERVICE = frozenset({AnswerReason.UNAUTHENTICATED, AnswerReason.CLIENT_ERROR, AnswerReason.REDIRECT})
"""Answers that are no trouble of the service: asking later would bring the same."""


async def _read_body(response: httpx.Response) -> bytes | None:
    """The bytes as they came, or None when there are too many or they are encoded: nothing is ever inflated."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return None
    chunks, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the service asks to wait, from a 429 or 503."""
    value = response.headers.get("retry-after", "").strip()
    if response.status_code not in (429, 503) or not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def open_client(spec: DeployCenter, api_key: str, ca_bundle: str | None) -> httpx.AsyncClient:
    """A client that sends the key as `X-Service-Auth` and nothing else of its own: no cookies, no redirects.

    Proxies come from the environment. Raises `ssl.SSLError` when the CA bundle is not PEM.
    """
    limits = httpx.Limits(
        max_connections=spec.concurrency,
        max_keepalive_connections=spec.concurrency,
        keepalive_expiry=KEEP_ALIVE,
    )
    return httpx.AsyncClient(
        headers={
            "X-Service-Auth": f"Bearer {api_key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "maildomain-controller",
        },
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        timeout=spec.timeout.total_seconds(),
        limits=limits,
        verify=ssl.create_default_context(cadata=ca_bundle) if ca_bundle is not None else True,
    )

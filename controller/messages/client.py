"""Will the mail application create this domain? Its provisioning API, because keys and groups are made there (A-78).

Two versions of its contract are known (A-71): a bearer key, and a channel with its key. Which one it is, is found out
by a refusal, once, and remembered.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from enum import Enum, auto
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast

import httpx

from controller.errors import SecretMissing
from controller.planning.founding import Order

TIMEOUT = 10.0
"""Seconds for one request, a slow body included."""
MAX_BODY = 1024 * 1024
"""Bytes of an answer that are looked at."""


class Outcome(Enum):
    """What became of one order."""

    DONE = auto()
    """It exists as ordered."""
    REFUSED = auto()
    """The mail application does not want this domain, or these attributes; others may do."""
    UNAUTHENTICATED = auto()
    """The key is missing, wrong, or not allowed to create domains: no order can be carried out."""
    UNAVAILABLE = auto()
    """No answer, or none of the known shape: no order can be carried out now."""


class Messages:
    """The provisioning endpoint, at an address that is used as it is. One request at a time; redirects are refused."""

    def __init__(self, url: str, key: Callable[[], str], *, channel: str | None) -> None:
        self._url = url
        self._key = key
        self._channel = channel
        self._bearer = channel is None
        self._known = channel is None
        self._client = httpx.AsyncClient(
            auth=None,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            timeout=None,  # noqa: S113  # one deadline for the whole request, see `_send`
        )

    async def carry_out(self, order: Order) -> Outcome:
        """Ask for one domain. Never raises for anything that the mail application does."""
        outcome = await self._send(order)
        if outcome is Outcome.UNAUTHENTICATED and not self._known:
            # An older version does not know channels: it refuses whatever has no bearer key.
            self._bearer = not self._bearer
            outcome = await self._send(order)
            self._bearer = self._bearer and outcome is not Outcome.UNAUTHENTICATED
        self._known = self._known or outcome in (Outcome.DONE, Outcome.REFUSED)
        return outcome

    async def close(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    async def _send(self, order: Order) -> Outcome:
        try:
            headers = self._headers()
        except SecretMissing:
            return Outcome.UNAUTHENTICATED
        try:
            async with asyncio.timeout(TIMEOUT):
                request = self._client.build_request("POST", self._url, headers=headers, json=_body(order))
                response = await self._client.send(request, stream=True)
                try:
                    return _outcome(order, response.status_code, await _read(response))
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError):
            return Outcome.UNAVAILABLE

    def _headers(self) -> dict[str, str]:
        key = self._key()
        if self._bearer or self._channel is None:
            return {"Accept": "application/json", "Authorization": f"Bearer {key}"}
        return {"Accept": "application/json", "X-Channel-Id": self._channel, "X-API-Key": key}


def _body(order: Order) -> dict[str, Any]:
    fields: Mapping[str, Any] = {
        "custom_attributes": order.custom_attributes,
        "oidc_autojoin": order.oidc_autojoin,
        "identity_sync": order.identity_sync,
    }
    return {"domains": [order.domain], **{name: value for name, value in fields.items() if value is not None}}


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY:
                break
    return bytes(body)


def _outcome(order: Order, status: int, body: bytes) -> Outcome:
    """Read an answer. 400 is about the body, so about this domain; its texts are looked at by nobody."""
    if status in (401, 403):
        return Outcome.UNAUTHENTICATED
    if status == 400:
        return Outcome.REFUSED
    if not 200 <= status < 300 or len(body) > MAX_BODY:
        return Outcome.UNAVAILABLE
    try:
        document = json.loads(body)
        done = [*document["created"], *document["existing"]]
        refused = [error["domain"] for error in document["errors"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Outcome.UNAVAILABLE
    if order.domain in done:
        return Outcome.DONE
    return Outcome.REFUSED if order.domain in refused else Outcome.UNAVAILABLE

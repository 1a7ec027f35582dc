"""How does DeployCenter answer? A double of its entitlements endpoint on loopback, for a world that is plain data.

Statuses, bodies and headers are those of the real service, poisoned metadata and French messages included. The world
and the faults may be changed while it runs: each request looks at them as they are at that moment.
"""

import asyncio
import gzip
import json
import re
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

PATH: Final = "/api/v1.0/entitlements/"
HUGE: Final = 64 << 20
"""Bytes of the answer under `Fault.HUGE`, and of the inflated one under `Fault.GZIP`."""

_HEADERS: Final = {
    "Server": "gunicorn",
    "Vary": "Accept, origin, Accept-Language, Cookie",
    "Allow": "GET, HEAD, OPTIONS",
    "X-Frame-Options": "DENY",
    "Content-Language": "fr-fr",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_REQUIRED = "Ce champ est obligatoire."
_BLANK = "Ce champ ne peut être vide."
_NUL = "Le caractère nul n’est pas autorisé."  # noqa: RUF001  # the service's own apostrophe
_NO_EMAIL = "Saisissez une adresse e-mail valide."
_NO_PERSON = "Either 'account_id' or 'account_email' must be provided."
_NO_CREDENTIALS = "Informations d'authentification non fournies."
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{}|~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{}|~-]+)*@([^\s@.]+(\.[^\s@.]+)+|localhost)"
)


class Fault(StrEnum):
    """What the double can do instead of its duty."""

    CLOSED = "closed"
    """The connection is closed without a byte."""
    ERROR = "error"
    """500 and a page of HTML."""
    UNAUTHENTICATED = "unauthenticated"
    THROTTLED = "throttled"
    """429 with `Retry-After` of `DeployCenterDouble.retry_after`."""
    REDIRECT = "redirect"
    """302 to `DeployCenterDouble.redirect_to`."""
    HTML = "html"
    """200 and a page of HTML, as from a proxy."""
    TRUNCATED = "truncated"
    """The right answer, cut in its middle."""
    DRIP = "drip"
    """The right answer, a byte each 20 ms."""
    STALLED = "stalled"
    """No answer at all while the connection stays."""
    HUGE = "huge"
    GZIP = "gzip"
    """A small compressed body that inflates to a huge one."""
    CLOSING = "closing"
    """The right answer with `Connection: close`, as behind sync workers."""
    EMPTY = "empty"
    """`[]` for everybody, as with the service id of a staging service."""
    KEYLESS = "keyless"
    """No `can_admin_maildomains`, as with the service id of a service of another type."""


@dataclass(slots=True)
class Account:
    """A person in one organization."""

    email: str
    roles: tuple[str, ...] = ()
    """`admin` makes an administrator of the organization."""
    service_roles: dict[str, Any] = field(default_factory=dict)
    """Scope by role of the link to the service: `{"admin": {}}`, `{"admin": {"domains": ["a.example"]}}`."""
    type: str = "user"

    def __post_init__(self) -> None:
        local, at, host = self.email.rpartition("@")
        self.email = local + at + host.lower()


@dataclass(slots=True)
class Organization:
    """An organization with its subscription of the service."""

    name: str
    siret: str | None = None
    metadata: Any = field(default_factory=dict)
    """Of the subscription, not validated: `{"domains": ["a.example"]}`, or any poison."""
    active: bool = True
    """Whether there is a subscription and it is active."""
    accounts: list[Account] = field(default_factory=list)
    passthrough: tuple[str, ...] = ()
    """E-mails of the operator's administrators, if the operator's administrators have this role."""


@dataclass(slots=True)
class World:
    """Everything that the double knows."""

    organizations: list[Organization] = field(default_factory=list)
    service_id: int = 1
    api_key: str = "sandbox-key"

    def opens(self, siret: str) -> Organization | None:
        """The organization with exactly this siret."""
        return next((item for item in self.organizations if item.siret == siret), None)

    def domains(self, email: str) -> list[Any]:
        """Everything that this e-mail administers, over all organizations, exactly as it is stored.

        Raises what poisoned metadata makes the real service raise.
        """
        found: dict[Any, None] = {}
        for organization in sorted(self.organizations, key=lambda item: item.name):
            if organization.active:
                found.update(dict.fromkeys(_administered(organization, email)))
        return list(found)


def _administered(organization: Organization, email: str) -> Iterator[Any]:
    people = [item for item in organization.accounts if item.type == "user" and item.email == email]
    links = [item.service_roles["admin"] for item in people if "admin" in item.service_roles]
    admin = any("admin" in item.roles for item in people) or email in organization.passthrough
    if not (admin or links):
        return
    metadata = organization.metadata or {}
    for name in metadata.get("domains") or ():
        if admin or any(_in_scope(name, scope) for scope in links):
            yield name


def _in_scope(name: Any, scope: Any) -> bool:
    """An empty scope is no limit; a text is taken letter by letter."""
    names = scope.get("domains") if isinstance(scope, Mapping) else None
    return not names or name in set(names)


@dataclass(slots=True)
class Heard:
    """One request as it came."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(slots=True)
class DeployCenterDouble:
    """The double, and what it has counted."""

    world: World
    fault: Fault | None = None
    """For everybody."""
    faults: dict[str, Fault] = field(default_factory=dict)
    """For one e-mail each."""
    delay: float = 0.0
    """Seconds before each answer."""
    retry_after: str = "7"
    redirect_to: str = "/elsewhere"
    requests: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by e-mail."""
    largest: int = 0
    """The most requests that were under way at once."""
    connections: set[int] = field(default_factory=set)
    """Client ports that were seen."""
    heard: deque[Heard] = field(default_factory=lambda: deque(maxlen=1000))
    """The last requests."""
    port: int = 0
    """Loopback port; 0 takes a free one at the first `listen`."""
    _active: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The endpoint's URL, as an EntitlementSource has it."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    async def listen(self) -> None:
        """Take connections; on the same port again after `refuse`."""
        application = web.Application()
        application.router.add_route("*", PATH, self._serve)
        application.router.add_route("*", PATH.rstrip("/"), _add_slash)
        application.router.add_route("*", "/{rest:.*}", _not_found)
        self._runner = web.AppRunner(application, access_log=None, keepalive_timeout=2.0, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def refuse(self) -> None:
        """Close every connection and refuse new ones."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        email = request.query.get("account_email", "")
        self._count(request, email)
        try:
            await asyncio.sleep(self.delay)
            return await self._respond(request, self.faults.get(email, self.fault))
        finally:
            self._active -= 1

    def _count(self, request: web.Request, email: str) -> None:
        self.requests += 1
        self.asked[email] += 1
        self._active += 1
        self.largest = max(self.largest, self._active)
        self.connections.add(request.get_extra_info("peername")[1])
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(request.method, dict(request.query), headers))

    async def _respond(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if fault is Fault.CLOSED:
            return _close(request)
        if fault is Fault.STALLED:
            await asyncio.Event().wait()
        if (wrong := self._wrong(fault)) is not None:
            return wrong
        response = self._answer(request, fault)
        if fault is Fault.CLOSING:
            response.force_close()
        if fault is Fault.TRUNCATED or fault is Fault.DRIP:
            return await _send_slowly(request, response, cut=fault is Fault.TRUNCATED)
        return response

    def _wrong(self, fault: Fault | None) -> web.Response | None:
        """The whole answers that have nothing to do with the question."""
        match fault:
            case Fault.ERROR:
                return _page(500, "Server Error (500)")
            case Fault.UNAUTHENTICATED:
                return _unauthenticated()
            case Fault.THROTTLED:
                return _json(429, {"detail": "Too many requests"}, {"Retry-After": self.retry_after})
            case Fault.REDIRECT:
                return web.Response(status=302, headers={"Location": self.redirect_to})
            case Fault.HTML:
                return _page(200, "Welcome")
            case Fault.HUGE:
                return web.Response(body=b" " * HUGE, content_type="application/json")
            case Fault.GZIP:
                body = gzip.compress(b" " * HUGE, 1)
                return web.Response(body=body, content_type="application/json", headers={"Content-Encoding": "gzip"})
        return None

    def _answer(self, request: web.Request, fault: Fault | None) -> web.Response:
        """Answer as the framework does: negotiation, credentials, method, parameters, then the answer itself."""
        renderer = _negotiate(request.headers.get("Accept", "*/*"))
        if renderer is None:
            return _json(406, {"detail": "L'en-tête « Accept » n'a pas pu être satisfaite."})
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            return _json(405, {"detail": f"Méthode « {request.method} » non autorisée."})
        if errors := _errors(request.query):
            return _json(400, errors)
        try:
            content = self._content(
                request.query["siret"].strip(), request.query.get("account_email", "").strip(), fault
            )
        except (AttributeError, TypeError):
            return _page(500, "Server Error (500)")
        return _json(200, content) if renderer == "application/json" else _page(200, json.dumps(content))

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization", "").startswith("Bearer "):
            return _json(401, {"detail": "Token is not valid"}, {"WWW-Authenticate": 'Bearer realm="api"'})
        key = request.headers.get("X-Service-Auth", "")
        try:
            service = int(request.query["service_id"]) if "service_id" in request.query else None
        except ValueError:
            return _page(500, "Server Error (500)")
        if not key.isascii():
            return _page(500, "Server Error (500)")
        if service != self.world.service_id or key != f"Bearer {self.world.api_key}":
            return _unauthenticated()
        return None

    def _content(self, siret: str, email: str, fault: Fault | None) -> dict[str, Any]:
        organization = self.world.opens(siret)
        if organization is None:
            closed = {"can_access": False, "can_access_reason": "no_organization"}
            return {"organization": None, "operator": None, "entitlements": closed}
        shown = {"id": _id(organization.name), "type": "commune", "name": organization.name, "oidc_valid": None}
        if not organization.active:
            closed = {"can_access": False, "can_access_reason": "not_activated"}
            signup = {**_OPERATOR, "signupUrl": f"https://alpha.example/bienvenue/{siret}/contact"}
            return {"organization": shown, "operator": None, "entitlements": closed, "potentialOperators": [signup]}
        entitlements: dict[str, Any] = {"can_access": True}
        if fault is Fault.KEYLESS:
            entitlements["is_admin"] = False
        else:
            entitlements |= {"can_store": False, "can_store_resolve_level": "organization"}
            entitlements["can_admin_maildomains"] = [] if fault is Fault.EMPTY else self.world.domains(email)
        return {"organization": shown, "operator": _OPERATOR, "entitlements": entitlements}


@asynccontextmanager
async def serve(world: World, port: int = 0) -> AsyncIterator[DeployCenterDouble]:
    """Run a double in this event loop."""
    double = DeployCenterDouble(world, port=port)
    await double.listen()
    try:
        yield double
    finally:
        await double.refuse()


@contextmanager
def serve_in_thread(world: World, port: int = 0) -> Iterator[DeployCenterDouble]:
    """Run a double in a thread of its own, for callers without an event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="deploycenter-double", daemon=True)
    thread.start()
    double = DeployCenterDouble(world, port=port)
    try:
        asyncio.run_coroutine_threadsafe(double.listen(), loop).result(10)
        yield double
        asyncio.run_coroutine_threadsafe(double.refuse(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


_OPERATOR: Final = {
    "id": _id("Syndicat Alpha"),
    "name": "Syndicat Alpha",
    "siret": "90000000000001",
    "url": "https://alpha.example",
    "config": {"idps": [], "support_email": "support@alpha.example"},
}


def _negotiate(accept: str) -> str | None:
    """The renderer for an `Accept` header; exact types go before wildcards, JSON before HTML."""
    wanted = [part.partition(";")[0].strip() for part in accept.split(",")]
    for name in wanted:
        if name in ("application/json", "text/html"):
            return name
    return "application/json" if any(name in ("*/*", "application/*") for name in wanted) else None


def _errors(query: Mapping[str, str]) -> dict[str, list[str]]:
    errors = {name: found for name in ("siret", "account_type") if (found := _text_errors(query.get(name)))}
    email = query.get("account_email", "").strip()
    if email and (found := _email_errors(email)):
        errors["account_email"] = found
    if not errors and not email and not query.get("account_id", "").strip():
        errors["non_field_errors"] = [_NO_PERSON]
    return errors


def _text_errors(value: str | None) -> list[str]:
    if value is None:
        return [_REQUIRED]
    if "\0" in value:
        return [_NUL]
    return [] if value.strip() else [_BLANK]


def _email_errors(email: str) -> list[str]:
    errors = [_NUL] if "\0" in email else []
    return errors if len(email) <= 320 and _EMAIL.fullmatch(email) else [*errors, _NO_EMAIL]


def _json(status: int, content: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(
        status=status, body=body, headers={**_HEADERS, "Content-Type": "application/json", **(headers or {})}
    )


def _page(status: int, text: str) -> web.Response:
    page = f'<!doctype html>\n<html lang="en">\n<body>\n<h1>{text}</h1>\n</body>\n</html>\n'
    return web.Response(status=status, text=page, content_type="text/html", headers={"Server": "gunicorn"})


def _unauthenticated() -> web.Response:
    return _json(401, {"detail": _NO_CREDENTIALS}, {"WWW-Authenticate": 'Bearer realm="api"'})


def _close(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _send_slowly(request: web.Request, response: web.Response, *, cut: bool) -> web.StreamResponse:
    """Send an answer byte by byte, or its first half and then close the connection."""
    body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    if cut:
        await stream.write(body[: len(body) // 2])
        _close(request)
        return stream
    for at in range(len(body)):
        await stream.write(body[at : at + 1])
        await asyncio.sleep(0.02)
    return stream


async def _add_slash(request: web.Request) -> web.Response:
    location = f"{PATH}?{request.query_string}" if request.query_string else PATH
    return web.Response(status=301, headers={"Server": "gunicorn", "Location": location})


async def _not_found(request: web.Request) -> web.Response:  # noqa: ARG001  # whatever was asked
    return _page(404, "Not Found")

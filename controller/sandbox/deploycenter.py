"""What would DeployCenter answer? A double on loopback: its statuses, bodies and headers for a world given as data.

    world = World([Organization("21000000000001", "Commune 001", {"domains": ["a.example"]})],
                  [Account("admin@a.example", "21000000000001", roles=("admin",))])
    async with Double(world).serve() as url: ...          # in this event loop
    with Double(world).serve_in_thread() as url: ...      # in a thread of its own

World and behaviour may be changed while it runs.
"""

import asyncio
import gzip
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import repeat
from typing import Any

from aiohttp import web

PATH = "/api/v1.0/entitlements/"
REQUIRED = "Ce champ est obligatoire."
BLANK = "Ce champ ne peut être vide."
NUL = "Le caractère nul n\u2019est pas autorisé."
BAD_EMAIL = "Saisissez une adresse e-mail valide."
NOBODY = "Either 'account_id' or 'account_email' must be provided."
BAD_ITEM = "Item 0: 'account' must be an object."
UNAUTHENTICATED = "Informations d'authentification non fournies."

_EMAIL = re.compile(
    r"[-!#$%&'*+/=?^_`{}|~0-9A-Za-z]+(\.[-!#$%&'*+/=?^_`{}|~0-9A-Za-z]+)*"
    r"@(localhost|([0-9A-Za-z\u00a1-\uffff]([-0-9A-Za-z\u00a1-\uffff]{0,61}[0-9A-Za-z\u00a1-\uffff])?\.)+"
    r"[0-9A-Za-z\u00a1-\uffff][-0-9A-Za-z\u00a1-\uffff]{0,61}[0-9A-Za-z\u00a1-\uffff])"
)
_EVERY_ANSWER = {
    "Server": "gunicorn",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Language": "fr-fr",
}
_API_ANSWER = {"Vary": "Accept, origin, Accept-Language, Cookie", "Allow": "GET, HEAD, OPTIONS"}
_OPERATOR = {
    "id": "1b135e5f-262c-40a7-9b91-2e97cdbc470a",
    "name": "Syndicat Alpha",
    "siret": "90000000000001",
    "url": "https://alpha.example",
    "config": {"idps": [], "support_email": "support@alpha.example"},
}


@dataclass(slots=True)
class Organization:
    """One organization and its subscription. `active` None = it has none."""

    siret: str | None
    name: str
    metadata: Any = field(default_factory=dict)
    """The subscription's metadata, verbatim: nobody validates it."""
    active: bool | None = True
    kind: str = "commune"

    def describe(self) -> dict[str, Any]:
        """The organization as answers show it."""
        identity = str(uuid.uuid5(uuid.NAMESPACE_OID, self.name))
        return {"id": identity, "type": self.kind, "name": self.name, "oidc_valid": None}


@dataclass(slots=True)
class Account:
    """One account of one organization, named by its siret."""

    email: str
    siret: str | None
    roles: tuple[str, ...] = ()
    """Organization roles; only `admin` grants."""
    links: Mapping[str, Any] = field(default_factory=dict)
    """Roles on the service and their scopes: `{"admin": {"domains": ["a.example"]}}`."""
    external_id: str = ""
    type: str = "user"

    def is_asked(self, email: str, external_id: str) -> bool:
        """Whether a request is about this account. Only the domain part was folded when it was stored."""
        local, at, host = self.email.rpartition("@")
        same_id = bool(external_id) and self.external_id == external_id
        return self.type == "user" and (same_id or (bool(email) and local + at + host.lower() == email))

    def domains(self, all_domains: list[Any]) -> list[Any]:
        """Those that the account administers. An empty scope means all of them."""
        if "admin" in self.roles:
            return all_domains
        if "admin" not in self.links:
            return []
        scope = self.links["admin"]
        names = scope.get("domains") if isinstance(scope, dict) else None
        return [domain for domain in all_domains if domain in set(names)] if names else all_domains


@dataclass(slots=True)
class World:
    """What the service knows."""

    organizations: list[Organization]
    accounts: list[Account]
    service_id: int = 1
    api_key: str = "sandbox-key"

    def domains(self, email: str, external_id: str = "") -> list[Any]:
        """What an account administers over all organizations with an active subscription, whichever siret asked.

        Raises `TypeError` or `AttributeError` on poisoned metadata, as the service does (a 500).
        """
        found: dict[Any, None] = {}
        accounts = [account for account in self.accounts if account.is_asked(email, external_id)]
        for organization in sorted(self.organizations, key=lambda organization: organization.name):
            for account in accounts:
                if account.siret == organization.siret and organization.active:
                    names = (organization.metadata or {}).get("domains") or []
                    found |= dict.fromkeys(account.domains(list(names)))
        return list(found)


class Behaviour(Enum):
    """What the service does instead of answering well."""

    DOWN = "the connection is cut without a byte"
    SERVER_ERROR = "500"
    UNAUTHENTICATED = "401"
    THROTTLED = "429 with Retry-After"
    UNDER_MAINTENANCE = "503 with Retry-After"
    LOGIN_PAGE = "200 with a page of HTML"
    REDIRECT = "302 to `redirect_to`"
    SLOW = "nothing, until `resume` is set"
    DRIP = "one byte each 50 ms, without end"
    TRUNCATED = "the connection is cut within the body"
    HUGE = "a body of 8 MiB"
    GZIP_BOMB = "16 MiB in a few kB of gzip, though nobody asked for gzip"
    EMPTY = "an empty list for everybody"
    KEY_ABSENT = "no list for anybody"
    CLOSE = "a good answer, and Connection: close"
    COOKIE = "a good answer that sets a cookie"


@dataclass(slots=True)
class Double:
    """The service itself. `behaviour` is for everybody, `behaviours` for single e-mails."""

    world: World
    behaviour: Behaviour | None = None
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    redirect_to: str = "https://login.example/"
    retry_after: str = "1"
    posting: bool = False
    """Whether it is of the newer kind, which answers POST."""
    resume: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    """Requests of any kind."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by e-mail."""
    largest_concurrency: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    """Requests by method."""
    scrapes: Counter[str] = field(default_factory=Counter)
    """How often the mail application would have been called back for usage, by the kind of account."""
    last_headers: Mapping[str, str] = field(default_factory=dict)
    _under_way: int = 0
    _peers: set[object] = field(default_factory=set)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """Serve in this event loop on loopback; gives the endpoint's URL."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
        finally:
            self.resume.set()
            await runner.cleanup()

    @contextmanager
    def serve_in_thread(self, port: int = 0) -> Iterator[str]:
        """Serve in a thread with an event loop of its own, for callers that have none."""
        urls: list[str] = []
        started = threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def main() -> None:
            async with self.serve(port) as url:
                urls.append(url)
                started.set()
                await stop.wait()

        def run() -> None:
            try:
                loop.run_until_complete(main())
            finally:
                started.set()
                loop.close()

        thread = threading.Thread(target=run, name="deploycenter double", daemon=True)
        thread.start()
        started.wait()
        try:
            yield urls[0]
        finally:
            if thread.is_alive():
                loop.call_soon_threadsafe(stop.set)
            thread.join()

    @property
    def connections(self) -> int:
        """How many connections brought a request."""
        return len(self._peers)

    # --- one request ---

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        email = request.query.get("account_email", "")
        self.requests += 1
        self.asked[email] += 1
        self.methods[request.method] += 1
        self.last_headers = dict(request.headers)
        self._peers.add(request.get_extra_info("peername"))
        self._under_way += 1
        self.largest_concurrency = max(self.largest_concurrency, self._under_way)
        try:
            behaviour = self.behaviours.get(email, self.behaviour)
            if behaviour is not None and (odd := await self._misbehave(behaviour, request)) is not None:
                return odd
            return self._answer(request, await request.read(), behaviour)
        finally:
            self._under_way -= 1

    async def _misbehave(self, behaviour: Behaviour, request: web.Request) -> web.StreamResponse | None:
        """The response that is no answer; None when there is one all the same."""
        if behaviour in _BROKEN_STREAMS:
            return await _stream(request, *_BROKEN_STREAMS[behaviour])
        if behaviour is Behaviour.SLOW:
            await self.resume.wait()
        elif behaviour is Behaviour.DOWN:
            _cut(request)
            return web.Response()
        elif behaviour is Behaviour.GZIP_BOMB:
            bomb = gzip.compress(b" " * 2**24)
            return _raw(bomb, 200, {"Content-Type": "application/json", "Content-Encoding": "gzip"})
        return self._refuse(behaviour)

    def _refuse(self, behaviour: Behaviour) -> web.Response | None:
        match behaviour:
            case Behaviour.SERVER_ERROR:
                return _server_error()
            case Behaviour.UNAUTHENTICATED:
                return _unauthenticated()
            case Behaviour.THROTTLED:
                return _json({"detail": "Requête ralentie."}, 429, {"Retry-After": self.retry_after})
            case Behaviour.UNDER_MAINTENANCE:
                return _page("Maintenance", 503, {"Retry-After": self.retry_after})
            case Behaviour.LOGIN_PAGE:
                return _page("Connexion")
            case Behaviour.REDIRECT:
                return web.Response(status=302, headers={"Location": self.redirect_to})
            case _:
                return None

    def _answer(self, request: web.Request, body: bytes, behaviour: Behaviour | None) -> web.Response:
        line = f"{request.method} {request.raw_path} HTTP/1.1"
        if len(line) > 4094:
            return _page("Bad Request", 400, {"Connection": "close"})
        if request.path == PATH.rstrip("/"):
            return _raw(b"", 301, {"Location": f"{PATH}?{request.query_string}"})
        if request.path != PATH:
            return _page("Not Found", 404)
        response = self._answer_in_json(request, body, behaviour)
        accept = request.headers.get("Accept", "*/*")
        if "application/json" in accept or response.content_type != "application/json":
            return response
        if "text/html" in accept:
            return _page("Entitlements", response.status)
        if "*/*" in accept or "application/*" in accept:
            return response
        return _json({"detail": "L'en-tête « Accept » n'a pas pu être satisfaite."}, 406)

    def _answer_in_json(self, request: web.Request, body: bytes, behaviour: Behaviour | None) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        posted = self.posting and request.method == "POST"
        if request.method != "GET" and not posted:
            return _json({"detail": f"Méthode « {request.method} » non autorisée."}, 405)
        pushed = _pushed(body) if posted else frozenset()
        if pushed is None:
            return _json({"usage_metrics": [BAD_ITEM]}, 400)
        if errors := _errors(request.query):
            return _json(errors, 400)
        try:
            answer = self._entitlements(request.query, behaviour)
        except (TypeError, AttributeError):
            return _server_error()
        if answer["operator"] is not None:
            self.scrapes.update({request.query["account_type"], "organization"} - pushed)
        if self.posting:
            answer["metrics"] = {}
        response = _json(answer)
        if behaviour is Behaviour.COOKIE:
            response.set_cookie("sessionid", "deploycenter")
        if behaviour is Behaviour.CLOSE:
            response.force_close()
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        """Check key and service, before anything else is looked at. It is never 403."""
        if request.headers.get("Authorization", "").startswith("Bearer "):
            return _json({"detail": "Token is not valid"}, 401)
        credential = request.headers.get("X-Service-Auth", "")
        if not credential.isascii():
            return _server_error()
        service = request.query.get("service_id")
        if service is None or credential != f"Bearer {self.world.api_key}":
            return _unauthenticated()
        try:
            known = int(service) == self.world.service_id
        except ValueError:
            return _server_error()
        return None if known else _unauthenticated()

    def _entitlements(self, query: Mapping[str, str], behaviour: Behaviour | None) -> dict[str, Any]:
        siret = query["siret"].strip()
        organization = next((found for found in self.world.organizations if found.siret == siret), None)
        if organization is None:
            closed = {"can_access": False, "can_access_reason": "no_organization"}
            return {"organization": None, "operator": None, "entitlements": closed}
        if not organization.active or behaviour is Behaviour.KEY_ABSENT:
            return {
                "organization": organization.describe(),
                "operator": None,
                "entitlements": {"can_access": False, "can_access_reason": "not_activated"},
                "potentialOperators": [{**_OPERATOR, "signupUrl": "https://alpha.example/signup"}],
            }
        names = self.world.domains(query.get("account_email", "").strip(), query.get("account_id", ""))
        return {
            "organization": organization.describe(),
            "operator": _OPERATOR,
            "entitlements": {
                "can_access": True,
                "can_store": False,
                "can_store_resolve_level": "organization",
                "can_admin_maildomains": [] if behaviour is Behaviour.EMPTY else names,
            },
        }


def _pushed(body: bytes) -> frozenset[str] | None:
    """The kinds of account whose usage a body brings; None when it is none that is accepted."""
    try:
        items = (json.loads(body) if body else {}).get("usage_metrics", [])
        accounts = [item.get("account") or {} for item in items]
        shapes = [*accounts, *(item.get("metrics") or {} for item in items)]
    except (ValueError, AttributeError, TypeError):
        return None
    if not all(isinstance(shape, dict) for shape in shapes):
        return None
    return frozenset(account["type"] for account in accounts if account.get("type"))


def _errors(query: Mapping[str, str]) -> dict[str, list[str]]:
    """What the serializer complains about, field by field."""
    errors = {}
    for name in ("account_type", "siret"):
        if name not in query:
            errors[name] = [REQUIRED]
        elif "\0" in query[name]:
            errors[name] = [NUL]
        elif not query[name].strip():
            errors[name] = [BLANK]
    email = query.get("account_email", "").strip()
    if email and (len(email) > 320 or not _EMAIL.fullmatch(email)):
        errors["account_email"] = [NUL, BAD_EMAIL] if "\0" in email else [BAD_EMAIL]
    if not errors and not email and not query.get("account_id"):
        errors["non_field_errors"] = [NOBODY]
    return errors


_BROKEN_STREAMS: dict[Behaviour, tuple[Mapping[str, str], Iterable[bytes], float]] = {
    Behaviour.DRIP: ({}, repeat(b" "), 0.05),
    Behaviour.TRUNCATED: ({"Content-Length": "500"}, [b'{"entitlements": '], 0),
    Behaviour.HUGE: ({}, [b" " * 65536] * 128, 0),
}
"""Headers, body, and seconds between its parts."""


async def _stream(
    request: web.Request, headers: Mapping[str, str], body: Iterable[bytes], pause: float
) -> web.StreamResponse:
    """Send a body part by part for as long as somebody listens, then cut the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
    with suppress(ConnectionError):
        await response.prepare(request)
        for part in body:
            await response.write(part)
            await asyncio.sleep(pause)
    _cut(request)
    return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _json(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return _raw(body, status, {"Content-Type": "application/json", **_API_ANSWER, **(headers or {})})


def _page(title: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    page = f"<!doctype html><html lang=en><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return _raw(page.encode(), status, {"Content-Type": "text/html; charset=utf-8", **(headers or {})})


def _raw(body: bytes, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, status=status, headers={**_EVERY_ANSWER, **headers})


def _unauthenticated() -> web.Response:
    return _json({"detail": UNAUTHENTICATED}, 401, {"WWW-Authenticate": 'Bearer realm="api"'})


def _server_error() -> web.Response:
    return _page("Server Error (500)", 500)

"""`POST /api/v1.0/hooks/deploycenter/`: about whom has something changed at DeployCenter? Hints, and nothing more.

A webhook is sent before its change is committed, once, without a signature, and not at all for most revocations. So
whom it names is asked about again a few seconds later, and nothing that it says is believed.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

import structlog
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse, Response

from controller.errors import ControllerError
from controller.observability.lasting import LastingFailures
from controller.observability.metrics import Metrics
from controller.planning.facts import Hint
from controller.provisioning.authentication import Caller, Gate
from controller.provisioning.endpoint import Endpoint
from controller.provisioning.openapi import DETAIL, KEY, answer
from controller.provisioning.rates import Rates
from controller.provisioning.refusals import Refused
from controller.resources.names import Email, canonical_domain

log = structlog.get_logger(__name__)

PATH = "/api/v1.0/hooks/deploycenter/"
MAX_NAMES = 5000
"""Users and domains of one hook that are looked at."""

_EMAIL: TypeAdapter[Email] = TypeAdapter(Email)
_ACCOUNT = ("account_email", "email")
_ROLES = ("organization_roles", "service_roles")
_DOMAINS = ("domains", "subscription_domains")


class HintBook(Protocol):
    """Where hints wait for the operator."""

    def note_hints(self, hints: frozenset[Hint]) -> int:
        """Note them; how many found room. Raises `ControllerError`."""
        ...


class Hooks:
    """The answer to a hook: 202, whatever it says."""

    def __init__(self, book: HintBook | None, metrics: Metrics) -> None:
        self._book = book
        self._metrics = metrics
        self._lasting = LastingFailures()

    async def answer(self, _: Caller, document: Any) -> Response:
        """Note whom it names."""
        hints = frozenset(read_hints(document))
        if hints and self._book is not None:
            try:
                noted = await asyncio.to_thread(self._book.note_hints, hints)
            except ControllerError as error:
                log.warning("hints_not_noted", error=type(error).__name__, detail=str(error))
                self._lasting.failed("hints", type(error).__name__)
                raise Refused(503, "Hints can't be noted now.", Retry_After="5") from None
            self._lasting.worked("hints")
            self._metrics.hinted("noted", noted)
            self._metrics.hinted("dropped", len(hints) - noted)
            if noted < len(hints):
                log.warning("hints_dropped", count=len(hints) - noted)
        return JSONResponse({"detail": "Accepted."}, 202)


def hooks(gate: Gate, rates: Rates, book: HintBook | None, metrics: Metrics) -> Endpoint:
    """The endpoint. Without a book the gate lets nobody in."""
    return Endpoint(PATH, gate, rates, Hooks(book, metrics).answer, _OPERATION, lenient=True)


def read_hints(document: Any) -> Iterator[Hint]:
    """Whom a body names, as far as it can be read. Whatever else it says is not looked at."""
    body = document if isinstance(document, dict) else {}
    emails = [body.get(name) for name in _ACCOUNT]
    for name in _ROLES:
        listed = body.get(name)
        entries = listed if isinstance(listed, list) else []
        emails += [entry.get("email") for entry in entries[:MAX_NAMES] if isinstance(entry, dict)]
    for text in emails[:MAX_NAMES]:
        try:
            yield _EMAIL.validate_python(text)
        except ValidationError:
            continue
    for name in _DOMAINS:
        listed = body.get(name)
        texts = listed.split(",") if isinstance(listed, str) else listed if isinstance(listed, list) else []
        found = (canonical_domain(text) for text in texts[:MAX_NAMES] if isinstance(text, str))
        yield from (domain for domain in found if domain is not None)


_OPERATION = {
    "operationId": "hintOfDeployCenter",
    "summary": "Hint that accounts or a subscription have changed",
    "description": "Whom the body names is asked about again a few seconds later. Nothing that it says is believed.",
    "security": [KEY],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "account_email": {"type": "string"},
                        "organization_roles": {"type": "array", "items": {"type": "object"}},
                        "service_roles": {"type": "array", "items": {"type": "object"}},
                        "domains": {"type": ["array", "string"]},
                    },
                }
            }
        },
    },
    "responses": {
        "202": answer("Accepted, also when it names nobody.", DETAIL),
        "403": answer("The key is missing or unknown.", DETAIL),
        "503": answer("Hints can't be noted now.", DETAIL),
    },
}

"""What has every call in common? Admission, rate, body, and an answer that leaks nothing; one object an address.

An address that only shows something has none of these.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.observability.metrics import Metrics
from controller.provisioning.authentication import Caller, Gate
from controller.provisioning.bodies import read_json
from controller.provisioning.rates import Rates
from controller.provisioning.refusals import Refused

log = structlog.get_logger(__name__)


class Address(Protocol):
    """Where something is answered."""

    verb: ClassVar[str]
    """How it is called there, as OpenAPI writes it."""

    @property
    def path(self) -> str:
        """With its trailing slash; it is reached without it as well."""
        ...

    @property
    def operation(self) -> Mapping[str, Any]:
        """How OpenAPI describes it."""
        ...

    def routes(self, metrics: Metrics) -> list[Route]:
        """Where it is reached."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """One address that shows everybody the same JSON document by GET."""

    verb: ClassVar[str] = "get"
    path: str
    document: Mapping[str, Any]
    operation: Mapping[str, Any]

    def routes(self, metrics: Metrics) -> list[Route]:
        """Where it is reached."""

        async def handle(_: Request) -> Response:
            metrics.served(self.path, "200")
            return JSONResponse(self.document)

        return _routes(self.path, handle, self.verb)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that takes a JSON document by POST from callers with a key."""

    verb: ClassVar[str] = "post"
    path: str
    gate: Gate
    rates: Rates
    answer: Callable[[Caller, Any], Awaitable[Response]]
    """What comes of a document. May raise `Refused`."""
    operation: Mapping[str, Any]
    lenient: bool = False
    """Whether a body that is not JSON is a document that says nothing."""

    def routes(self, metrics: Metrics) -> list[Route]:
        """Where it is reached."""

        async def handle(request: Request) -> Response:
            response = await self._respond(request)
            metrics.served(self.path, str(response.status_code))
            return response

        return _routes(self.path, handle, self.verb)

    async def _respond(self, request: Request) -> Response:
        try:
            caller = self._admit(request)
            self.rates.charge(caller)
            return await self.answer(caller, await read_json(request, lenient=self.lenient))
        except Refused as refused:
            return refused.response
        except Exception:
            # An error of ours. Only the log masks what its text may hold.
            log.exception("request_failed", path=self.path)
            return JSONResponse({"detail": "Something went wrong here."}, 500)

    def _admit(self, request: Request) -> Caller:
        try:
            return self.gate.admit(request.headers)
        except Refused:
            # Those who have a key never pay for those who have none.
            self.rates.charge(None)
            raise


def _routes(path: str, handle: Callable[[Request], Awaitable[Response]], verb: str) -> list[Route]:
    return [Route(written, handle, methods=[verb.upper()]) for written in (path, path.rstrip("/"))]

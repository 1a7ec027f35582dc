"""What has every call in common? Admission, rate, body, and an answer that leaks nothing; one object an address."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that takes a JSON document by POST from callers with a key."""

    path: str
    """With its trailing slash; it is reached without it as well."""
    gate: Gate
    rates: Rates
    answer: Callable[[Caller, Any], Awaitable[Response]]
    """What comes of a document. May raise `Refused`."""
    operation: Mapping[str, Any]
    """How OpenAPI describes it."""
    lenient: bool = False
    """Whether a body that is not JSON is a document that says nothing."""

    def routes(self, metrics: Metrics) -> list[Route]:
        """Where it is reached."""

        async def handle(request: Request) -> Response:
            response = await self._respond(request)
            metrics.served(self.path, str(response.status_code))
            return response

        return [Route(path, handle, methods=["POST"]) for path in (self.path, self.path.rstrip("/"))]

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

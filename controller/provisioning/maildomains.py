"""`POST /api/v1.0/provisioning/maildomains/`: which MailDomains does DeployCenter want declared? (A-71..A-77)"""

import asyncio
from typing import Any

from starlette.responses import JSONResponse, Response

from controller.observability.metrics import Metrics
from controller.provisioning.authentication import Caller, Gate
from controller.provisioning.declaring import Declaring, Outcome, Trouble
from controller.provisioning.endpoint import Endpoint
from controller.provisioning.openapi import CHANNEL, DETAIL, KEY, answer
from controller.provisioning.rates import Rates
from controller.provisioning.wanted import Wanted, echoed, read_wanted
from controller.resources.names import DomainName, canonical_domain

PATH = "/api/v1.0/provisioning/maildomains/"
AT_ONCE = 8
"""Names of one request that are worked on at a time, so that a long one leaves room for others."""

_NAMES = {"type": "array", "items": {"type": "string"}}
_RESULT = {
    "type": "object",
    "properties": {
        "created": _NAMES,
        "existing": _NAMES,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"domain": {"type": "string"}, "error": {"enum": [str(trouble) for trouble in Trouble]}},
                "required": ["domain", "error"],
            },
        },
    },
    "required": ["created", "existing", "errors"],
}


class Provisioning:
    """The answer to a request. Each name costs the caller one unit."""

    def __init__(self, declaring: Declaring | None, rates: Rates, metrics: Metrics) -> None:
        self._declaring = declaring
        self._rates = rates
        self._metrics = metrics

    async def answer(self, caller: Caller, document: Any) -> Response:
        """Declare each name, whatever becomes of the others. 503 when the same request should be sent again."""
        wanted = read_wanted(document)
        names = {} if wanted is None else _named(wanted.domains)
        self._rates.charge(caller, len(names))
        results = await self._declare(wanted, names) if wanted is not None else {}
        body: dict[str, list[Any]] = {"created": [], "existing": [], "errors": []}
        for shown, result in results.items():
            self._metrics.provisioned(result.name.lower())
            if isinstance(result, Outcome):
                body[result].append(shown)
            else:
                body["errors"].append({"domain": shown, "error": str(result)})
        again = Trouble.NOT_NOW in results.values()
        return JSONResponse(body, 503 if again else 200, headers={"Retry-After": "5"} if again else None)

    async def _declare(self, wanted: Wanted, names: dict[str, DomainName | None]) -> dict[str, Outcome | Trouble]:
        slots = asyncio.Semaphore(AT_ONCE)
        declaring = self._declaring

        async def one(name: DomainName | None) -> Outcome | Trouble:
            if name is None or declaring is None:
                return Trouble.NOT_A_NAME
            async with slots:
                return await declaring.declare(name, wanted)

        if declaring is not None:
            await declaring.expect([name for name in names.values() if name is not None])
        async with asyncio.TaskGroup() as group:
            tasks = {shown: group.create_task(one(name)) for shown, name in names.items()}
        return {shown: task.result() for shown, task in tasks.items()}


def maildomains(gate: Gate, rates: Rates, declaring: Declaring | None, metrics: Metrics) -> Endpoint:
    """The endpoint. Without `declaring` the gate lets nobody in."""
    return Endpoint(PATH, gate, rates, Provisioning(declaring, rates, metrics).answer, _OPERATION)


def _named(domains: list[Any]) -> dict[str, DomainName | None]:
    """Each name once: under its canonical form, or as it was sent when it has none."""
    found: dict[str, DomainName | None] = {}
    for sent in domains:
        name = canonical_domain(sent) if isinstance(sent, str) else None
        found.setdefault(name or echoed(sent), name)
    return found


_OPERATION = {
    "operationId": "provisionMailDomains",
    "summary": "Declare mail domains",
    "description": "Fields that are absent are left as they are, also on domains that exist already.",
    "security": [KEY, CHANNEL],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Wanted.model_json_schema()}},
    },
    "responses": {
        "200": answer("What became of each name. A subscription that has ended creates nothing.", _RESULT),
        "401": answer("The pair of channel and key is missing or unknown.", DETAIL),
        "403": answer("The key is missing or unknown.", DETAIL),
        "503": answer("The same; some names could not be stored now. Send the request again.", _RESULT),
    },
}

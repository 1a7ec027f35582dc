"""`POST /api/v1.0/access-reviews/`: may somebody open a service? The same answer as `review` gives, over HTTP.

A question that makes no sense is refused and never a no. Acting as somebody is looked at anew each time.
"""

from typing import Any, Protocol

import structlog
from starlette.responses import JSONResponse, Response

from controller.errors import ControllerError, InvalidInput
from controller.observability.lasting import LastingFailures
from controller.permissions.reasons import AccessReason, Gate
from controller.permissions.resolver import EVERY, NotKnown, Question, Verdict
from controller.provisioning.authentication import Caller
from controller.provisioning.authentication import Gate as Admission
from controller.provisioning.endpoint import Endpoint
from controller.provisioning.openapi import DETAIL, KEY, answer
from controller.provisioning.rates import Rates
from controller.provisioning.refusals import Refused

log = structlog.get_logger(__name__)

PATH = "/api/v1.0/access-reviews/"

_FIELDS = frozenset({"domain", "user", "actingAs", "service"})
_ACTING_AS = "actingAs"


class Court(Protocol):
    """Who answers."""

    async def answer(self, question: Question) -> Verdict:
        """Answer one question. Raises `InvalidInput`, `NotKnown`, and other `ControllerError`s for what is away."""
        ...


class AccessReviews:
    """The answer to a question."""

    def __init__(self, court: Court | None) -> None:
        self._court = court
        self._lasting = LastingFailures()

    async def answer(self, _: Caller, document: Any) -> Response:
        """Answer it."""
        question = read_question(document)
        if self._court is None:
            raise Refused(503, "Nothing is known here.")
        try:
            verdict = await self._court.answer(question)
        except InvalidInput as error:
            raise Refused(400, {problem.path: [f"It {problem.found}."] for problem in error.problems}) from None
        except NotKnown:
            raise Refused(409, "An e-mail means more than one active user.") from None
        except ControllerError as error:
            log.warning("review_failed", error=type(error).__name__)
            self._lasting.failed("reviews", type(error).__name__)
            raise Refused(503, "It can't be known now.", Retry_After="5") from None
        self._lasting.worked("reviews")
        return JSONResponse(shown(verdict))


def access_reviews(gate: Admission, rates: Rates, court: Court | None) -> Endpoint:
    """The endpoint. Without a court the gate lets nobody in."""
    return Endpoint(PATH, gate, rates, AccessReviews(court).answer, _OPERATION)


def read_question(document: Any) -> Question:
    """The question of a body. A service that is null is an error, an absent one asks about all. Raises `Refused`."""
    if not isinstance(document, dict):
        raise Refused(400, "The body is no JSON object.")
    wrong = {name: ["There is no such field."] for name in sorted(document.keys() - _FIELDS)}
    for name in sorted(_FIELDS & document.keys()):
        value = document[name]
        if not isinstance(value, str | None) or (value is None and name == "service"):
            wrong[name] = ["It is no text."]
    if wrong:
        raise Refused(400, wrong)
    return Question(
        domain=document.get("domain"),
        actor=document.get("user"),
        acting_as=document.get(_ACTING_AS),
        service=document.get("service", EVERY),
    )


def shown(verdict: Verdict) -> dict[str, Any]:
    """A verdict on the wire, as `docs/schema/review.json` has it."""
    return {
        "gate": verdict.gate.value,
        "reason": verdict.reason.value,
        "services": [
            {"name": each.service, "allowed": each.allowed, "reason": each.reason.value} for each in verdict.services
        ],
        **({"advisory": True} if verdict.advisory else {}),
    }


_REASONS = {"enum": [reason.value for reason in AccessReason]}
_OPERATION = {
    "operationId": "reviewAccess",
    "summary": "Ask whether somebody may open a service",
    "description": "Without `service` all services of the domain are answered. An answer that lets in as somebody else "
    "is noted in the journal.",
    "security": [KEY],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["domain", "user"],
                    "additionalProperties": False,
                    "properties": {
                        "domain": {"type": "string"},
                        "user": {"type": "string", "description": "The e-mail of whoever asks."},
                        "actingAs": {"type": ["string", "null"], "description": "The e-mail of whom they act as."},
                        "service": {"type": "string", "description": "The name of a CatalogService."},
                    },
                }
            }
        },
    },
    "responses": {
        "200": answer(
            "The answer. `allowed` is null where it is not known: whoever was told something before keeps it.",
            {
                "type": "object",
                "required": ["gate", "reason", "services"],
                "properties": {
                    "gate": {"enum": [gate.value for gate in Gate]},
                    "reason": _REASONS,
                    "advisory": {"const": True, "description": "The domain is only audited: a no keeps nobody out."},
                    "services": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "allowed", "reason"],
                            "properties": {
                                "name": {"type": "string"},
                                "allowed": {"type": ["boolean", "null"]},
                                "reason": _REASONS,
                            },
                        },
                    },
                },
            },
        ),
        "403": answer("The key is missing or unknown.", DETAIL),
        "409": answer("An e-mail means more than one active user.", DETAIL),
        "503": answer("It can't be known now.", DETAIL),
    },
}

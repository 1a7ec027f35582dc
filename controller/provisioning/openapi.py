"""How do the endpoints look to a program that has never seen them? As OpenAPI 3.1."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from controller.provisioning.endpoint import Address

KEY: Mapping[str, Any] = {"Key": []}
"""`Authorization: Bearer`."""
CHANNEL: Mapping[str, Any] = {"Channel": [], "ChannelKey": []}
"""`X-Channel-Id` and `X-API-Key`, together."""

DETAIL: Mapping[str, Any] = {
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}
"""A refusal."""

_COMMON = {
    "400": "The body is not JSON, or a field can't be used; `detail`, or texts by field.",
    "408": "The body took longer than 10 seconds.",
    "413": "The body is larger than 1 MiB.",
    "429": "Too many requests; `Retry-After` says when to come again.",
    "500": "Something went wrong here.",
}


def describe(addresses: Sequence[Address]) -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "maildomain-controller",
            "version": version("maildomain-controller"),
            "description": "Declares mail domains, takes hints that something has changed, answers who may open what.",
        },
        "paths": {address.path: {address.verb: _operation(address)} for address in addresses},
        "components": {
            "securitySchemes": {
                "Key": {"type": "http", "scheme": "bearer"},
                "Channel": {"type": "apiKey", "in": "header", "name": "X-Channel-Id"},
                "ChannelKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
        },
    }


def answer(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """One answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": dict(schema)}}}


def _operation(address: Address) -> dict[str, Any]:
    common = _COMMON if address.verb == "post" else {}
    refusals = {status: answer(text, {"type": "object"}) for status, text in common.items()}
    return {**address.operation, "responses": {**address.operation["responses"], **refusals}}

"""How do the endpoints look to a program that has never seen them? As OpenAPI 3.1."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from controller.provisioning.endpoint import Endpoint

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


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "maildomain-controller",
            "version": version("maildomain-controller"),
            "description": "Declares mail domains, and takes hints that something has changed.",
        },
        "paths": {endpoint.path: {"post": _operation(endpoint)} for endpoint in endpoints},
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


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    refusals = {status: answer(text, {"type": "object"}) for status, text in _COMMON.items()}
    return {**endpoint.operation, "responses": {**endpoint.operation["responses"], **refusals}}

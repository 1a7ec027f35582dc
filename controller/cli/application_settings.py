"""What did the mail application's own settings say? Its entitlements backend, from an environment or a file of one."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import InvalidInput, Problem

BACKEND = "ENTITLEMENTS_BACKEND"
PARAMETERS = "ENTITLEMENTS_BACKEND_PARAMETERS"
LOCAL_BACKEND = "core.entitlements.backends.local.LocalEntitlementsBackend"
"""The one that knows nothing, so that signing in changes no administrator (A-06, D5)."""
DEPLOY_CENTER_BACKEND = "core.entitlements.backends.deploycenter.DeployCenterEntitlementsBackend"

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=[ \t]*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPE = re.compile(r"\\([\"\\$`])")


@dataclass(frozen=True, slots=True, repr=False)
class Backend:
    """A backend and what it is built with. Never printed: the parameters hold the API key."""

    path: str
    parameters: Mapping[str, Any]


def read_backend(variables: Mapping[str, str], where: str) -> Backend:
    """Read the backend that these variables name; the local one when they name none (A-01).

    Raises `InvalidInput` when the parameters are no JSON object.
    """
    path = _unquoted(variables.get(BACKEND, "").strip()) or LOCAL_BACKEND
    text = _unquoted(variables.get(PARAMETERS, "").strip())
    parameters = _parsed(text) if text else {}
    if not isinstance(parameters, dict):
        remedy = """write a JSON object, in single quotes: '{"base_url": ...}'"""
        raise InvalidInput(Problem(where, PARAMETERS, "is no JSON object", remedy))
    return Backend(path, parameters)


def read_assignments(text: str) -> dict[str, str]:
    """Read the assignments of an environment file, as shells and containers have them; the last of a name stands.

    Quotes may enclose several lines. Whatever is no assignment is passed over.
    """
    return dict(_assignments(text))


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(text.splitlines())
    for line in lines:
        match = _ASSIGNMENT.match(line.strip())
        if match is None:
            continue
        name, value = match.groups()
        while value[:1] in ("'", '"') and _QUOTED.match(value) is None:
            more = next(lines, None)
            if more is None:
                break
            value += f"\n{more}"
        quoted = _QUOTED.match(value)
        yield name, value if quoted else re.split(r"\s#", value, maxsplit=1)[0].strip()


def _unquoted(value: str) -> str:
    """Without the quotes that a shell would have taken off, and a container's environment file leaves on."""
    match = _QUOTED.match(value)
    if match is None:
        return value
    return match[1] if match[1] is not None else _ESCAPE.sub(r"\1", match[2])


def _parsed(text: str) -> object:
    """JSON, or the same with its texts in single quotes."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None

"""What does an answer of the API server that is no success mean for us? Another try, or one of our errors."""

from typing import Any

import aiohttp
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from controller.errors import ClusterUnavailable, ControllerError, NotAuthorized

NO_ANSWER = (aiohttp.ClientError, OSError, ConfigException, ValueError)
"""What the client raises when nothing came back, when it is not readable, or when our token is not."""

EXPIRED = 410
FORBIDDEN = 403
TEMPORARY = frozenset({409, 429, 500, 502, 503, 504})
"""The statuses after which the same request may succeed a little later."""
_OBJECT = frozenset({400, 413, 422})
_LONGEST = 10.0
"""Seconds of `Retry-After` that are waited at most."""


def is_of_one_object(refusal: ApiException) -> bool:
    """Whether the refusal is about what was sent for one object, and says nothing about the others."""
    return refusal.status in _OBJECT


def retry_after(refusal: ApiException) -> float:
    """Seconds for which the API server wants to be left alone, as far as we grant them."""
    headers: Any = refusal.headers or {}
    given = str(headers.get("Retry-After", ""))
    return min(float(given), _LONGEST) if given.isdecimal() else 0.0


def converted(refusal: ApiException, verb: str, resource: str) -> ControllerError:
    """Our error for it. The server's own text stays out: it may repeat what the object holds (invariant 10)."""
    match refusal.status:
        case 401:
            return NotAuthorized("the API server does not accept our credentials")
        case 403:
            return NotAuthorized(f"the operator may not {verb} {resource}: apply the RBAC of manifests/")
        case 404:
            return ClusterUnavailable(f"the API server does not know {resource}: apply crds/ first")
        case status:
            return ClusterUnavailable(f"the API server answers {status or 'nonsense'} to {verb} {resource}")

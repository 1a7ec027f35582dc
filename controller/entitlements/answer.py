"""What does one HTTP answer say? Bytes from the wire to one of the five verdicts, without I/O.

Only a body that says so is `Entitled`; whatever can't be read for certain holds what is there (DESIGN section 1,
A-17..A-21, A-32..A-35, D7, D9). `can_access` is carried along and decides nothing (D6).
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Never

from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason, Entitled, Malformed, Partial, Unavailable, Unknown, Verdict
from controller.resources.names import DomainName, canonical_domain

MAX_BODY = 1024 * 1024
"""Bytes of a body that are looked at."""
MAX_DEPTH = 32
"""Arrays and objects inside each other; the real answer has five."""
MAX_NAMES = 10_000
"""Items of one list of domains."""
MAX_NAME = 512
"""Characters of one item, blanks included; a longer one is no domain name."""

_CLOSED_BECAUSE = {"not_activated": AnswerReason.NOT_ACTIVATED, "no_organization": AnswerReason.NO_ORGANIZATION}
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """One HTTP response, as far as it matters. Never printed: the body names people's rights (invariant 10)."""

    status: int
    content_type: str = ""
    body: bytes = b""
    content_encoding: str = ""
    retry_after: str | None = None


class _Repeated(ValueError):  # noqa: N818  # it never leaves this module
    """An object has two values for one key."""


def read_answer(received: Received) -> Reply:
    """Turn one response into a reply without siret and request count. Never raises."""
    status = received.status
    if 200 <= status < 300:
        return _read_body(received)
    if status == 400:
        return Reply(Unknown(AnswerReason.REFUSED))
    return Reply(Unavailable(_no_answer(status, throttled=received.retry_after is not None)))


def _no_answer(status: int, *, throttled: bool) -> AnswerReason:
    if status == 401:
        return AnswerReason.UNAUTHENTICATED
    if status == 429 or (status == 503 and throttled):
        return AnswerReason.THROTTLED
    if 300 <= status < 400:
        return AnswerReason.REDIRECT
    if status in (405, 501):
        return AnswerReason.METHOD_NOT_ALLOWED
    return AnswerReason.CLIENT_ERROR if 400 <= status < 500 else AnswerReason.SERVER_ERROR


def _read_body(received: Received) -> Reply:
    if len(received.body) > MAX_BODY:
        return _malformed(AnswerReason.TOO_LARGE)
    if not _is_plain_json(received):
        return _malformed(AnswerReason.NOT_JSON)
    if _too_deep(received.body):
        return _malformed(AnswerReason.TOO_DEEP)
    try:
        document = json.loads(received.body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except _Repeated:
        return _malformed(AnswerReason.WRONG_SHAPE)
    except ValueError:
        return _malformed(AnswerReason.NOT_JSON)
    return _read_document(document)


def _is_plain_json(received: Received) -> bool:
    media_type, _, parameters = received.content_type.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    encoding = received.content_encoding.strip().lower()
    return (
        media_type.strip().lower() == "application/json"
        and charset in ("", "charset=utf-8")
        and encoding in ("", "identity")
    )


def _too_deep(body: bytes) -> bool:
    """Tell before parsing, because the parser recurses. Brackets within texts do not count."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _TEXT_OR_BRACKET.finditer(body):
        first = match[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose keys are all different: of two values for one key neither is certain."""
    built = dict(pairs)
    if len(built) != len(pairs):
        raise _Repeated
    return built


def _refuse_constant(_: str) -> Never:
    """`NaN` and `Infinity` are Python's, not JSON's."""
    raise ValueError


def _read_document(document: object) -> Reply:
    if not isinstance(document, dict):
        return _malformed(AnswerReason.WRONG_SHAPE)
    entitlements = document.get("entitlements", {})
    if not isinstance(entitlements, dict):
        return _malformed(AnswerReason.WRONG_SHAPE)
    can_access = entitlements.get("can_access")
    if not isinstance(can_access, bool | None):
        return _malformed(AnswerReason.WRONG_SHAPE)
    said = entitlements.get("can_access_reason")
    reason = said if isinstance(said, str) and said in _CLOSED_BECAUSE else None
    return Reply(read_names(entitlements.get("can_admin_maildomains"), reason), can_access, reason)


def read_names(names: object, reason: str | None = None) -> Verdict:
    """Read the list itself. `null` is the absent key of A-32, not an empty list."""
    if names is None:
        return Unknown(_CLOSED_BECAUSE.get(reason or "", AnswerReason.KEY_ABSENT))
    if not isinstance(names, list):
        return Malformed(AnswerReason.WRONG_SHAPE)
    if len(names) > MAX_NAMES:
        return Malformed(AnswerReason.TOO_LARGE)
    read = [_read_name(name) for name in names]
    domains = frozenset(name for name in read if name is not None)
    return Partial(domains) if None in read else Entitled(domains)


def _read_name(name: object) -> DomainName | None:
    return canonical_domain(name) if isinstance(name, str) and len(name) <= MAX_NAME else None


def _malformed(reason: AnswerReason) -> Reply:
    return Reply(Malformed(reason))

"""What does one HTTP answer of DeployCenter say? Bytes to a verdict; never `Entitled` unless the bytes say so.

The contract as observed: 200 with the key `entitlements.can_admin_maildomains` absent when no active subscription
opens it, `[]` when the user administers nothing. Missing is not empty (A-18, A-19, A-56 to A-58).
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from controller.planning.facts import AnswerReason, Entitled, Malformed, Partial, Unavailable, Unknown, Verdict
from controller.resources.names import canonical_domain

MAX_BYTES: Final = 1 << 20
"""Bytes of a body that are read at most."""
MAX_DEPTH: Final = 32
"""Nesting of JSON that is parsed at most."""
MAX_NAMES: Final = 20_000
"""Items of the list that are taken at most."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ACCESS_REASONS = {"not_activated": AnswerReason.NOT_ACTIVATED, "no_organization": AnswerReason.NO_ORGANIZATION}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer says."""

    verdict: Verdict
    can_access: bool | None = None
    access_reason: str | None = None

    @property
    def opened(self) -> bool:
        """Whether the siret opened the list."""
        return isinstance(self.verdict, Entitled | Partial)


def read_answer(status: int, content_type: str, body: bytes | None) -> Reading:
    """Read a whole answer; `body` is None when it was larger than `MAX_BYTES`, or of a foreign encoding."""
    if not 200 <= status < 300:
        return Reading(_failure(status))
    if body is None or len(body) > MAX_BYTES:
        return Reading(Malformed(AnswerReason.TOO_LARGE))
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return Reading(Malformed(AnswerReason.NOT_JSON))
    if _depth(body) > MAX_DEPTH:
        return Reading(Malformed(AnswerReason.TOO_DEEP))
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Reading(Malformed(AnswerReason.NOT_JSON))
    return _read_document(document)


def _failure(status: int) -> Verdict:
    if status == 400:
        return Unknown(AnswerReason.REFUSED)
    if status == 401:
        return Unavailable(AnswerReason.UNAUTHENTICATED)
    if status == 429:
        return Unavailable(AnswerReason.THROTTLED)
    if 300 <= status < 400:
        return Unavailable(AnswerReason.REDIRECT)
    return Unavailable(AnswerReason.CLIENT_ERROR if 400 <= status < 500 else AnswerReason.SERVER_ERROR)


def _read_document(document: Any) -> Reading:
    wrong = Reading(Malformed(AnswerReason.WRONG_SHAPE))
    if not isinstance(document, dict):
        return wrong
    entitlements = document.get("entitlements", {})
    if not isinstance(entitlements, dict):
        return wrong
    access, reason = entitlements.get("can_access"), entitlements.get("can_access_reason")
    if not (access is None or isinstance(access, bool)):
        return wrong
    known = reason if isinstance(reason, str) and reason in _ACCESS_REASONS else None
    return Reading(_read_names(entitlements.get("can_admin_maildomains"), known), access, known)


def _read_names(items: Any, access_reason: str | None) -> Verdict:
    """Null is what a missing key is: nothing was said (A-32)."""
    if items is None:
        return Unknown(_ACCESS_REASONS.get(access_reason or "", AnswerReason.KEY_ABSENT))
    if not isinstance(items, list):
        return Malformed(AnswerReason.WRONG_SHAPE)
    if len(items) > MAX_NAMES:
        return Malformed(AnswerReason.TOO_LARGE)
    names = [canonical_domain(item) if isinstance(item, str) else None for item in items]
    readable = frozenset(name for name in names if name is not None)
    return Entitled(readable) if None not in names else Partial(readable)


def _depth(body: bytes) -> int:
    """The deepest nesting, counted without parsing: a parser must not recurse as deep as a stranger likes."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for byte in _STRINGS.sub(b"", body):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with a key twice says two things at once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")

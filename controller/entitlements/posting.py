"""May this address be asked by POST? What one process has learnt about it, so that it is tried once (A-67).

A newer DeployCenter answers POST as it answers GET, and does not call the mail application back for the usage that the
body covers. An older one says 405. Nobody waits for the first POST: until it is answered, everybody else uses GET.
"""

import json
from dataclasses import dataclass, field
from enum import Enum, auto

from controller.planning.facts import AnswerReason, Entitled, Partial, Unavailable, Unknown, Verdict

TRIES = 3
"""First POSTs that may come to nothing before GET is used for good: what breaks only them may be a gateway."""

NO_USAGE = json.dumps(
    {"usage_metrics": [{"account": {"type": kind}, "metrics": {}} for kind in ("user", "organization")]}
).encode()
"""One item for each kind of account that would be called back for. Without a number and without an organization there
is nothing to store: usage is the mail application's to tell, and a zero of ours would overwrite it."""

_METHOD = Unavailable(AnswerReason.METHOD_NOT_ALLOWED)
_GATEWAY = Unavailable(AnswerReason.CLIENT_ERROR)
_BAD_REQUEST = Unknown(AnswerReason.REFUSED)
_UNDECIDED = frozenset(
    map(Unavailable, (AnswerReason.UNAUTHENTICATED, AnswerReason.THROTTLED, AnswerReason.CIRCUIT_OPEN))
)
"""Said without a look at the method."""


class _Known(Enum):
    NOTHING = auto()
    ANSWERED = auto()
    REFUSED = auto()


@dataclass(slots=True)
class Posting:
    """Whether one address answers POST."""

    _known: _Known = _Known.NOTHING
    _trying: bool = False
    _failed: int = 0

    def begin(self) -> bool:
        """Whether the ask that begins now uses POST. While nothing is known one of them at a time does."""
        if self._known is _Known.NOTHING and not self._trying:
            self._trying = True
            return True
        return self._known is _Known.ANSWERED

    def end(self, verdict: Verdict | None) -> bool:
        """Note what a POST brought, None when it was given up; tell whether the same must be asked by GET at once.

        A 405 or 501 is about the method. Before the first answer so is any other 4xx: the service itself gives none, so
        it is a gateway's. A 400 may be about the user or about our body, and proves nothing.
        """
        self._trying = False
        unknown = self._known is _Known.NOTHING
        refused = verdict == _METHOD or (unknown and verdict == _GATEWAY)
        if unknown and verdict is not None and verdict not in _UNDECIDED:
            answered = isinstance(verdict, Entitled | Partial | Unknown) and verdict != _BAD_REQUEST
            self._failed += not answered
            self._known = _Known.ANSWERED if answered else self._known
        if refused or self._failed == TRIES:
            self._known = _Known.REFUSED
        return refused


@dataclass(frozen=True, slots=True)
class Postings:
    """What is known, by address, for as long as the process lives."""

    _by_url: dict[str, Posting] = field(default_factory=dict)

    def about(self, url: str) -> Posting:
        """What is known about this address."""
        return self._by_url.setdefault(url, Posting())

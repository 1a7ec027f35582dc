"""What does a machine drive? The real loop: without threads, with a wall clock that jumps, and sources of bytes."""

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, ParamSpec, TypeVar

from controller.entitlements.answer import Received, read_answer
from controller.entitlements.source import Reply
from controller.planning.facts import Subject
from tests.support.operating import Operating, ScriptedSource

P = ParamSpec("P")
T = TypeVar("T")

Kinds = Literal["list", "partial", "absent", "null", "top", "html", "torn", "500", "400", "429", "text"]
FAULTS: tuple[Kinds, ...] = ("absent", "null", "top", "html", "torn", "500", "400", "429", "text", "partial")


@dataclass
class WireSource(ScriptedSource):
    """A source that answers in bytes, and lets the oracle listen."""

    heard: Callable[[str, Kinds, frozenset[str]], None] = lambda *_: None
    trouble: dict[str, Kinds] = field(default_factory=dict)
    """By e-mail; `*` is everybody."""

    async def ask(self, subject: Subject) -> Reply:
        """Read what the script says off the wire."""
        email = subject.email.reveal()
        self.asked.append(email)
        names = frozenset(self.says.get(email, ()))
        kind = self.trouble.get(email) or self.trouble.get("*") or "list"
        self.heard(email, kind, names)
        reply = read_answer(response(kind, sorted(names)))
        return Reply(reply.verdict, reply.can_access, reply.access_reason, requests=1)


def response(kind: Kinds, names: list[str]) -> Received:
    """What stands on the wire."""
    said: dict[str, Any] = {"entitlements": {"can_access": True, "can_admin_maildomains": names}}
    match kind:
        case "partial":
            said["entitlements"]["can_admin_maildomains"] = [*names, 5]
        case "absent":
            said = {"entitlements": {"can_access": False, "can_access_reason": "not_activated"}}
        case "null":
            said["entitlements"]["can_admin_maildomains"] = None
        case "top":
            said = {"can_admin_maildomains": [], "entitlements": {"can_access": True}}
        case "text":
            said["entitlements"]["can_admin_maildomains"] = ",".join(names)
        case "html":
            return Received(200, "text/html", b"<!doctype html><title>Connexion</title>")
        case "torn":
            return Received(200, "application/json", json.dumps(said).encode()[:-3])
        case "500" | "400" | "429":
            return Received(int(kind))
        case "list":
            pass
    return Received(200, "application/json", json.dumps(said).encode())


class OneThread(ThreadPoolExecutor):
    """No thread at all: work is done before anybody waits for it, so that each world plays the same every time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it here and now."""
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # whoever waits gets it
            done.set_exception(error)
        return done


class Clockwork(Operating):
    """The loop with a wall clock that may jump."""

    wall = timedelta(0)

    def utc(self) -> datetime:
        """The wall clock."""
        return super().utc() + self.wall

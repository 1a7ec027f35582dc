"""What does a machine drive? The real loop: without threads, with a wall clock that jumps, and sources of bytes."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, ParamSpec, TypeVar

from controller.engine.roster import Roster, Secrets
from controller.entitlements.answer import Received, read_answer
from controller.entitlements.isolation import Isolated
from controller.entitlements.source import Reply, Source
from controller.errors import SchemaUnknown
from controller.planning.facts import AnswerReason, Subject
from controller.resources.conditions import Reason
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource
from tests.support.operating import Operating, ScriptedRoster, ScriptedSource

P = ParamSpec("P")
T = TypeVar("T")

Kinds = Literal["list", "partial", "absent", "null", "top", "html", "torn", "500", "400", "429", "text", "poison"]
FAULTS: tuple[Kinds, ...] = ("absent", "null", "top", "html", "torn", "500", "400", "429", "text", "partial", "poison")


@dataclass
class WireSource(ScriptedSource):
    """A source that answers in bytes, and lets the oracle listen."""

    heard: Callable[[str, Kinds, frozenset[str]], None] = lambda *_: None
    trouble: dict[str, Kinds] = field(default_factory=dict)
    """By e-mail; `*` is everybody."""

    def names(self, email: str | None, domain: str) -> bool:
        """Whether somebody who asks about this person hears of this domain."""
        return self.trouble.keys().isdisjoint({email, "*"}) and domain in self.says.get(email or "", ())

    async def ask(self, subject: Subject) -> Reply:
        """Read what the script says off the wire."""
        email = subject.email.reveal()
        self.asked.append(email)
        names = frozenset(self.says.get(email, ()))
        kind = self.trouble.get(email) or self.trouble.get("*") or "list"
        self.heard(email, kind, names)
        if kind == "poison":
            raise KeyError(f"nobody has foreseen {email}")
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
        case "list" | "poison":
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


@dataclass(frozen=True)
class OpeningRoster(ScriptedRoster):
    """A roster that opens what is declared, as the real one does, before the script speaks in its place."""

    async def update(
        self, sources: Iterable[EntitlementSource], secrets: Secrets
    ) -> tuple[Mapping[ResourceKey, Source], Mapping[ResourceKey, AnswerReason]]:
        """The scripted ones of those that could be opened, and why the others could not."""
        opened, closed = await Roster.update(self, sources, secrets)
        return {key: self.scripted[key] for key in opened}, closed


class Clockwork(Operating):
    """The loop with a wall clock that may jump, in a mail database whose schema may."""

    wall = timedelta(0)
    refused = False
    """Whether the last turn has found a schema that it does not know."""

    def utc(self) -> datetime:
        """The wall clock."""
        return super().utc() + self.wall

    def new_roster(self, scripted: Mapping[ResourceKey, ScriptedSource]) -> Roster:
        """One that opens."""
        return OpeningRoster(scripted={key: Isolated(source) for key, source in scripted.items()})

    async def turn(self) -> None:
        """One turn, and what the loop does about a schema that it does not know. Nothing else may be raised."""
        try:
            await self.reign.turn()
        except SchemaUnknown:
            self.refused = True
            await self.reign.stall(Reason.SCHEMA_UNKNOWN)
        else:
            self.refused = False

    @property
    def quiet(self) -> bool:
        """Nothing is to be done with an unknown schema either."""
        return self.refused or super().quiet

    async def _answered(self) -> None:
        """Turns that find an unknown schema ask nobody."""
        for _ in range(0 if self.refused else 1000):
            if not any(desk.busy(self.now) for desk in self.reign.desks.values()):
                return
            await asyncio.sleep(0)
        assert self.refused, "whoever is being asked about never hears of it (invariant 11)"

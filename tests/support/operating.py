"""The loop without a cluster: objects in memory, a source that says what the test says, and a clock of its own."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from controller.engine.desk import Desk, Phase
from controller.engine.reign import Reign, Surroundings
from controller.engine.roster import Roster, Secrets
from controller.engine.world import Kind
from controller.entitlements.source import Reply, Source
from controller.errors import SecretMissing
from controller.maildb.database import MailDatabase
from controller.observability.lasting import LastingFailures
from controller.observability.metrics import Metrics
from controller.planning.facts import AnswerReason, Entitled, Subject, Verdict
from controller.resources.model import API_VERSION
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource
from tests.support.database import MailWorld, homes

Read = TypeVar("Read")

SOURCE = ResourceKey("default", "deploycenter")


@dataclass
class FakeWorld:
    """A cluster of dictionaries: status is a subresource, generation rises with the spec, patches are remembered."""

    objects: dict[Kind, dict[ResourceKey, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    patches: list[tuple[Kind, ResourceKey]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the events say to people."""
    secrets: dict[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def apply(self, kind: Kind, name: str, *, namespace: str = "default", annotations: Any = None, **spec: Any) -> None:
        """Create an object or replace its spec."""
        key = ResourceKey(namespace if kind.namespaced else "", name)
        version = str(next(self.versions))
        new = {"metadata": {"generation": 0, "uid": f"uid-{version}"}, "status": {"observedGeneration": -1}}
        before = self.objects[kind].get(key, new)
        self.objects[kind][key] = {
            "apiVersion": API_VERSION,
            "kind": kind.singular,
            "metadata": {
                "name": name,
                **({"namespace": namespace} if kind.namespaced else {}),
                "uid": before["metadata"]["uid"],
                "resourceVersion": version,
                "generation": before["metadata"]["generation"] + 1,
                "annotations": annotations or {},
            },
            "spec": spec,
            "status": before["status"],
        }

    def annotate(self, kind: Kind, key: ResourceKey, **annotations: str) -> None:
        """Set annotations of the group."""
        found = {f"maildomain.dev/{name}": value for name, value in annotations.items()}
        metadata = self.objects[kind][key]["metadata"]
        metadata["annotations"].update(found)
        metadata["resourceVersion"] = str(next(self.versions))

    def delete(self, kind: Kind, key: ResourceKey) -> dict[str, Any]:
        """Take an object away; as it was last, with the version of its end."""
        gone = self.objects[kind].pop(key)
        gone["metadata"]["resourceVersion"] = str(next(self.versions))
        return gone

    def status(self, kind: Kind, name: str, namespace: str = "default") -> dict[str, Any]:
        """The status of one object."""
        found: dict[str, Any] = self.objects[kind][ResourceKey(namespace, name)]["status"]
        return found

    def condition(self, kind: Kind, name: str, type_: str = "Ready") -> tuple[str, str]:
        """Status and reason of one condition."""
        conditions = self.status(kind, name).get("conditions", [])
        found = next(item for item in conditions if item["type"] == type_)
        return found["status"], found["reason"]

    async def read_objects(self, kind: Kind, read: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
        """What `read` makes of every object, as copies."""
        return [read(obj) for obj in as_sent(list(self.objects[kind].values()))]

    async def patch_status(
        self, kind: Kind, key: ResourceKey, status: Mapping[str, Any], before: Mapping[str, Any]
    ) -> bool:
        """Replace the status; the patch is remembered."""
        assert status != before, "a status that does not differ is not written"
        if key not in self.objects[kind]:
            return False
        self.objects[kind][key]["status"] = as_sent(status)
        self.objects[kind][key]["metadata"]["resourceVersion"] = str(next(self.versions))
        self.patches.append((kind, key))
        return True

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """One Secret."""
        if (namespace, name) not in self.secrets:
            raise SecretMissing(f"Secret {namespace}/{name} is not there")
        return self.secrets[namespace, name]

    async def post_event(
        self, kind: Kind, key: ResourceKey, uid: str, *, reason: str, note: str, warning: bool
    ) -> None:
        """Remember the reason, and the note."""
        self.events.append((str(key), reason))
        self.notes.append(note)


def as_sent(value: Any) -> Any:
    """What arrives of it at the other end of a wire: JSON, and nothing that is shared."""
    return json.loads(json.dumps(value))


@dataclass
class ScriptedSource:
    """A source that says what the test wrote down, and counts."""

    key: ResourceKey = SOURCE
    workers: int = 8
    says: dict[str, frozenset[str]] = field(default_factory=dict)
    """By e-mail."""
    instead: Callable[[Subject], Verdict | None] = lambda _: None
    """A verdict in place of the list, where it is not None."""
    asked: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, asks wait for their answers."""
    sold: dict[str, bool] = field(default_factory=dict)
    """Whether an organization has bought the service of this source, by siret."""

    def __post_init__(self) -> None:
        self.open.set()

    async def ask(self, subject: Subject) -> Reply:
        """Answer from the script. A question about a subscription is about nobody."""
        if not subject.user:
            return Reply(Entitled(frozenset()), can_access=self.sold.get(subject.sirets[0]), requests=1)
        email = subject.email.reveal()
        self.asked.append(email)
        await self.open.wait()
        names = frozenset(DomainName(name) for name in self.says.get(email, ()))
        return Reply(self.instead(subject) or Entitled(names), requests=1)

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class ScriptedRoster(Roster):
    """A roster whose clients are scripted."""

    scripted: Mapping[ResourceKey, Source] = field(default_factory=dict)

    async def update(
        self, sources: Iterable[EntitlementSource], secrets: Secrets
    ) -> tuple[Mapping[ResourceKey, Source], Mapping[ResourceKey, AnswerReason]]:
        """The scripted ones of those that are declared."""
        return {item.key: self.scripted[item.key] for item in sources}, {}


class Operating:
    """One reign over a fake cluster and a real database, turned by hand."""

    def __init__(self, database: MailDatabase, *sources: ScriptedSource, world: FakeWorld | None = None) -> None:
        self.now = 10_000.0
        self.world = world or FakeWorld()
        self.sources = sources or (ScriptedSource(),)
        self.metrics = Metrics()
        self.woken = asyncio.Event()
        self.around = Surroundings(
            database,
            self.world,
            frozenset({"default"}),
            self.metrics,
            lambda: self.now,
            self.utc,
            self.woken.set,
            failures=LastingFailures(lambda: self.now),
        )
        self.database = database
        self.reign = self.begin()

    def utc(self) -> datetime:
        """The wall clock, as far from the start as the other one."""
        return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=self.now)

    @property
    def source(self) -> ScriptedSource:
        """The first source."""
        return self.sources[0]

    @property
    def desk(self) -> Desk:
        """The desk of the first source."""
        return self.reign.desks[self.source.key]

    def begin(self) -> Reign:
        """A new term, as after a restart: nothing is remembered."""
        assert self.database.acquire() is not None
        roster, subscribing = (self.new_roster({source.key: source for source in self.sources}) for _ in range(2))
        return Reign(self.around, roster=roster, subscribing=subscribing)

    def new_roster(self, scripted: Mapping[ResourceKey, ScriptedSource]) -> Roster:
        """Who opens the sources."""
        return ScriptedRoster(scripted=scripted)

    async def restart(self) -> None:
        """End the term and begin another."""
        await self.reign.close()
        self.reign = self.begin()

    def source_object(self, **spec: Any) -> None:
        """Declare the source."""
        self.world.apply(Kind.SOURCE, self.source.key.name, **{"provider": {"local": {}}, **spec})
        self.reign.notice()

    def domain(self, name: str, **spec: Any) -> None:
        """Declare a domain in Enforce mode."""
        body = {"domain": name, "mode": "Enforce", "sourceRefs": [{"name": self.source.key.name}], **spec}
        self.world.apply(Kind.DOMAIN, name.replace(".", "-"), **body)
        self.reign.notice()

    def tell(self, obj: Mapping[str, Any], type_: str = "MODIFIED") -> None:
        """Let the watch tell of one object as it is now."""
        self.reign.take({"type": type_, "object": as_sent(obj)})

    async def settle(self, seconds: float = 0.0) -> None:
        """Let time pass, then turn until nothing is under way."""
        self.now += seconds
        assert self.database.acquire() is not None
        for _ in range(200):
            await self.turn()
            await self._answered()
            if self.quiet:
                return
        raise AssertionError("the loop does not come to rest")

    async def turn(self) -> None:
        """One turn."""
        await self.reign.turn()

    async def turn_while_asking(self) -> None:
        """One turn that waits for no answer; whoever is due is being asked about afterwards."""
        await self.turn()
        for _ in range(10):
            await asyncio.sleep(0)

    async def wave(self) -> None:
        """Let one interval pass, with its confirmation."""
        await self.settle(self.desk.interval)
        await self.settle(self.desk.spec.confirm_revocations.after.total_seconds() + 1)

    @property
    def quiet(self) -> bool:
        """Whether nothing is to be done before time passes."""
        waiting = {Phase.IDLE, Phase.CONFIRMING}
        return all(desk.phase in waiting for desk in self.reign.desks.values()) and not self.reign.has_news

    async def _answered(self) -> None:
        """Give those who ask a turn each, until nobody is busy."""
        for _ in range(1_000_000):
            if not (any(desk.busy(self.now) for desk in self.reign.desks.values()) or self.reign.services.busy):
                return
            await asyncio.sleep(0)
        raise AssertionError("asks do not come to an end")


@contextmanager
def counting(world: FakeWorld) -> Iterator[list[tuple[Kind, ResourceKey]]]:
    """The status patches within a block."""
    start = len(world.patches)
    found: list[tuple[Kind, ResourceKey]] = []
    yield found
    found.extend(world.patches[start:])


@pytest.fixture
async def operating(database: MailDatabase) -> AsyncIterator[Operating]:
    """A loop with one source, and no domains yet."""
    operating = Operating(database)
    operating.source_object()
    yield operating
    await operating.reign.close()


async def town(operating: Operating, world: MailWorld, domains: int) -> None:
    """Domains with two administrators each, granted long before the window by an earlier term."""
    people = homes(domains)
    world.inhabit(people, admins=True)
    for name, emails in people.items():
        operating.source.says |= dict.fromkeys(emails, frozenset({name}))
        operating.domain(name)
    await operating.settle()
    assert len(world.rows_of("messages_maildomainaccess")) == 2 * domains


def admins(world: MailWorld, name: str) -> int:
    """How many administrators a domain has."""
    statement = (
        "SELECT a.id FROM messages_maildomainaccess a JOIN messages_maildomain d ON d.id = a.maildomain_id"
        " WHERE d.name = :name"
    )
    return len(world.execute(statement, name=name))

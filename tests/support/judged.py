"""Is every invariant kept? One world under the real loop: the oracle judges each write, and each step is looked at."""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Literal, cast

from hypothesis.stateful import RuleBasedStateMachine, invariant

from controller.engine.world import Kind
from controller.errors import Frozen, SchemaUnknown
from controller.maildb.database import MailDatabase
from controller.maildb.writing import Written
from controller.planning.changes import Changes
from controller.resources.names import ResourceKey
from tests.support.ears import Ears
from tests.support.machinery import Clockwork, Kinds, OneThread, WireSource
from tests.support.operating import Operating
from tests.support.oracle import STALE, Limit, Oracle, Said
from tests.support.stage import Stage

SOURCES = ("deploycenter", "second")

Breakage = Literal["whole", "invalid", "closed"]
"""Of an object: nothing is wrong, it can't be read, or it is a source that can't be opened."""
BREAKAGES: dict[Breakage, dict[str, Any]] = {
    "whole": {},
    "invalid": {"limits": {"revocations": {"max": "zzperson0@x.fr"}}},
    "closed": {
        "provider": {
            "deployCenter": {
                "url": "https://dc.example/api/v1.0/entitlements/",
                "serviceId": 42,
                "apiKeySecretRef": {"name": "gone", "key": "api-key"},
            }
        }
    },
}
"""What is written over the spec of a source."""


class Supervised:
    """The database of the loop, with the oracle at its door and other writers before it."""

    def __init__(self, machine: "Judged", database: MailDatabase) -> None:
        self._machine = machine
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write(self, changes: Changes, *, epoch: int) -> Written:
        """Write, and be judged."""
        machine = self._machine
        overtaken, machine.overtake = machine.overtake, False
        if overtaken:
            with self._database.seized():
                pass
        before, everything = machine.stage.scenery(), machine.stage.everything()
        machine.planned.append((changes, epoch))
        try:
            written = self._database.write(changes, epoch=epoch)
            assert machine.stage.everything() != everything, "a write that changes nothing (invariant 4)"
            return written
        finally:
            after = machine.stage.scenery()
            assert after == before or not machine.frozen, "something was written while everything was frozen"
            assert after == before or not machine.altered, "an unknown schema was written (invariant 12)"
            if overtaken:
                assert after == before, "a plan that somebody else had overtaken was written (invariant 9)"
            elif after != before:
                machine.oracle.judge(before, after, machine.now, machine.clock)


class Judged(RuleBasedStateMachine):
    """One world, and what has to be so after each step. A subclass says where its rows stand, another what happens."""

    totals: ClassVar[Counter[str]] = Counter()
    """Over all worlds of this process."""
    ears: ClassVar[Ears]
    """What hears the process."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_default_executor(OneThread())
        self.oracle = Oracle()
        self.aged = 0.0
        self.overtake = False
        self.frozen = False
        self.altered = False
        self.broken: dict[str, Breakage] = {}
        self.looks = 0
        self.planned: list[tuple[Changes, int]] = []
        self.stage = self.set_stage()
        self.wires = {name: self._wire(name) for name in SOURCES}
        self.operating = self.run(self._begin())

    def set_stage(self) -> Stage:
        """Where the rows stand."""
        raise NotImplementedError

    def _wire(self, name: str) -> WireSource:
        def heard(email: str, kind: Kinds, names: frozenset[str]) -> None:
            meaning: Literal["list", "partial", "nothing"] = "nothing"
            if kind == "list":
                meaning = "list"
            elif kind == "partial":
                meaning = "partial"
            self.oracle.said[name, email].append(Said(self.now, meaning, names))
            self.oracle.counts["poisoned asks"] += kind == "poison"

        return WireSource(ResourceKey("default", name), heard=heard)

    async def _begin(self) -> Operating:
        database = cast("MailDatabase", Supervised(self, self.stage.database))
        return Clockwork(database, *self.wires.values())

    def teardown(self) -> None:
        """The end of one world."""
        self.run(self.operating.reign.close())
        self.runner.close()
        self.stage.close()
        Judged.totals += self.oracle.counts
        Judged.totals["worlds"] += 1

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the event loop of this world."""
        return self.runner.run(work)

    @property
    def now(self) -> float:
        """The clock of the answers."""
        return self.operating.now if hasattr(self, "operating") else 10_000.0

    @property
    def clock(self) -> float:
        """The clock of the database, in seconds since the beginning."""
        return self.aged

    # --- what is declared ---

    def _apply_source(self, name: str) -> None:
        owner = self.oracle.owners[name]
        spec: dict[str, Any] = {
            "provider": {"local": {}},
            "suspend": owner.suspend,
            "limits": {"revocations": {"max": self._spelled(owner.limit)}},
        }
        self.operating.world.apply(Kind.SOURCE, name, **spec | BREAKAGES[self.broken.get(name, "whole")])
        self._show(Kind.SOURCE, ResourceKey("default", name))

    def _apply_domain(self, domain: str) -> None:
        policy = self.oracle.policies[domain]
        self.broken.pop(domain, None)
        self.operating.world.apply(
            Kind.DOMAIN,
            domain.replace(".", "-"),
            domain=domain,
            mode=policy.mode,
            sourceRefs=[{"name": name} for name in policy.sources],
            ownership=policy.ownership,
            adoption=policy.adoption,
            suspend=policy.suspend,
            protectedAdmins=list(policy.protected),
            deniedAdmins=list(policy.denied),
            limits={
                "revocations": {"max": self._spelled(policy.limit)},
                "minAdmins": policy.min_admins,
                "maxAdmins": policy.max_admins,
            },
        )
        self._show(Kind.DOMAIN, ResourceKey("default", domain.replace(".", "-")))

    def _show(self, kind: Kind, key: ResourceKey) -> None:
        """Every other change is told by the watch, the others are found by a list."""
        if self.oracle.counts["steps"] % 2:
            self.operating.tell(self.operating.world.objects[kind][key])
        else:
            self.operating.reign.notice()

    @staticmethod
    def _spelled(limit: Limit) -> str | int:
        return str(limit) if limit.share else limit.number

    # --- time ---

    def _settle(self, seconds: float) -> None:
        """Let time pass until nothing is under way."""
        passes = self.operating.reign._passes
        self.run(self.operating.settle(seconds))
        self._stalled()
        # What has only become old is told by whichever pass comes next.
        self.looks = 1 if passes != self.operating.reign._passes else 2

    def _wave(self) -> None:
        interval = max((desk.interval for desk in self.operating.reign.desks.values()), default=600.0)
        assert 2 * interval < STALE
        self._settle(interval)
        self._settle(31)

    # --- always ---

    @invariant()
    def every_step(self) -> None:
        """What stands is noted, a look changes nothing, and nobody is named to anybody (invariant 10)."""
        self._idle()
        self.oracle.counts["steps"] += 1
        statuses = [body["status"] for found in self.operating.world.objects.values() for body in found.values()]
        self.oracle.counts["steps with poison"] += bool(self.broken)
        self.oracle.counts["steps with a hold"] += any(status.get("hold") for status in statuses)
        self.oracle.see(self.stage.scenery(), self.clock)
        notes = self.operating.world.notes
        told = (json.dumps(statuses), *notes, self.operating.metrics.text().decode(), self.ears.take())
        notes.clear()
        assert not any("zzperson" in text for text in told), "somebody is named (invariant 10)"

    def _idle(self) -> None:
        """Where nothing has changed since the last pass, another look at everything changes nothing (invariant 4)."""
        looks, self.looks = self.looks, 0
        self.oracle.counts["idle passes"] += bool(looks)
        for left in reversed(range(looks)):
            writes, patches = len(self.planned), len(self.operating.world.patches)
            self.operating.reign.notice()
            self.run(self.operating.turn())
            assert left or len(self.planned) == writes, "a pass with nothing to do has written (invariant 4)"
            assert left or len(self.operating.world.patches) == patches, "it has told something (invariant 4)"

    def _stalled(self) -> None:
        """What can't be worked on says so: all of it in an unknown schema, otherwise what is poisoned alone."""
        refused = self.operating.refused
        for kind in (Kind.DOMAIN, Kind.SOURCE):
            for key, body in self.operating.world.objects[kind].items():
                conditions = body["status"].get("conditions", ())
                [reason] = {c["reason"] for c in conditions if (c["type"], c["status"]) == ("Stalled", "True")} or {""}
                if self.broken.get(key.name.replace("-", ".")) == "invalid":
                    assert refused or reason == "InvalidSpec", f"{key} can't be read, and nobody is told (invariant 11)"
                elif refused:
                    assert reason == "SchemaUnknown", f"{key} does not tell of an unknown schema (invariant 12)"
                else:
                    assert reason not in ("InvalidSpec", "SchemaUnknown"), f"{key} is stopped by another (invariant 11)"

    # --- when it is asked for ---

    @contextmanager
    def reviewing(self) -> Iterator[None]:
        """Let the oracle judge what a command writes."""
        before = self.stage.scenery()
        self.looks = 0
        with suppress(Frozen, SchemaUnknown):
            yield
        after = self.stage.scenery()
        assert after == before or not self.frozen, "a command wrote while everything was frozen"
        assert after == before or not self.altered, "a command wrote to an unknown schema"
        self.oracle.undone(before, after, self.clock)

    def _nobody_waits(self) -> None:
        scenery = self.stage.scenery()
        holding = {(row.domain, row.user) for row in scenery.rows.values()}
        for domain, policy in self.oracle.policies.items():
            status = self.operating.world.status(Kind.DOMAIN, domain.replace(".", "-"))
            if any(self.broken.get(name) == "invalid" for name in policy.sources):
                continue
            if policy.mode not in ("GrantOnly", "Enforce") or policy.suspend or status["admins"]["held"]:
                continue
            silent = {name for name, owner in self.oracle.owners.items() if owner.suspend} | self.broken.keys()
            speaking = [self.wires[name] for name in policy.sources if name not in silent]
            for user, person in scenery.people.items():
                twins = [other for other in scenery.people.values() if other.active and other.email == person.email]
                named = any(wire.names(person.email, domain) for wire in speaking)
                if person.active and len(twins) == 1 and named and person.email not in policy.denied:
                    there = (domain, user) in holding or self.oracle.vanishes((domain, user), self.clock)
                    assert there, "somebody who is entitled waits for nothing"

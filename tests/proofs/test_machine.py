"""Nobody loses a right by accident: generated worlds under the real loop, each write judged by an oracle.

`make proof` plays at least 20,000 steps; here a few hundred are enough to see that the machine still turns.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from controller.engine import asking, reign
from controller.engine.asking import Askers
from controller.entitlements import answer
from controller.entitlements.isolation import Isolated
from controller.entitlements.source import Reply
from controller.maildb import fence
from controller.planning.facts import Subject
from controller.planning.plan import Plan, Question, plan
from tests.support.database import fresh_database
from tests.support.ears import listening
from tests.support.machine import DOMAINS, Machine
from tests.support.stage import MemoryDatabase, MemoryStage, SqlStage, Stage

STEPS = int(os.environ.get("MDC_PROOF_STEPS", "0"))
"""How many steps to play; 0 = those of the usual tests."""
PARTS = {"memory": (350, 0.85), "sqlite": (70, 0.13), "postgresql": (35, 0.02)}
"""Steps of the usual tests, and the share of a proof."""
NEEDED = (
    *("granted", "revoked", "approved", "denied", "restored"),
    *("steps with a hold", "steps with poison", "poisoned asks", "unknown schemas", "idle passes"),
)
"""What has to happen somewhere in memory."""
AN_EXAMPLE = 35
"""Steps of a world, on average at least."""


class InMemory(Machine):
    """The model."""

    def set_stage(self) -> Stage:
        """A world without a database."""
        return MemoryStage(DOMAINS)


class OnSqlite(Machine):
    """A real database."""

    dialect: ClassVar[str] = "sqlite"

    def set_stage(self) -> Stage:
        """A database of its own."""
        self._folder = TemporaryDirectory()
        self._fresh = fresh_database(self.dialect, Path(self._folder.name))
        return SqlStage(self._fresh.__enter__(), DOMAINS)

    def teardown(self) -> None:
        """Nothing of it stays."""
        super().teardown()
        self._fresh.__exit__(None, None, None)
        self._folder.cleanup()


class OnPostgresql(OnSqlite):
    """The database that users run."""

    dialect = "postgresql"


MACHINES: dict[str, type[Machine]] = {"memory": InMemory, "sqlite": OnSqlite, "postgresql": OnPostgresql}


def play(machine: type[Machine], worlds: int) -> None:
    """Play so many worlds, the same in each run."""
    Machine.totals.clear()
    chosen = settings(
        max_examples=worlds,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with listening() as Machine.ears:
        run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.timeout(3600 if STEPS else 300)
@pytest.mark.parametrize("stage", PARTS)
def test_nobody_loses_a_right_by_accident(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    usual, share = PARTS[stage]
    steps = int(STEPS * share) if STEPS else usual
    try:
        play(MACHINES[stage], -(-steps // AN_EXAMPLE))
    finally:
        totals = Machine.totals
        with capsys.disabled():
            told = ", ".join(f"{name} {totals[name]}" for name in sorted(totals))
            print(f"\n{stage}: {told}; false revocations: {totals['false revocations']}")  # noqa: T201  # the proof's result
    assert totals["steps"] >= steps
    assert totals["false revocations"] == 0
    if stage == "memory":
        missing = [what for what in NEEDED if not totals[what]]
        assert not missing, f"no world had any {missing}: it proves nothing"


def guard_per_pass() -> tuple[Any, str, Any]:
    """The guard forgets what it has let through before: a slow bleed is seen by nobody."""

    def forgetful(question: Question) -> Plan:
        nothing: dict[timedelta, Any] = {window: {} for window in question.snapshot.activity}
        return plan(replace(question, snapshot=replace(question.snapshot, activity=nothing, removed=nothing)))

    return reign, "plan", forgetful


def absent_is_empty() -> tuple[Any, str, Any]:
    """A missing key is read as an empty list."""
    real = answer.read_names
    return answer, "read_names", lambda names, reason: real([] if names is None else names, reason)


def no_epoch() -> tuple[Any, str, Any]:
    """Whoever comes to the fence may write."""

    def enter(connection: Any, own: Any, writer: Any, _epoch: int) -> Any:
        return fence._lock(connection, own, writer)

    return fence, "enter", enter


def never_in_sync() -> tuple[Any, str, Any]:
    """What is noted about each object is noted again with each pass."""

    def restless(question: Question) -> Plan:
        decided = plan(question)
        again = (*decided.changes.known, *question.snapshot.known.values())
        return replace(decided, changes=replace(decided.changes, known=again))

    return reign, "plan", restless


def named_in_the_log() -> tuple[Any, str, Any]:
    """Whoever is asked about is logged."""
    real = Askers._receive

    def receive(askers: Askers, desk: Any, subject: Any, reply: Any) -> None:
        asking.log.debug("heard", about=subject.email.reveal())
        real(askers, desk, subject, reply)

    return Askers, "_receive", receive


def not_isolated() -> tuple[Any, str, Any]:
    """An error that nobody has foreseen ends the asking."""

    async def ask(isolated: Isolated, subject: Subject) -> Reply:
        return await isolated._source.ask(subject)

    return Isolated, "ask", ask


def schema_not_looked_at() -> tuple[Any, str, Any]:
    """A mail database is what it has been once."""
    return MemoryDatabase, "_refuse_when_strange", lambda _: None


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mutant", "stage", "objection"),
    [
        (guard_per_pass, "memory", "too many"),
        (absent_is_empty, "memory", "does not deny it"),
        (no_epoch, "sqlite", "invariant 9"),
        (never_in_sync, "memory", "invariant 4"),
        (named_in_the_log, "memory", "invariant 10"),
        (not_isolated, "memory", "invariant 11"),
        (schema_not_looked_at, "memory", "invariant 12"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_machine_finds_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[[], tuple[Any, str, Any]], stage: str, objection: str
) -> None:
    """A test of the test: each of these has cost somebody their rights somewhere."""
    monkeypatch.setattr(*mutant())
    with pytest.raises(AssertionError, match=objection):
        play(MACHINES[stage], 50)

"""How fast is a pass over everything? Planning, first apply, in sync and quiet, beside the per-user algorithm.

Run: `python -m bench.reconcile`.
"""

import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from bench import login
from bench.report import Row, print_rows
from bench.scale import USERS, Scale, scale
from controller.engine.memory import relax_collector
from controller.planning.facts import Answer, Entitled, UserId
from controller.planning.plan import Plan, plan
from tests.support.database import watched

SAMPLE = 4_000
"""Users whom the baseline synchronises; its time is per user, so a sample tells the whole."""

T = TypeVar("T")


def run() -> list[Row]:
    """Measure on one PostgreSQL, the baseline on the same rows in the same run."""
    relax_collector()
    with scale() as world:
        snapshot = world.snapshot()
        answers = world.answers(snapshot)
        baseline_first = _baseline(world, answers)
        _empty(world)
        planning, cold = _timed(lambda: plan(world.question(snapshot, answers)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert world.database.acquire() is not None
        first, applied = _timed(lambda: _apply(world, answers))
        assert len(applied.changes.grants) == len(cold.changes.grants) > 0, "the first apply grants everything"
        baseline_sync = _baseline(world, answers)
        assert world.database.acquire() is not None
        whole, _ = _timed(lambda: _apply(world, answers))
        with watched(world.database) as statements:
            in_sync, quiet = _timed(lambda: _apply(world, answers, anew=False))
        assert not quiet.changes, "in sync there is nothing to write"
    return [
        Row("planning, nothing granted yet", planning, "s", None, "<= 2 s", planning <= 2),
        Row("peak memory of planning process", peak, "MiB", None, "<= 300", peak <= 300),
        Row("first apply (read, plan, write 50,000 rows)", first, "s"),
        Row(
            "  per-user algorithm, same rows",
            baseline_first,
            "s",
            baseline_first / first,
            ">= 40",
            baseline_first / first >= 40,
        ),
        Row("in-sync apply (read everything, plan, no write)", whole, "s"),
        Row("in-sync pass of the operator (read, plan, no write)", in_sync, "s"),
        Row(
            "  per-user algorithm, same rows",
            baseline_sync,
            "s",
            baseline_sync / in_sync,
            ">= 50",
            baseline_sync / in_sync >= 50,
        ),
        Row(
            "  writes of the in-sync pass",
            float(len(statements.writes)),
            "statements",
            None,
            "0",
            not statements.writes,
        ),
        Row("  statements of the in-sync pass", float(len(statements.sent)), "statements"),
    ]


def _apply(world: Scale, answers: dict[UserId, Answer], *, anew: bool = True) -> Plan:
    snapshot = world.snapshot(anew=anew)
    decided = plan(world.question(snapshot, answers))
    world.database.write(decided.changes, epoch=snapshot.epoch)
    return decided


def _empty(world: Scale) -> None:
    from tests.support.database import MailWorld  # noqa: PLC0415  # only here

    MailWorld(world.url).execute("DELETE FROM messages_maildomainaccess")


def _baseline(world: Scale, answers: dict[UserId, Answer]) -> float:
    """The seconds that the per-user algorithm would take for all users, measured in a process of its own."""
    sample = dict(list(answers.items())[:: USERS // SAMPLE])
    wanted = {
        str(user): frozenset(map(str, answer.verdict.domains))
        for user, answer in sample.items()
        if isinstance(answer.verdict, Entitled)
    }
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        seconds = process.submit(_in_django, world.url, wanted).result()
    return seconds * USERS / len(wanted)


def _in_django(url: str, wanted: dict[str, frozenset[str]]) -> float:
    login.configure(url)
    return login.synchronise(wanted)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


if __name__ == "__main__":
    rows = run()
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))

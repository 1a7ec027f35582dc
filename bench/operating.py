"""What does the operator's loop cost when nothing happens? Turns and whole quiet waves over everything.

Run: `python -m bench.operating`.
"""

import asyncio
import sys
import time

from bench.report import Row, print_rows
from bench.scale import ADMINS, Scale, scale
from controller.engine.memory import relax_collector
from controller.engine.world import Kind
from tests.support.database import watched
from tests.support.operating import Operating

TURNS = 20


def run() -> list[Row]:
    """Bring the loop to rest, then measure the process's CPU time and what is written."""
    relax_collector()
    with scale() as world:
        return asyncio.run(_measure(world))


async def _measure(world: Scale) -> list[Row]:
    operating = Operating(world.database)
    for user in list(world.snapshot().users.values())[:ADMINS]:
        assert user.email is not None
        operating.source.says[user.email.reveal()] = frozenset({str(user.email.domain)})
    operating.source_object()
    for item in world.declared:
        operating.domain(item.domain)
    started = time.perf_counter()
    await operating.settle()
    ready = time.perf_counter() - started
    await operating.wave()
    assert operating.world.condition(Kind.DOMAIN, "d1-fr")[0] == "True", "the loop has come to rest"
    assert world.database.acquire() is not None

    with watched(world.database) as statements:
        before = time.process_time()
        for _ in range(TURNS):
            operating.now += 2
            await operating.reign.turn()
        turn = (time.process_time() - before) / TURNS
    patches = len(operating.world.patches)
    before = time.process_time()
    await operating.wave()
    wave = time.process_time() - before
    patched = [kind for kind, _ in operating.world.patches[patches:] if kind is Kind.DOMAIN]
    await operating.reign.close()
    return [
        Row("operator: 10,000 domains from nothing to Ready", ready, "s"),
        Row("operator: turn when nothing changed, CPU", turn, "s", None, "<= 0.5 s", turn <= 0.5),
        Row("  writes of those turns", float(len(statements.writes)), "statements", None, "0", not statements.writes),
        Row("operator: whole quiet wave (50,000 asks), CPU", wave, "s"),
        Row("  statuses of domains patched by it", float(len(patched)), "patches", None, "0", not patched),
    ]


if __name__ == "__main__":
    rows = run()
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))

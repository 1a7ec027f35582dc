"""How fast is it decided who may open what? Everything at once, one role changed, nothing changed, and one question.

1,000 domains of 100 members each, 20 services, 2,000 roles and 2,000 bindings. Questions over HTTP come when they are
due, to a process of its own on the same machine; every tenth acts as somebody else, which is journaled. Beside them
stand requests that are turned away at the door, at the same rate: what the machine and HTTP take by themselves. Where
others use the machine as well, the quietest stretch says what the program takes, and all of them what the machine does.
Run: `python -m bench.services`, which takes one to two minutes.
"""

import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from threading import Thread
from typing import Any, NamedTuple

import httpx

from bench.report import Row, print_rows
from controller.engine.courtroom import Courtroom
from controller.engine.memory import relax_collector
from controller.engine.services import ServiceQuestion, carry_out, plan_services
from controller.maildb.database import MailDatabase
from controller.observability.listening import listen
from controller.observability.metrics import Metrics
from controller.permissions.resolver import Question, resolve
from controller.planning.changes import Changes
from controller.provisioning.accessreviews import PATH, access_reviews
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, KeyRing
from controller.provisioning.rates import Rates
from controller.provisioning.serving import serve
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from tests.support.database import OWNER, MailWorld, fresh_database, opened, watched
from tests.support.permissions import binding, maildomain, role, service
from tests.support.provisioning import BEARER, KEY, write_keys

DOMAINS = 1_000
MEMBERS = 100_000
SERVICES = [f"service-{number:02}" for number in range(20)]
HALF = SERVICES[:10]
FEW = 5
"""Services that a domain lists where rows are written: half a million of them are enough to see."""
RATE = 20
"""Questions a second over HTTP."""
SECONDS = 30
STRETCH = 5
"""Seconds of which the 99th percentile is taken: a hundred questions."""

Declared = tuple[tuple[MailDomain, ...], Charter]


def declare(listed: list[str] = HALF, *, services: int = len(SERVICES)) -> Declared:
    """Two roles and two bindings a domain, in a namespace of its own.

    `listed` is what members of the first domain may open, of the `services` that each domain lists.
    """
    domains, objects = [], [service(name) for name in SERVICES]
    for number in range(DOMAINS):
        place = f"org-{number}"
        name = f"d{number}.fr"
        people = [f"u{number + DOMAINS * position}@{name}" for position in range(10)]
        domains.append(
            maildomain(
                "commune",
                domain=name,
                namespace=place,
                services=SERVICES[:services],
                default="member",
                enforcement="Enforce",
            )
        )
        objects += [
            role("member", listed if number == 0 else HALF, namespace=place),
            role("elected", "All", acts_as=people[:1], namespace=place),
            binding("elected", *people[:5], namespace=place),
            binding("member", *people[5:], namespace=place),
        ]
    return tuple(domains), Charter.of(objects)


@contextmanager
def town() -> Iterator[str]:
    """A PostgreSQL database with everybody in it, whose domains are claimed."""
    with tempfile.TemporaryDirectory() as folder, fresh_database("postgresql", Path(folder)) as url:
        MailWorld(url).population(MEMBERS, DOMAINS, DOMAINS)
        MailWorld(url).execute("ANALYZE")
        with opened(url) as database, database.seized() as epoch:
            names = (DomainName(f"d{number}.fr") for number in range(DOMAINS))
            claims = tuple((name, ResourceKey(f"org-{number}", "commune")) for number, name in enumerate(names))
            database.write(Changes(claims=claims), epoch=epoch)
        yield url


def run() -> list[Row]:
    """Measure."""
    relax_collector()
    declared = declare()
    with town() as url, opened(url) as database:
        assert database.acquire() is not None
        started = time.perf_counter()
        facts = database.service_facts()
        reading = time.perf_counter() - started
        started = time.perf_counter()
        plan = plan_services(ServiceQuestion(*declared, subscribed={}, facts=facts))
        differing = sum(1 for _ in plan.differing)
        resolving = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        first = _pass(database, declare(services=FEW))
        rows = MailWorld(url).execute("SELECT count(*) AS number FROM maildomain_controller.service_access")[0][
            "number"
        ]
        assert differing == DOMAINS
        changed = _pass(database, declare(HALF[: FEW - 1], services=FEW))
        written = database.journal(limit=1)[0].image
        quiet = _pass(database, declare(HALF[: FEW - 1], services=FEW))
        questions = _questions(facts.population.census, plan.court.realms)
        whole = asyncio.run(_whole_questions(url))
        over_http = _over_http(url)
    rewritten = written["allowed"] + written["denied"]
    expected = MEMBERS // DOMAINS - 5
    return [
        Row("services: read people, administrators and marks", reading, "s"),
        Row("services: resolve everything", resolving, "s", None, "<= 5 s", resolving <= 5),
        Row("  peak memory of the process", peak, "MiB", None, "<= 400", peak <= 400),
        Row(f"services: first write of {rows:,} rows", first.seconds, "s"),
        Row("services: one role changed, whole pass", changed.seconds, "s"),
        Row("  rows that were written", rewritten, "rows", None, f"{expected}", rewritten == expected),
        Row("services: quiet pass", quiet.seconds, "s"),
        Row("  writes of the quiet pass", quiet.writes, "statements", None, "0", quiet.writes == 0),
        Row("services: one question by the rules alone, p99 of processor time", questions, "ms"),
        Row("  with its look at the database, p99", whole, "ms", None, "<= 5 ms", whole <= 5),
        *over_http,
    ]


@dataclass(frozen=True, slots=True)
class _Pass:
    """How long a pass took, and how many statements of it wrote."""

    seconds: float
    writes: int


def _pass(database: MailDatabase, declared: Declared) -> _Pass:
    """A whole one, as the operator does it."""
    with watched(database) as seen:
        started = time.perf_counter()
        facts = database.service_facts()
        carry_out(database, plan_services(ServiceQuestion(*declared, subscribed={}, facts=facts)))
        seconds = time.perf_counter() - started
    return _Pass(seconds, len(seen.writes))


def _questions(census: Any, realms: Mapping[DomainName, Any]) -> float:
    """Milliseconds of the processor that 99 of 100 questions take."""
    taken = []
    for _ in range(2_000):
        number = random.randrange(MEMBERS)
        domain = f"d{number % DOMAINS}.fr"
        started = time.process_time()
        resolve(realms, census, Question(domain, f"u{number}@{domain}"))
        taken.append((time.process_time() - started) * 1000)
    return _p99(taken)


async def _whole_questions(url: str) -> float:
    """The same with the look at the database that each of them takes."""
    taken = []
    with closing(MailDatabase(lambda: url, owner=OWNER)) as database:
        court = Courtroom(database, _Fixed(), time.monotonic)
        for _ in range(1_000):
            number = random.randrange(MEMBERS)
            domain = f"d{number % DOMAINS}.fr"
            started = time.process_time()
            await court.answer(Question(domain, f"u{number}@{domain}"))
            taken.append((time.process_time() - started) * 1000)
        await court.close()
    return _p99(taken[100:])


def _over_http(url: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        keys = write_keys(Path(folder) / "keys", bench=KEY)
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(url, keys, theirs), daemon=True)
        process.start()
        try:
            place = f"http://127.0.0.1:{ours.recv()}{PATH}"
            turned_away = _percentiles(asyncio.run(_ask(place, {}, 403)))
            before = _processor_of(ours)
            asked = _percentiles(asyncio.run(_ask(place, BEARER, 200)))
            processor = (_processor_of(ours) - before) * 1000 / (RATE * SECONDS)
        finally:
            process.terminate()
            process.join()
    return [
        Row(f"services: {RATE} requests/s that are turned away, median", turned_away.median, "ms"),
        Row("  p99 of the quietest stretch", turned_away.quietest, "ms"),
        Row("  p99 of all", turned_away.p99, "ms"),
        Row(f"services: {RATE} questions/s over HTTP, median", asked.median, "ms"),
        Row("  p99 of the quietest stretch", asked.quietest, "ms"),
        Row("  p99 of all", asked.p99, "ms", None, "<= 20 ms", asked.p99 <= 20),
        Row("  processor time of the server for one", processor, "ms"),
    ]


class _Percentiles(NamedTuple):
    median: float
    p99: float
    quietest: float
    """The smallest p99 of a stretch."""


def _percentiles(taken: list[float]) -> _Percentiles:
    stretches = [taken[start : start + RATE * STRETCH] for start in range(0, len(taken), RATE * STRETCH)]
    return _Percentiles(median(taken), _p99(taken), min(map(_p99, stretches)))


def _p99(taken: list[float]) -> float:
    return quantiles(taken, n=100)[98]


def _processor_of(server: Any) -> float:
    """Seconds of the processor that the server has taken."""
    server.send(None)
    return float(server.recv())


def _tell_processor(parent: Any) -> None:
    while True:
        parent.recv()
        parent.send(time.process_time())


class _Fixed:
    """Declarations that do not change."""

    def __init__(self) -> None:
        self._first = True

    async def changed(self) -> Declared | None:
        first, self._first = self._first, False
        return declare() if first else None

    async def stands(self, domain: ResourceKey) -> bool:  # noqa: ARG002  # none does
        return True


def _serve(url: str, keys: Path, parent: Any) -> None:
    """The API in a process of its own."""
    relax_collector()

    async def operate() -> None:
        with closing(MailDatabase(lambda: url, owner=OWNER)) as database, listen(0, "") as listener:
            court = Courtroom(database, _Fixed(), time.monotonic)
            await court.answer(Question("d0.fr", "u0@d0.fr"))
            parent.send(listener.getsockname()[1])
            Thread(target=_tell_processor, args=(parent,), daemon=True).start()
            endpoint = access_reviews(Bearer(KeyRing(keys)), Rates(1e6, 1e6), court)
            await serve(application([endpoint], Metrics()), listener, asyncio.Event())

    asyncio.run(operate())


async def _ask(url: str, headers: Mapping[str, str], status: int) -> list[float]:
    # Shorter than the server keeps an idle connection: one that it is just closing is not used again.
    limits = httpx.Limits(keepalive_expiry=2)
    async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as client:
        begin = time.perf_counter() + 1
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_one(client, url, begin + n / RATE, status, acting_as=n % 10 == 0))
                for n in range(RATE * SECONDS)
            ]
    return [task.result() * 1000 for task in tasks]


async def _one(client: httpx.AsyncClient, url: str, due: float, status: int, *, acting_as: bool) -> float:
    await asyncio.sleep(due - time.perf_counter())
    number = random.randrange(DOMAINS, DOMAINS * 5) if acting_as else random.randrange(MEMBERS)
    domain = f"d{number % DOMAINS}.fr"
    question = {"domain": domain, "user": f"u{number}@{domain}"}
    if acting_as:
        question["actingAs"] = f"u{number % DOMAINS}@{domain}"
    response = await client.post(url, json=question)
    assert response.status_code == status, response.text
    assert status != 200 or not acting_as or response.json()["gate"] == "Allowed"
    return time.perf_counter() - due


if __name__ == "__main__":
    rows = run()
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))

"""How much of a bare httpx loop does a sweep keep? Both ask the double, in turns. Run: `python -m bench.sweep`."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

import httpx

from bench.report import Row, print_rows
from controller.entitlements.opening import open_source
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Reply
from controller.entitlements.sweep import sweep
from controller.planning.facts import Entitled, Subject, UserId
from controller.resources.model import API_VERSION
from controller.resources.names import Email
from controller.resources.source import EntitlementSource
from controller.sandbox.deploycenter import Account, Double, Organization, World

SIRET = "21000000000001"
KEY = "bench-key"
CONCURRENCY = 8
ASKS = 400
"""Asks of one round: short, so that both loops of a round see the same neighbours on the machine."""
ROUNDS = 15
UNBOUNDED = 1_000_000
"""Asks a second that the bucket lets through: it is asked for each, and never has to wait."""
TARGET = 0.9


def run() -> list[Row]:
    """Alternate both loops against the double in a process of its own; the ratio is the median of the rounds'."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        rounds = asyncio.run(_measure(ours.recv()))
    finally:
        ours.send(None)
        server.join()
    ratio = median(swept / bare for bare, swept in rounds)
    return [
        Row("entitlements: bare httpx loop", median(bare for bare, _ in rounds), "asks/s"),
        Row(
            "entitlements: sweep",
            median(swept for _, swept in rounds),
            "asks/s",
            ratio,
            f">= {TARGET}",
            ratio >= TARGET,
        ),
    ]


def _serve(pipe: "Connection[str, None]") -> None:
    domains = [f"d{number}.mairie-001.example" for number in range(3)]
    organization = Organization(SIRET, "Commune 001", {"domains": domains})
    accounts = [Account(f"u{number:03}@d0.mairie-001.example", SIRET, roles=("admin",)) for number in range(10)]

    async def main() -> None:
        async with Double(World([organization], accounts, api_key=KEY)).serve() as url:
            pipe.send(url)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


async def _measure(url: str) -> list[tuple[float, float]]:
    """Asks a second of the bare loop and of the sweep, round by round; the first round only warms up."""
    emails = [f"u{number:03}@d0.mairie-001.example" for number in range(ASKS)]
    rounds = [(await _rate(_bare, url, emails), await _rate(_swept, url, emails)) for _ in range(ROUNDS + 1)]
    return rounds[1:]


async def _rate(loop: Callable[[str, list[str]], Awaitable[None]], url: str, emails: list[str]) -> float:
    started = time.perf_counter()
    await loop(url, emails)
    return len(emails) / (time.perf_counter() - started)


async def _bare(url: str, emails: list[str]) -> None:
    """The least that httpx needs: the same GETs with the same concurrency, JSON decoded, nothing looked at."""
    waiting = deque(emails)

    async def work() -> None:
        while waiting:
            response = await client.get(
                url,
                params={
                    "service_id": "1",
                    "account_type": "user",
                    "siret": SIRET,
                    "account_email": waiting.popleft(),
                },
            )
            response.raise_for_status().json()

    headers = {"X-Service-Auth": f"Bearer {KEY}", "Accept": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=10) as client, asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())


async def _swept(url: str, emails: list[str]) -> None:
    answered = 0

    def receive(_: Subject, reply: Reply) -> None:
        nonlocal answered
        answered += isinstance(reply.verdict, Entitled)

    source = open_source(_declared(url), lambda _: KEY, Lanes())
    await sweep(source, (Subject(UserId(email), Email(email)) for email in emails), receive)
    await source.close()
    if answered != len(emails):
        raise RuntimeError(f"{len(emails) - answered} asks were not answered")


def _declared(url: str) -> EntitlementSource:
    source = EntitlementSource.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "EntitlementSource",
            "metadata": {"name": "bench"},
            "spec": {
                "provider": {
                    "deployCenter": {
                        "url": url,
                        "insecureHTTP": True,
                        "serviceId": 1,
                        "apiKeySecretRef": {"name": "bench", "key": "api-key"},
                        "organization": {"pivotSirets": [SIRET]},
                        "concurrency": CONCURRENCY,
                    }
                }
            },
        }
    )
    # The bare loop is faster than the highest rate that may be declared: the program is measured, not its pauses.
    center = source.spec.provider.deploy_center
    assert center is not None
    provider = source.spec.provider.model_copy(
        update={"deploy_center": center.model_copy(update={"requests_per_second": UNBOUNDED})}
    )
    return source.model_copy(update={"spec": source.spec.model_copy(update={"provider": provider})})


if __name__ == "__main__":
    rows = run()
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))

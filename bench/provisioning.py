"""How long does a webhook wait for its answer? Twenty requests of ten names a second, all of which exist already.

The API runs as its pod does, under its own ServiceAccount, against a real API server on the same machine. Requests are
sent when they are due, whatever became of those before; latency counts from that moment. Run: `python -m
bench.provisioning`.
"""

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import httpx

from bench.report import Row, print_rows
from tests.support.apiserver import Assets, AssetsMissingError, ControlPlane
from tests.support.operator import ROOT, ApiProcess, install, install_api
from tests.support.provisioning import BEARER, KEY, write_keys

EXISTING = 5_000
"""MailDomains in the cluster."""
RATE = 20
"""Requests a second."""
NAMES = 10
"""Names of one request."""
SECONDS = 20
LONGEST = 500.0
"""Milliseconds that 99 of 100 requests may take."""

PATH = "/api/v1.0/provisioning/maildomains/"
DOMAINS = [f"d{number}.bench.example" for number in range(EXISTING)]


def run() -> list[Row]:
    """Declare everything, then send the load. Nothing, where no API server has been built."""
    try:
        assets = Assets.find()
    except AssetsMissingError as error:
        print(f"provisioning: not measured, {error}")
        return []
    with tempfile.TemporaryDirectory() as folder, ControlPlane(assets, Path(folder)) as control_plane:
        install(control_plane)
        kubeconfig = install_api(control_plane)
        settings = {
            "MDC_PROVISIONING_TEMPLATE": str(ROOT / "manifests" / "provisioning" / "template.yaml"),
            "MDC_PROVISIONING_KEYS": str(write_keys(Path(folder) / "keys", bench=KEY)),
            "MDC_PROVISIONING_RATE": "100000",
        }
        with ApiProcess(Path(folder), kubeconfig, "sqlite:///nowhere", **settings) as api:
            api.wait_for("/readyz", "ok")
            return asyncio.run(_measure(api.address + PATH))


async def _measure(url: str) -> list[Row]:
    async with httpx.AsyncClient(headers=BEARER, timeout=120) as client:
        started = time.perf_counter()
        for first in range(0, EXISTING, 1_000):
            await _send(client, url, DOMAINS[first : first + 1_000])
        created = time.perf_counter() - started
        begin = time.perf_counter() + 1
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_timed(client, url, begin + number / RATE)) for number in range(RATE * SECONDS)]
    milliseconds = [task.result() * 1000 for task in tasks]
    p99 = quantiles(milliseconds, n=100)[98]
    return [
        Row("provisioning: names declared for the first time", EXISTING / created, "names/s"),
        Row(f"provisioning: {RATE} requests/s of {NAMES} names that exist, median", median(milliseconds), "ms"),
        Row("provisioning: the same, p99", p99, "ms", None, f"<= {LONGEST:.0f} ms", p99 <= LONGEST),
    ]


async def _timed(client: httpx.AsyncClient, url: str, due: float) -> float:
    await asyncio.sleep(due - time.perf_counter())
    await _send(client, url, random.sample(DOMAINS, NAMES))
    return time.perf_counter() - due


async def _send(client: httpx.AsyncClient, url: str, names: list[str]) -> None:
    response = await client.post(url, json={"domains": names, "oidc_autojoin": True})
    response.raise_for_status()
    if response.json()["errors"]:
        raise RuntimeError(f"{len(response.json()['errors'])} names came to nothing")


if __name__ == "__main__":
    rows = run()
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))

"""What does the operator cost beside a real API server? 10,000 MailDomains from nothing to Ready, at rest, and edited.

The operator runs as its pod does: a process of its own, under the shipped RBAC and GRANTs, with a static source. The
baseline lists the same objects and patches a status of the same size on to each, through the same client. Run:
`python -m bench.cluster`.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient, CustomObjectsApi

from bench.report import Row, print_rows
from bench.scale import DOMAINS, USERS
from controller.cluster.cluster import AT_ONCE, PAGE
from controller.cluster.connecting import open_client
from controller.resources.model import API_VERSION, GROUP, VERSION, Kind
from tests.support.apiserver import Assets, AssetsMissingError, ControlPlane
from tests.support.database import MailWorld, fresh_database
from tests.support.operator import OperatorProcess, install
from tests.support.roles import least_privileged

SOURCE = "static"
OF_ONE = 250
"""Domains that one of the source's grants names."""
INTERVAL = 60.0
"""Seconds of a wave, the shortest that there is."""
QUIET = 2.5 * INTERVAL
EDITS = 5
LONGEST = 1_800.0
NAMESPACE = "bench"
MERGE = "application/merge-patch+json"
IMAGE = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""What the image sets."""


def run() -> list[Row]:
    """Fill an API server and a database, then measure. Nothing, and a loud line, where no API server has been built."""
    try:
        assets = Assets.find()
    except AssetsMissingError as error:
        print(f"THE OPERATOR BESIDE AN API SERVER IS NOT MEASURED: {error}", file=sys.stderr)
        return []
    with (
        tempfile.TemporaryDirectory() as folder,
        fresh_database("postgresql", Path(folder)) as url,
        ControlPlane(assets, Path(folder)) as control_plane,
    ):
        MailWorld(url).population(USERS, DOMAINS, 0)
        reached = least_privileged(url, "mdc_bench_controller")
        kubeconfig = install(control_plane)
        # It goes with the server.
        control_plane.kubectl.run("create", "namespace", NAMESPACE)
        operator = OperatorProcess(Path(folder), kubeconfig, reached, MDC_SOURCE_NAMESPACES=NAMESPACE, **IMAGE)
        os.environ["KUBECONFIG"] = str(control_plane.admin_kubeconfig)
        return asyncio.run(_measure(operator, MailWorld(url)))


async def _measure(operator: OperatorProcess, mail: MailWorld) -> list[Row]:
    async with await open_client() as client:
        cluster = _Objects(client)
        await cluster.declare()
        started = time.perf_counter()
        with operator:
            await _all_ready(operator, cluster)
            ready = time.perf_counter() - started
            rows = await _rest(operator, cluster, mail)
            edited = [await _edit(cluster, f"d{number}.fr") for number in range(EDITS)]
            memory = _peak(operator.running.pid)
        started = time.perf_counter()
        await cluster.list_and_patch()
        bare = time.perf_counter() - started
    ratio, slowest = ready / bare, max(edited)
    return [
        Row(f"cluster: list {DOMAINS:,} objects and patch each status", bare, "s"),
        Row("cluster: the same number from start to Ready", ready, "s", ratio, "<= 1.5x", ratio <= 1.5),
        *rows,
        Row("  until an edit is in its status, the slowest", slowest, "s", None, "<= 2 s", slowest <= 2.0),
        Row("  memory of the process at its peak", memory, "MB", None, "<= 300 MB", memory <= 300),
    ]


async def _all_ready(operator: OperatorProcess, cluster: "_Objects") -> None:
    """Until every domain is Ready. The metric is asked first, because it costs the API server nothing."""
    deadline = time.perf_counter() + LONGEST
    while time.perf_counter() < deadline:
        patched = await asyncio.to_thread(operator.metric, "status_patches_total", kind=Kind.DOMAIN.value)
        if patched is not None and patched >= DOMAINS and await cluster.unready() == 0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{await cluster.unready()} domains are not Ready\n{operator.tail()}")


async def _rest(operator: OperatorProcess, cluster: "_Objects", mail: MailWorld) -> list[Row]:
    """Let waves pass in which nothing is to be done."""
    await asyncio.sleep(INTERVAL)
    rows, versions, cpu = _rows_written(mail), await cluster.versions(), _cpu(operator.running.pid)
    await asyncio.sleep(QUIET)
    written, used = _rows_written(mail) - rows, _cpu(operator.running.pid) - cpu
    now = await cluster.versions()
    patched = sum(now[name] != version for name, version in versions.items())
    return [
        Row(f"  rows written in {QUIET:.0f} quiet seconds", written, "rows", None, "0", written == 0),
        Row("  statuses of domains patched meanwhile", patched, "patches", None, "0", patched == 0),
        Row("  CPU of the process meanwhile", 100 * used / QUIET, "% of a core"),
    ]


async def _edit(cluster: "_Objects", domain: str) -> float:
    """Change a spec, and wait until the status is about it."""
    started = time.perf_counter()
    generation = await cluster.edit(domain)
    while await cluster.observed(domain) < generation:  # noqa: ASYNC110  # another process writes it
        await asyncio.sleep(0.02)
    return time.perf_counter() - started


# --- the objects ---


class _Objects:
    """What is declared in one namespace, through the client that the operator uses."""

    def __init__(self, client: ApiClient) -> None:
        self._api = CustomObjectsApi(client)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def declare(self) -> None:
        """The source and every domain."""
        grants = [
            {"email": f"u{number}@d{number}.fr", "domains": [f"d{place}.fr" for place in range(first, first + OF_ONE)]}
            for number, first in enumerate(range(0, DOMAINS, OF_ONE))
        ]
        spec = {"interval": f"{INTERVAL:.0f}s", "staleAfter": "10m", "provider": {"static": {"grants": grants}}}
        await self._create(Kind.SOURCE, SOURCE, spec)
        refs = [{"name": SOURCE}]
        await asyncio.gather(
            *(
                self._create(Kind.DOMAIN, f"d{n}.fr", {"domain": f"d{n}.fr", "mode": "Enforce", "sourceRefs": refs})
                for n in range(DOMAINS)
            )
        )

    async def list_and_patch(self) -> None:
        """The baseline: what the least program does that gives each object a status."""
        found = [item async for item in self._items()]
        await asyncio.gather(
            *(
                self._patch(item["metadata"]["name"], item["status"] | {"lastHandledReconcileAt": "bench"})
                for item in found
            )
        )

    async def unready(self) -> int:
        """How many domains are not Ready."""
        return sum([not _is_ready(item) async for item in self._items()])

    async def versions(self) -> Mapping[str, str]:
        """The resource version of each domain: it changes with each write."""
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] async for item in self._items()}

    async def edit(self, domain: str) -> int:
        """Protect somebody; the generation that this makes."""
        body = {"spec": {"protectedAdmins": ["dsi@commune.example"]}}
        answer: Any = await self._api.patch_namespaced_custom_object(
            GROUP, VERSION, NAMESPACE, Kind.DOMAIN, domain, body, _content_type=MERGE
        )
        return int(answer["metadata"]["generation"])

    async def observed(self, domain: str) -> int:
        """The generation that the status is about."""
        found: Any = await self._api.get_namespaced_custom_object(GROUP, VERSION, NAMESPACE, Kind.DOMAIN, domain)
        return int(found["status"]["observedGeneration"])

    async def _create(self, kind: Kind, name: str, spec: Mapping[str, Any]) -> None:
        body = {"apiVersion": API_VERSION, "kind": kind.singular, "metadata": {"name": name}, "spec": spec}
        async with self._slots:
            await self._api.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, kind, body)

    async def _patch(self, name: str, status: Mapping[str, Any]) -> None:
        async with self._slots:
            await self._api.patch_namespaced_custom_object_status(
                GROUP, VERSION, NAMESPACE, Kind.DOMAIN, name, {"status": status}, _content_type=MERGE
            )

    async def _items(self) -> AsyncIterator[dict[str, Any]]:
        token = None
        while True:
            page: Any = await self._api.list_namespaced_custom_object(
                GROUP, VERSION, NAMESPACE, Kind.DOMAIN, limit=PAGE, _continue=token
            )
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue")
            if not token:
                return


def _is_ready(item: Mapping[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


# --- the process and the database ---


def _rows_written(mail: MailWorld) -> int:
    """Rows that were ever written, but for the lease, whose time moves."""
    (found,) = mail.execute(
        "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS rows FROM pg_stat_user_tables WHERE relname <> 'fence'"
    )
    return int(found["rows"])


def _peak(pid: int) -> float:
    """Megabytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1000


def _cpu(pid: int) -> float:
    """Seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    rows = run()
    print_rows(rows)
    sys.exit(not all(row.passed for row in rows))

"""Where do MailDomains stand in a cluster? Found without a scan where that is possible, applied as our manager."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from controller.cluster.applying import Applied, applied_part
from controller.cluster.cluster import Cluster
from controller.provisioning.store import Found
from controller.resources.model import Kind
from controller.resources.names import DomainName, ResourceKey

MANAGER = "maildomain-provisioning"
"""The field manager."""
REMEMBERED = 100_000
"""Places that are remembered at most."""
MANY = 16
"""Names from which on one list of everything is cheaper than the API server's search for each of them."""
FRESH = 30.0
"""Seconds for which such a list tells that nobody claims a name. Of two claims the operator honours the older one."""


class ClusterStore:
    """The MailDomains of a cluster. Those of one namespace are written."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._clock = clock
        self._places: dict[DomainName, ResourceKey] = {}
        # Where a name was found last under another object's name. It is only where we look first.
        self._listed_at = float("-inf")
        self._listing = asyncio.Lock()

    async def prepare(self, domains: Collection[DomainName]) -> None:
        """Before many names are looked for, list all claims once. Raises `ClusterUnavailable` or `NotAuthorized`."""
        if len(domains) <= MANY:
            return
        async with self._listing:
            # Large requests that come together share one list.
            if self._clock() - self._listed_at > FRESH / 2:
                began = self._clock()
                for obj in sorted(await self._cluster.list_objects(Kind.DOMAIN), key=_age, reverse=True):
                    self._remember(DomainName(obj["spec"]["domain"]), obj)
                self._listed_at = began

    async def find(self, domain: DomainName) -> Found | None:
        """Who claims a name: one read where it stands as we would name it, or where it stood before.

        Only for another name the API server has to look through all objects. Raises `ClusterUnavailable` or
        `NotAuthorized`.
        """
        key = self._places.get(domain, ResourceKey(self._namespace, domain))
        obj = await self._cluster.read_object(Kind.DOMAIN, key)
        if obj is None or obj.get("spec", {}).get("domain") != domain:
            if self._places.pop(domain, None) is None and self._clock() - self._listed_at < FRESH:
                return None
            claims = await self._cluster.find_domains(domain)
            if not claims:
                return None
            # The oldest is the one that the operator honours.
            obj = min(claims, key=_age)
            self._remember(domain, obj)
        return self._found(obj)

    async def apply(self, obj: Mapping[str, Any]) -> Applied:
        """Make the part that is ours this one. Raises `ClusterUnavailable` or `NotAuthorized`."""
        return await self._cluster.apply(Kind.DOMAIN, obj, manager=MANAGER)

    def _found(self, obj: Mapping[str, Any]) -> Found:
        metadata = obj["metadata"]
        if metadata["namespace"] != self._namespace:
            return Found(obj["spec"], None)
        part = applied_part(obj, MANAGER)
        identity = {name: metadata[name] for name in ("namespace", "name", "resourceVersion")}
        return Found(obj["spec"], {**part, "metadata": {**part.get("metadata", {}), **identity}})

    def _remember(self, domain: DomainName, obj: Mapping[str, Any]) -> None:
        if len(self._places) >= REMEMBERED:
            self._places.clear()
        key = ResourceKey(obj["metadata"]["namespace"], obj["metadata"]["name"])
        if key != ResourceKey(self._namespace, domain):
            self._places[domain] = key


def _age(obj: Mapping[str, Any]) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("creationTimestamp", ""), metadata.get("uid", "")

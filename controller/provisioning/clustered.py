"""Where do MailDomains stand in a cluster? Found without a scan where that is possible, applied as our manager."""

from collections.abc import Mapping
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


class ClusterStore:
    """The MailDomains of a cluster. Those of one namespace are written."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._places: dict[DomainName, ResourceKey] = {}
        # Where a name was found last under another object's name. It is only where we look first.

    async def find(self, domain: DomainName) -> Found | None:
        """Who claims a name: one read where it stands as we would name it, or where it stood before.

        Only for another name the API server has to look through all objects. Raises `ClusterUnavailable` or
        `NotAuthorized`.
        """
        key = self._places.get(domain, ResourceKey(self._namespace, domain))
        obj = await self._cluster.read_object(Kind.DOMAIN, key)
        if obj is None or obj.get("spec", {}).get("domain") != domain:
            self._places.pop(domain, None)
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
        self._places[domain] = ResourceKey(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _age(obj: Mapping[str, Any]) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("creationTimestamp", ""), metadata.get("uid", "")

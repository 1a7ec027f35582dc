"""The API without a cluster and without a wire: a store in memory, keys in files, and whoever calls."""

import asyncio
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.cluster.applying import Applied
from controller.errors import ClusterUnavailable
from controller.provisioning.store import Found
from controller.provisioning.template import Template
from controller.resources.model import API_VERSION
from controller.resources.names import DomainName

KEY = "a-key-of-the-tests"
CHANNEL, CHANNEL_KEY = "channel-1", "a-key-of-a-channel"
BEARER = {"Authorization": f"Bearer {KEY}"}
BY_CHANNEL = {"X-Channel-Id": CHANNEL, "X-API-Key": CHANNEL_KEY}
SIRET, OTHER_SIRET = "21590350100017", "21590350100025"

TEMPLATE = Template(
    {
        "apiVersion": API_VERSION,
        "kind": "MailDomain",
        "metadata": {"namespace": "communes"},
        "spec": {"sourceRefs": [{"name": "deploycenter"}]},
    }
)


@dataclass
class MemoryStore:
    """MailDomains in memory. What the API applied is all that it may write."""

    objects: dict[DomainName, dict[str, Any]] = field(default_factory=dict)
    foreign: dict[DomainName, dict[str, Any]] = field(default_factory=dict)
    """Specs of objects that the API does not write."""
    answers: list[Applied] = field(default_factory=list)
    """What the next applies come to, instead of being carried out."""
    applied: list[Mapping[str, Any]] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    """Names at which the cluster fails."""

    async def prepare(self, domains: Collection[DomainName]) -> None:
        """Remember how many were announced."""
        self.announced.append(len(domains))

    async def find(self, domain: DomainName) -> Found | None:
        """Who claims a name, as of a moment ago: others have had their turn since."""
        found = self._found(domain)
        await asyncio.sleep(0)
        return found

    def _found(self, domain: DomainName) -> Found | None:
        if domain in self.broken:
            raise ClusterUnavailable("away")
        if domain in self.foreign:
            return Found(self.foreign[domain], None)
        obj = self.objects.get(domain)
        return Found(deepcopy(obj["spec"]), deepcopy(obj)) if obj else None

    async def apply(self, obj: Mapping[str, Any]) -> Applied:
        """Replace what is ours."""
        if self.answers:
            return self.answers.pop(0)
        domain = DomainName(obj["spec"]["domain"])
        outcome = Applied.CHANGED if domain in self.objects else Applied.CREATED
        self.objects[domain] = deepcopy(dict(obj))
        self.applied.append(obj)
        return outcome

    def spec(self, domain: str) -> dict[str, Any]:
        """What an object declares."""
        found: dict[str, Any] = self.objects[DomainName(domain)]["spec"]
        return found


def write_keys(folder: Path, **files: str) -> Path:
    """A folder as a mounted Secret is: one file a key, here by its name."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder

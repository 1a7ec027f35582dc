"""Where do MailDomains stand that the API makes? The port that the cluster and a folder implement."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.cluster.applying import Applied
from controller.resources.names import DomainName


@dataclass(frozen=True, slots=True)
class Found:
    """A MailDomain that claims a name."""

    spec: Mapping[str, Any] = field(repr=False)
    """What it declares, whoever wrote that."""
    ours: Mapping[str, Any] | None = field(repr=False)
    """The part of it that the API has applied; None for one that the API does not write."""


class Store(Protocol):
    """Where they stand."""

    async def prepare(self, domains: Collection[DomainName]) -> None:
        """So many names are about to be looked for. Raises `Unavailable` or `NotAuthorized`."""
        ...

    async def find(self, domain: DomainName) -> Found | None:
        """Who claims a name. Raises `Unavailable` or `NotAuthorized`."""
        ...

    async def apply(self, obj: Mapping[str, Any]) -> Applied:
        """Make the part of an object that is ours this one, and never write what is somebody else's.

        Raises `Unavailable` or `NotAuthorized`.
        """
        ...

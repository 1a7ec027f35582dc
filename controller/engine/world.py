"""What does the loop need of the cluster? The port that `cluster` implements and tests fake."""

from collections.abc import Mapping
from typing import Any, Protocol

from controller.resources.model import Kind
from controller.resources.names import ResourceKey

__all__ = ["Kind", "World"]


class World(Protocol):
    """The Kubernetes API as far as the loop needs it."""

    async def list_objects(self, kind: Kind) -> list[dict[str, Any]]:
        """Every object of a kind, complete or not at all.

        Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        ...

    async def patch_status(
        self, kind: Kind, key: ResourceKey, status: Mapping[str, Any], before: Mapping[str, Any]
    ) -> bool:
        """Make `status` of an object that holds `before` now what it should be; False when the object is gone."""
        ...

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """One Secret by name. Raises `SecretMissing` or `ClusterUnavailable`."""
        ...

    async def post_event(
        self, kind: Kind, key: ResourceKey, uid: str, *, reason: str, note: str, warning: bool
    ) -> None:
        """Post an Event; failing to is not an error."""
        ...

"""What does the loop need of the cluster? The port that `cluster` implements and tests fake."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from controller.resources.model import Kind
from controller.resources.names import ResourceKey

__all__ = ["Kind", "World"]

Read = TypeVar("Read")


class World(Protocol):
    """The Kubernetes API as far as the loop needs it."""

    async def read_objects(self, kind: Kind, read: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
        """What `read` makes of every object of a kind, complete or not at all; the objects themselves are not kept.

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

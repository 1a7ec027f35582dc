"""What has the operator to be allowed in the cluster? The RBAC of `manifests/`, right by right."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from controller.resources.documents import KINDS
from controller.resources.model import GROUP

CLUSTER_SCOPED = frozenset({"CatalogService"})


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, in one namespace or everywhere."""

    verb: str
    group: str
    resource: str
    """With its subresource, as in `maildomains/status`."""
    namespace: str | None = None
    """None: in the whole cluster."""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}" + (f" in {self.namespace}" if self.namespace else "")


ALL = Right("*", "*", "*")
"""What an administrator of the cluster may do."""


def plural(kind: str) -> str:
    """The name of a kind of ours in paths and in RBAC."""
    return f"{kind.lower()}s"


def needed_rights(namespaces: Collection[str], source_namespaces: Collection[str]) -> Iterator[Right]:
    """What an install needs that looks after these namespaces; none means the whole cluster."""
    places = _places(namespaces, source_namespaces)
    for kind in KINDS:
        for place in (None,) if kind in CLUSTER_SCOPED else places:
            for verb in ("list", "watch"):
                yield Right(verb, GROUP, plural(kind), place)
            yield Right("patch", GROUP, f"{plural(kind)}/status", place)
    yield from (Right("create", "", "events", place) for place in places)
    yield from (Right("get", "", "secrets", place) for place in sorted(source_namespaces))


def excessive_rights(namespaces: Collection[str], source_namespaces: Collection[str]) -> Iterator[Right]:
    """What no operator needs, and what would make one dangerous that somebody else has got hold of."""
    places = _places(namespaces, source_namespaces)
    for kind in KINDS:
        for place in (None,) if kind in CLUSTER_SCOPED else places:
            yield from (Right(verb, GROUP, plural(kind), place) for verb in ("create", "update", "patch", "delete"))
    yield Right("get", "", "secrets")
    yield from (Right("list", "", "secrets", place) for place in sorted({*filter(None, places), *source_namespaces}))


def _places(namespaces: Collection[str], source_namespaces: Collection[str]) -> tuple[str | None, ...]:
    return tuple(sorted({*namespaces, *source_namespaces})) if namespaces else (None,)

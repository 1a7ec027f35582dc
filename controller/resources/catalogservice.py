"""What is a CatalogService? Something that members of mail domains may open, and what it is bought by."""

from typing import Annotated, Literal

from pydantic import Field

from controller.resources.model import Declared, LocalRef, ObjectRef, Resource
from controller.resources.names import Email, ResourceKey


class Subscription(Declared):
    """Who is asked whether an organization has bought the service: a source of the service's own."""

    source_ref: ObjectRef
    probe_email: Email
    """Sent along, because DeployCenter wants an e-mail (A-54); `can_access` does not depend on it (A-70)."""


class CatalogServiceSpec(Declared):
    """The spec of a CatalogService."""

    type: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    active: Annotated[bool, Field(strict=True)] = True
    upstream_ref: LocalRef | None = None
    subscription: Subscription | None = None


class CatalogService(Resource):
    """One CatalogService. It is of the cluster: its name alone is its id, and a namespace says nothing."""

    kind: Literal["CatalogService"]
    spec: CatalogServiceSpec

    @property
    def key(self) -> ResourceKey:
        """Its name, in no namespace."""
        return ResourceKey("", self.metadata.name)

    @property
    def id(self) -> str:
        """What roles, domains, links and restrictions call it."""
        return self.metadata.name

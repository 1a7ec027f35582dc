"""What is a ServiceGroupRestriction? The deprecated way: one group a service may be opened by."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from controller.resources.model import Declared, LocalRef, Name, Resource
from controller.resources.names import ResourceKey


class GroupRow(Declared):
    """Whose members may open one service."""

    service: Name
    group: Name


class ServiceGroupRestrictionSpec(Declared):
    """The spec of a ServiceGroupRestriction."""

    mail_domain_ref: LocalRef
    restrict: Annotated[bool, Field(strict=True)]
    groups: Annotated[tuple[GroupRow, ...], Field(max_length=128)] = ()

    @model_validator(mode="after")
    def _one_row_a_service(self) -> Self:
        if len({row.service for row in self.groups}) < len(self.groups):
            raise PydanticCustomError("groups", "keep one row a service in groups")
        return self


class ServiceGroupRestriction(Resource):
    """One ServiceGroupRestriction. Without rows it closes every service: an empty list is nobody."""

    kind: Literal["ServiceGroupRestriction"]
    spec: ServiceGroupRestrictionSpec

    @property
    def domain_key(self) -> ResourceKey:
        """The MailDomain that it is about."""
        return ResourceKey(self.metadata.namespace, self.spec.mail_domain_ref.name)

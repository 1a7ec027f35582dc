"""What is a MailDomainRole? Which services its holders may open, and whom they may act as."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from controller.resources.model import Declared, LocalRef, Name, Resource
from controller.resources.names import Email


class Choice(StrEnum):
    """All, those that are listed, or none. An empty list never stands for one of them."""

    ALL = "All"
    SELECTED = "Selected"
    NONE = "None"


class SubjectKind(StrEnum):
    """What a subject names."""

    USER = "User"
    GROUP = "Group"


class Subject(Declared):
    """A user by e-mail, or a MailDomainGroup of the same namespace by name."""

    kind: SubjectKind
    email: Email | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _named_as_its_kind(self) -> Self:
        wanted, other = (self.email, self.name) if self.kind is SubjectKind.USER else (self.name, self.email)
        if wanted is None or other is not None:
            raise PydanticCustomError("subject", "set email for kind User, name for kind Group, and not the other")
        return self


class ServiceAccess(Declared):
    """Which services of the domain may be opened."""

    mode: Choice
    services: Annotated[tuple[Name, ...], Field(min_length=1, max_length=256)] | None = None

    @model_validator(mode="after")
    def _listed_where_selected(self) -> Self:
        if (self.mode is Choice.SELECTED) != (self.services is not None):
            raise PydanticCustomError("selected", "set services for mode Selected and for no other")
        return self


class Impersonation(Declared):
    """Whom a holder may act as."""

    mode: Choice
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _listed_where_selected(self) -> Self:
        if (self.mode is Choice.SELECTED) != (self.subjects is not None):
            raise PydanticCustomError("selected", "set subjects for mode Selected and for no other")
        return self


class UpstreamRole(LocalRef):
    """The role of an upstream domain that this one follows: found by its uid, else by its name (B-41)."""

    uid: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[-0-9A-Za-z]+$")] | None = None


class MailDomainRoleSpec(Declared):
    """The spec of a MailDomainRole."""

    service_access: ServiceAccess
    impersonation: Impersonation | None = None
    upstream_ref: UpstreamRole | None = None


class MailDomainRole(Resource):
    """One MailDomainRole."""

    kind: Literal["MailDomainRole"]
    spec: MailDomainRoleSpec

    @property
    def impersonates(self) -> bool:
        """Whether it lets anybody act as somebody."""
        return self.spec.impersonation is not None and self.spec.impersonation.mode is not Choice.NONE

"""What is a MailDomain? Whose administrators are managed, by which sources, and within which limits."""

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from controller.resources.model import SHARED, Attributes, CanonicalDomain, Declared, Resource, RevocationLimit, Siret
from controller.resources.names import DomainName, Email, ResourceKey
from controller.resources.quantities import Amount
from controller.resources.serviceaccess import DomainServiceAccess
from controller.resources.source import SourceRef


class Mode(StrEnum):
    """What may be carried out."""

    OBSERVE = "Observe"
    GRANT_ONLY = "GrantOnly"
    ENFORCE = "Enforce"
    WITHDRAW = "Withdraw"


class Ownership(StrEnum):
    """Which rows may be revoked: those of our ledger, or any ADMIN row (parity with login, A-39)."""

    LEDGER = "Ledger"
    AUTHORITATIVE = "Authoritative"


class AdoptionPolicy(StrEnum):
    """Which rows that stand already become ours: none, those that we would have created, or all, by approval."""

    NEVER = "Never"
    MATCHING = "Matching"
    ALL = "All"


class DomainOrganization(Declared):
    """Whose domain it is."""

    siret: Siret


class DomainLimits(Declared):
    """What may happen to one domain without being held."""

    revocations: RevocationLimit = RevocationLimit(max=Amount(50, percent=True))
    min_admins: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0
    max_admins: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 50
    admin_email_domains: Annotated[tuple[CanonicalDomain, ...], Field(min_length=1, max_length=64)] | None = None
    """Whose e-mails may be granted without being held; None = anybody's."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_admins > self.max_admins:
            raise PydanticCustomError("admins", "minAdmins must not exceed maxAdmins")
        return self


class Ensure(StrEnum):
    """Where the domain itself comes from: it is waited for, or the mail application is asked to create it."""

    EXISTS = "Exists"
    CREATED = "Created"


class Provisioning(Declared):
    """How the domain comes to be, and what of it is ours. What is absent is left as it is."""

    ensure: Ensure = Ensure.EXISTS
    oidc_autojoin: Annotated[bool | None, Field(strict=True)] = None
    identity_sync: Annotated[bool | None, Field(strict=True)] = None
    custom_attributes: Attributes | None = None
    overwrite: Annotated[bool, Field(strict=True)] = False


Admins = Annotated[tuple[Email, ...], Field(max_length=128)]


class MailDomainSpec(Declared):
    """The spec of a MailDomain."""

    domain: CanonicalDomain
    mode: Mode
    organization: DomainOrganization | None = None
    source_refs: Annotated[tuple[Annotated[SourceRef, SHARED], ...], Field(min_length=1, max_length=8)]
    ownership: Ownership = Ownership.LEDGER
    adoption: AdoptionPolicy = AdoptionPolicy.MATCHING
    protected_admins: Admins = ()
    denied_admins: Admins = ()
    limits: Annotated[DomainLimits, SHARED] = DomainLimits()
    provisioning: Annotated[Provisioning, SHARED] = Provisioning()
    service_access: DomainServiceAccess | None = None
    suspend: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if {email.key for email in self.protected_admins} & {email.key for email in self.denied_admins}:
            raise PydanticCustomError("admins", "an e-mail must not be in both protectedAdmins and deniedAdmins")
        return self


class MailDomain(Resource):
    """One MailDomain."""

    kind: Literal["MailDomain"]
    spec: MailDomainSpec

    @cached_property
    def domain(self) -> DomainName:
        """The canonical name that it claims."""
        return DomainName(self.spec.domain)

    @cached_property
    def source_keys(self) -> tuple[ResourceKey, ...]:
        """The sources that it names, in order, each once."""
        own = self.metadata.namespace
        return tuple(dict.fromkeys(ResourceKey(ref.namespace or own, ref.name) for ref in self.spec.source_refs))

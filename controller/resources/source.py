"""What is an EntitlementSource? Who is asked about users, how, how often, and who may use the answers."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from controller.resources.model import (
    Attributes,
    CanonicalDomain,
    Declared,
    Name,
    Resource,
    RevocationLimit,
    SecretKeyRef,
    Siret,
    between,
)
from controller.resources.names import DomainName, Email, is_canonical
from controller.resources.quantities import Amount, Duration


def _domain_or_suffix(value: str) -> str:
    if not is_canonical(value.removeprefix("*.")):
        raise PydanticCustomError("domain_pattern", "write a lower-case ASCII domain name, or *. and a suffix")
    return value


NamespacePattern = Annotated[str, Field(pattern=r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$")]
DomainPattern = Annotated[str, Field(min_length=2, max_length=253), AfterValidator(_domain_or_suffix)]
ClaimName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")]


class Consumer(Declared):
    """Namespaces that may use a source, and for which domains; without `domains` for any."""

    namespaces: Annotated[tuple[NamespacePattern, ...], Field(min_length=1, max_length=256)]
    domains: Annotated[tuple[DomainPattern, ...], Field(min_length=1, max_length=256)] | None = None

    def covers(self, namespace: str, domain: DomainName) -> bool:
        """Tell whether a MailDomain of this namespace may use the source for this domain."""
        if "*" not in self.namespaces and namespace not in self.namespaces:
            return False
        return self.domains is None or any(
            domain.endswith(pattern[1:]) if pattern.startswith("*.") else domain == pattern for pattern in self.domains
        )


class Organization(Declared):
    """Which siret opens the answers: the pivots in order, then the user's own claims, then the domain's (D17)."""

    pivot_sirets: Annotated[tuple[Siret, ...], Field(max_length=8)] = ()
    claims: Annotated[tuple[ClaimName, ...], Field(max_length=8)] = ()


class MetricsPush(StrEnum):
    """Whether asking may say that there is no usage to fetch, so that DeployCenter does not fetch any (A-67)."""

    AUTO = "Auto"
    NEVER = "Never"


class DeployCenter(Declared):
    """DeployCenter's entitlements endpoint, used as it is written."""

    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\x00-\x20/?#@]+(/[^\x00-\x20?#]*)?$")]
    insecure_http: Annotated[bool, Field(alias="insecureHTTP", strict=True)] = False
    service_id: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
    api_key_secret_ref: SecretKeyRef
    organization: Organization = Organization()
    timeout: Annotated[Duration, between(timedelta(seconds=1), timedelta(minutes=2))] = timedelta(seconds=10)
    concurrency: Annotated[int, Field(strict=True, ge=1, le=32)] = 8
    requests_per_second: Annotated[int, Field(strict=True, ge=1, le=1000)] = 50
    metrics_push: MetricsPush = MetricsPush.NEVER
    ca_bundle_secret_ref: SecretKeyRef | None = None

    @model_validator(mode="after")
    def _https(self) -> Self:
        if not self.insecure_http and not self.url.startswith("https://"):
            raise PydanticCustomError("https", "url must start with https:// unless insecureHTTP is true")
        return self


class StaticGrant(Declared):
    """One person and the domains that they administer."""

    email: Email
    domains: Annotated[tuple[CanonicalDomain, ...], Field(min_length=1, max_length=256)]


class Static(Declared):
    """Grants that are written down here. Everybody else is entitled to nothing."""

    grants: Annotated[tuple[StaticGrant, ...], Field(min_length=1, max_length=10_000)]


class Local(Declared):
    """Knows nothing: every answer is Unknown (A-06). For development."""


class External(Declared):
    """A provider that another package brings, with what it wants to know."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    config: Annotated[Attributes, Field(default_factory=dict)]
    secret_refs: Annotated[tuple[SecretKeyRef, ...], Field(max_length=8)] = ()


class Provider(Declared):
    """Who is asked; exactly one."""

    deploy_center: DeployCenter | None = None
    static: Static | None = None
    local: Local | None = None
    external: External | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(part is not None for part in (self.deploy_center, self.static, self.local, self.external)) != 1:
            message = "exactly one of deployCenter, static, local and external must be set"
            raise PydanticCustomError("provider", message)
        return self

    @property
    def secret_refs(self) -> tuple[SecretKeyRef, ...]:
        """The Secrets that it needs, in the namespace of its source."""
        center = self.deploy_center
        if center is not None:
            return (center.api_key_secret_ref, *filter(None, [center.ca_bundle_secret_ref]))
        return self.external.secret_refs if self.external is not None else ()


class Confirmation(Declared):
    """A suspect is asked again after this time before its case counts as confirmed; 0s = off."""

    after: Annotated[Duration, between(timedelta(0), timedelta(hours=1))] = timedelta(seconds=30)


class Canary(Declared):
    """Somebody about whom the right answer is known: exactly these domains, or none at all."""

    email: Email
    domains: Annotated[tuple[CanonicalDomain, ...], Field(max_length=256)]


class SourceLimits(Declared):
    """What may be revoked over all domains of a source."""

    revocations: RevocationLimit = RevocationLimit(max=Amount(25, percent=True))


class EntitlementSourceSpec(Declared):
    """The spec of an EntitlementSource."""

    interval: Annotated[Duration, between(timedelta(minutes=1), timedelta(hours=24))] = timedelta(minutes=10)
    discovery_interval: Annotated[Duration, between(timedelta(minutes=1), timedelta(hours=168))] = timedelta(hours=6)
    stale_after: Annotated[Duration, between(timedelta(minutes=2), timedelta(hours=168))] = timedelta(minutes=30)
    suspend: Annotated[bool, Field(strict=True)] = False
    consumers: Annotated[tuple[Consumer, ...], Field(min_length=1, max_length=64)] | None = None
    provider: Provider
    confirm_revocations: Confirmation = Confirmation()
    canaries: Annotated[tuple[Canary, ...], Field(max_length=16)] = ()
    limits: SourceLimits = SourceLimits()

    @model_validator(mode="after")
    def _stale_after_two_intervals(self) -> Self:
        if self.stale_after < 2 * self.interval:
            raise PydanticCustomError("stale_after", "staleAfter must be at least twice the interval")
        return self


class EntitlementSource(Resource):
    """One EntitlementSource."""

    kind: Literal["EntitlementSource"]
    spec: EntitlementSourceSpec

    def serves(self, namespace: str, domain: DomainName) -> bool:
        """Tell whether a MailDomain of this namespace may use it for this domain. Its owner decides, here."""
        if self.spec.consumers is None:
            return namespace == self.metadata.namespace
        return any(consumer.covers(namespace, domain) for consumer in self.spec.consumers)


class SourceRef(Declared):
    """A source by name; in the same namespace unless another is named."""

    name: Name
    namespace: Name | None = None

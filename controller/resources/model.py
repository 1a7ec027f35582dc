"""What do all declared objects have in common? Group, metadata, references and strict typed fields."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from controller.resources.names import DomainName, ResourceKey, is_canonical
from controller.resources.quantities import Amount, Duration, format_duration

GROUP = "maildomain.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

APPROVE_ANNOTATION = f"{GROUP}/approve"
PROVISIONED_ANNOTATION = f"{GROUP}/provisioned"
REQUESTED_AT_ANNOTATIONS = (f"{GROUP}/requestedAt", "reconcile.fluxcd.io/requestedAt")


class Kind(StrEnum):
    """The kinds that are reconciled, by their plural names."""

    SOURCE = "entitlementsources"
    DOMAIN = "maildomains"
    SERVICE = "catalogservices"
    ROLE = "maildomainroles"
    BINDING = "maildomainrolebindings"
    GROUP = "maildomaingroups"
    LINK = "maildomainlinks"
    RESTRICTION = "servicegrouprestrictions"

    @property
    def singular(self) -> str:
        """The name that stands in `kind`."""
        return _SINGULAR[self]

    @property
    def namespaced(self) -> bool:
        """Whether its objects are of a namespace; the others are of the cluster."""
        return self is not Kind.SERVICE


_SINGULAR = {
    Kind.SOURCE: "EntitlementSource",
    Kind.DOMAIN: "MailDomain",
    Kind.SERVICE: "CatalogService",
    Kind.ROLE: "MailDomainRole",
    Kind.BINDING: "MailDomainRoleBinding",
    Kind.GROUP: "MailDomainGroup",
    Kind.LINK: "MailDomainLink",
    Kind.RESTRICTION: "ServiceGroupRestriction",
}


def _canonical(value: str) -> DomainName:
    if not is_canonical(value):
        raise PydanticCustomError("domain_name", "write the domain name in lower-case ASCII (an A-label for IDN)")
    return DomainName(value)


Attribute = str | int


def _attribute(value: object) -> Attribute:
    if isinstance(value, str) and len(value) <= 1024:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    raise PydanticCustomError("attribute", "write a text of at most 1024 characters or a whole number")


def between(low: timedelta, high: timedelta) -> AfterValidator:
    """A validator that refuses durations outside of `low..high`."""

    def check(value: timedelta) -> timedelta:
        if not low <= value <= high:
            raise PydanticCustomError(
                "duration_range",
                "write a duration from {low} to {high}",
                {"low": format_duration(low), "high": format_duration(high)},
            )
        return value

    return AfterValidator(check)


@lru_cache(maxsize=4096)
def _first(value: "Declared", written: str) -> "Declared":  # noqa: ARG001  # equal parts may be written differently
    return value


def _shared(value: "Declared") -> "Declared":
    """The first part that says the same in the same words: ten thousand objects are declared alike, but for names."""
    try:
        return _first(value, value.model_dump_json(exclude_unset=True))
    except TypeError:
        # It holds a mapping, which can't be found again.
        return value


SHARED = AfterValidator(_shared)
"""For parts that are equal in many objects: they are held once."""

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
NameOrAll = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$")]
Siret = Annotated[str, Field(pattern=r"^[0-9]{14}$")]
CanonicalDomain = Annotated[str, Field(min_length=2, max_length=253), AfterValidator(_canonical)]
Attributes = Annotated[
    Mapping[Annotated[str, Field(min_length=1, max_length=64)], Annotated[Attribute, PlainValidator(_attribute)]],
    Field(max_length=32),
]
"""Names with a text or a whole number each: what another program wants to know."""
Window = Annotated[Duration, between(timedelta(hours=1), timedelta(hours=720))]


@lru_cache(maxsize=1024)
def _fields(names: frozenset[str]) -> set[str]:
    return set(names)


class Declared(BaseModel):
    """A part of a declared object: immutable, camelCase on the wire, unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="after")
    def _written_alike(self) -> Self:
        """Ten thousand objects set the same few fields: the set of them is held once."""
        object.__setattr__(self, "__pydantic_fields_set__", _fields(frozenset(self.model_fields_set)))
        return self


class Metadata(Declared):
    """What the engine needs to know of an object's metadata. The rest is not ours and is not kept."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    namespace: Name = "default"
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    annotations: Annotated[Mapping[str, str], Field(repr=False)] = {}
    """As they are. Never printed: kubectl's last-applied-configuration repeats the whole spec, e-mails included."""

    @cached_property
    def key(self) -> ResourceKey:
        """Namespace and name."""
        return ResourceKey(self.namespace, self.name)

    @property
    def approved_hold(self) -> str | None:
        """The hold id that `maildomain.dev/approve` carries."""
        return self.annotations.get(APPROVE_ANNOTATION)

    @property
    def provisioned(self) -> bool:
        """Whether the provisioning API made it, rather than a person or a pipeline."""
        return self.annotations.get(PROVISIONED_ANNOTATION) == "true"

    @property
    def requests(self) -> Mapping[str, str]:
        """The pokes, ours and Flux's, by annotation. Any change of a value is a new request."""
        return {name: self.annotations[name] for name in REQUESTED_AT_ANNOTATIONS if name in self.annotations}


class LocalRef(Declared):
    """An object by name: of the same namespace, or of the cluster."""

    name: Name


class ObjectRef(Declared):
    """An object by namespace and name."""

    namespace: Name
    name: Name

    @property
    def key(self) -> ResourceKey:
        """Namespace and name."""
        return ResourceKey(self.namespace, self.name)


class SecretKeyRef(Declared):
    """One key of one Secret of the same namespace."""

    name: Name
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class RevocationLimit(Declared):
    """How many revocations may happen within a sliding window, as a share of the rows at its start or as a count."""

    max: Amount
    window: Window = timedelta(hours=24)

    def __str__(self) -> str:
        return f"revocations {self.max} in {format_duration(self.window)}"


class Resource(Declared):
    """One declared object. `status` is what the API server holds now, as it is; files have none."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: str
    metadata: Metadata
    status: Mapping[str, Any] = {}

    @cached_property
    def key(self) -> ResourceKey:
        """Namespace and name."""
        return self.metadata.key

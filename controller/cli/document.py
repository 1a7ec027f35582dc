"""What does a plan look like on the wire? The documents that `plan -o json` and `apply -o json` print.

The field order is the order of the output, and `docs/schema/plan.json` is the schema of these models.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from controller.cli.wire import Part, dump


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


Optional = Field(default=None, json_schema_extra=_without_default)


class Change(Part):
    """One access to grant or to revoke."""

    user: str = Field(description="`messages_user.id`")
    reason: str = Field(description="why: Entitled; NotEntitled, Denied or Withdrawn")
    email: Annotated[str | SkipJsonSchema[None], Optional] = None


class HeldChange(Part):
    """One access that waits for the approval of a hold."""

    user: str = Field(description="`messages_user.id`")
    reason: str = Field(
        description="NotEntitled or Withdrawn for a revocation, Entitled for a grant, Matching or All for an adoption"
    )
    hold: str = Field(description="id of the hold, for `apply --approve`")
    email: Annotated[str | SkipJsonSchema[None], Optional] = None


class ShownCondition(Part):
    """One condition, as the resource would have it in a cluster."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


class Suppressed(Part):
    """How many changes the mode or `suspend` leaves undone."""

    grants: int
    revocations: int


class Domain(Part):
    """One MailDomain. `grants` and `revocations` are what is carried out under its mode."""

    namespace: str
    name: str
    domain: str
    mode: Literal["Observe", "GrantOnly", "Enforce", "Withdraw"]
    conditions: tuple[ShownCondition, ...]
    grants: tuple[Change, ...]
    revocations: tuple[Change, ...]
    held: tuple[HeldChange, ...]
    suppressed: Suppressed
    adoptions: int = Field(description="rows that stand already and become ours")
    pending: int = Field(description="names of an answer or a declaration that have no row to point at yet")
    ambiguous: int = Field(description="e-mails that match more than one active user")
    denied: Annotated[int | SkipJsonSchema[None], Optional] = None
    """Rows of `deniedAdmins`, removed or not; left out where there are none."""
    contested: Annotated[int | SkipJsonSchema[None], Optional] = None
    """Accesses that something else writes as well, and that are left to it; left out where there are none."""

    provisioning: Annotated[
        Literal["create", "update"] | SkipJsonSchema[None],
        Field(default=None, json_schema_extra=_without_default, description="what the mail application is asked to do"),
    ] = None

    def condition(self, kind: str) -> ShownCondition:
        """The condition of one type."""
        return next(condition for condition in self.conditions if condition.type == kind)


class ShownHold(Part):
    """Something that waits for approval, once for everything that its limit holds."""

    id: str
    scope: str = Field(description="kind and namespace/name of the object whose limit tripped")
    limit: str
    count: int


class Users(Part):
    """How many users were asked about, by the type of the answer."""

    asked: int
    entitled: int
    partial: int
    unknown: int
    malformed: int
    unavailable: int


class ShownSource(Part):
    """One EntitlementSource."""

    namespace: str
    name: str
    users: Users
    requests: int = Field(description="HTTP requests that it took")


class Counts(Part):
    """The sums over all domains."""

    domains: int
    grants: int
    revocations: int
    adoptions: int
    held: int
    pending: int
    ambiguous: int


class Applied(Part):
    """What was written."""

    grants: int
    revocations: int
    adoptions: int


ServiceState = Literal["Usable", "Inactive", "NotSubscribed", "Unknown", "NotListed"]


class ServiceChange(Part):
    """One service of one domain, and what becomes of the rows about it."""

    name: str = Field(description="of the CatalogService")
    state: ServiceState = Field(
        description="Unknown: no source says whether it is bought; NotListed: the domain lists it no more"
    )
    allowed: int = Field(description="members who may open it by what is declared")
    stale: int = Field(description="members of whom it is not known: their rows are kept, and none are made")
    gains: int = Field(description="people who may open it as readers see it, and could not before")
    loses: int = Field(description="people who could open it, and may no more")


class ServiceDomain(Part):
    """One MailDomain that decides on services, or does no more."""

    namespace: str
    name: str
    domain: str
    advisory: bool = Field(description="only audited: nobody is kept out")
    members: int
    would_lose: int = Field(description="members who would lose a service if this were enforced; 0 where it is")
    held: int = Field(description="members who wait for approval to be let in")
    services: tuple[ServiceChange, ...]


class SubscriptionSource(Part):
    """One EntitlementSource that was asked whether services are bought."""

    namespace: str
    name: str
    asked: int = Field(description="organizations")
    subscribed: int
    not_subscribed: int
    unknown: int
    unavailable: int
    requests: int


class ServiceCounts(Part):
    """The sums over all domains and services."""

    domains: int
    gains: int
    loses: int
    held: int


class Services(Part):
    """Who may open which service: what the rows would say, or do now, that they did not before."""

    counts: ServiceCounts
    domains: tuple[ServiceDomain, ...]
    sources: tuple[SubscriptionSource, ...]


class ShownFreeze(Part):
    """What stops every write."""

    by: Literal["Database", "Process"] = Field(description="a row of the database, or MDC_FREEZE")
    since: datetime | None
    reason: str | None


class PlanDocument(Part):
    """What would be done (kind Plan), or what was done (kind Result)."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"kind": {"const": "Result"}}},
            "then": {"required": ["applied"]},
            "else": {"properties": {"applied": False}},
        }
    )

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Plan", "Result"]
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="the same for the same changes, holds included")
    counts: Counts
    domains: tuple[Domain, ...]
    holds: tuple[ShownHold, ...]
    sources: tuple[ShownSource, ...]
    services: Annotated[Services | SkipJsonSchema[None], Optional] = None
    """Left out where nothing is declared about services."""
    frozen: Annotated[ShownFreeze | SkipJsonSchema[None], Optional] = None
    applied: Annotated[Applied | SkipJsonSchema[None], Optional] = None


def to_json(document: PlanDocument) -> str:
    """Print a document. Fields stand in the order of the models, lists in the order of the document."""
    return dump(document, nulls=False)


def schema() -> dict[str, Any]:
    """The JSON schema of the document, as it stands in `docs/schema/plan.json`."""
    made = PlanDocument.model_json_schema(mode="serialization", by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made

"""Who may manage which domain: references, consumers, claims."""

from typing import Any

from controller.planning.facts import Claim
from controller.planning.standing import CLAIM_GRACE, ClaimRules, new_claims, resolve
from controller.resources.conditions import Reason
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource
from tests.support.planning import maildomain, source

X = DomainName("x.fr")
PLATFORM = ("platform",)


def decide(
    *resources: MailDomain,
    sources: tuple[EntitlementSource, ...],
    honoured: tuple[str, ...] | None = PLATFORM,
    claims: dict[DomainName, Claim] | None = None,
    absent: dict[DomainName, float] | None = None,
) -> dict[str, Reason | None]:
    """Why each resource may not act, by namespace/name."""
    rules = ClaimRules("me", claims or {}, absent if absent is not None else {})
    found = resolve(resources, {item.key: item for item in sources}, source_namespaces=honoured, rules=rules)
    return {str(standing.resource.key): standing.refusal for standing in found}


def platform(**spec: Any) -> EntitlementSource:
    """A source of the platform."""
    return source(namespace="platform", **spec)


def tenant(domain: str = "x.fr", *, namespace: str = "tenant", **spec: Any) -> MailDomain:
    """A tenant's resource that names the platform's source."""
    reference = [{"name": "deploycenter", "namespace": "platform"}]
    return maildomain(domain, namespace=namespace, **{"sourceRefs": reference, **spec})


def born(domain: str, moment: str, *, namespace: str) -> MailDomain:
    """A resource with a creation time."""
    return tenant(domain, namespace=namespace, metadata={"creationTimestamp": moment, "uid": namespace})


EVERYBODY = [{"namespaces": ["*"]}]


def test_a_source_without_consumers_serves_its_own_namespace_only() -> None:
    inside = maildomain("x.fr", namespace="platform")
    assert decide(inside, tenant("y.fr"), sources=(platform(),)) == {
        "platform/x-fr": None,
        "tenant/y-fr": Reason.NOT_AUTHORIZED,
    }


def test_consumers_name_namespaces_and_domains() -> None:
    item = platform(consumers=[{"namespaces": ["tenant"], "domains": ["x.fr", "*.y.fr"]}])
    found = decide(tenant("x.fr"), tenant("a.y.fr"), tenant("y.fr"), tenant("z.fr"), sources=(item,))
    assert [reason is None for reason in found.values()] == [True, True, False, False]


def test_a_suffix_does_not_cover_a_name_that_only_ends_alike() -> None:
    item = platform(consumers=[{"namespaces": ["tenant"], "domains": ["*.y.fr"]}])
    assert decide(tenant("noty.fr"), sources=(item,)) == {"tenant/noty-fr": Reason.NOT_AUTHORIZED}


def test_sources_outside_the_source_namespaces_are_not_honoured() -> None:
    own = source(namespace="tenant", consumers=EVERYBODY)
    assert decide(maildomain("x.fr", namespace="tenant"), sources=(own,)) == {"tenant/x-fr": Reason.NOT_AUTHORIZED}


def test_whether_a_foreign_source_exists_is_not_told() -> None:
    assert decide(tenant(), sources=()) == {"tenant/x-fr": Reason.NOT_AUTHORIZED}


def test_a_missing_source_of_the_own_namespace_is_waited_for() -> None:
    found = decide(maildomain("x.fr", namespace="platform"), sources=())
    assert found == {"platform/x-fr": Reason.SOURCE_NOT_FOUND}


def test_all_sources_of_a_domain_have_to_admit_it() -> None:
    references = [{"name": "deploycenter", "namespace": "platform"}, {"name": "closed", "namespace": "platform"}]
    closed = source("closed", namespace="platform")
    item = tenant(sourceRefs=references)
    assert decide(item, sources=(platform(consumers=EVERYBODY), closed)) == {"tenant/x-fr": Reason.NOT_AUTHORIZED}


def test_the_oldest_of_two_authorised_claims_wins() -> None:
    late, early = (
        born("x.fr", "2026-02-01T00:00:00Z", namespace="a"),
        born("x.fr", "2026-01-01T00:00:00Z", namespace="b"),
    )
    found = decide(late, early, sources=(platform(consumers=EVERYBODY),))
    assert found == {"a/x-fr": Reason.DOMAIN_CLAIM_CONFLICT, "b/x-fr": None}


def test_a_squatter_who_is_not_authorised_claims_nothing() -> None:
    squatter = born("x.fr", "2025-01-01T00:00:00Z", namespace="squatter")
    rightful = born("x.fr", "2026-01-01T00:00:00Z", namespace="tenant")
    found = decide(squatter, rightful, sources=(platform(consumers=[{"namespaces": ["tenant"]}]),))
    assert found == {"squatter/x-fr": Reason.NOT_AUTHORIZED, "tenant/x-fr": None}


def test_the_recorded_winner_keeps_the_name_against_an_older_resource() -> None:
    early, winner = (
        born("x.fr", "2025-01-01T00:00:00Z", namespace="a"),
        born("x.fr", "2026-01-01T00:00:00Z", namespace="b"),
    )
    claims = {X: Claim("me", winner.key)}
    found = decide(early, winner, sources=(platform(consumers=EVERYBODY),), claims=claims)
    assert found == {"a/x-fr": Reason.DOMAIN_CLAIM_CONFLICT, "b/x-fr": None}


def test_a_winner_that_is_gone_keeps_the_name_for_ten_minutes() -> None:
    heir = born("x.fr", "2026-01-01T00:00:00Z", namespace="a")
    claims = {X: Claim("me", ResourceKey("gone", "x-fr"))}
    sources = (platform(consumers=EVERYBODY),)
    early = decide(heir, sources=sources, claims=claims, absent={X: CLAIM_GRACE - 1})
    late = decide(heir, sources=sources, claims=claims, absent={X: CLAIM_GRACE})
    assert early == {"a/x-fr": Reason.DOMAIN_CLAIM_CONFLICT}
    assert late == {"a/x-fr": None}


def test_a_domain_of_another_installation_is_left_alone() -> None:
    claims = {X: Claim("somebody-else", ResourceKey("tenant", "x-fr"))}
    assert decide(tenant(), sources=(platform(consumers=EVERYBODY),), claims=claims) == {
        "tenant/x-fr": Reason.FOREIGN_OWNER
    }


def test_only_new_winners_are_recorded() -> None:
    sources = {item.key: item for item in (platform(consumers=EVERYBODY),)}
    rules = ClaimRules("me", {}, {})
    found = resolve([tenant("x.fr"), tenant("y.fr")], sources, source_namespaces=PLATFORM, rules=rules)
    known = {X: Claim("me", ResourceKey("tenant", "x-fr"))}
    assert new_claims(found, known) == ((DomainName("y.fr"), ResourceKey("tenant", "y-fr")),)

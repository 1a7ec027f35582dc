"""What can a tenant reach who may write anything into a namespace of their own? Nothing that is not given to them.

One operator for a platform with a source, a tenant who may use it for one domain, and a stranger. Every attack is
refused as NotAuthorized, with no row written, no question asked, and no Secret read.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.sandbox.deploycenter import Account, Double, Organization, World
from tests.support.apiproxy import ApiProxy, Asked
from tests.support.apiserver import ControlPlane
from tests.support.kubectl import Kubectl
from tests.support.privacy import KEY
from tests.support.town import SIRET, Town, founded, manifest

MINE = "mine.example"
TARGET = "target.example"
NOT_AUTHORIZED = ("False", "NotAuthorized")

Item = dict[str, Any]


@dataclass
class Land:
    """The platform's town, its tenant and a stranger, and what the stranger has put up elsewhere."""

    town: Town
    tenant: str
    stranger: str
    elsewhere: Double
    url: str
    api: ApiProxy

    @property
    def kubectl(self) -> Kubectl:
        return self.town.kubectl

    def declare(self, namespace: str, *items: Item) -> None:
        self.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), namespace=namespace)

    def ready_of(self, namespace: str, item: Item) -> tuple[str, str]:
        """Status and reason of Ready, once there is one."""
        name = f"{item['kind']}/{item['metadata']['name']}"
        self.kubectl.wait(name, "jsonpath={.status.conditions[?(@.type=='Ready')].status}", namespace=namespace)
        condition = self.kubectl.get(item["kind"], item["metadata"]["name"], namespace=namespace).condition("Ready")
        assert condition is not None
        return condition.status, condition.reason

    def platform_source(self) -> Item:
        return {"name": "dc", "namespace": self.town.namespace}

    def source_of_its_own(self, **provider: object) -> Item:
        """A source that says whatever its tenant wants, with the tenant's Secret or with one that is not theirs."""
        center = {
            "url": self.url,
            "insecureHTTP": True,
            "serviceId": 1,
            "apiKeySecretRef": {"name": "dc", "key": "key"},
            "organization": {"pivotSirets": [SIRET]},
            **provider,
        }
        return manifest("EntitlementSource", "own", {"provider": {"deployCenter": center}})


def domain(name: str, reference: Item, **spec: object) -> Item:
    body = {"domain": name, "mode": "Enforce", "sourceRefs": [reference], **spec}
    return manifest("MailDomain", name.replace(".", "-"), body)


@pytest.fixture(scope="module")
def land(control_plane: ControlPlane, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    """The tenant's domain is served; the target belongs to nobody here, and has an administrator."""
    folder = tmp_path_factory.mktemp("tenants")
    with ExitStack() as stack:
        platform, tenant, stranger = (stack.enter_context(control_plane.namespace(name)) for name in "pts")
        api = stack.enter_context(ApiProxy.before(control_plane))
        town = stack.enter_context(founded(control_plane, api.kubeconfig(kubeconfig), platform, folder))
        # Whatever it is asked about, it says that the stranger may administer everything.
        names = [MINE, TARGET]
        elsewhere = Double(
            World([Organization(SIRET, "Elsewhere", {"domains": names})], [Account("eve@x.example", SIRET, ("admin",))])
        )
        elsewhere.world.api_key = KEY
        url = stack.enter_context(elsewhere.serve_in_thread())
        town.center.world.organizations.append(Organization(SIRET, "Commune", {"domains": names}))
        town.center.world.accounts.append(Account("ada@mine.example", SIRET, links={"admin": {"domains": names}}))
        for name in names:
            town.mail.domain(name)
        for email in ("ada@mine.example", "eve@x.example"):
            town.mail.user(email)
        (target,) = town.mail.execute("SELECT id FROM messages_maildomain WHERE name = :name", name=TARGET)
        town.mail.admin(town.mail.user("dsi@target.example"), str(target["id"]))
        land = Land(town, tenant, stranger, elsewhere, url, api)
        town.start(MDC_NAMESPACES=f"{platform},{tenant},{stranger}")
        secret, *_ = town.declaration(0)
        consumers = [{"namespaces": [tenant], "domains": [MINE]}]
        town.apply(secret, town.source(consumers=consumers))
        # The squatter is older than the one who may.
        land.declare(stranger, domain(MINE, land.platform_source()))
        assert land.ready_of(stranger, domain(MINE, land.platform_source())) == NOT_AUTHORIZED
        land.declare(tenant, domain(MINE, land.platform_source()))
        land.kubectl.wait("mdom/mine-example", "condition=Ready", namespace=tenant)
        yield land


def test_a_squatter_wins_no_name(land: Land) -> None:
    mine = domain(MINE, land.platform_source())
    assert land.ready_of(land.tenant, mine) == ("True", "InSync")
    assert land.ready_of(land.stranger, mine) == NOT_AUTHORIZED
    assert [json.loads(claim)["resource"] for claim in land.town.mail.dump_own()["claim"]] == [
        f"{land.tenant}/mine-example"
    ]
    assert len(land.town.rows()) == 2


ATTACKS: dict[str, Callable[[Land], tuple[str, list[Item]]]] = {
    "a source outside of the source namespaces, its own Secret and an address elsewhere": lambda land: (
        land.stranger,
        [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "dc"}, "stringData": {"key": KEY}},
            land.source_of_its_own(),
            domain(TARGET, {"name": "own"}),
        ],
    ),
    "a source with a Secret that only the platform has": lambda land: (
        land.tenant,
        [land.source_of_its_own(), domain(TARGET, {"name": "own"})],
    ),
    "a source that takes the platform's key for certificates": lambda land: (
        land.tenant,
        [land.source_of_its_own(caBundleSecretRef={"name": "dc", "key": "key"}), domain(TARGET, {"name": "own"})],
    ),
    "a namespace that is no consumer": lambda land: (land.stranger, [domain(TARGET, land.platform_source())]),
    "a domain that its namespace may not have": lambda land: (land.tenant, [domain(TARGET, land.platform_source())]),
    "a source that is made up": lambda land: (
        land.stranger,
        [domain(TARGET, {"name": "no-such", "namespace": land.town.namespace})],
    ),
    "a right source beside one of its own": lambda land: (
        land.tenant,
        [
            land.source_of_its_own(),
            domain(TARGET, {}, sourceRefs=[land.platform_source(), {"name": "own"}]),
        ],
    ),
    "every row, and no limit": lambda land: (
        land.stranger,
        [
            domain(
                TARGET,
                land.platform_source(),
                ownership="Authoritative",
                deniedAdmins=["dsi@target.example"],
                limits={"revocations": {"max": "100%"}, "maxAdmins": 1000},
            )
        ],
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_and_reaches_nothing(land: Land, attack: str) -> None:
    before = land.town.mail.dump(), land.town.mail.dump_own(), land.town.center.requests
    asked = len(land.api.asked)
    namespace, items = ATTACKS[attack](land)
    land.declare(namespace, *items)
    try:
        refused = [item for item in items if item["kind"] != "Secret"]
        assert {land.ready_of(namespace, item) for item in refused} == {NOT_AUTHORIZED}
        stalled = land.kubectl.get("mdom", "target-example", namespace=namespace).condition("Stalled")
        assert stalled is not None
        assert (stalled.status, stalled.reason) == ("True", "NotAuthorized")
        assert (land.town.mail.dump(), land.town.mail.dump_own(), land.town.center.requests) == before
        assert land.elsewhere.requests == 0
        assert secrets_read(land.api.asked[asked:]) <= {platform_secret(land)}
    finally:
        for item in items:
            land.kubectl.run("delete", item["kind"], item["metadata"]["name"], "-n", namespace)


def test_only_the_secret_that_is_referenced_is_read_and_only_by_its_name(land: Land) -> None:
    assert secrets_read(land.api.asked) == {platform_secret(land)}


def platform_secret(land: Land) -> Asked:
    return Asked("GET", f"/api/v1/namespaces/{land.town.namespace}/secrets/dc", watch=False)


def secrets_read(asked: list[Asked]) -> set[Asked]:
    """Every request that is about Secrets, of whatever kind."""
    return {request for request in asked if "/secrets" in request.path}

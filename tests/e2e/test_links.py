"""Links on a real cluster: what another domain decides holds here as long as both agree, and no object is written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import ControlPlane
from tests.support.operator import install, let_read_secrets
from tests.support.town import Town, eventually, founded, manifest

UPSTREAM, DOWNSTREAM = "d000-example", "d001-example"
CLERK = "u1@d001.example"


@pytest.fixture(scope="module")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """Who the operator is."""
    return install(control_plane)


@dataclass
class Pair:
    """An upstream in the namespace of the town, and a downstream in another one."""

    town: Town
    below: str
    """The namespace of the downstream."""

    def upstream(self, *allowed: str) -> None:
        """The domain above, with consent for these namespaces."""
        consent = [{"namespace": namespace, "name": "*"} for namespace in allowed]
        access: dict[str, Any] = {
            "services": [{"name": self.id("docs-above")}],
            "enforcement": "Enforce",
            "allowedDownstreams": consent,
        }
        if not allowed:
            del access["allowedDownstreams"]
        self.town.apply(self.town.maildomain("d000.example", serviceAccess=access))

    def elected(self, *services: str, namespace: str | None = None) -> None:
        """The role of that name, above or below."""
        chosen: dict[str, Any] = {"mode": "Selected", "services": [self.id(name) for name in services]}
        self.apply(manifest("MailDomainRole", "elected", {"serviceAccess": chosen}), namespace or self.town.namespace)

    def link(self, **spec: Any) -> None:
        ends: dict[str, Any] = {
            "upstream": {"namespace": self.town.namespace, "name": UPSTREAM},
            "downstream": {"name": DOWNSTREAM},
        }
        self.apply(manifest("MailDomainLink", "link", ends | spec), self.below)

    def apply(self, obj: dict[str, Any], namespace: str) -> None:
        self.town.kubectl.apply(json.dumps(obj), namespace=namespace)

    def delete(self, kind: str, name: str) -> None:
        self.town.kubectl.run("delete", kind, name, "-n", self.below)

    def says(self, **conditions: str) -> None:
        """Wait until the link says this."""
        eventually(lambda: self._reasons() | conditions == self._reasons())

    def opens(self, *services: str) -> None:
        """Wait until this is what the clerk may open."""
        eventually(lambda: self._rows() == {self.id(name) for name in services})

    def id(self, name: str) -> str:
        """CatalogServices belong to the whole cluster."""
        return f"{name}-{self.town.namespace}"

    @property
    def status(self) -> Mapping[str, Any]:
        return self.town.kubectl.get("mdlink", "link", namespace=self.below).status

    def _reasons(self) -> dict[str, str]:
        return {each["type"]: each["reason"] for each in self.status.get("conditions", [])}

    def _rows(self) -> set[str]:
        rows = self.town.mail.execute(
            "SELECT e.service_id FROM maildomain_controller.effective_services e"
            " JOIN messages_user u ON u.id = e.user_id WHERE u.email = :email AND e.allowed",
            email=CLERK,
        )
        return {str(row["service_id"]) for row in rows}


@pytest.fixture
def pair(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Pair]:
    with control_plane.namespace() as below, founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        let_read_secrets(control_plane, below)
        made = Pair(town, below)
        town.grow(2, admins=1)
        town.start(MDC_NAMESPACES=f"{namespace},{below}")
        town.apply(*town.declaration(0, consumers=[{"namespaces": [namespace, below]}]))
        town.apply(
            manifest("CatalogService", made.id("docs-above"), {"type": "docs"}),
            manifest("CatalogService", made.id("drive-above"), {"type": "drive"}),
            manifest(
                "CatalogService", made.id("docs"), {"type": "docs", "upstreamRef": {"name": made.id("docs-above")}}
            ),
            manifest("CatalogService", made.id("drive"), {"type": "drive"}),
        )
        access = {"services": [{"name": made.id("docs")}, {"name": made.id("drive")}], "enforcement": "Enforce"}
        source = [{"namespace": namespace, "name": "dc"}]
        made.apply(town.maildomain("d001.example", serviceAccess=access, sourceRefs=source), below)
        bound: dict[str, Any] = {
            "mailDomainRef": {"name": DOWNSTREAM},
            "roleRef": {"name": "elected"},
            "subjects": [{"kind": "User", "email": CLERK}],
        }
        made.apply(manifest("MailDomainRoleBinding", "clerk", bound), below)
        yield made


@pytest.mark.timeout(400)
def test_a_link_brings_what_both_sides_agree_on(pair: Pair) -> None:
    pair.upstream()
    pair.elected("docs-above", "drive-above")
    pair.link()
    pair.says(Synced="NotAllowed")
    pair.opens()

    pair.upstream(pair.below)
    pair.says(Synced="Synced", AllMapped="ServicesUnmapped")
    pair.opens("docs")
    assert pair.status["roles"] == [
        {"upstream": "elected", "downstream": "elected", "mapped": 1, "unmapped": [pair.id("drive-above")]}
    ]
    assert pair.town.kubectl.list("mdrole", namespace=pair.below) == [], "no object is written"

    pair.elected("drive-above")
    pair.opens()
    pair.says(Synced="Synced", AllMapped="ServicesUnmapped")
    override = {"upstream": pair.id("drive-above"), "downstream": pair.id("drive")}
    pair.link(serviceMapping={"overrides": [override]})
    pair.says(AllMapped="AllMapped")
    pair.opens("drive")

    pair.elected("docs", namespace=pair.below)
    pair.says(Synced="RoleConflict")
    assert pair.status["conflicts"] == ["elected"]
    pair.opens("docs")
    for keep, opened in (("Drop", {"drive"}), ("Keep", {"docs", "drive"})):
        pair.link(serviceMapping={"overrides": [override]}, conflictPolicy="Overwrite", localServices=keep)
        pair.opens(*opened)
    pair.says(Synced="Synced")

    pair.delete("mdlink", "link")
    pair.opens("docs")
    pair.delete("mdrole", "elected")
    pair.opens()


@pytest.mark.timeout(400)
def test_links_in_a_circle_bring_nothing(pair: Pair) -> None:
    pair.upstream(pair.below)
    pair.elected("docs-above")
    pair.link()
    pair.opens("docs")
    town = pair.town
    back: dict[str, Any] = {"upstream": {"namespace": pair.below, "name": DOWNSTREAM}, "downstream": {"name": UPSTREAM}}
    access = {
        "services": [{"name": pair.id("docs")}],
        "enforcement": "Enforce",
        "allowedDownstreams": [{"namespace": town.namespace, "name": "*"}],
    }
    source = [{"namespace": town.namespace, "name": "dc"}]
    pair.apply(town.maildomain("d001.example", serviceAccess=access, sourceRefs=source), pair.below)
    town.apply(manifest("MailDomainLink", "back", back))
    pair.says(Synced="Cycle")
    pair.opens()
    town.kubectl.run("delete", "mdlink", "back", "-n", town.namespace)
    pair.opens("docs")

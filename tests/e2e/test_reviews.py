"""Access reviews on a real cluster, under the RBAC of manifests/: a right that is taken away is gone at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.apiserver import ControlPlane
from tests.support.operator import ROOT, ApiProcess, install, install_api
from tests.support.provisioning import BEARER, KEY, write_keys
from tests.support.town import Town, eventually, founded, manifest

DOMAIN = "d000.example"
MAYOR, CLERK = f"u1@{DOMAIN}", f"u2@{DOMAIN}"


@pytest.fixture(scope="module")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """Who the operator is."""
    return install(control_plane)


@pytest.fixture(scope="module")
def api_kubeconfig(control_plane: ControlPlane, kubeconfig: Path) -> Path:
    """Who the API is, with what it needs beside its other rights to answer questions."""
    found = install_api(control_plane)
    control_plane.kubectl.apply((ROOT / "manifests" / "provisioning" / "reviews.yaml").read_text())
    return found


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """A commune in which the mayor may act as the clerk."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        access = {
            "services": [{"name": service(town)}],
            "defaultRoleRef": {"name": "member"},
            "enforcement": "Enforce",
            "impersonationMode": "Subject",
        }
        town.grow(1, admins=1)
        town.mail.user(CLERK)
        town.start()
        town.declare(1)
        town.apply(
            manifest("CatalogService", service(town), {"type": "docs"}),
            manifest("MailDomainRole", "member", {"serviceAccess": {"mode": "All"}}),
            town.maildomain(DOMAIN, serviceAccess=access),
            *rights(),
        )
        town.wait("mdom/d000-example", "condition=ServiceAccessReady")
        yield town


def rights() -> list[dict[str, Any]]:
    reference = {"mailDomainRef": {"name": "d000-example"}, "roleRef": {"name": "elected"}}
    return [
        manifest("MailDomainRole", "elected", {"serviceAccess": {"mode": "All"}, "impersonation": {"mode": "All"}}),
        manifest("MailDomainGroup", "deputies", {"members": [MAYOR]}),
        manifest(
            "MailDomainRoleBinding", "elected", {**reference, "subjects": [{"kind": "Group", "name": "deputies"}]}
        ),
    ]


def service(town: Town) -> str:
    """CatalogServices belong to the whole cluster."""
    return f"docs-{town.namespace}"


@pytest.fixture
def api(town: Town, api_kubeconfig: Path, tmp_path: Path) -> Iterator[ApiProcess]:
    folder = tmp_path / "api"
    folder.mkdir()
    keys = str(write_keys(tmp_path / "keys", portal=KEY))
    settings = {"MDC_REVIEW_KEYS": keys, "MDC_NAMESPACES": town.namespace}
    with ApiProcess(folder, api_kubeconfig, town.reached, **settings) as running:
        running.wait_for("/readyz", "ok")
        yield running


def reason(api: ApiProcess, user: str, **question: str) -> str:
    """Why the gate is open or shut; no question is ever turned away here."""
    body = {"domain": DOMAIN, "user": user, **question}
    response = httpx.post(f"{api.address}/api/v1.0/access-reviews/", json=body, headers=BEARER, timeout=60)
    assert response.status_code == 200, f"{response.text}\n{api.tail()}"
    return str(response.json()["reason"])


@pytest.mark.timeout(300)
def test_a_right_to_act_as_somebody_ends_with_what_it_hangs_on_and_not_later(town: Town, api: ApiProcess) -> None:
    def acts() -> str:
        return reason(api, MAYOR, actingAs=CLERK)

    assert acts() == "RoleAll"
    for kind, name in (("mdrb", "elected"), ("maildomaingroups", "deputies"), ("mdrole", "elected")):
        town.kubectl.run("delete", kind, name, "-n", town.namespace)
        assert acts() in ("ImpersonationDenied", "ActorHasNoService"), f"{kind} is gone"
        town.apply(*rights())
        assert acts() == "RoleAll"
    town.apply(manifest("MailDomainGroup", "deputies", {"members": ["nobody@elsewhere.example"]}))
    assert acts() == "ImpersonationDenied"
    town.apply(*rights())
    town.mail.execute("UPDATE messages_user SET is_active = false WHERE email = :email", email=CLERK)
    assert acts() == "UserInactive"

    journaled = town.mail.execute("SELECT count(*) AS n FROM maildomain_controller.journal WHERE what = 'actedAs'")
    assert journaled[0]["n"] == 4, "every answer that lets in as somebody, and no other"


@pytest.mark.timeout(300)
def test_what_is_declared_is_answered_within_seconds(town: Town, api: ApiProcess) -> None:
    assert reason(api, CLERK) == "DefaultRole"
    town.apply(manifest("MailDomainRole", "member", {"serviceAccess": {"mode": "None"}}))
    eventually(lambda: reason(api, CLERK) == "ActorHasNoService")

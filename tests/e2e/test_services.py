"""Services on a real cluster: what is applied becomes rows that another role reads, and each object says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apiserver import ControlPlane
from tests.support.town import SIRET, Town, eventually, founded, manifest

DOMAIN = "d000.example"
MAYOR, CLERK = f"u1@{DOMAIN}", f"u2@{DOMAIN}"
"""DeployCenter names u0 as an administrator."""


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """A namespace of its own with everything beside it."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        yield town


def opens(town: Town, email: str) -> set[str]:
    """What somebody may open, without the part of a name that makes it this test's."""
    rows = town.mail.execute(
        "SELECT e.service_id FROM maildomain_controller.effective_services e JOIN messages_user u ON u.id = e.user_id"
        " WHERE u.email = :email AND e.allowed",
        email=email,
    )
    return {str(row["service_id"]).removesuffix(f"-{town.namespace}") for row in rows}


@pytest.mark.timeout(300)
def test_what_is_applied_becomes_rows_and_each_object_says_so(town: Town) -> None:
    drive, docs = (f"{name}-{town.namespace}" for name in ("drive", "docs"))
    subscription = {"sourceRef": {"namespace": town.namespace, "name": "dc"}, "probeEmail": "probe@dsi.example"}
    people = [{"kind": "User", "email": MAYOR}, {"kind": "Group", "name": "deputies"}]
    reference = {"mailDomainRef": {"name": "d000-example"}}
    access = {
        "services": [{"name": drive}, {"name": docs}],
        "defaultRoleRef": {"name": "member"},
        "enforcement": "Enforce",
    }
    town.grow(1, admins=1)
    town.mail.user(CLERK)
    town.start()
    town.declare(1)
    town.apply(
        manifest("CatalogService", drive, {"type": "drive", "subscription": subscription}),
        manifest("CatalogService", docs, {"type": "docs"}),
        manifest("MailDomainRole", "member", {"serviceAccess": {"mode": "Selected", "services": [docs]}}),
        manifest("MailDomainRole", "elected", {"serviceAccess": {"mode": "All"}}),
        manifest("MailDomainGroup", "deputies", {"members": ["nobody@elsewhere.example"]}),
        manifest("MailDomainRoleBinding", "elected", {**reference, "roleRef": {"name": "elected"}, "subjects": people}),
        town.maildomain(DOMAIN, organization={"siret": SIRET}, serviceAccess=access),
    )
    for resource in ("mdrole/member", "mdrole/elected", "mdrb/elected", "maildomaingroups/deputies"):
        town.wait(resource, "condition=Ready")
    town.kubectl.wait(f"catalogservices/{drive}", "condition=Ready", timeout=60)
    town.wait("mdom/d000-example", "condition=ServiceAccessReady")
    eventually(lambda: opens(town, f"u0@{DOMAIN}") == {"drive", "docs"})
    assert (opens(town, MAYOR), opens(town, CLERK)) == ({"drive", "docs"}, {"docs"})
    assert town.get("mdrb", "elected").status["subjects"] == {
        "declared": 2,
        "resolved": 1,
        "pending": 1,
        "ambiguous": 0,
    }
    status = town.get("mdom", "d000-example").status
    assert status["serviceAccess"]["allowed"] == {drive: 2, docs: 3}

    town.apply(manifest("MailDomainRole", "member", {"serviceAccess": {"mode": "None"}}))
    eventually(lambda: opens(town, CLERK) == set())
    town.kubectl.run("delete", "mdrb", "elected", "-n", town.namespace)
    eventually(lambda: opens(town, MAYOR) == set())
    town.kubectl.run("delete", f"catalogservices/{drive}", f"catalogservices/{docs}")
    eventually(lambda: opens(town, f"u0@{DOMAIN}") == set())
    assert (condition := town.get("mdom", "d000-example").condition("ServiceAccessReady")) is not None
    assert condition.reason == "ServiceNotFound"

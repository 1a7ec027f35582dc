"""Can a pipeline carry the objects? Waiting, field managers and server-side apply beside a running operator."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.envtest import build
from tests.support.apiserver import ControlPlane
from tests.support.database import MailWorld, fresh_database
from tests.support.kubectl import Kubectl, Resource
from tests.support.operator import OperatorProcess, let_read_secrets

EMAIL = "maire@commune.example"
SOURCE = {
    "apiVersion": "maildomain.dev/v1alpha1",
    "kind": "EntitlementSource",
    "metadata": {"name": "written"},
    "spec": {"provider": {"static": {"grants": [{"email": EMAIL, "domains": ["commune.example"]}]}}},
}


@pytest.fixture
def operator(
    control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path
) -> Iterator[Callable[[], OperatorProcess]]:
    """Start the operator, on a mail database that holds commune.example with one user."""
    let_read_secrets(control_plane, namespace)
    with fresh_database("sqlite", tmp_path) as url, ExitStack() as stack:
        mail = MailWorld(url)
        mail.domain("commune.example")
        mail.user(EMAIL)

        def start() -> OperatorProcess:
            where = {"MDC_NAMESPACES": namespace, "MDC_SOURCE_NAMESPACES": namespace}
            return stack.enter_context(OperatorProcess(tmp_path, kubeconfig, url, **where))

        yield start


def maildomain(name: str, domain: str, **spec: Any) -> dict[str, Any]:
    body = {"domain": domain, "mode": "Enforce", "sourceRefs": [{"name": "written"}], **spec}
    return {"apiVersion": "maildomain.dev/v1alpha1", "kind": "MailDomain", "metadata": {"name": name}, "spec": body}


COMMUNE = maildomain("commune", "commune.example")
REFUSED = maildomain("refused", "refused.example", sourceRefs=[{"name": "written", "namespace": "elsewhere"}])
MISSING = maildomain("missing", "missing.example")


def server_side(kubectl: Kubectl, namespace: str, *items: dict[str, Any], manager: str = "pipeline") -> None:
    """What Flux and Argo CD do. A conflict is an error."""
    whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl.run("apply", "--server-side", f"--field-manager={manager}", "-n", namespace, "-f", "-", input=whole)


def managers(resource: Resource) -> dict[tuple[str, str], set[str]]:
    """Which top fields each manager owns, by manager and subresource."""
    return {
        (entry["manager"], entry.get("subresource", "")): set(entry["fieldsV1"])
        for entry in resource.raw["metadata"]["managedFields"]
    }


def watched(kubectl: Kubectl, namespace: str, kind: str, name: str) -> Resource:
    """One object, with who owns what."""
    found = kubectl.run("get", kind, name, "-n", namespace, "-o", "json", "--show-managed-fields")
    return Resource(json.loads(found.stdout))


def kstatus_of(resource: Resource) -> str:
    program = build.find_tool("kstatus")
    assert program is not None, "there is no kstatus: run `make envtest`, which builds it"
    found = subprocess.run([program], input=json.dumps(resource.raw), capture_output=True, text=True, check=True)
    return found.stdout.split()[0]


def test_waiting_ends_when_it_is_right_and_not_before(
    operator: Callable[[], OperatorProcess], kubectl: Kubectl, namespace: str
) -> None:
    server_side(kubectl, namespace, SOURCE, COMMUNE, REFUSED, MISSING)
    unseen = kubectl.get("mdom", "commune", namespace=namespace)
    assert unseen.status == {"observedGeneration": -1}
    assert kstatus_of(unseen) == "InProgress"

    operator()
    kubectl.wait("mdsrc/written", "condition=Ready", namespace=namespace)
    kubectl.wait("mdom/commune", "condition=Ready", namespace=namespace)
    kubectl.wait("mdom/refused", "condition=Stalled", namespace=namespace)
    kubectl.wait("mdom/missing", "condition=Reconciling", namespace=namespace)
    found = {item.name: kstatus_of(item) for item in kubectl.list("mdom", namespace=namespace)}
    assert found == {"commune": "Current", "refused": "Failed", "missing": "InProgress"}


def test_the_controller_owns_the_status_and_nothing_else(
    operator: Callable[[], OperatorProcess], kubectl: Kubectl, namespace: str
) -> None:
    server_side(kubectl, namespace, SOURCE, COMMUNE)
    operator()
    kubectl.wait("mdom/commune", "condition=Ready", namespace=namespace)
    for kind, name in (("mdsrc", "written"), ("mdom", "commune")):
        owned = managers(watched(kubectl, namespace, kind, name))
        assert owned == {("pipeline", ""): {"f:spec"}, ("maildomain-controller", "status"): {"f:status"}}, kind


def test_applying_again_is_no_change_and_no_conflict(
    operator: Callable[[], OperatorProcess], kubectl: Kubectl, namespace: str
) -> None:
    server_side(kubectl, namespace, SOURCE, COMMUNE)
    operator()
    kubectl.wait("mdom/commune", "condition=Ready", namespace=namespace)
    before = watched(kubectl, namespace, "mdom", "commune")
    server_side(kubectl, namespace, SOURCE, COMMUNE)
    assert watched(kubectl, namespace, "mdom", "commune") == before

    # Another manager, on fields of its own, and a change by the first: neither undoes the other, nor do we.
    kubectl.run("label", "mdom/commune", "team=mail", "--field-manager=inventory", "-n", namespace)
    server_side(kubectl, namespace, maildomain("commune", "commune.example", mode="Observe"))
    kubectl.wait("mdom/commune", "jsonpath={.status.observedGeneration}=2", namespace=namespace)
    after = kubectl.get("mdom", "commune", namespace=namespace)
    assert (after.raw["metadata"]["labels"], after.spec["mode"]) == ({"team": "mail"}, "Observe")
    assert after.raw["metadata"]["generation"] == 2

"""Does the operator start under the RBAC of manifests/, see what changes, stand by, survive, and end as it should?"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from controller.resources.model import GROUP, Kind
from tests.support.apiserver import ControlPlane
from tests.support.database import MailWorld, fresh_database
from tests.support.declared import LEAST, changed
from tests.support.kubectl import Kubectl
from tests.support.operator import ROOT, OperatorProcess, install, let_read_secrets

Operator = Callable[..., OperatorProcess]


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    with fresh_database("sqlite", tmp_path) as url:
        yield url


@pytest.fixture
def operator(
    control_plane: ControlPlane, kubeconfig: Path, database_url: str, namespace: str, tmp_path: Path
) -> Iterator[Operator]:
    """Start a replica that works in the test's namespace."""
    let_read_secrets(control_plane, namespace)
    with ExitStack() as stack:

        def start(config: Path = kubeconfig, *, before: str = "", **settings: str) -> OperatorProcess:
            where = {"MDC_NAMESPACES": namespace, "MDC_SOURCE_NAMESPACES": namespace} | settings
            return stack.enter_context(OperatorProcess(tmp_path, config, database_url, before=before, **where))

        yield start


def declare(kubectl: Kubectl, namespace: str, provider: dict[str, Any] | None = None, **spec: Any) -> None:
    """A source that never names anybody unless told otherwise, and a domain with such a spec."""
    source = changed(LEAST["EntitlementSource"], "metadata", to={"name": "deploycenter"})
    source = changed(source, "spec", "provider", to=provider or {"local": {}})
    domain = changed(LEAST["MailDomain"], "metadata", to={"name": "commune"})
    domain["spec"] |= spec
    items = {"apiVersion": "v1", "kind": "List", "items": [source, domain]}
    kubectl.apply(json.dumps(items), namespace=namespace)


def observed(kubectl: Kubectl, namespace: str, generation: int) -> None:
    what = f"jsonpath={{.status.observedGeneration}}={generation}"
    kubectl.wait("maildomains/commune", what, namespace=namespace)


# --- alive ---


def test_it_works_under_the_rbac_of_the_manifests_and_ends_with_zero(
    operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    declare(kubectl, namespace)
    running = operator()
    running.wait_ready("leading")
    observed(kubectl, namespace, generation=1)

    assert running.get("/healthz") == (200, "ok")
    assert running.metric("leading") == 1
    assert running.metric("cluster_requests_total", verb="list", outcome="ok")
    metadata = kubectl.get("maildomains", "commune", namespace=namespace).raw["metadata"]
    assert "finalizers" not in metadata
    assert list(metadata["annotations"]) == ["kubectl.kubernetes.io/last-applied-configuration"]

    assert running.terminate() == 0
    assert running.entries()[-1]["message"] == "stopped"
    assert "Traceback" not in running.text()


def test_a_change_is_seen_soon_and_nothing_is_listed_for_it(
    operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    declare(kubectl, namespace)
    running = operator()
    observed(kubectl, namespace, generation=1)

    began = time.monotonic()
    declare(kubectl, namespace, mode="GrantOnly")
    observed(kubectl, namespace, generation=2)
    assert time.monotonic() - began < 15

    lists = running.metric("cluster_requests_total", verb="list", outcome="ok")
    kubectl.run("patch", "maildomains/commune", "-n", namespace, "--subresource=status", "--type=merge", "-p", OTHERS)
    declare(kubectl, namespace, mode="Observe")
    observed(kubectl, namespace, generation=3)
    # Neither for the change of the spec, which the watch tells of, nor for a status, another's or its own.
    assert running.metric("cluster_requests_total", verb="list", outcome="ok") == lists


def test_a_domain_in_a_namespace_of_sources_alone_is_nobody_here(
    operator: Operator, kubectl: Kubectl, namespace: str, control_plane: ControlPlane
) -> None:
    with control_plane.namespace() as platform:
        let_read_secrets(control_plane, platform)
        declare(kubectl, namespace)
        running = operator(MDC_SOURCE_NAMESPACES=platform)
        running.wait_ready("leading")
        observed(kubectl, namespace, generation=1)
        # kopf watches all kinds there, too.
        declare(kubectl, platform)
        declare(kubectl, namespace, mode="GrantOnly")
        kubectl.wait("entitlementsources/deploycenter", "jsonpath={.status.observedGeneration}=1", namespace=platform)
        observed(kubectl, namespace, generation=2)
        status = kubectl.get("maildomains", "commune", namespace=platform).raw["status"]
        assert status == {"observedGeneration": -1}


OTHERS = '{"status": {"lastHandledReconcileAt": "somebody else"}}'


def test_a_second_replica_stands_by_and_takes_over(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    first = operator()
    first.wait_ready("leading")
    second = operator()
    second.wait_ready("standby")
    assert second.metric("leading") == 0

    assert first.terminate() == 0
    second.wait_ready("leading")
    declare(kubectl, namespace)
    observed(kubectl, namespace, generation=1)


def test_an_outage_of_the_api_server_is_survived(
    operator: Operator, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    declare(kubectl, namespace)
    running = operator()
    observed(kubectl, namespace, generation=1)

    with control_plane.outage():
        assert running.get("/healthz") == (200, "ok")
    declare(kubectl, namespace, mode="GrantOnly")
    observed(kubectl, namespace, generation=2)

    assert running.get("/healthz") == (200, "ok")
    assert running.terminate() == 0


SLOW_WRITE = """
import sys, time
from controller.maildb.database import MailDatabase
write = MailDatabase.write
def slowly(self, changes, **options):
    if changes.grants:
        print("about to write", file=sys.stderr, flush=True)
        time.sleep(3)
    return write(self, changes, **options)
MailDatabase.write = slowly
"""


def test_a_transaction_that_is_under_way_is_finished_before_the_end(
    operator: Operator, kubectl: Kubectl, namespace: str, database_url: str
) -> None:
    mail = MailWorld(database_url)
    user, domain = mail.user("secours@commune.example"), mail.domain("commune.example")
    source = {"grants": [{"email": "secours@commune.example", "domains": ["commune.example"]}]}
    declare(kubectl, namespace, provider={"static": source}, mode="Enforce")
    running = operator(before=SLOW_WRITE)

    running.wait_text("about to write")
    assert running.terminate() == 0

    assert mail.admins_of(domain) == {user}
    assert "stop_forced" not in running.text()


# --- ended, and why ---


def test_without_the_kinds_it_says_which_to_install(
    operator: Operator, control_plane: ControlPlane, kubeconfig: Path
) -> None:
    control_plane.kubectl.delete(ROOT / "crds")
    try:
        running = operator()
        assert running.wait() == 7
    finally:
        install(control_plane)
    assert "does not know entitlementsources.maildomain.dev" in running.text()
    assert "apply crds/ first" in running.text()
    assert "Traceback" not in running.text()


def test_without_rights_it_says_which_to_give(
    operator: Operator, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.run("create", "serviceaccount", "nobody", "-n", namespace)
    running = operator(control_plane.service_account_kubeconfig(namespace, "nobody"))
    assert running.wait() == 7
    assert f"may not list entitlementsources.{GROUP} in {namespace}: apply the RBAC of manifests/" in running.text()
    assert "Traceback" not in running.text()


@pytest.fixture
def lister(control_plane: ControlPlane, kubeconfig: Path, namespace: str) -> Path:
    """Somebody who may list our kinds and not watch them."""
    kubectl = control_plane.kubectl
    kubectl.run("create", "serviceaccount", "lister", "-n", namespace)
    account = f"--serviceaccount={namespace}:lister"
    kinds = ",".join(f"{kind}.{GROUP}" for kind in Kind if kind.namespaced)
    kubectl.run("create", "role", "lister", "--verb=list", f"--resource={kinds}", "-n", namespace)
    kubectl.run("create", "rolebinding", "lister", "--role=lister", account, "-n", namespace)
    catalog = f"lister-{namespace}"
    kubectl.run("create", "clusterrole", catalog, "--verb=list", f"--resource={Kind.SERVICE}.{GROUP}")
    kubectl.run("create", "clusterrolebinding", catalog, f"--clusterrole={catalog}", account)
    return control_plane.service_account_kubeconfig(namespace, "lister")


def test_a_watch_that_is_refused_for_good_ends_with_what_to_do(operator: Operator, lister: Path) -> None:
    impatient = "from controller.operator import watching; watching.BACKOFFS = (0.1,)"
    running = operator(lister, before=impatient)
    assert running.wait() == 7
    assert "may not list and watch entitlementsources.maildomain.dev, maildomains.maildomain.dev," in running.text()
    assert "apply the RBAC of manifests/" in running.text()
    assert "Traceback" not in running.text()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MDC_OWNER", "", "MDC_OWNER"),
        ("KUBECONFIG", "/nowhere", "KUBECONFIG: leads to no API server"),
    ],
)
def test_settings_that_can_not_be_used_are_a_matter_of_usage(
    operator: Operator, variable: str, value: str, says: str
) -> None:
    running = operator(**{variable: value})
    assert running.wait() == 2
    assert says in running.text()
    assert "Traceback" not in running.text()

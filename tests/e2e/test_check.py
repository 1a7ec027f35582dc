"""Does `check` see what an install hangs on? Beside a real cluster and a real database, as the operator itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.cli.main import execute
from controller.planning.changes import Changes
from controller.resources.names import DomainName, ResourceKey
from controller.sandbox.deploycenter import Behaviour
from tests.support.apiserver import ControlPlane
from tests.support.changes import write
from tests.support.database import opened
from tests.support.operator import NAMESPACE, OWNER, ROOT
from tests.support.town import Town, eventually, founded

Check = Callable[[], tuple[int, dict[str, Any]]]


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """Everything that `run` would find."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        yield town


@pytest.fixture
def check(town: Town, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run it with the settings of the install; its code, and what it found by question."""
    for name, value in {
        "KUBECONFIG": str(kubeconfig),
        "MDC_DATABASE_URL": town.reached,
        "MDC_OWNER": OWNER,
        "MDC_NAMESPACES": town.namespace,
        "MDC_SOURCE_NAMESPACES": town.namespace,
        "POD_NAMESPACE": NAMESPACE,
    }.items():
        monkeypatch.setenv(name, value)

    def run() -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = execute(("check", "--strict", "-o", "json"))
        found = json.loads(capsys.readouterr().out)
        assert found["ok"] == (code == 0)
        return code, {one["name"]: one for one in found["checks"]}

    return run


def failed(checks: dict[str, Any]) -> dict[str, list[str]]:
    return {name: one["found"] for name, one in checks.items() if not one["ok"]}


def test_what_is_wrong_is_named_with_what_to_do(town: Town, check: Check) -> None:
    town.declare(2)
    town.kubectl.run("delete", "rolebinding", "maildomain-controller-secrets", "-n", town.namespace)
    with opened(town.mail.url, owner="another") as another:
        claims = ((DomainName("d001.example"), ResourceKey(town.namespace, "d001-example")),)
        write(another, Changes(claims=claims))
    town.mail.execute("REVOKE DELETE ON messages_maildomainaccess FROM mdc_e2e_controller")

    eventually(lambda: "cluster rights" in failed(check()[1]))
    code, checks = check()
    assert code == 7
    assert failed(checks) == {
        "database grants": ["is missing: DELETE on messages_maildomainaccess; run docs/grants.sql"],
        "cluster rights": [f"is missing: get secrets in {town.namespace}; apply the RBAC of manifests/"],
        "sources": [f"EntitlementSource {town.namespace}/dc: Secret {town.namespace}/dc has no readable key key"],
        "claims": [
            f"MailDomain {town.namespace}/d001-example is of a domain of another: `migrate --take-over d001.example`"
        ],
    }
    assert checks["owners"]["more"] == ["another works here too, with 1 domain"]


def test_a_whole_install_is_found_whole_and_a_source_that_does_not_answer_is_told(town: Town, check: Check) -> None:
    town.declare(1)
    eventually(lambda: check()[0] == 0)
    assert len(check()[1]) == 10
    town.center.world.api_key = "rotated"
    source = f"EntitlementSource {town.namespace}/dc: does not answer as it should"
    assert failed(check()[1]) == {"sources": [f"{source} (Unauthenticated)"]}
    town.center.behaviour = Behaviour.DOWN
    assert failed(check()[1]) == {"sources": [f"{source} (Connection)"]}
    assert not town.center.scrapes, "it asks about nobody"
    assert set(town.center.asked) == {""}


def test_a_kind_whose_definition_is_older_is_told(town: Town, check: Check) -> None:
    eventually(lambda: check()[0] == 0)
    spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    older = json.dumps([{"op": "remove", "path": f"{spec}/suspend"}])
    try:
        town.kubectl.run("patch", "crd", "maildomains.maildomain.dev", "--type=json", "-p", older)
        eventually(lambda: "cluster kinds" in failed(check()[1]))
        lacking = "is not known to the API server: maildomains.maildomain.dev spec.suspend; apply crds/"
        assert failed(check()[1]) == {"cluster kinds": [lacking]}
    finally:
        town.kubectl.apply(ROOT / "crds")
    eventually(lambda: check()[0] == 0)

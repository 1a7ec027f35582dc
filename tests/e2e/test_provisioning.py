"""The provisioning API against a real API server, under the ServiceAccount of manifests/provisioning/."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.apiserver import ControlPlane
from tests.support.database import MailWorld, fresh_database
from tests.support.declared import LEAST, changed
from tests.support.kubectl import Kubectl
from tests.support.operator import OWNER, ApiProcess, install_api, let_declare
from tests.support.provisioning import BEARER, KEY, OTHER_SIRET, SIRET, write_keys

PATH = "/api/v1.0/provisioning/maildomains/"
HOOKS = "/api/v1.0/hooks/deploycenter/"


@pytest.fixture(scope="module")
def api_kubeconfig(control_plane: ControlPlane, kubeconfig: Path) -> Path:
    """Who the API is, beside the operator."""
    return install_api(control_plane)


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    with fresh_database("sqlite", tmp_path, migrated=True) as url:
        yield url


@pytest.fixture
def admit(control_plane: ControlPlane, api_kubeconfig: Path, namespace: str) -> str:
    """What each further namespace of a template needs: the Role and RoleBinding of manifests/provisioning/."""
    let_declare(control_plane, namespace)
    return namespace


@pytest.fixture
def api(admit: str, api_kubeconfig: Path, tmp_path: Path, database_url: str) -> Iterator[ApiProcess]:
    """It makes MailDomains in this test's namespace."""
    template = tmp_path / "template.yaml"
    document = {
        "apiVersion": "maildomain.dev/v1alpha1",
        "kind": "MailDomain",
        "metadata": {"namespace": admit},
        "spec": {"sourceRefs": [{"name": "deploycenter"}]},
    }
    template.write_text(yaml.safe_dump(document), encoding="utf-8")
    keys = str(write_keys(tmp_path / "keys", test=KEY))
    settings = {"MDC_PROVISIONING_TEMPLATE": str(template), "MDC_PROVISIONING_KEYS": keys, "MDC_HOOKS_KEYS": keys}
    with ApiProcess(tmp_path, api_kubeconfig, database_url, **settings) as running:
        running.wait_for("/readyz", "ok")
        yield running


def post(api: ApiProcess, **body: Any) -> Any:
    response = httpx.post(f"{api.address}{PATH}", json=body, headers=BEARER, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def result(created: list[str], existing: list[str]) -> Any:
    return {"created": created, "existing": existing, "errors": []}


def spec(kubectl: Kubectl, namespace: str, name: str) -> Any:
    return kubectl.get("mdom", name, namespace=namespace).spec


def unique(namespace: str, name: str = "x") -> str:
    """A domain that no other test declares: names are unique in the cluster."""
    return f"{name}.{namespace}.example"


async def test_fifty_calls_at_once_make_one_object(api: ApiProcess, kubectl: Kubectl, namespace: str) -> None:
    body = {"domains": [unique(namespace)], "custom_attributes": {"siret": SIRET}, "oidc_autojoin": True}
    async with httpx.AsyncClient(headers=BEARER, timeout=60) as client:
        answers = await asyncio.gather(*(client.post(f"{api.address}{PATH}", json=body) for _ in range(50)))

    said = [answer.json() for answer in answers]
    assert {answer.status_code for answer in answers} == {200}
    assert sum(len(body["created"]) for body in said) == 1
    assert sum(len(body["existing"]) for body in said) == 49
    [stored] = kubectl.list("mdom", namespace=namespace)
    assert stored.raw["metadata"]["name"] == unique(namespace)
    assert stored.raw["metadata"]["annotations"] == {"maildomain.dev/provisioned": "true"}
    assert stored.raw["metadata"]["generation"] == 1
    assert (stored.spec["mode"], stored.spec["organization"]) == ("Observe", {"siret": SIRET})


def test_fields_join_stay_and_are_never_reset(api: ApiProcess, kubectl: Kubectl, namespace: str) -> None:
    name = unique(namespace)
    assert post(api, domains=[name], oidc_autojoin=False, custom_attributes={"a": "1"}) == result([name], [])
    assert post(api, domains=name, identity_sync=True, custom_attributes={"siret": SIRET}) == result([], [name])
    before = kubectl.get("mdom", name, namespace=namespace).raw["metadata"]["resourceVersion"]
    assert post(api, domains=[name]) == result([], [name])

    stored = kubectl.get("mdom", name, namespace=namespace)
    assert stored.spec["provisioning"] == {
        "ensure": "Exists",
        "overwrite": False,
        "oidcAutojoin": False,
        "identitySync": True,
        "customAttributes": {"a": "1", "siret": SIRET},
    }
    assert stored.raw["metadata"]["resourceVersion"] == before, "in sync means no write"


def test_another_organization_is_refused_and_nothing_is_written(
    api: ApiProcess, kubectl: Kubectl, namespace: str
) -> None:
    name, other = unique(namespace), unique(namespace, "y")
    post(api, domains=[name], custom_attributes={"siret": SIRET})
    said = post(api, domains=[name, other], custom_attributes={"siret": OTHER_SIRET}, oidc_autojoin=True)

    assert (said["created"], [error["domain"] for error in said["errors"]]) == ([other], [name])
    assert "oidcAutojoin" not in spec(kubectl, namespace, name)["provisioning"]


def test_what_somebody_else_manages_is_a_conflict_and_never_forced(
    api: ApiProcess, kubectl: Kubectl, namespace: str
) -> None:
    name = unique(namespace)
    pipeline = changed(LEAST["MailDomain"], "metadata", to={"name": name})
    pipeline = changed(pipeline, "spec", "domain", to=name)
    pipeline = changed(pipeline, "spec", "provisioning", to={"oidcAutojoin": False})
    manager = ("apply", "--server-side", "--field-manager=pipeline", "-n", namespace, "-f", "-")
    kubectl.run(*manager, input=json.dumps(pipeline))

    assert post(api, domains=[name]) == result([], [name])
    assert post(api, domains=[name], oidc_autojoin=False) == result([], [name])
    [error] = post(api, domains=[name], oidc_autojoin=True)["errors"]
    assert error["error"] == "A field is managed by somebody else, with another value: change it there."
    assert post(api, domains=[name], identity_sync=True) == result([], [name]), "a field that is nobody's"
    assert spec(kubectl, namespace, name)["provisioning"] == {
        "ensure": "Exists",
        "overwrite": False,
        "oidcAutojoin": False,
        "identitySync": True,
    }


def test_what_the_installer_has_changed_since_stays(api: ApiProcess, kubectl: Kubectl, namespace: str) -> None:
    name = unique(namespace)
    post(api, domains=[name])
    patch = json.dumps({"spec": {"mode": "Enforce"}})
    kubectl.run("patch", "mdom", name, "-n", namespace, "--type=merge", "-p", patch)

    assert post(api, domains=[name], oidc_autojoin=True) == result([], [name])
    assert spec(kubectl, namespace, name)["mode"] == "Enforce"


def test_a_name_that_is_declared_in_another_namespace_is_found_there(
    api: ApiProcess, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    name = unique(namespace)
    with control_plane.namespace() as elsewhere:
        theirs = changed(LEAST["MailDomain"], "metadata", to={"name": "theirs"})
        kubectl.apply(json.dumps(changed(theirs, "spec", "domain", to=name)), namespace=elsewhere)

        for _ in range(2):
            assert post(api, domains=[name]) == result([], [name])
        [error] = post(api, domains=[name], oidc_autojoin=True)["errors"]
        assert error["error"].startswith("The domain is declared elsewhere")
        assert kubectl.list("mdom", namespace=namespace) == []
        kubectl.run("delete", "mdom", "theirs", "-n", elsewhere)

        assert post(api, domains=[name]) == result([name], [])


def test_an_object_of_that_name_for_another_domain_is_left_alone(
    api: ApiProcess, kubectl: Kubectl, namespace: str
) -> None:
    name = unique(namespace)
    squatter = changed(LEAST["MailDomain"], "metadata", to={"name": name})
    kubectl.apply(json.dumps(changed(squatter, "spec", "domain", to=unique(namespace, "other"))), namespace=namespace)

    said = post(api, domains=[name])
    assert (said["created"], len(said["errors"])) == ([], 1)
    assert spec(kubectl, namespace, name)["domain"] == unique(namespace, "other")


def test_a_hook_reaches_the_table_of_the_operator_and_a_signal_ends_it_all(api: ApiProcess, database_url: str) -> None:
    body = {"event_type": "account.updated", "account_email": "Anna@x.example"}
    response = httpx.post(f"{api.address}{HOOKS}", json=body, headers=BEARER, timeout=60)

    assert response.status_code == 202
    assert MailWorld(database_url).execute("SELECT owner, kind, subject FROM mdc_hint") == [
        {"owner": OWNER, "kind": "user", "subject": "anna@x.example"}
    ]
    assert "anna" not in api.text().lower()
    assert KEY not in api.text()
    assert api.terminate() == 0


def test_without_rights_it_says_so_at_the_start(
    control_plane: ControlPlane, api_kubeconfig: Path, namespace: str, tmp_path: Path, database_url: str
) -> None:
    control_plane.kubectl.run("create", "serviceaccount", "nobody", "-n", namespace)
    nobody = control_plane.service_account_kubeconfig(namespace, "nobody")
    template = Path(__file__).parents[2] / "manifests" / "provisioning" / "template.yaml"
    settings = {"MDC_PROVISIONING_TEMPLATE": str(template), "MDC_PROVISIONING_KEYS": str(tmp_path)}
    with ApiProcess(tmp_path, nobody, database_url, **settings) as api:
        assert api.wait(60) == 7
        assert "may not list" in api.text()

"""Does `kubectl apply -k manifests/provisioning/` add the API, with no more rights than it needs?"""

from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from controller.provisioning.template import read_template
from controller.resources.model import Kind
from controller.settings import ApiSettings, Settings
from tests.support.crd import ROOT
from tests.support.manifests import rendered

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def install() -> list[Manifest]:
    return rendered("manifests/provisioning")


def the(kind: str, install: list[Manifest]) -> Manifest:
    [found] = [manifest for manifest in install if manifest["kind"] == kind]
    return found


def container(install: list[Manifest]) -> Manifest:
    [found] = the("Deployment", install)["spec"]["template"]["spec"]["containers"]
    serving: Manifest = found
    return serving


def volumes(install: list[Manifest]) -> dict[str, Manifest]:
    return {volume["name"]: volume for volume in the("Deployment", install)["spec"]["template"]["spec"]["volumes"]}


def allowed(role: Manifest) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_one_command_adds_the_api_to_an_install(install: list[Manifest]) -> None:
    assert sorted(manifest["kind"] for manifest in install) == [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    ]
    [namespace] = {
        manifest["metadata"]["namespace"] for manifest in install if not manifest["kind"].startswith("Cluster")
    }
    base = rendered("manifests")
    assert namespace == the("Namespace", base)["metadata"]["name"]
    keys = [{(item["kind"], item["metadata"]["name"]) for item in found} for found in (install, base)]
    assert keys[0].isdisjoint(keys[1])


def test_it_finds_mail_domains_everywhere_and_applies_them_in_one_namespace(install: list[Manifest]) -> None:
    assert allowed(the("ClusterRole", install)) == {
        ("maildomain.dev", "maildomains", "get"),
        ("maildomain.dev", "maildomains", "list"),
    }
    assert allowed(the("Role", install)) == {
        ("maildomain.dev", "maildomains", "create"),
        ("maildomain.dev", "maildomains", "patch"),
    }


def test_access_reviews_have_rights_of_their_own_that_nobody_gets_by_the_way(install: list[Manifest]) -> None:
    text = (ROOT / "manifests" / "provisioning" / "reviews.yaml").read_text(encoding="utf-8")
    role, binding = yaml.safe_load_all(text)
    account = the("ServiceAccount", install)["metadata"]

    assert allowed(role) == {("maildomain.dev", kind.value, "list") for kind in Kind}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]


@pytest.mark.parametrize(("binding", "role"), [("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")])
def test_rights_are_bound_to_its_own_service_account(install: list[Manifest], binding: str, role: str) -> None:
    account = the("ServiceAccount", install)["metadata"]

    assert the(binding, install)["roleRef"]["kind"] == role
    assert the(binding, install)["roleRef"]["name"] == the(role, install)["metadata"]["name"]
    assert the(binding, install)["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert the("Deployment", install)["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


def test_the_pod_meets_the_restricted_standard(install: list[Manifest]) -> None:
    spec = the("Deployment", install)["spec"]["template"]["spec"]

    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"] > 0) == (True, True)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(install)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= container(install)["resources"].keys()


def test_every_variable_is_a_setting_and_every_file_is_mounted(install: list[Manifest]) -> None:
    given = {variable["name"]: variable["value"] for variable in container(install)["env"]}
    settings = {f"MDC_{name.upper()}" for name in (*ApiSettings.model_fields, *Settings.model_fields)}
    mounts = {PurePosixPath(mount["mountPath"]): mount["name"] for mount in container(install)["volumeMounts"]}

    assert given.keys() <= settings
    for value in given.values():
        if value.startswith("/"):
            path = PurePosixPath(value)
            assert path in mounts or path.parent in mounts, value
    assert all(mount.get("readOnly") or mount["name"] == "tmp" for mount in container(install)["volumeMounts"])


def test_a_secret_that_is_absent_closes_its_door_and_stops_nothing_else(install: list[Manifest]) -> None:
    secrets = {name: volume["secret"] for name, volume in volumes(install).items() if "secret" in volume}

    assert set(secrets) == {"database", "keys", "channels", "hooks", "reviews"}
    assert all(secret["optional"] for secret in secrets.values())
    assert secrets["database"]["secretName"] != "maildomain-database", "the operator's role can do far more"


def test_the_template_is_usable_and_mounted_and_a_change_of_it_starts_new_pods(install: list[Manifest]) -> None:
    template = read_template(ROOT / "manifests" / "provisioning" / "template.yaml")
    config = the("ConfigMap", install)

    assert template.namespace == the("Role", install)["metadata"]["namespace"]
    assert volumes(install)["template"]["configMap"]["name"] == config["metadata"]["name"]
    assert config["metadata"]["name"].startswith("maildomain-provisioning-"), "its name holds its content's hash"


def test_the_api_is_reached_on_its_one_port(install: list[Manifest]) -> None:
    labels = the("Deployment", install)["spec"]["template"]["metadata"]["labels"]
    policy = the("NetworkPolicy", install)["spec"]
    operator = the("Deployment", rendered("manifests"))["spec"]["selector"]["matchLabels"]

    assert container(install)["ports"] == [
        {"containerPort": ApiSettings.model_fields["api_port"].default, "name": "http"}
    ]
    for selector in (
        the("Service", install)["spec"]["selector"],
        the("Deployment", install)["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    assert not operator.items() <= labels.items(), "the operator's Service and policy are not about it"
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": 8000, "protocol": "TCP"}]]
    ports = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {("UDP", 53), ("TCP", 53), ("TCP", 443), ("TCP", 6443), ("TCP", 5432)}


def test_the_image_is_the_operators(install: list[Manifest]) -> None:
    [operator] = the("Deployment", rendered("manifests"))["spec"]["template"]["spec"]["containers"]

    assert container(install)["image"] == operator["image"]
    assert container(install)["args"] == ["serve"]

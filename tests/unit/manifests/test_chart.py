"""Does the chart install what the kustomizations install, under its values, and refuse values that mean nothing?"""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import page, plain
from tests.support.crd import KINDS, ROOT
from tests.support.manifests import Manifest, rendered

CHART = ROOT / "manifests" / "helm"
KUBERNETES = "1.36.0"


def helm_run(helm: Path, *arguments: str, namespace: str = "maildomain-system") -> subprocess.CompletedProcess[str]:
    command = [str(helm), *arguments, "--kube-version", KUBERNETES, "--namespace", namespace]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def template(helm: Path, *values: str, namespace: str = "maildomain-system") -> list[Manifest]:
    """What the chart installs with such values."""
    settings = [argument for value in values for argument in ("--set-json" if "[" in value else "--set", value)]
    ran = helm_run(helm, "template", "mdc", str(CHART), *settings, namespace=namespace)
    assert ran.returncode == 0, ran.stderr
    return [item for item in yaml.safe_load_all(ran.stdout) if item]


def comparable(objects: Iterable[Manifest]) -> dict[tuple[str, str, str], Manifest]:
    """Objects without what each of the two ways adds: labels, the Namespace, and that helm keeps the CRDs."""
    found = {}
    for item in objects:
        metadata = item["metadata"]
        metadata.pop("labels", None)
        if item["kind"] == "CustomResourceDefinition":
            metadata.pop("annotations", None)
        if item["kind"] == "Deployment":
            item["spec"]["template"]["metadata"].pop("labels")
        if item["kind"] != "Namespace":
            found[item["kind"], metadata.get("namespace", ""), metadata["name"]] = item
    return found


def the(kind: str, objects: list[Manifest]) -> Manifest:
    [found] = [item for item in objects if item["kind"] == kind]
    return found


def test_the_chart_is_well_made(helm: Path) -> None:
    ran = helm_run(helm, "lint", "--strict", str(CHART))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[WARNING]" not in ran.stdout


@pytest.mark.parametrize(
    ("folders", "values"),
    [
        (["manifests"], []),
        (["manifests/overlays/namespaced"], ['namespaces=["maildomain-system"]']),
        (["manifests/overlays/external-database"], ["database.caKey=ca.crt", "database.port=6432"]),
    ],
    ids=["the base", "namespaced", "an external database"],
)
def test_it_installs_what_the_kustomization_installs(helm: Path, folders: list[str], values: list[str]) -> None:
    expected = [item for folder in folders for item in rendered(folder)]
    assert comparable(template(helm, *values)) == comparable(expected)


def test_the_crds_stay_when_it_is_uninstalled(helm: Path) -> None:
    crds = [item for item in template(helm) if item["kind"] == "CustomResourceDefinition"]
    assert len(crds) == len(KINDS)
    assert all(item["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for item in crds)
    assert "CustomResourceDefinition" not in {item["kind"] for item in template(helm, "crds.install=false")}


def test_what_selects_the_pods_is_on_the_pods(helm: Path) -> None:
    objects = template(helm)
    labels = the("Deployment", objects)["spec"]["template"]["metadata"]["labels"].items()
    assert the("Deployment", objects)["spec"]["selector"]["matchLabels"].items() <= labels
    assert the("Service", objects)["spec"]["selector"].items() <= labels
    assert the("NetworkPolicy", objects)["spec"]["podSelector"]["matchLabels"].items() <= labels


def test_a_second_install_has_names_of_its_own(helm: Path) -> None:
    objects = template(helm, "name=second", "owner=second", "crds.install=false", namespace="elsewhere")
    assert all(item["metadata"]["name"].startswith("second") for item in objects)
    for item in objects:
        if "roleRef" in item:
            assert item["roleRef"]["name"].startswith("second")
            assert item["subjects"] == [{"kind": "ServiceAccount", "name": "second", "namespace": "elsewhere"}]
    pod = the("Deployment", objects)["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "second"
    assert {variable["value"] for container in pod["containers"] for variable in container["env"][:1]} == {"second"}


def test_each_namespace_has_a_role_of_its_own(helm: Path) -> None:
    objects = template(helm, 'namespaces=["a","b"]', 'sourceNamespaces=["c","d"]')
    roles = {(item["metadata"]["name"], item["metadata"]["namespace"]) for item in objects if item["kind"] == "Role"}
    kinds, secrets = "maildomain-controller", "maildomain-controller-secrets"
    assert roles == {(kinds, "a"), (kinds, "b"), (kinds, "c"), (kinds, "d"), (secrets, "c"), (secrets, "d")}
    bound = {
        (item["roleRef"]["name"], item["metadata"]["namespace"]) for item in objects if item["kind"] == "RoleBinding"
    }
    assert bound == roles
    given = {variable["name"]: variable.get("value") for variable in run_container(objects)["env"]}
    assert (given["MDC_NAMESPACES"], given["MDC_SOURCE_NAMESPACES"]) == ("a,b", "c,d")


def run_container(objects: list[Manifest]) -> dict[str, Any]:
    [found] = the("Deployment", objects)["spec"]["template"]["spec"]["containers"]
    container: dict[str, Any] = found
    return container


def test_an_image_and_further_variables_are_those_of_the_values(helm: Path) -> None:
    objects = template(
        helm,
        "image.repository=registry.example/mdc",
        "image.tag=v2",
        "image.pullPolicy=Always",
        'image.pullSecrets=["registry"]',
        'extraEnv=[{"name":"MDC_LOG_LEVEL","value":"DEBUG"}]',
        "replicas=2",
        "networkPolicy.enabled=false",
    )
    deployment = the("Deployment", objects)["spec"]
    assert deployment["replicas"] == 2
    assert deployment["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    run = run_container(objects)
    assert (run["image"], run["imagePullPolicy"]) == ("registry.example/mdc:v2", "Always")
    assert run["env"][-1] == {"name": "MDC_LOG_LEVEL", "value": "DEBUG"}
    assert "NetworkPolicy" not in {item["kind"] for item in objects}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("owners=typo", "owners"),
        ("owner=Not An Owner", "owner"),
        ("database.port=70000", "port"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("replicas=-1", "replicas"),
        ('namespaces=["Not_A_Name"]', "namespaces"),
    ],
)
def test_values_that_mean_nothing_are_refused(helm: Path, value: str, where: str) -> None:
    option = "--set-json" if "[" in value else "--set"
    ran = helm_run(helm, "template", "mdc", str(CHART), option, value)
    assert ran.returncode != 0
    assert "values don't meet the specifications of the schema" in ran.stderr
    assert where in ran.stderr


def leaves(part: dict[str, Any], path: str = "") -> set[str]:
    return {
        leaf
        for name, value in part.items()
        for leaf in (leaves(value, f"{path}{name}.") if isinstance(value, dict) and value else {f"{path}{name}"})
    }


def test_each_value_is_explained_and_known_to_the_schema() -> None:
    values = leaves(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    assert {plain(row[0]) for row in page(ROOT / "docs" / "install.md").table("Values of the chart")} == values
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for value in values:
        part = schema
        for name in value.split("."):
            assert name in part["properties"], value
            part = part["properties"][name]


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    [image] = yaml.safe_load((ROOT / "manifests/base/kustomization.yaml").read_text(encoding="utf-8"))["images"]
    assert chart["version"] == chart["appVersion"] == image["newTag"]

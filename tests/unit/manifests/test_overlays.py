"""What do the overlays change of the base, and nothing else?"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.settings import Settings
from tests.support.crd import ROOT
from tests.support.manifests import Manifest, rendered

Key = tuple[str, str]


def by_key(folder: str) -> dict[Key, Manifest]:
    return {(item["kind"], item["metadata"]["name"]): item for item in rendered(folder)}


@pytest.fixture(scope="module")
def base() -> dict[Key, Manifest]:
    return by_key("manifests")


def env(install: dict[Key, Manifest]) -> list[list[dict[str, Any]]]:
    """The environment of each container."""
    spec = install["Deployment", "maildomain-controller"]["spec"]["template"]["spec"]
    return [container["env"] for container in (*spec["initContainers"], *spec["containers"])]


def test_namespaced_takes_no_right_over_the_cluster_but_to_read_the_catalogue(base: dict[Key, Manifest]) -> None:
    found = by_key("manifests/overlays/namespaced")
    expected = copy.deepcopy(base)
    role = expected.pop(("ClusterRole", "maildomain-controller"))
    binding = expected.pop(("ClusterRoleBinding", "maildomain-controller"))
    for item in (role, binding):
        item["kind"] = item["kind"].removeprefix("Cluster")
        item["metadata"]["namespace"] = "maildomain-system"
        expected[item["kind"], item["metadata"]["name"]] = item
    binding["roleRef"]["kind"] = "Role"
    for variables in env(expected):
        variables.append({"name": "MDC_NAMESPACES", "value": "maildomain-system"})

    assert found == expected
    assert "MDC_NAMESPACES" in {f"MDC_{name.upper()}" for name in Settings.model_fields}
    assert {name for kind, name in found if kind == "ClusterRole"} == {"maildomain-controller-catalog"}


def test_an_external_database_is_verified_and_reached_on_its_own_port(base: dict[Key, Manifest]) -> None:
    found = by_key("manifests/overlays/external-database")
    expected = copy.deepcopy(base)
    [volume] = [
        item
        for item in expected["Deployment", "maildomain-controller"]["spec"]["template"]["spec"]["volumes"]
        if item["name"] == "database"
    ]
    volume["secret"]["items"].append({"key": "ca.crt", "path": "ca.crt"})
    for variables in env(expected):
        variables.append({"name": "PGSSLMODE", "value": "verify-full"})
        variables.append({"name": "PGSSLROOTCERT", "value": "/etc/maildomain-controller/database/ca.crt"})
    ports = [
        port
        for rule in expected["NetworkPolicy", "maildomain-controller"]["spec"]["egress"]
        for port in rule["ports"]
        if port["port"] == 5432
    ]
    assert len(ports) == 1
    ports[0]["port"] = 6432

    assert found == expected


@pytest.mark.parametrize("folder", ["base", "overlays/namespaced", "overlays/external-database", "provisioning"])
def test_another_namespace_is_one_line_and_every_right_follows_into_it(folder: str, tmp_path: Path) -> None:
    mine = {"namespace": "org-mail", "resources": [os.path.relpath(ROOT / "manifests" / folder, tmp_path)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")

    found = rendered(str(tmp_path))

    subjects = [subject for item in found for subject in item.get("subjects", ())]
    assert subjects
    assert {subject["namespace"] for subject in subjects} == {"org-mail"}
    assert {item["metadata"].get("namespace", "org-mail") for item in found} == {"org-mail"}
    assert {item["metadata"]["name"] for item in found if item["kind"] == "Namespace"} <= {"org-mail"}

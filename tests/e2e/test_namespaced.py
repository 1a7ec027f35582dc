"""Does the install that looks after one namespace need no more than its overlay gives it?"""

import json
import os
from pathlib import Path

import pytest
import yaml

from controller.cluster.cluster import connected
from controller.observability.metrics import Metrics
from tests.support.apiserver import ControlPlane
from tests.support.manifests import rendered
from tests.support.operator import NAME, ROOT
from tests.support.town import founded

SUFFIX = "-of-one"
"""The roles of the cluster have the names that other tests use."""


def installed(control_plane: ControlPlane, namespace: str, folder: Path) -> Path:
    """The overlay in another namespace, as its first lines say; the kubeconfig of its service account."""
    overlay = os.path.relpath(ROOT / "manifests" / "overlays" / "namespaced", folder)
    mine = {"namespace": namespace, "nameSuffix": SUFFIX, "resources": [overlay]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    rights = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    items = [item for item in rendered(str(folder)) if item["kind"] in rights]
    control_plane.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return control_plane.service_account_kubeconfig(namespace, f"{NAME}{SUFFIX}")


@pytest.mark.usefixtures("kubeconfig")
async def test_one_namespace_is_looked_after_with_rights_over_it_alone(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "overlay"
    folder.mkdir()
    try:
        config = installed(control_plane, namespace, folder)
        with founded(control_plane, config, namespace, tmp_path) as town:
            town.grow(2)
            town.start()
            town.declare(2)
            town.ready()
            assert len(town.rows()) == 4
        monkeypatch.setenv("KUBECONFIG", str(config))
        async with connected((namespace,), (namespace,), Metrics()) as cluster:
            assert await cluster.missing_rights() == []
            assert await cluster.excessive_rights() == []
        async with connected((), (namespace,), Metrics()) as cluster:
            assert len(await cluster.missing_rights()) > 10, "nothing beyond its namespace but the catalogue"
    finally:
        for kind in ("clusterrole", "clusterrolebinding"):
            control_plane.kubectl.run("delete", kind, f"{NAME}-catalog{SUFFIX}", "--ignore-not-found")

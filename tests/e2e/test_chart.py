"""What does the chart leave behind? Installed and uninstalled by helm on the real API server."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.envtest import build
from tests.support.apiserver import Assets, ControlPlane
from tests.support.crd import KINDS
from tests.support.operator import ROOT
from tests.support.town import manifest

CHART = ROOT / "manifests" / "helm"
RELEASE = "mdc"

Helm = Callable[..., None]


@pytest.fixture
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that knows nothing of ours. What the others work with can't be taken away from under them."""
    with ControlPlane(Assets.find(), tmp_path_factory.mktemp("bare")) as running:
        yield running


@pytest.fixture
def helm(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Helm:
    """Helm, as the administrator of the cluster."""
    program = build.find_tool("helm")
    assert program is not None, "there is no helm: run `make envtest`, which builds it"
    environment = {"KUBECONFIG": str(control_plane.admin_kubeconfig), "HOME": str(tmp_path)}

    def run(*arguments: str) -> None:
        command = [str(program), *arguments, "--namespace", namespace]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert ran.returncode == 0, ran.stderr

    return run


def test_the_kinds_and_what_is_declared_stay_when_it_is_uninstalled_and_serve_the_next_release(
    helm: Helm, control_plane: ControlPlane, namespace: str
) -> None:
    kubectl = control_plane.kubectl
    names = {item.name for item in kubectl.list("crd")}
    # The roles of the cluster have the names that other tests use.
    values = ("--set", "name=second,owner=second")
    helm("install", RELEASE, str(CHART), *values)
    kinds = {item.name for item in kubectl.list("crd")} - names
    assert len(kinds) == len(KINDS)
    kubectl.run("wait", "crd/entitlementsources.maildomain.dev", "--for=condition=Established", "--timeout=60s")
    kubectl.apply(json.dumps(manifest("EntitlementSource", "kept", {"provider": {"local": {}}})), namespace=namespace)
    assert [item.name for item in kubectl.list("deployments", namespace=namespace)] == ["second"]

    helm("uninstall", RELEASE)
    assert kubectl.list("deployments", namespace=namespace) == []
    assert {item.name for item in kubectl.list("crd")} - names == kinds
    assert [item.name for item in kubectl.list("mdsrc", namespace=namespace)] == ["kept"]

    helm("install", RELEASE, str(CHART), *values)
    helm("upgrade", RELEASE, str(CHART), *values, "--set", "replicas=2")
    assert [item.name for item in kubectl.list("mdsrc", namespace=namespace)] == ["kept"]
    helm("uninstall", RELEASE)

"""Is the API server of these tests a real one, and does it go when they go?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.apiserver import ControlPlane
from tests.support.kubectl import Kubectl, KubectlError

WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.envtest.maildomain.dev}
spec:
  group: envtest.maildomain.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [low, high]
            properties:
              low: {type: integer}
              high: {type: integer}
            x-kubernetes-validations:
            - rule: self.low <= self.high
              message: low must not be above high
"""


def widget(*, low: int, high: int) -> str:
    return f"""
apiVersion: envtest.maildomain.dev/v1
kind: Widget
metadata: {{name: one}}
spec: {{low: {low}, high: {high}}}
"""


def test_the_server_answers_and_says_its_version(kubectl: Kubectl) -> None:
    assert kubectl.run("get", "--raw", "/readyz").stdout == "ok"
    assert '"gitVersion": "v1.' in kubectl.run("get", "--raw", "/version").stdout


def test_a_service_account_without_a_role_is_refused(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl.run("create", "serviceaccount", "nobody", "-n", namespace)
    nobody = control_plane.kubectl_as(control_plane.service_account_kubeconfig(namespace, "nobody"))

    with pytest.raises(KubectlError, match=rf"system:serviceaccount:{namespace}:nobody.* cannot list"):
        nobody.list("configmaps", namespace=namespace)


def test_a_service_account_may_do_what_its_role_says_and_no_more(control_plane: ControlPlane, namespace: str) -> None:
    admin = control_plane.kubectl
    admin.run("create", "serviceaccount", "reader", "-n", namespace)
    admin.run("create", "role", "reader", "--verb=list", "--resource=configmaps", "-n", namespace)
    admin.run(
        "create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader", "-n", namespace
    )
    reader = control_plane.kubectl_as(control_plane.service_account_kubeconfig(namespace, "reader"))

    assert reader.list("configmaps", namespace=namespace) == []
    with pytest.raises(KubectlError, match="cannot list"):
        reader.list("secrets", namespace=namespace)


def test_a_token_that_nobody_issued_is_no_user(control_plane: ControlPlane) -> None:
    stranger = control_plane.kubectl_as(control_plane.kubeconfig("made-up"))

    with pytest.raises(KubectlError, match=r"Unauthorized|must be logged in"):
        stranger.list("namespaces")


def test_a_rule_of_a_crd_refuses_an_object_with_its_message(kubectl: Kubectl, namespace: str) -> None:
    with kubectl.applied(WIDGETS):
        kubectl.wait("crd/widgets.envtest.maildomain.dev", "condition=Established")
        kubectl.apply(widget(low=1, high=2), namespace=namespace)

        with pytest.raises(KubectlError, match="low must not be above high"):
            kubectl.apply(widget(low=3, high=2), namespace=namespace)
        assert kubectl.get("widget", "one", namespace=namespace).spec == {"low": 1, "high": 2}


def test_a_restarted_server_has_the_same_objects_and_knows_the_same_tokens(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl.run("create", "configmap", "kept", "-n", namespace)
    before = control_plane.kubectl.get("configmap", "kept", namespace=namespace)

    control_plane.restart()

    assert control_plane.kubectl.get("configmap", "kept", namespace=namespace) == before


def test_no_server_answers_during_an_outage(control_plane: ControlPlane) -> None:
    with control_plane.outage(), pytest.raises(KubectlError, match="refused"):
        control_plane.kubectl.list("namespaces")
    assert control_plane.kubectl.list("namespaces")


def test_a_namespace_is_gone_with_all_it_held(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    with control_plane.namespace() as name:
        kubectl.run("create", "configmap", "left", "-n", name)
    assert name not in {namespace.name for namespace in kubectl.list("namespaces")}
    assert "left" not in {configmap.name for configmap in kubectl.list("configmaps")}


def test_the_servers_end_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    os.mkfifo(log)
    killed_run = f"""
import os, pathlib, signal
from tests.support.apiserver import ProcessGroup
group = ProcessGroup()
group.start(["sleep", "600"], log=pathlib.Path({str(log)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    subprocess.run([sys.executable, "-c", killed_run], cwd=Path(__file__).parents[2], check=False)
    os.set_blocking(reader, True)

    # The end of the log comes when the last process that could write to it is gone.
    assert os.read(reader, 1) == b""
    os.close(reader)

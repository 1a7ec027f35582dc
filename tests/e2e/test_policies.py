"""Who may do what is dangerous? The policies of manifests/samples/policies on the real API server, group by group."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import ControlPlane
from tests.support.kubectl import Kubectl, KubectlError
from tests.support.operator import ROOT

POLICIES = ROOT / "manifests" / "samples" / "policies"
DEADLINE = 60.0
EDITORS, ENFORCERS, APPROVERS = "mail-editors", "mail-enforcers", "mail-approvers"
EVERYBODY = (EDITORS, ENFORCERS, APPROVERS)

EDIT = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "test-maildomain-editors"},
    "rules": [
        {
            "apiGroups": ["maildomain.dev"],
            "resources": ["maildomains", "entitlementsources"],
            "verbs": ["get", "create", "update", "patch"],
        }
    ],
}
BOUND = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "test-maildomain-editors"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "test-maildomain-editors"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group} for group in EVERYBODY],
}
PEOPLE = json.dumps({"apiVersion": "v1", "kind": "List", "items": [EDIT, BOUND]})


def maildomain(**spec: Any) -> dict[str, Any]:
    body = {"domain": "commune.example", "mode": "Observe", "sourceRefs": [{"name": "s"}], **spec}
    metadata = {"name": "commune"}
    return {"apiVersion": "maildomain.dev/v1alpha1", "kind": "MailDomain", "metadata": metadata, "spec": body}


SOURCE = {
    "apiVersion": "maildomain.dev/v1alpha1",
    "kind": "EntitlementSource",
    "metadata": {"name": "s"},
    "spec": {"provider": {"local": {}}},
}


class Group:
    """Somebody of one group, in one namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self._kubectl = kubectl
        self._who = ("--as=somebody", f"--as-group={name}", "-n", namespace)

    def apply(self, item: dict[str, Any], *options: str) -> None:
        self._kubectl.run("apply", *self._who, *options, "-f", "-", input=json.dumps(item))

    def annotate(self, what: str, annotation: str) -> None:
        self._kubectl.run("annotate", what, annotation, "--overwrite", *self._who)


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane, kubeconfig: Path) -> Iterator[Kubectl]:
    """With the policies, in force."""
    kubectl = control_plane.kubectl
    with kubectl.applied(POLICIES), kubectl.applied(PEOPLE), control_plane.namespace() as name:
        probe = Group(kubectl, name, EDITORS)
        deadline = time.monotonic() + DEADLINE
        while not refuses(lambda: probe.apply(maildomain(mode="Enforce"), "--dry-run=server")) or not refuses(
            lambda: probe.apply(approved(maildomain()), "--dry-run=server")
        ):
            assert time.monotonic() < deadline, "the policies do not come into force"
        yield kubectl


def refuses(act: Any) -> bool:
    try:
        act()
    except KubectlError as error:
        return "denied request" in error.stderr
    return False


def approved(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "metadata": {**item["metadata"], "annotations": {"maildomain.dev/approve": "h"}}}


@pytest.fixture
def groups(cluster: Kubectl, namespace: str) -> dict[str, Group]:
    """Each group; the namespace holds a source and a domain that anybody may have made."""
    found = {name: Group(cluster, namespace, name) for name in EVERYBODY}
    found[EDITORS].apply(SOURCE)
    found[EDITORS].apply(maildomain())
    return found


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"mode": "Enforce"}, "mode Enforce needs the verb enforce on maildomains.maildomain.dev"),
        ({"mode": "Withdraw"}, "mode Withdraw needs the verb enforce on maildomains.maildomain.dev"),
        (
            {"ownership": "Authoritative"},
            "ownership Authoritative needs the verb enforce on maildomains.maildomain.dev",
        ),
        (
            {"deniedAdmins": ["gone@commune.example"]},
            "a change of deniedAdmins needs the verb deny on maildomains.maildomain.dev",
        ),
    ],
    ids=["Enforce", "Withdraw", "Authoritative", "deniedAdmins"],
)
def test_what_takes_rights_away_is_for_one_group_alone(
    groups: dict[str, Group], spec: dict[str, Any], message: str
) -> None:
    for name in (EDITORS, APPROVERS):
        with pytest.raises(KubectlError, match=message):
            groups[name].apply(maildomain(**spec))
    groups[ENFORCERS].apply(maildomain(**spec))
    # What is so already may stay so, whoever changes something else.
    groups[EDITORS].apply(maildomain(**spec, protectedAdmins=["dsi@commune.example"]))


@pytest.mark.parametrize(("what", "resource"), [("mdom/commune", "maildomains"), ("mdsrc/s", "entitlementsources")])
def test_approving_is_for_another_group_alone(groups: dict[str, Group], what: str, resource: str) -> None:
    for name in (EDITORS, ENFORCERS):
        with pytest.raises(KubectlError, match=f"maildomain.dev/approve needs the verb approve on {resource}"):
            groups[name].annotate(what, "maildomain.dev/approve=hold-1")
    groups[APPROVERS].annotate(what, "maildomain.dev/approve=hold-1")
    groups[EDITORS].annotate(what, "maildomain.dev/requestedAt=now")
    with pytest.raises(KubectlError, match="needs the verb approve"):
        groups[EDITORS].annotate(what, "maildomain.dev/approve=hold-2")
    groups[EDITORS].annotate(what, "maildomain.dev/approve-")


def test_what_takes_nothing_away_is_free(groups: dict[str, Group]) -> None:
    groups[EDITORS].apply(maildomain(mode="GrantOnly"))
    groups[EDITORS].apply(maildomain(mode="Observe"))

"""Is each rule of the shipped RBAC needed? Without any one of them something fails, and `check` names exactly it."""

import json
import time
from pathlib import Path

import pytest
from kubernetes.aio.client.exceptions import ApiException

from controller.cluster.cluster import Cluster, connected
from controller.cluster.rights import ALL, Right, needed_rights
from controller.errors import NotAuthorized, SecretMissing
from controller.observability.metrics import Metrics
from controller.resources.model import GROUP, VERSION, Kind
from controller.resources.names import ResourceKey
from tests.support.apiserver import ControlPlane
from tests.support.manifests import Manifest, rendered
from tests.support.operator import NAME, NAMESPACE, READS_SECRETS

RBAC = "rbac.authorization.k8s.io"
OURS = frozenset(kind.value for kind in Kind)
"""The kinds that the operator reconciles."""


def shipped(sources: str) -> list[Right]:
    """Every rule of the operator's roles, verb by verb; Secrets are in the namespace of its sources."""
    roles = [item for item in rendered("manifests") if item["kind"] in ("ClusterRole", "Role")]
    assert {item["metadata"]["name"] for item in roles} == {NAME, f"{NAME}-catalog", READS_SECRETS}
    return [
        Right(verb, group, resource, sources if item["kind"] == "Role" else None)
        for item in roles
        for rule in item["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def test_check_asks_for_exactly_the_rules_that_are_shipped() -> None:
    assert sorted(map(str, shipped("here"))) == sorted(map(str, needed_rights((), ("here",))))


@pytest.mark.usefixtures("kubeconfig")
async def test_without_a_rule_just_what_needs_it_fails_and_check_names_it(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two users have half of the rules each: all that is refused to one of them is allowed to the other."""
    kubectl, rights = control_plane.kubectl, shipped(namespace)
    halves = {f"{namespace}-even": rights[::2], f"{namespace}-odd": rights[1::2]}
    roles = [role for user, given in halves.items() for role in bound(user, given, namespace)]
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": roles})
    kubectl.apply(everything)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.admin_kubeconfig))
    try:
        for user, given in halves.items():
            async with connected((), (namespace,), Metrics()) as cluster:
                cluster._client.set_default_header("Impersonate-User", user)
                lacking = [right for right in rights if right not in given]
                assert sorted(map(str, await settled(cluster, len(lacking)))) == sorted(map(str, lacking))
                for right in rights:
                    assert await is_refused(cluster, right, namespace) == (right in lacking), right
    finally:
        kubectl.delete(everything)


async def test_an_administrator_may_more_than_is_needed(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.admin_kubeconfig))
    async with connected((), ("default",), Metrics()) as cluster:
        assert await cluster.missing_rights() == []
        assert await cluster.excessive_rights() == [ALL]


async def test_the_install_may_no_more_than_it_needs_and_its_kinds_are_known(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with connected((), (NAMESPACE,), Metrics()) as cluster:
        assert await settled(cluster) == []
        assert await cluster.excessive_rights() == []
        assert await cluster.unknown_fields() == []


# --- a user with some rules ---


def bound(user: str, given: list[Right], namespace: str) -> list[Manifest]:
    """These rules for one user, each where it counts."""
    subject = {"kind": "User", "apiGroup": RBAC, "name": user}
    found: list[Manifest] = []
    for place in (None, namespace):
        kind = "Role" if place else "ClusterRole"
        rules = [
            {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}
            for right in given
            if right.namespace == place
        ]
        metadata = {"name": user} | ({"namespace": place} if place else {})
        role = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
        reference = {"apiGroup": RBAC, "kind": kind, "name": user}
        found += [role | {"kind": kind, "rules": rules}]
        found += [role | {"kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]}]
    return found


async def settled(cluster: Cluster, expected: int = 0) -> list[Right]:
    """What is missing, once the API server has heard of the roles."""
    deadline = time.monotonic() + 30
    while len(missing := await cluster.missing_rights()) > expected and time.monotonic() < deadline:
        continue
    return missing


async def is_refused(cluster: Cluster, right: Right, namespace: str) -> bool:
    """Do what needs this right, and tell whether it is refused. Raises when it is refused in other words."""
    name, _, subresource = right.resource.partition("/")
    key = ResourceKey(namespace, "nobody")
    try:
        match right.verb, name:
            case "create", "events":
                before = refused(cluster, "create")
                await cluster.post_event(Kind.DOMAIN, key, "", reason="InSync", note="In sync.", warning=False)
                return refused(cluster, "create") > before
            case "get", "secrets":
                await cluster.read_secret(namespace, "nobody")
            case "list", _ if name in OURS:
                await cluster.list_objects(Kind(name))
            case "patch", _ if name in OURS:
                await cluster.patch_status(Kind(name), key, {"observedGeneration": 1}, {})
            case _:
                await requested(cluster, right.verb, name, subresource, namespace)
    except SecretMissing as error:
        return "may not be read" in str(error)
    except NotAuthorized as error:
        return f"may not {right.verb} {right.resource}" in str(error)
    except ApiException as refusal:
        return bool(refusal.status == 403)
    return False


def refused(cluster: Cluster, verb: str) -> float:
    labels = {"verb": verb, "outcome": "403"}
    return cluster._metrics.registry.get_sample_value("maildomain_cluster_requests_total", labels) or 0.0


async def requested(cluster: Cluster, verb: str, name: str, subresource: str, namespace: str) -> None:
    """The request as such: of a watch, which kopf sends, and of kinds that nothing else asks for by name."""
    objects = cluster._objects
    if verb == "list":
        await objects.list_cluster_custom_object(GROUP, VERSION, name)
    elif verb == "watch":
        watch = await objects.list_cluster_custom_object_without_preload_content(
            GROUP, VERSION, name, watch=True, timeout_seconds=1
        )
        watch.close()
        if watch.status == 403:
            raise ApiException(status=403)
    else:
        assert (verb, subresource) == ("patch", "status")
        merge = "application/merge-patch+json"
        if name == "catalogservices":
            await objects.patch_cluster_custom_object_status(GROUP, VERSION, name, "nobody", {}, _content_type=merge)
        else:
            await objects.patch_namespaced_custom_object_status(
                GROUP, VERSION, namespace, name, "nobody", {}, _content_type=merge
            )

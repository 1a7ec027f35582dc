"""Does our side of the Kubernetes API do what it promises, on a real API server?"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import CustomObjectsApi

from controller.cluster.cluster import PAGE, Cluster, connected
from controller.errors import ClusterUnavailable, NotAuthorized, SecretMissing
from controller.observability.metrics import Metrics
from controller.resources.model import GROUP, VERSION, Kind
from controller.resources.names import ResourceKey
from tests.support.apiserver import ControlPlane
from tests.support.declared import LEAST, changed
from tests.support.kubectl import Kubectl

CRDS = Path(__file__).parents[2] / "crds"
CONDITIONS = [
    {
        "type": "Ready",
        "status": "True",
        "reason": "InSync",
        "message": "In sync.",
        "lastTransitionTime": "2026-11-24T04:00:00Z",
    }
]

Connect = Callable[..., AbstractAsyncContextManager[Cluster]]


@pytest.fixture(scope="module")
def _kinds(control_plane: ControlPlane) -> None:
    """Our kinds, known to the API server. They stay, for other tests."""
    install_kinds(control_plane.kubectl)


def install_kinds(kubectl: Kubectl) -> None:
    kubectl.apply(CRDS)
    for kind in Kind:
        kubectl.wait(f"crd/{kind}.{GROUP}", "condition=Established")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def connect(control_plane: ControlPlane, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Connect as the administrator, or as whom a kubeconfig says, to some namespaces."""

    def connect(
        *namespaces: str, config: Path = control_plane.admin_kubeconfig
    ) -> AbstractAsyncContextManager[Cluster]:
        monkeypatch.setenv("KUBECONFIG", str(config))
        return connected(namespaces, (), metrics)

    return connect


@pytest.fixture
async def cluster(_kinds: None, connect: Connect, namespace: str) -> AsyncIterator[Cluster]:
    async with connect(namespace) as running:
        yield running


@pytest.fixture
def operator_config(control_plane: ControlPlane, namespace: str) -> Path:
    """Somebody who may list our kinds in this namespace and nothing else."""
    admin = control_plane.kubectl
    admin.run("create", "serviceaccount", "reader", "-n", namespace)
    kinds = ",".join(f"{kind}.{GROUP}" for kind in Kind)
    admin.run("create", "role", "reader", "--verb=list", f"--resource={kinds}", "-n", namespace)
    subject = f"--serviceaccount={namespace}:reader"
    admin.run("create", "rolebinding", "reader", "--role=reader", subject, "-n", namespace)
    return control_plane.service_account_kubeconfig(namespace, "reader")


def maildomain(name: str = "commune") -> dict[str, Any]:
    return changed(LEAST["MailDomain"], "metadata", to={"name": name})


def declare(kubectl: Kubectl, namespace: str, *objects: dict[str, Any]) -> None:
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}), namespace=namespace)


async def declare_many(cluster: Cluster, namespace: str, count: int) -> set[str]:
    """Faster than kubectl, which sends one after the other."""
    api = CustomObjectsApi(cluster._client)
    names = {f"commune-{number}" for number in range(count)}
    for name in names:
        await api.create_namespaced_custom_object(GROUP, VERSION, namespace, "maildomains", maildomain(name))
    return names


def stored(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    """The object without what the server itself keeps about it."""
    found: dict[str, Any] = dict(kubectl.get("maildomains", "commune", namespace=namespace).raw)
    found["metadata"] = {
        key: value for key, value in found["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    return found


# --- lists ---


async def test_a_list_of_many_pages_is_complete(cluster: Cluster, metrics: Metrics, namespace: str) -> None:
    names = await declare_many(cluster, namespace, 1200)

    found = await cluster.list_objects(Kind.DOMAIN)

    assert len(found) == 1200 > 2 * PAGE
    assert {item["metadata"]["name"] for item in found} == names
    assert {(item["apiVersion"], item["kind"]) for item in found} == {(f"{GROUP}/{VERSION}", "MailDomain")}
    labels = {"verb": "list", "outcome": "ok"}
    assert metrics.registry.get_sample_value("maildomain_cluster_requests_total", labels) == 3


async def test_only_the_named_namespaces_are_listed(
    cluster: Cluster, connect: Connect, control_plane: ControlPlane, namespace: str
) -> None:
    with control_plane.namespace() as elsewhere:
        declare(control_plane.kubectl, namespace, maildomain("here"))
        declare(control_plane.kubectl, elsewhere, maildomain("there"))
        assert {item["metadata"]["name"] for item in await cluster.list_objects(Kind.DOMAIN)} == {"here"}
        async with connect() as whole:
            assert {item["metadata"]["name"] for item in await whole.list_objects(Kind.DOMAIN)} == {"here", "there"}


async def test_generations_are_those_of_the_objects_of_one_namespace_page_by_page(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    with control_plane.namespace() as elsewhere:
        declare(control_plane.kubectl, elsewhere, maildomain("there"))
        await declare_many(cluster, namespace, PAGE + 1)
        listed = await cluster.list_objects(Kind.DOMAIN)
        here = {item["metadata"]["uid"]: 1 for item in listed}
        assert await cluster.generations(Kind.DOMAIN, namespace) == {namespace: here}
        assert await cluster.generations(Kind.DOMAIN) == {namespace: here}, "where we look, as lists are"
        assert len(here) > PAGE
        assert await cluster.generations(Kind.ROLE, namespace) == {}


async def test_a_kind_that_nobody_has_declared_is_an_empty_list(cluster: Cluster) -> None:
    await cluster.require_lists()
    assert await cluster.list_objects(Kind.SOURCE) == []


# --- statuses ---


async def test_a_status_takes_the_difference_and_nothing_else_of_the_object(
    cluster: Cluster, kubectl: Kubectl, namespace: str
) -> None:
    declare(kubectl, namespace, maildomain())
    declared = stored(kubectl, namespace)
    key = ResourceKey(namespace, "commune")
    first = {"observedGeneration": 1, "domainID": "d", "admins": {"desired": 2, "actual": 1}, "conditions": CONDITIONS}
    second = {"observedGeneration": 1, "admins": {"desired": 2}, "conditions": CONDITIONS}

    assert await cluster.patch_status(Kind.DOMAIN, key, first, {})
    assert stored(kubectl, namespace) == declared | {"status": first}

    # What another has written meanwhile is not part of our difference, and stays.
    assert await cluster.patch_status(Kind.DOMAIN, key, {"lastHandledReconcileAt": "x"}, {})
    assert await cluster.patch_status(Kind.DOMAIN, key, second, first)
    assert stored(kubectl, namespace) == declared | {"status": second | {"lastHandledReconcileAt": "x"}}


async def test_an_equal_status_makes_no_new_version(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    declare(kubectl, namespace, maildomain())
    key = ResourceKey(namespace, "commune")
    await cluster.patch_status(Kind.DOMAIN, key, {"observedGeneration": 1}, {})
    before = kubectl.get("maildomains", "commune", namespace=namespace).resource_version
    assert await cluster.patch_status(Kind.DOMAIN, key, {"observedGeneration": 1}, {"observedGeneration": 1})
    assert kubectl.get("maildomains", "commune", namespace=namespace).resource_version == before


async def test_the_status_of_an_object_that_is_gone_is_not_written(cluster: Cluster, namespace: str) -> None:
    assert not await cluster.patch_status(Kind.DOMAIN, ResourceKey(namespace, "gone"), {"observedGeneration": 1}, {})


async def test_a_status_that_the_schema_refuses_is_not_written(
    cluster: Cluster, kubectl: Kubectl, namespace: str
) -> None:
    declare(kubectl, namespace, maildomain())
    key = ResourceKey(namespace, "commune")
    assert not await cluster.patch_status(Kind.DOMAIN, key, {"observedGeneration": "one"}, {})
    assert kubectl.get("maildomains", "commune", namespace=namespace).status == {"observedGeneration": -1}


# --- Secrets and Events ---


async def test_a_secret_is_read_by_its_name(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    kubectl.run("create", "secret", "generic", "deploycenter", "--from-literal=api-key=s3cret", "-n", namespace)
    assert await cluster.read_secret(namespace, "deploycenter") == {"api-key": b"s3cret"}


async def test_a_secret_that_is_not_there_is_missing(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(SecretMissing, match=f"Secret {namespace}/none is not there"):
        await cluster.read_secret(namespace, "none")


async def test_an_event_stands_on_its_object(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    declare(kubectl, namespace, maildomain())
    uid = kubectl.get("maildomains", "commune", namespace=namespace).raw["metadata"]["uid"]

    key = ResourceKey(namespace, "commune")
    await cluster.post_event(Kind.DOMAIN, key, uid, reason="SourceStale", note="No answer.", warning=True)

    (event,) = (item.raw for item in kubectl.list("events", namespace=namespace))
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "SourceStale", "No answer.")
    assert event["involvedObject"]["uid"] == uid
    assert event["reportingComponent"] == "maildomain-controller"
    described = kubectl.run("describe", "maildomains", "commune", "-n", namespace).stdout
    assert "SourceStale" in described


# --- what may not be, and what is not there ---


async def test_what_the_rbac_refuses_is_said_in_our_words(
    cluster: Cluster, connect: Connect, kubectl: Kubectl, namespace: str, operator_config: Path
) -> None:
    declare(kubectl, namespace, maildomain())
    key = ResourceKey(namespace, "commune")
    async with connect(namespace, config=operator_config) as reader:
        assert len(await reader.list_objects(Kind.DOMAIN)) == 1
        with pytest.raises(NotAuthorized, match=r"may not patch maildomains/status\.maildomain\.dev: apply the RBAC"):
            await reader.patch_status(Kind.DOMAIN, key, {"observedGeneration": 1}, {})
        with pytest.raises(SecretMissing, match="may not be read"):
            await reader.read_secret(namespace, "deploycenter")
        await reader.post_event(Kind.DOMAIN, key, "", reason="InSync", note="In sync.", warning=False)
        async with connect(config=operator_config) as everywhere:
            with pytest.raises(
                NotAuthorized, match=r"may not list entitlementsources\.maildomain\.dev: apply the RBAC"
            ):
                await everywhere.require_lists()
    assert kubectl.list("events", namespace=namespace) == []


async def test_a_token_that_nobody_issued_is_said_so(
    cluster: Cluster, connect: Connect, control_plane: ControlPlane
) -> None:
    async with connect(config=control_plane.kubeconfig("made-up")) as stranger:
        with pytest.raises(NotAuthorized, match="credentials"):
            await stranger.require_lists()


async def test_kinds_that_are_not_installed_are_no_empty_list(connect: Connect, control_plane: ControlPlane) -> None:
    control_plane.kubectl.delete(CRDS)
    try:
        async with connect() as cluster:
            for attempt in (cluster.require_lists(), cluster.list_objects(Kind.DOMAIN)):
                with pytest.raises(ClusterUnavailable, match=r"does not know \w+\.maildomain\.dev: apply crds/ first"):
                    await attempt
    finally:
        install_kinds(control_plane.kubectl)


async def test_after_an_outage_the_same_client_goes_on(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    declare(control_plane.kubectl, namespace, maildomain())
    assert len(await cluster.list_objects(Kind.DOMAIN)) == 1
    with control_plane.outage():
        with pytest.raises(ClusterUnavailable, match="does not answer"):
            await cluster.list_objects(Kind.DOMAIN)
        with pytest.raises(ClusterUnavailable):
            await cluster.read_secret(namespace, "deploycenter")
        key = ResourceKey(namespace, "commune")
        await cluster.post_event(Kind.DOMAIN, key, "", reason="InSync", note="In sync.", warning=False)
    assert len(await cluster.list_objects(Kind.DOMAIN)) == 1

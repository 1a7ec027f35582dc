"""Is a name found with as few questions as possible, and never missed for it?"""

from typing import Any, cast

import pytest

from controller.cluster.cluster import Cluster
from controller.provisioning.clustered import FRESH, MANAGER, MANY, ClusterStore
from controller.resources.model import Kind
from controller.resources.names import DomainName, ResourceKey

X = DomainName("x.fr")


class FakeCluster:
    """MailDomains by place, and what was asked."""

    def __init__(self) -> None:
        self.objects: dict[ResourceKey, dict[str, Any]] = {}
        self.asked: list[str] = []

    def add(self, namespace: str, name: str, domain: str, created: str = "2026-01-01T00:00:00Z") -> None:
        entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:mode": {}}}}
        metadata = {"namespace": namespace, "name": name, "resourceVersion": "7", "creationTimestamp": created}
        spec = {"domain": domain, "mode": "Observe"}
        self.objects[ResourceKey(namespace, name)] = {
            "metadata": metadata | {"managedFields": [entry]},
            "spec": spec,
        }

    async def read_object(self, kind: Kind, key: ResourceKey) -> dict[str, Any] | None:
        self.asked.append(f"get {key}")
        return self.objects.get(key)

    async def find_domains(self, domain: DomainName) -> list[dict[str, Any]]:
        self.asked.append(f"search {domain}")
        return [obj for obj in self.objects.values() if obj["spec"]["domain"] == domain]

    async def list_objects(self, kind: Kind) -> list[dict[str, Any]]:
        self.asked.append("list")
        return list(self.objects.values())


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(cluster: FakeCluster, clock: Clock) -> ClusterStore:
    return ClusterStore(cast("Cluster", cluster), "communes", clock)


async def test_what_is_named_after_its_domain_is_one_read(store: ClusterStore, cluster: FakeCluster) -> None:
    cluster.add("communes", "x.fr", "x.fr")
    found = await store.find(X)

    assert found is not None
    assert found.ours == {
        "spec": {"mode": "Observe"},
        "metadata": {"namespace": "communes", "name": "x.fr", "resourceVersion": "7"},
    }
    assert cluster.asked == ["get communes/x.fr"]


async def test_what_stands_elsewhere_is_searched_once_and_not_ours(store: ClusterStore, cluster: FakeCluster) -> None:
    cluster.add("others", "theirs", "x.fr")

    for _ in range(3):
        found = await store.find(X)
        assert found is not None
        assert found.ours is None
    assert cluster.asked == ["get communes/x.fr", "search x.fr", "get others/theirs", "get others/theirs"]


async def test_a_place_that_is_no_longer_right_is_searched_anew(store: ClusterStore, cluster: FakeCluster) -> None:
    cluster.add("others", "theirs", "x.fr")
    await store.find(X)
    del cluster.objects[ResourceKey("others", "theirs")]
    assert await store.find(X) is None

    cluster.add("communes", "by-hand", "x.fr")
    found = await store.find(X)
    assert found is not None
    assert found.ours is not None
    assert found.ours["metadata"]["name"] == "by-hand"


async def test_of_two_claims_the_oldest_is_found(store: ClusterStore, cluster: FakeCluster) -> None:
    cluster.add("young", "x", "x.fr", "2026-02-02T00:00:00Z")
    cluster.add("old", "x", "x.fr", "2026-01-01T00:00:00Z")

    await store.find(X)
    await store.find(X)
    assert cluster.asked[-1] == "get old/x"


async def test_many_names_are_listed_once_instead_of_searched_one_by_one(
    store: ClusterStore, cluster: FakeCluster, clock: Clock
) -> None:
    cluster.add("others", "theirs", "n3.fr")
    names = [DomainName(f"n{number}.fr") for number in range(MANY + 1)]

    await store.prepare(names)
    await store.prepare(names)
    found = [await store.find(name) for name in names]

    assert [place is not None for place in found].index(True) == 3
    assert cluster.asked.count("list") == 1
    assert not any(asked.startswith("search") for asked in cluster.asked)
    clock.now += FRESH
    await store.find(names[0])
    assert cluster.asked[-1] == "search n0.fr", "an old list tells of nobody"


async def test_few_names_are_not_worth_a_list(store: ClusterStore, cluster: FakeCluster) -> None:
    await store.prepare([X] * MANY)

    assert cluster.asked == []

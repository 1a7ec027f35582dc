"""What becomes of one name?"""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.cluster.applying import Applied
from controller.errors import ClusterUnavailable
from controller.observability import lasting
from controller.provisioning.declaring import TRIES, Declaring, Outcome, Trouble
from controller.provisioning.wanted import Wanted
from controller.resources.names import DomainName
from tests.support.provisioning import OTHER_SIRET, SIRET, TEMPLATE, MemoryStore

X = DomainName("x.fr")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def declaring(store: MemoryStore) -> Declaring:
    return Declaring(store, TEMPLATE)


def wanted(**fields: Any) -> Wanted:
    return Wanted(domains=["x.fr"], **fields)


async def test_a_new_name_is_created_and_then_there(declaring: Declaring, store: MemoryStore) -> None:
    assert await declaring.declare(X, wanted()) is Outcome.CREATED
    assert await declaring.declare(X, wanted()) is Outcome.EXISTING
    assert len(store.applied) == 1, "in sync means no write"


async def test_what_is_asked_for_is_changed_and_what_is_omitted_stays(declaring: Declaring, store: MemoryStore) -> None:
    await declaring.declare(X, wanted(oidc_autojoin=True, custom_attributes={"siret": SIRET, "a": "1"}))
    before = store.spec("x.fr")

    assert await declaring.declare(X, wanted()) is Outcome.EXISTING
    assert store.spec("x.fr") == before
    assert await declaring.declare(X, wanted(identity_sync=True, custom_attributes={"a": "2"})) is Outcome.EXISTING
    assert store.spec("x.fr")["provisioning"] == {
        "oidcAutojoin": True,
        "identitySync": True,
        "customAttributes": {"siret": SIRET, "a": "2"},
    }


async def test_another_organization_gets_nothing(declaring: Declaring, store: MemoryStore) -> None:
    await declaring.declare(X, wanted(custom_attributes={"siret": SIRET}))
    before = store.spec("x.fr")

    theirs = wanted(custom_attributes={"siret": OTHER_SIRET}, oidc_autojoin=False)
    assert await declaring.declare(X, theirs) is Trouble.OTHER_ORGANIZATION
    assert store.spec("x.fr") == before
    assert await declaring.declare(X, wanted()) is Outcome.EXISTING, "who names no organization takes nothing"


async def test_a_domain_without_an_organization_gets_one(declaring: Declaring, store: MemoryStore) -> None:
    await declaring.declare(X, wanted())

    assert await declaring.declare(X, wanted(custom_attributes={"siret": SIRET})) is Outcome.EXISTING
    assert store.spec("x.fr")["organization"] == {"siret": SIRET}


async def test_what_is_declared_elsewhere_is_never_written(declaring: Declaring, store: MemoryStore) -> None:
    store.foreign[X] = {"domain": "x.fr", "mode": "Enforce", "provisioning": {"oidcAutojoin": True}}

    assert await declaring.declare(X, wanted()) is Outcome.EXISTING
    assert await declaring.declare(X, wanted(oidc_autojoin=True)) is Outcome.EXISTING
    assert await declaring.declare(X, wanted(oidc_autojoin=False)) is Trouble.ELSEWHERE
    assert store.applied == []


@pytest.mark.parametrize(
    ("applied", "outcome"),
    [
        (Applied.OWNED_BY_OTHERS, Trouble.OWNED_BY_OTHERS),
        (Applied.REFUSED, Trouble.REFUSED),
        (Applied.CHANGED, Outcome.EXISTING),
    ],
)
async def test_what_the_api_server_says_has_a_text(
    declaring: Declaring, store: MemoryStore, applied: Applied, outcome: Outcome | Trouble
) -> None:
    store.answers = [applied]

    assert await declaring.declare(X, wanted()) is outcome


async def test_whoever_was_quicker_is_looked_at_again(declaring: Declaring, store: MemoryStore) -> None:
    await declaring.declare(X, wanted())
    store.answers = [Applied.OUTDATED] * (TRIES - 1)
    assert await declaring.declare(X, wanted(oidc_autojoin=True)) is Outcome.EXISTING
    assert store.spec("x.fr")["provisioning"] == {"oidcAutojoin": True}

    store.answers = [Applied.OUTDATED] * TRIES
    assert await declaring.declare(X, wanted(oidc_autojoin=False)) is Trouble.NOT_NOW


async def test_a_cluster_that_is_away_is_said_and_no_error(declaring: Declaring, store: MemoryStore) -> None:
    store.broken = frozenset({"x.fr"})

    assert await declaring.declare(X, wanted()) is Trouble.NOT_NOW


async def test_a_cluster_that_is_away_for_long_is_one_error(
    declaring: Declaring, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "LASTING", 0.0)
    with capture_logs() as records:
        for broken in (frozenset({"x.fr"}), frozenset({"x.fr"}), frozenset[str]()):
            store.broken = broken
            await declaring.declare(X, wanted())
    told = [record["event"] for record in records if record["event"].startswith("failure")]
    assert told == ["failure_lasts", "failure_over"]


async def test_what_can_not_be_prepared_is_told_name_by_name(
    declaring: Declaring, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(domains: Collection[DomainName]) -> None:
        raise ClusterUnavailable("away")

    monkeypatch.setattr(store, "prepare", fail)
    await declaring.expect([X])
    assert await declaring.declare(X, wanted()) is Outcome.CREATED


async def test_many_calls_at_once_make_one_object_and_lose_no_field(declaring: Declaring, store: MemoryStore) -> None:
    wishes = [wanted(custom_attributes={f"a{number}": "x"}) for number in range(20)]

    outcomes = await asyncio.gather(*(declaring.declare(X, wish) for wish in wishes))

    assert outcomes.count(Outcome.CREATED) == 1
    assert outcomes.count(Outcome.EXISTING) == 19
    assert len(store.spec("x.fr")["provisioning"]["customAttributes"]) == 20
    assert declaring._turns == {}


async def test_one_name_waits_for_no_other(
    declaring: Declaring, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    find = store.find

    async def slow(domain: DomainName) -> Any:
        if domain == X:
            await gate.wait()
        return await find(domain)

    monkeypatch.setattr(store, "find", slow)
    waiting = asyncio.create_task(declaring.declare(X, wanted()))
    assert await declaring.declare(DomainName("y.fr"), wanted()) is Outcome.CREATED
    gate.set()
    assert await waiting is Outcome.CREATED


def test_no_text_leaks_anything() -> None:
    for trouble in Trouble:
        assert "{" not in trouble

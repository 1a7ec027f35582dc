"""Are missing domains created, once, by the leader alone, and does a domain keep its trouble to itself? (A-78)"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.engine.foundry import LONGEST_PAUSE, PAUSE
from controller.engine.once import Options, apply_once, plan_once
from controller.engine.world import Kind
from controller.maildb.database import MailDatabase
from controller.messages.client import Outcome
from controller.observability.lasting import LASTING
from controller.planning.founding import Order
from controller.resources.documents import Document, parse_documents
from tests.support.database import MailWorld
from tests.support.operating import Operating, admins


class Application:
    """A mail application that creates domains in the database, or does not."""

    def __init__(self, world: MailWorld) -> None:
        self.world = world
        self.outcomes: dict[str, Outcome] = {}
        self.fails: Callable[[Order], None] = lambda _: None
        self.orders: list[Order] = []

    @property
    def asked(self) -> list[str]:
        return [order.domain for order in self.orders]

    async def carry_out(self, order: Order) -> Outcome:
        self.orders.append(order)
        self.fails(order)
        outcome = self.outcomes.get(order.domain, Outcome.DONE)
        if outcome is Outcome.DONE and order.creates:
            self.world.domain(order.domain, attributes=order.custom_attributes)
        return outcome


@pytest.fixture
def application(operating: Operating, world: MailWorld) -> Application:
    founder = Application(world)
    operating.around = replace(operating.around, founder=founder)
    operating.reign = operating.begin()
    return founder


async def settle(operating: Operating, seconds: float = 0.0) -> None:
    """Let time pass, and everything come to rest, orders included."""
    await operating.settle(seconds)
    while operating.reign.founding is not None:
        await operating.reign.founding
        await operating.settle()
    # What was created while the database was being read is seen by the next turn.
    await operating.settle()


def declare(operating: Operating, *names: str, spec: Any = None, **provisioning: Any) -> None:
    for name in names:
        operating.domain(name, provisioning={"ensure": "Created", **provisioning}, **(spec or {}))


def provisioned(operating: Operating, name: str) -> tuple[str, str]:
    return operating.world.condition(Kind.DOMAIN, name.replace(".", "-"), "Provisioned")


async def test_a_missing_domain_is_created_once_and_its_administrators_follow(
    operating: Operating, world: MailWorld, application: Application
) -> None:
    world.user("ada@x.fr")
    operating.source.says["ada@x.fr"] = frozenset({"x.fr"})
    declare(operating, "x.fr", customAttributes={"siret": "1"})
    await settle(operating)
    assert admins(world, "x.fr") == 1
    assert provisioned(operating, "x.fr") == ("True", "Provisioned")
    await settle(operating, 3600)
    assert application.asked == ["x.fr"]


async def test_a_domain_that_is_only_waited_for_is_never_created(
    operating: Operating, application: Application
) -> None:
    operating.domain("x.fr")
    await settle(operating)
    assert application.orders == []
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("False", "DomainMissing")


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}, {"sourceRefs": [{"name": "missing"}]}])
async def test_who_may_write_no_row_creates_no_domain(
    operating: Operating, application: Application, spec: dict[str, Any]
) -> None:
    declare(operating, "x.fr", spec=spec)
    await settle(operating)
    assert application.orders == []


async def test_a_freeze_creates_nothing(operating: Operating, application: Application, database: MailDatabase) -> None:
    database.freeze("restoring")
    declare(operating, "x.fr")
    await settle(operating)
    assert application.orders == []
    database.lift_freeze()
    await settle(operating, 2)
    assert application.asked == ["x.fr"]


async def test_whoever_has_lost_the_lease_creates_nothing(
    operating: Operating, application: Application, database: MailDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "renew", lambda _: None)
    declare(operating, "x.fr")
    await settle(operating)
    assert application.orders == []


async def test_one_refused_domain_stops_no_other(operating: Operating, application: Application) -> None:
    application.outcomes["a.fr"] = Outcome.REFUSED
    declare(operating, "a.fr", "b.fr")
    await settle(operating)
    assert provisioned(operating, "a.fr") == ("False", "CreationRefused")
    assert provisioned(operating, "b.fr") == ("True", "Provisioned")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.UNAVAILABLE, "MessagesUnavailable"), (Outcome.UNAUTHENTICATED, "MessagesUnauthenticated")],
)
async def test_an_application_that_is_away_is_asked_about_one_domain_at_a_time(
    operating: Operating, application: Application, outcome: Outcome, reason: str
) -> None:
    application.outcomes = {"a.fr": outcome, "b.fr": outcome}
    declare(operating, "a.fr", "b.fr")
    await settle(operating)
    assert len(application.orders) == 1
    assert [provisioned(operating, name) for name in ("a.fr", "b.fr")] == [("False", reason)] * 2
    application.outcomes.clear()
    await settle(operating, PAUSE)
    assert sorted(set(application.asked)) == ["a.fr", "b.fr"]
    assert [provisioned(operating, name) for name in ("a.fr", "b.fr")] == [("True", "Provisioned")] * 2


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_application_that_is_away_for_long_is_one_error_until_it_answers(
    operating: Operating, application: Application
) -> None:
    application.outcomes["x.fr"] = Outcome.UNAVAILABLE
    declare(operating, "x.fr")
    with capture_logs() as records:
        await settle(operating)
        for _ in range(3):
            await settle(operating, LASTING)
        application.outcomes.clear()
        await settle(operating, LASTING)
    assert [(record["event"], record["what"]) for record in records if "what" in record] == [
        ("failure_lasts", "mail application"),
        ("failure_over", "mail application"),
    ]


async def test_what_fails_is_tried_again_after_longer_and_longer_pauses(
    operating: Operating, application: Application
) -> None:
    application.outcomes["x.fr"] = Outcome.REFUSED
    declare(operating, "x.fr")
    await settle(operating)
    for _ in range(60):
        await settle(operating, 20)
    # In 20 minutes: pauses of 2.5 to 5 seconds, then twice as long each time.
    assert 6 <= len(application.orders) <= 11
    await settle(operating, LONGEST_PAUSE)
    declare(operating, "x.fr", oidcAutojoin=True)
    before = len(application.orders)
    await settle(operating)
    assert len(application.orders) == before + 1, "another declaration is tried at once"


async def test_an_error_of_the_client_ends_neither_the_reign_nor_later_orders(
    operating: Operating, application: Application
) -> None:
    def fail(_: Order) -> None:
        raise RuntimeError

    application.fails = fail
    declare(operating, "x.fr")
    await settle(operating)
    assert provisioned(operating, "x.fr") == ("False", "MessagesUnavailable")
    application.fails = lambda _: None
    await settle(operating, PAUSE)
    assert provisioned(operating, "x.fr") == ("True", "Provisioned")


async def test_without_an_address_it_is_said(operating: Operating) -> None:
    declare(operating, "x.fr")
    await settle(operating)
    assert provisioned(operating, "x.fr") == ("False", "MessagesNotConfigured")


async def test_stored_attributes_are_compared_and_a_conflict_is_left(
    operating: Operating, world: MailWorld, application: Application
) -> None:
    world.domain("x.fr", attributes={"siret": "1"})
    declare(operating, "x.fr", customAttributes={"siret": "2"})
    await settle(operating)
    assert provisioned(operating, "x.fr") == ("False", "AttributesConflict")
    assert application.orders == []


async def test_an_update_carries_what_is_stored(
    operating: Operating, world: MailWorld, application: Application
) -> None:
    world.domain("x.fr", attributes={"siret": "1", "list": [1]})
    declare(operating, "x.fr", oidcAutojoin=True)
    await settle(operating)
    [order] = application.orders
    assert (order.creates, order.oidc_autojoin, order.identity_sync) == (False, True, False)
    assert order.custom_attributes == {"siret": "1", "list": [1]}


FILES = """\
apiVersion: maildomain.dev/v1alpha1
kind: EntitlementSource
metadata: {name: written}
spec: {provider: {static: {grants: [{email: ada@x.fr, domains: [x.fr]}]}}}
---
apiVersion: maildomain.dev/v1alpha1
kind: MailDomain
metadata: {name: x}
spec: {domain: x.fr, mode: Enforce, sourceRefs: [{name: written}], provisioning: {ensure: Created}}
"""


async def test_a_run_on_files_creates_first_and_grants_in_the_same_run(
    database: MailDatabase, world: MailWorld
) -> None:
    world.user("ada@x.fr")
    application = Application(world)
    declared = parse_documents([Document("-", FILES)])
    planned = await plan_once(database, declared, Options(), secrets=lambda _, __: "")
    assert (planned.troubles, application.orders) == ({}, [])
    done = await apply_once(database, declared, Options(), secrets=lambda _, __: "", founder=application)
    assert application.asked == ["x.fr"]
    assert admins(world, "x.fr") == 1
    assert done.troubles == {}
    await apply_once(database, declared, Options(), secrets=lambda _, __: "", founder=application)
    assert application.asked == ["x.fr"]


async def test_a_run_on_files_says_what_could_not_be_created(database: MailDatabase, world: MailWorld) -> None:
    application = Application(world)
    application.outcomes["x.fr"] = Outcome.REFUSED
    declared = parse_documents([Document("-", FILES)])
    done = await apply_once(database, declared, Options(), secrets=lambda _, __: "", founder=application)
    assert [reason.value for reason in done.troubles.values()] == ["CreationRefused"]

"""Services in the operator's work: decided after everything about administrators, by what the cluster declares."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.engine.world import Kind
from controller.entitlements.source import Reply
from controller.maildb.database import MailDatabase
from controller.planning.facts import Subject
from controller.resources.names import ResourceKey
from tests.support.crd import crd
from tests.support.database import MailWorld, watched
from tests.support.operating import Operating, ScriptedSource, admins, counting

SIRET = "21590350100017"


@pytest.fixture
def served(operating: Operating, world: MailWorld) -> Operating:
    """A commune whose members may open messages, and those who are elected everything."""
    for name in ("ada", "ben"):
        world.user(f"{name}@x.fr")
    world.domain("x.fr")
    for name in ("drive", "messages"):
        operating.world.apply(Kind.SERVICE, name, type=name)
    role(operating, "member", mode="Selected", services=["messages"])
    role(operating, "elected", mode="All")
    binding(operating, "elected", "ada@x.fr")
    operating.domain("x.fr", serviceAccess=access())
    return operating


def access(**more: object) -> dict[str, object]:
    services = [{"name": "drive"}, {"name": "messages"}]
    return {"services": services, "enforcement": "Enforce", "defaultRoleRef": {"name": "member"}, **more}


def role(operating: Operating, name: str, **access: object) -> None:
    operating.world.apply(Kind.ROLE, name, serviceAccess=access)
    operating.reign.notice()


def binding(operating: Operating, name: str, *emails: str) -> None:
    subjects = [{"kind": "User", "email": email} for email in emails]
    operating.world.apply(Kind.BINDING, name, mailDomainRef={"name": "x-fr"}, roleRef={"name": name}, subjects=subjects)
    operating.reign.notice()


def opens(world: MailWorld, name: str) -> set[str]:
    """What somebody may open, as readers see it."""
    place = "maildomain_controller." if world.dialect == "postgresql" else "mdc_"
    rows = world.execute(
        f"SELECT e.service_id, e.allowed FROM {place}effective_services e JOIN messages_user u ON u.id = e.user_id"
        " WHERE u.email = :email",
        email=f"{name}@x.fr",
    )
    return {row["service_id"] for row in rows if row["allowed"]}


async def test_rows_follow_what_is_declared(served: Operating, world: MailWorld) -> None:
    await served.settle()
    assert (opens(world, "ada"), opens(world, "ben")) == ({"drive", "messages"}, {"messages"})

    role(served, "member", mode="All")
    await served.settle()
    assert opens(world, "ben") == {"drive", "messages"}

    del served.world.objects[Kind.BINDING][ResourceKey("default", "elected")]
    role(served, "member", mode="None")
    await served.settle()
    assert (opens(world, "ada"), opens(world, "ben")) == (set(), set())


async def test_a_new_administrator_may_open_everything_at_once(served: Operating, world: MailWorld) -> None:
    await served.settle()
    world.user("dora@x.fr")
    served.source.says["dora@x.fr"] = frozenset({"x.fr"})
    await served.settle(2)
    assert admins(world, "x.fr") == 1
    assert opens(world, "dora") == {"drive", "messages"}

    served.source.says["dora@x.fr"] = frozenset()
    await served.wave()
    assert admins(world, "x.fr") == 0
    assert opens(world, "dora") == {"messages"}


async def test_a_quiet_loop_neither_looks_at_people_nor_writes_a_row(served: Operating, database: MailDatabase) -> None:
    await served.settle()
    with watched(database) as seen:
        for _ in range(3):
            await served.settle(2)
    assert not [text for text in seen.sent if "is_superuser" in text or "service" in text]


async def test_an_install_without_services_does_not_even_look_who_is_there(
    operating: Operating, world: MailWorld, database: MailDatabase
) -> None:
    world.domain("x.fr")
    operating.domain("x.fr")
    with watched(database) as seen:
        await operating.settle()
        world.user("new@x.fr")
        await operating.settle(2)
    assert len([text for text in seen.sent if "service_domain" in text]) == 1
    assert not [text for text in seen.sent if "is_superuser" in text]


async def test_a_domain_that_may_not_act_has_no_rows(served: Operating, world: MailWorld) -> None:
    served.world.apply(
        Kind.DOMAIN, "squatter", domain="y.fr", mode="Enforce", sourceRefs=[{"name": "none"}], serviceAccess=access()
    )
    world.domain("y.fr")
    world.user("eve@y.fr")
    await served.settle()
    assert opens(world, "ada")
    assert len(served.database.service_facts().digests) == 1


async def test_an_object_that_cannot_be_used_stalls_alone(served: Operating, world: MailWorld) -> None:
    role(served, "broken", mode="Selected")
    await served.settle()
    assert opens(world, "ada") == {"drive", "messages"}
    assert served.world.condition(Kind.ROLE, "broken") == ("False", "InvalidSpec")


async def test_a_freeze_stops_rows_about_services(served: Operating, world: MailWorld, database: MailDatabase) -> None:
    await served.settle()
    database.freeze("stop")
    role(served, "member", mode="All")
    await served.settle(2)
    assert opens(world, "ben") == {"messages"}

    database.lift_freeze()
    await served.settle(2)
    assert opens(world, "ben") == {"drive", "messages"}


async def test_a_command_that_works_beside_us_makes_it_decide_again(
    served: Operating, world: MailWorld, database: MailDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.settle()
    read = database.service_facts
    once = iter([True])

    def facts() -> object:
        found = read()
        if next(once, False):
            with database.seized():
                pass
        return found

    monkeypatch.setattr(database, "service_facts", facts)
    role(served, "member", mode="All")
    await served.settle(2)
    assert opens(world, "ben") == {"drive", "messages"}


async def test_what_is_told_about_services_stands_while_first_answers_are_awaited(
    served: Operating, world: MailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Mapping[str, Any]] = []
    patch = served.world.patch_status

    async def noted(kind: Kind, key: ResourceKey, status: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
        told.extend([status] if kind is Kind.DOMAIN else [])
        return await patch(kind, key, status, before)

    monkeypatch.setattr(served.world, "patch_status", noted)
    served.source.open.clear()
    for email in ("cal@x.fr", "deb@x.fr", "eve@x.fr"):
        world.user(email)
        await served.turn_while_asking()
    served.source.open.set()
    await served.settle()
    first = next(place for place, status in enumerate(told) if "serviceAccess" in status)
    assert all("serviceAccess" in status for status in told[first:])


# --- subscriptions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def bought(served: Operating) -> Operating:
    """Drive has to be bought, and its own source says by whom."""
    drive = ScriptedSource(ResourceKey("default", "drive"))
    served.sources = (served.source, drive)
    served.reign = served.begin()
    served.world.apply(Kind.SOURCE, "drive", provider={"local": {}}, interval="10m", staleAfter="30m")
    subscription = {"sourceRef": {"namespace": "default", "name": "drive"}, "probeEmail": "probe@x.fr"}
    served.world.apply(Kind.SERVICE, "drive", type="drive", subscription=subscription)
    served.domain("x.fr", serviceAccess=access(), organization={"siret": SIRET})
    return served


async def test_nothing_is_decided_before_a_source_was_asked(
    bought: Operating, world: MailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive, answers = bought.sources[1], asyncio.Event()
    drive.sold[SIRET] = True

    async def late(subject: Subject, ask: Callable[[Subject], Awaitable[Reply]] = drive.ask) -> Reply:
        await answers.wait()
        return await ask(subject)

    monkeypatch.setattr(drive, "ask", late)
    for _ in range(5):
        await bought.reign.turn()
    assert bought.database.service_facts().digests == {}
    answers.set()
    await bought.settle()
    assert opens(world, "ada") == {"drive", "messages"}


async def test_what_is_not_bought_any_more_is_closed_after_an_interval(bought: Operating, world: MailWorld) -> None:
    bought.sources[1].sold[SIRET] = True
    await bought.settle()
    bought.sources[1].sold[SIRET] = False
    await bought.settle(601)
    assert opens(world, "ada") == {"messages"}


async def test_a_source_that_is_down_keeps_what_stands_and_stops_nothing_else(
    bought: Operating, world: MailWorld
) -> None:
    bought.sources[1].sold[SIRET] = True
    await bought.settle()
    bought.sources[1].sold.clear()
    for _ in range(4):
        await bought.settle(601)
    assert opens(world, "ada") == {"drive", "messages"}
    assert [bool(row["stale"]) for row in _rows(world, "drive")] == [True, False], "only what was open is kept open"

    role(bought, "member", mode="All")
    await bought.settle()
    assert opens(world, "ben") == {"messages"}, "what was closed is not opened on what is not known"


def _rows(world: MailWorld, service: str) -> list[dict[str, object]]:
    place = "maildomain_controller." if world.dialect == "postgresql" else "mdc_"
    statement = (
        f"SELECT s.* FROM {place}service_access s JOIN messages_user u ON u.id = s.user_id"
        " WHERE s.service_id = :service ORDER BY u.email"
    )
    return world.execute(statement, service=service)


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_each_object_says_what_came_of_it_as_its_crd_has_it(served: Operating) -> None:
    served.world.apply(Kind.GROUP, "team", members=["ada@x.fr", "nobody@x.fr"])
    served.world.apply(
        Kind.LINK, "link", upstream={"namespace": "default", "name": "gone"}, downstream={"name": "x-fr"}
    )
    served.world.apply(Kind.RESTRICTION, "old", mailDomainRef={"name": "x-fr"}, restrict=True)
    await served.settle()
    found = {
        kind: next(iter(condition["reason"] for condition in obj["status"]["conditions"]))
        for kind, objects in served.world.objects.items()
        if kind not in (Kind.DOMAIN, Kind.SOURCE)
        for obj in objects.values()
    }
    assert found == {
        Kind.SERVICE: "Available",
        Kind.ROLE: "Resolved",
        Kind.BINDING: "Resolved",
        Kind.GROUP: "Resolved",
        Kind.LINK: "UpstreamMissing",
        Kind.RESTRICTION: "NotApplied",
    }
    for kind, objects in served.world.objects.items():
        for obj in objects.values():
            assert crd(kind.singular).refusals({"spec": obj["spec"], "status": obj["status"]}) == []


async def test_a_domain_counts_its_members_beside_its_administrators(served: Operating) -> None:
    await served.settle()
    status = served.world.status(Kind.DOMAIN, "x-fr")
    assert status["serviceAccess"] == {
        "members": 2,
        "allowed": {"drive": 1, "messages": 2},
        "wouldLose": 0,
        "wouldGain": 0,
    }
    assert served.world.condition(Kind.DOMAIN, "x-fr", "ServiceAccessReady") == ("True", "ServicesInSync")
    assert served.world.condition(Kind.DOMAIN, "x-fr") == ("True", "InSync")

    await served.wave()
    assert served.world.status(Kind.DOMAIN, "x-fr") == status, "a pass about administrators leaves it as it is"
    served.domain("x.fr")
    await served.settle()
    status = served.world.status(Kind.DOMAIN, "x-fr")
    assert "serviceAccess" not in status
    assert "ServiceAccessReady" not in {condition["type"] for condition in status["conditions"]}


async def test_nothing_is_told_twice(served: Operating) -> None:
    await served.settle()
    with counting(served.world) as patches:
        served.reign.notice()
        await served.settle(2)
    assert patches == []
    with counting(served.world) as patches:
        await served.restart()
        await served.settle(2)
    assert {kind for kind, _ in patches} <= {Kind.SOURCE, Kind.DOMAIN}, "first answers are being gathered again"


async def test_the_end_of_restrictions_waits_for_the_annotation_of_its_domain(
    served: Operating, world: MailWorld
) -> None:
    served.world.apply(Kind.RESTRICTION, "old", mailDomainRef={"name": "x-fr"}, restrict=True)
    served.domain("x.fr", serviceAccess=access(legacyGroupRestrictions="Enabled"))
    await served.settle()
    assert opens(world, "ada") == set()
    assert served.world.condition(Kind.DOMAIN, "x-fr", "DeprecatedRestrictionInUse") == ("True", "RestrictionInUse")

    served.domain("x.fr", serviceAccess=access())
    await served.settle()
    status = served.world.status(Kind.DOMAIN, "x-fr")
    hold = status["serviceAccess"]["hold"]
    assert (hold["scope"], hold["limit"], hold["count"]) == ("MailDomain default/x-fr", "legacyGroupRestrictions", 2)
    assert status["serviceAccess"]["wouldGain"] == 2
    assert served.world.condition(Kind.DOMAIN, "x-fr", "ServiceAccessReady") == ("False", "RestrictionsEnd")
    assert served.world.condition(Kind.DOMAIN, "x-fr") == ("True", "InSync")
    assert opens(world, "ada") == set()

    served.world.annotate(Kind.DOMAIN, ResourceKey("default", "x-fr"), approve="feedfeedfeed")
    served.reign.notice()
    await served.settle()
    assert opens(world, "ada") == set()

    served.world.annotate(Kind.DOMAIN, ResourceKey("default", "x-fr"), approve=hold["id"])
    served.reign.notice()
    await served.settle()
    assert opens(world, "ada") == {"drive", "messages"}
    assert "hold" not in served.world.status(Kind.DOMAIN, "x-fr")["serviceAccess"]


async def test_installs_that_share_a_cluster_do_not_fight_about_its_services(bought: Operating) -> None:
    bought.around = replace(bought.around, whole_cluster=False)
    await bought.restart()
    await bought.settle()
    assert bought.world.objects[Kind.SERVICE][ResourceKey("", "drive")]["status"].get("conditions")
    assert not bought.world.objects[Kind.SERVICE][ResourceKey("", "messages")]["status"].get("conditions")

"""What went wrong elsewhere when a source was believed, and does not here. Numbers as in the list of incidents."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from controller.engine.roster import Roster
from controller.engine.world import Kind
from controller.entitlements.answer import Received, read_answer
from controller.planning.facts import AnswerReason, Entitled, Unavailable, Unknown
from controller.resources.conditions import Reason
from controller.resources.names import ResourceKey
from controller.sandbox.deploycenter import Behaviour
from tests.support.database import MailWorld
from tests.support.deploycenter import declared, secret, subject
from tests.support.operating import Operating
from tests.support.planning import PlanningWorld, maildomain
from tests.support.towns import Town, down, settle_town

Unchanged = Callable[[], None]
FAILURES = [
    behaviour for behaviour in Behaviour if behaviour not in (Behaviour.EMPTY, Behaviour.CLOSE, Behaviour.COOKIE)
]


async def test_incident_01_a_new_version_that_reads_nothing_removes_nothing(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    """An upgrade read an empty desired set and deleted 8764 records: the guard stands between plan and write."""
    await settle_town(operating, world, 30)
    unchanged()
    await operating.restart()
    operating.source.says.clear()
    await operating.settle()
    for _ in range(3):
        await operating.wave()
    assert operating.world.status(Kind.SOURCE, "deploycenter")["hold"]["count"] == 60


@pytest.mark.parametrize("behaviour", FAILURES, ids=lambda behaviour: behaviour.name)
async def test_incident_02_an_error_is_never_an_empty_list(
    town: Town, unchanged: Unchanged, behaviour: Behaviour
) -> None:
    """A swallowed API error became an empty list: errors and emptiness are different types."""
    unchanged()
    town.double.behaviour = behaviour
    outcome = await town.apply()
    assert not outcome.plan.changes.revocations
    assert not outcome.plan.changes.cases
    verdicts = {
        type(answer.verdict) for state in outcome.question.sources.values() for answer in state.answers.values()
    }
    assert Entitled not in verdicts


async def test_incident_03_one_empty_moment_proves_no_absence(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    """A source that was empty for a moment cost all records: an absence is asked for twice."""
    await settle_town(operating, world, 3)
    unchanged()
    said = dict(operating.source.says)
    for _ in range(4):
        operating.source.says.update(dict.fromkeys(said, frozenset()))
        await operating.settle(operating.desk.interval)
        assert operating.world.condition(Kind.DOMAIN, "d00001-fr", "Drifted")[0] == "True"
        operating.source.says.update(said)
        await operating.settle(31)
        assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("True", "InSync")


@pytest.mark.parametrize("behaviour", [Behaviour.LOGIN_PAGE, Behaviour.TRUNCATED])
async def test_incident_04_a_page_of_html_is_an_outage(town: Town, unchanged: Unchanged, behaviour: Behaviour) -> None:
    """An HTML body generated zero applications and removed the real ones: what can't be parsed is no answer."""
    unchanged()
    town.double.behaviour = behaviour
    outcome = await town.apply()
    (source,) = outcome.sources
    assert source.health.trouble in (Reason.UNREACHABLE, Reason.CIRCUIT_OPEN)


async def test_incident_05_a_directory_that_forgot_everybody_disables_nobody(town: Town, unchanged: Unchanged) -> None:
    """An outage read as `user not found` disabled 512 people: here it looks like `[]` for all, and is held."""
    unchanged()
    town.double.world.accounts.clear()
    outcome = await town.apply()
    assert [hold.count for hold in outcome.plan.holds] == [12]


async def test_incident_06_whoever_was_not_asked_keeps_everything(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    """A truncated page removed the people beyond it: an answer is about one user, and a sweep that stops is no wave."""
    await settle_town(operating, world, 4)
    unchanged()
    asked = len(operating.source.asked)
    operating.source.says.clear()
    refused = Unavailable(AnswerReason.UNAUTHENTICATED)
    operating.source.instead = lambda _: refused if len(operating.source.asked) - asked > 3 else None
    for _ in range(3):
        asked = len(operating.source.asked)
        await operating.wave()
    assert operating.world.condition(Kind.SOURCE, "deploycenter", "Reachable") == ("False", "Unauthenticated")


async def test_incident_07_what_a_manifest_leaves_out_is_not_managed(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    """An omitted key meant `remove all`: here no sources is an invalid object, and an absent list takes no right."""
    await settle_town(operating, world, 2)
    unchanged()
    operating.domain("d00000.fr", protectedAdmins=["u00000-0@d00000.fr"], deniedAdmins=[])
    await operating.wave()
    operating.domain("d00000.fr")
    operating.domain("d00001.fr", sourceRefs=[])
    await operating.wave()
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr", "Stalled") == ("True", "InvalidSpec")


async def test_incident_08_a_missing_secret_is_unknown_and_stops_nobody_else(town: Town, unchanged: Unchanged) -> None:
    """A missing Secret unset a password, and the first error cancelled the others."""
    unchanged()
    town.key = None
    outcome = await town.apply()
    (source,) = outcome.sources
    assert (source.health.trouble, source.requests) == (Reason.SECRET_MISSING, 0)
    assert not outcome.plan.changes.cases


def test_incident_08_another_source_goes_on_beside_a_missing_one() -> None:
    planning = PlanningWorld()
    planning.add_source("deploycenter")
    planning.add_source("second")
    planning.states[ResourceKey("default", "deploycenter")] = {"refusal": AnswerReason.SECRET_MISSING}
    for name, source in (("a.fr", "deploycenter"), ("b.fr", "second")):
        planning.domain(name, sourceRefs=[{"name": source}])
        planning.user(f"ada@{name}", name=f"ada-{name}")
    planning.admin("ada-a.fr", "a.fr")
    planning.says("ada-b.fr", "b.fr", source="second")
    changes = planning.apply().changes
    assert [(grant.user, grant.name) for grant in changes.grants] == [("ada-b.fr", "b.fr")]
    assert not changes.revocations


async def test_incident_09_a_rotated_key_is_taken_up_without_a_restart(town: Town) -> None:
    """A client cache keyed by name kept the old credential: here it is keyed by content."""
    roster = Roster()
    source = declared(town.url, timeout="30s")

    async def answer(key: str) -> type:
        opened, _ = await roster.update([source], lambda _, reference: secret(key)(reference))
        return type((await opened[source.key].ask(subject("u0@d0.example"))).verdict)

    try:
        assert await answer(town.double.world.api_key) is Entitled
        town.double.world.api_key = "rotated"
        assert await answer("correct-horse-battery") is Unavailable
        assert await answer("rotated") is Entitled
    finally:
        await roster.close()


async def test_incident_18_a_service_that_fails_is_not_asked_more_often(operating: Operating, world: MailWorld) -> None:
    """Retries of errors used more calls than the interval: trouble never makes more calls than the steady state."""
    await settle_town(operating, world, 10)

    async def calls() -> int:
        before = len(operating.source.asked)
        for _ in range(5):
            await operating.wave()
        return len(operating.source.asked) - before

    steady = await calls()
    operating.source.instead = down
    assert await calls() <= steady
    assert steady == 5 * 20


def test_incident_24_a_list_at_the_wrong_level_is_no_list() -> None:
    """Messages read the list one level too high, with `[]` as its default: missing is not empty."""
    planning = PlanningWorld()
    planning.domain("a.fr")
    planning.user("ada@a.fr", name="ada")
    planning.admin("ada", "a.fr")
    bodies: tuple[dict[str, Any], ...] = (
        {"can_admin_maildomains": [], "entitlements": {"can_access": True}},
        {"can_admin_maildomains": []},
        {"entitlements": {"can_access": False, "can_access_reason": "not_activated"}},
        {"entitlements": {"can_admin_maildomains": None}},
    )
    for body in bodies:
        verdict = read_answer(Received(200, "application/json", json.dumps(body).encode())).verdict
        assert isinstance(verdict, Unknown)
        planning.says("ada", verdict=verdict)
        planning.confirm_and_apply()
    assert planning.admins_of("a.fr") == {"ada"}
    assert not planning.cases


def test_incident_19_a_tenant_uses_no_source_that_did_not_admit_it() -> None:
    """Everything that a resource refers to is authorised by its target, reference by reference."""
    planning = PlanningWorld()
    planning.add_source()
    planning.domain("a.fr")
    planning.declared[0] = maildomain(
        "a.fr", namespace="tenant", sourceRefs=[{"name": "deploycenter", "namespace": "default"}]
    )
    planning.user("mallory@a.fr", name="mallory")
    planning.says("mallory", "a.fr")
    (refused,) = planning.standings()
    assert refused.refusal is Reason.NOT_AUTHORIZED
    assert not planning.plan().changes

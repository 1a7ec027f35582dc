"""The Ready table of the design, line by line."""

from collections.abc import Mapping
from typing import Any

import pytest

from controller.planning.conditions import domain_conditions, source_conditions
from controller.planning.facts import AnswerReason, Freeze, Unavailable, Unknown
from controller.planning.sources import Tally, too_many
from controller.planning.status import count
from controller.resources.conditions import Condition, Reason
from tests.support.planning import PlanningWorld, source_key

BEFORE = [{"type": "Ready", "status": "True", "reason": "InSync"}]


def said(conditions: tuple[Condition, ...]) -> Mapping[str, tuple[str, str]]:
    """Status and reason by type."""
    return {condition.type.value: (condition.status, condition.reason.value) for condition in conditions}


def conditions(world: PlanningWorld, domain: str = "x.fr", **options: Any) -> Mapping[str, tuple[str, str]]:
    """What is said about one domain."""
    return said(domain_conditions(world.plan_of(domain), world.health(), **options))


@pytest.fixture
def world() -> PlanningWorld:
    """One domain with two administrators who are entitled."""
    world = PlanningWorld()
    world.domain("x.fr")
    for name in ("ada", "bob"):
        world.admin(world.user(f"{name}@x.fr"), "x.fr")
        world.says(name, "x.fr")
    world.apply()
    return world


def test_in_sync(world: PlanningWorld) -> None:
    found = conditions(world)
    assert found["Ready"] == ("True", "InSync")
    assert found["Drifted"] == ("False", "NoDrift")
    assert found["Stalled"] == ("False", "Reconciled")
    assert found["Fresh"] == ("True", "Fresh")
    assert found["RevocationsHeld"] == ("False", "WithinLimits")


def test_observing_a_difference(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", mode="Observe")
    world.says("ada")
    found = conditions(world)
    assert found["Ready"] == ("True", "Observing")
    assert found["Drifted"] == ("True", "SuppressedByMode")


def test_held(world: PlanningWorld) -> None:
    world.later(minutes=10)
    world.all_say()
    world.confirm_and_apply()
    found = conditions(world)
    assert found["Ready"] == ("False", "RevocationsHeld")
    assert found["RevocationsHeld"] == ("True", "RevocationLimit")
    assert count(world.plan_of("x.fr")).held == 2


def test_a_missing_domain(world: PlanningWorld) -> None:
    world.domain("new.fr", row=False)
    found = conditions(world, "new.fr")
    assert found["Ready"] == ("False", "DomainMissing")
    assert found["Reconciling"] == ("True", "DomainMissing")
    assert found["Stalled"][0] == "False"


@pytest.mark.parametrize(
    ("name", "alias", "reason"), [("Y.fr", False, "DomainAmbiguous"), ("y.fr", True, "DomainAlias")]
)
def test_a_name_that_can_not_be_managed(world: PlanningWorld, name: str, alias: bool, reason: str) -> None:
    world.domain(name, alias=alias)
    found = conditions(world, "y.fr")
    assert found["Ready"] == ("False", reason)
    assert found["Stalled"] == ("True", reason)


def test_single_silent_users_do_not_matter(world: PlanningWorld) -> None:
    world.says("ada", verdict=Unavailable(AnswerReason.SERVER_ERROR))
    assert conditions(world)["Ready"] == ("True", "InSync")


def test_too_many_holders_without_an_answer(world: PlanningWorld) -> None:
    world.later(minutes=31)
    found = conditions(world)
    assert found["Ready"] == ("Unknown", "SourceStale")
    assert found["Fresh"] == ("False", "SourceStale")


def test_a_closed_pivot_makes_the_answers_stale(world: PlanningWorld) -> None:
    for name in ("ada", "bob"):
        world.says(name, verdict=Unknown(AnswerReason.NOT_ACTIVATED))
    assert conditions(world)["Ready"] == ("Unknown", "SourceStale")
    assert world.health()[source_key()].trouble is Reason.PIVOT_CLOSED
    assert not world.health()[source_key()].failed


def test_after_a_restart_missing_answers_are_not_stale_at_once(world: PlanningWorld) -> None:
    world.answers[source_key()].clear()
    world.states[source_key()] = {"settled": False, "gathered": False}
    assert conditions(world, before=BEFORE)["Ready"] == ("True", "InSync")
    assert conditions(world)["Ready"] == ("Unknown", "Progressing")
    assert conditions(world)["Reconciling"] == ("True", "Progressing")


def test_suspended_leaves_ready_as_it_was(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", suspend=True)
    found = conditions(world, before=BEFORE)
    assert found["Ready"] == ("True", "InSync")
    assert found["Reconciling"] == ("False", "Suspended")


def test_suspects_leave_ready_as_it_was(world: PlanningWorld) -> None:
    world.later(minutes=10)
    world.says("ada")
    world.apply()
    found = conditions(world, before=BEFORE)
    assert found["Ready"] == ("True", "InSync")
    assert found["Reconciling"] == ("True", "Suspected")


def test_a_refused_resource_is_stalled(world: PlanningWorld) -> None:
    world.domain("z.fr", sourceRefs=[{"name": "deploycenter", "namespace": "elsewhere"}])
    found = conditions(world, "z.fr")
    assert found["Ready"] == ("False", "NotAuthorized")
    assert found["Stalled"] == ("True", "NotAuthorized")


def test_a_plan_that_is_only_shown_is_not_in_sync(world: PlanningWorld) -> None:
    world.says(world.user("new@x.fr"), "x.fr")
    assert conditions(world, carried_out=False)["Ready"] == ("Unknown", "ChangesPending")
    assert conditions(world, carried_out=True)["Ready"] == ("True", "InSync")


@pytest.mark.parametrize(
    ("refusal", "trouble"),
    [
        (AnswerReason.UNAUTHENTICATED, "Unauthenticated"),
        (AnswerReason.CIRCUIT_OPEN, "CircuitOpen"),
        (AnswerReason.SECRET_MISSING, "SecretMissing"),
    ],
)
def test_a_source_says_why_it_is_not_reachable(world: PlanningWorld, refusal: AnswerReason, trouble: str) -> None:
    world.states[source_key()] = {"refusal": refusal}
    found = said(source_conditions(world.health()[source_key()], suspended=False, hold=None))
    assert found["Reachable"] == ("False", trouble)
    assert found["Ready"] == ("False", trouble)


@pytest.mark.parametrize(
    ("silent", "total", "verdict"),
    [
        (0, 0, False),
        (0, 9, False),
        (1, 1, True),
        (1, 2, False),
        (2, 10, True),
        (1, 10, False),
        (5, 100, False),
        (6, 100, True),
    ],
)
def test_more_than_five_percent_or_all_are_too_many(silent: int, total: int, verdict: bool) -> None:
    assert too_many(silent, total) is verdict


def test_a_wave_mostly_failed_when_more_than_half_did() -> None:
    assert not Tally(asked=4, entitled=2, malformed=1, unavailable=1).mostly_failed
    assert Tally(asked=5, entitled=2, malformed=1, unavailable=2).mostly_failed


def test_counts_are_those_after_the_pass(world: PlanningWorld) -> None:
    world.says(world.user("new@x.fr"), "x.fr")
    plan = world.plan_of("x.fr")
    assert count(plan).actual == 3
    assert count(plan, carried_out=False).actual == 2
    assert count(plan).foreign == 0


def test_frozen_leaves_ready_as_it_was_and_counts_what_is_left_undone(world: PlanningWorld) -> None:
    world.user("eve@x.fr")
    world.says("eve", "x.fr")
    world.freeze = Freeze()
    found = conditions(world, before=BEFORE)
    assert found["Ready"] == ("True", "InSync")
    assert found["Reconciling"] == ("False", "Frozen")
    assert world.plan_of("x.fr").suppressed_grants == 1


def test_a_frozen_source_says_so_and_goes_on_being_asked(world: PlanningWorld) -> None:
    health = world.health()[source_key()]
    found = said(source_conditions(health, suspended=False, frozen=True, hold=None))
    assert found["Ready"] == ("True", "Answering")
    assert found["Reconciling"] == ("False", "Frozen")

"""The Ready table of the design, line by line."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.planning.conditions import domain_conditions, held_condition, source_conditions
from controller.planning.facts import AnswerReason, Freeze, Unavailable, Unknown
from controller.planning.plan import DomainPlan
from controller.planning.sources import Tally, too_many
from controller.planning.status import count
from controller.resources.conditions import Condition, ConditionType, Reason
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


def _comes(world: PlanningWorld) -> DomainPlan:
    world.says(world.user("new@x.fr"), "x.fr")
    return world.plan_of("x.fr")


def _goes(world: PlanningWorld) -> DomainPlan:
    world.declared.clear()
    world.domain("x.fr", deniedAdmins=["bob@x.fr"])
    return world.plan_of("x.fr")


def _becomes_ours(world: PlanningWorld) -> DomainPlan:
    world.declared.clear()
    world.domain("x.fr", adoption="Matching")
    world.admin(world.user("new@x.fr"), "x.fr", owned=False)
    world.says("new", "x.fr")
    return world.plan_of("x.fr")


def _is_given_up(world: PlanningWorld) -> DomainPlan:
    world.declared.clear()
    world.domain("x.fr", mode="Withdraw")
    return world.plan_of("x.fr", approve=[hold.id for hold in world.plan().holds])


def _was_given_up(world: PlanningWorld) -> DomainPlan:
    _is_given_up(world)
    world.apply(approve=[hold.id for hold in world.plan().holds])
    return world.plan_of("x.fr")


PENDING, NO_DRIFT = "ChangesPending", ("False", "NoDrift")


@pytest.mark.parametrize(
    ("arrange", "shown", "drifted", "after"),
    [
        (_comes, ("Unknown", PENDING), ("True", PENDING), "InSync"),
        (_goes, ("Unknown", PENDING), ("True", PENDING), "InSync"),
        (_becomes_ours, ("Unknown", PENDING), NO_DRIFT, "InSync"),
        (_is_given_up, ("Unknown", PENDING), ("True", PENDING), "Withdrawn"),
        (_was_given_up, ("True", "Withdrawn"), NO_DRIFT, "Withdrawn"),
    ],
)
def test_a_plan_that_is_only_shown_has_changed_nothing_yet(
    world: PlanningWorld,
    arrange: Callable[[PlanningWorld], DomainPlan],
    shown: tuple[str, str],
    drifted: tuple[str, str],
    after: str,
) -> None:
    decided, health = arrange(world), world.health()
    found = said(domain_conditions(decided, health, carried_out=False))
    assert (found["Ready"], found["Drifted"]) == (shown, drifted)
    found = said(domain_conditions(decided, health))
    assert (found["Ready"], found["Drifted"]) == (("True", after), NO_DRIFT)


def test_a_single_row_that_is_granted_again_is_told(world: PlanningWorld) -> None:
    del world.rows[next(iter(world.rows))]
    assert conditions(world)["Drifted"] == ("True", "RowsRemoved")


@pytest.mark.parametrize("held", [True, False])
def test_a_wrong_canary_halts_whatever_is_held_and_no_approval_helps(world: PlanningWorld, *, held: bool) -> None:
    world.later(minutes=10)
    world.all_say()
    (hold,) = world.confirm_and_apply().holds
    halted = held_condition(hold if held else None, Reason.CANARY_WRONG)
    assert halted == Condition(ConditionType.REVOCATIONS_HELD, "True", Reason.CANARY_WRONG)


@pytest.mark.parametrize(
    ("refusal", "trouble", "stalled"),
    [
        (AnswerReason.UNAUTHENTICATED, "Unauthenticated", ("False", "Reconciled")),
        (AnswerReason.CIRCUIT_OPEN, "CircuitOpen", ("False", "Reconciled")),
        (AnswerReason.SECRET_MISSING, "SecretMissing", ("False", "Reconciled")),
        (AnswerReason.FEATURE_DISABLED, "FeatureDisabled", ("True", "FeatureDisabled")),
    ],
)
def test_a_source_says_why_it_is_not_reachable(
    world: PlanningWorld, refusal: AnswerReason, trouble: str, stalled: tuple[str, str]
) -> None:
    world.states[source_key()] = {"refusal": refusal}
    assert said(source_conditions(world.health()[source_key()], suspended=False, hold=None)) == {
        "Ready": ("False", trouble),
        "Reconciling": ("False", "Reconciled"),
        "Stalled": stalled,
        "Reachable": ("False", trouble),
        "RevocationsHeld": ("False", "WithinLimits"),
    }


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

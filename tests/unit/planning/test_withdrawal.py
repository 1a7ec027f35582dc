"""How a domain is given up: everything that is ours, after approval, whatever the sources say."""

from typing import Any

import pytest

from controller.planning.changes import Withdrawn
from controller.planning.conditions import domain_conditions
from controller.planning.facts import AnswerReason, CaseState, Pin, Unavailable
from controller.planning.health import examine
from controller.resources.names import DomainName
from tests.support.planning import START, PlanningWorld, source_key

SCOPE = "MailDomain default/x-fr"


def given_up(**spec: Any) -> PlanningWorld:
    """Two administrators of ours, one of somebody else's and one who is protected; the source names all of them."""
    world = PlanningWorld()
    world.domain("x.fr", mode="Withdraw", protectedAdmins=["dsi@x.fr"], **spec)
    for name in ("ada", "bob", "dsi", "eve"):
        world.admin(world.user(f"{name}@x.fr"), "x.fr", owned=name != "eve")
        world.says(name, "x.fr")
    return world


def test_nothing_goes_without_approval_and_everything_of_ours_with_it() -> None:
    world = given_up()
    decided = world.apply()
    assert [(str(hold.scope), hold.limit, hold.count) for hold in decided.holds] == [(SCOPE, "withdrawal", 2)]
    assert {item.reason for item in decided.domains[0].held} == {"Withdrawn"}
    assert not world.apply().changes, "it waits without a write"
    approved = world.apply(approve=[decided.holds[0].id])
    assert world.admins_of("x.fr") == {"dsi", "eve"}, "the protected one, and who is not ours"
    proofs = {item.access.id: item.proof for item in approved.changes.revocations}
    assert proofs == {case.access: Withdrawn(case) for case in decided.changes.cases}
    assert {(case.state, case.evidence) for case in world.cases.values()} == {(CaseState.EXECUTED, ())}
    assert not world.apply().changes


def test_what_a_person_has_restored_stays() -> None:
    world = given_up()
    row = next(row for row in world.rows.values() if row.user == "ada")
    world.pins[row.id] = Pin(row.id, row.domain, row.user, DomainName("x.fr"), START)
    (hold,) = world.apply().holds
    world.apply(approve=[hold.id])
    assert world.admins_of("x.fr") == {"ada", "dsi", "eve"}


@pytest.mark.parametrize("silence", ["answers", "wave", "complete", "canaries"])
def test_no_answer_of_a_source_is_needed(silence: str) -> None:
    world = given_up()
    if silence == "answers":
        world.answers[source_key()].clear()
    elif silence == "canaries":
        world.add_source(canaries=[{"email": "canari@x.fr", "domains": []}])
        world.states[source_key()] = {"canaries": {"canari@x.fr": Unavailable(AnswerReason.TIMEOUT)}}
    else:
        world.states[source_key()] = {"judging": False} if silence == "wave" else {"complete": False}
    (hold,) = world.apply().holds
    world.apply(approve=[hold.id])
    assert world.admins_of("x.fr") == {"dsi", "eve"}


def test_nobody_is_asked_again_about_what_a_person_decides_alone() -> None:
    world = given_up()
    world.says("ada")
    assert world.apply().ask_again == {}


def test_nobody_is_granted_or_adopted_meanwhile() -> None:
    world = given_up(adoption="All")
    world.says(world.user("new@x.fr"), "x.fr")
    decided = world.apply()
    assert not decided.changes.grants
    assert not decided.changes.adoptions
    assert decided.domains[0].suppressed == 0, "what does not come is no difference here"


def test_limits_neither_stop_a_withdrawal_nor_are_used_up_by_it() -> None:
    world = given_up(limits={"revocations": {"max": 0}, "minAdmins": 3})
    world.add_source(limits={"revocations": {"max": 1}})
    world.domain("y.fr")
    for name in ("yan", "yve"):
        world.admin(world.user(f"{name}@y.fr"), "y.fr")
        world.says(name, "y.fr")
    (hold,) = world.apply().holds
    world.apply(approve=[hold.id])
    assert world.admins_of("x.fr") == {"dsi", "eve"}
    world.says("yan")
    world.confirm_and_apply()
    assert world.admins_of("y.fr") == {"yve"}


def test_denied_administrators_go_at_once() -> None:
    world = given_up(deniedAdmins=["ada@x.fr"])
    assert [hold.count for hold in world.apply().holds] == [1]
    assert world.admins_of("x.fr") == {"bob", "dsi", "eve"}


def test_what_came_after_the_approval_waits_for_its_own() -> None:
    world = given_up()
    (hold,) = world.apply().holds
    world.admin(world.user("late@x.fr"), "x.fr")
    decided = world.apply(approve=[hold.id])
    assert world.admins_of("x.fr") == {"late", "dsi", "eve"}
    assert [rest.count for rest in decided.holds] == [1]


def test_a_domain_that_is_kept_after_all_closes_its_hold_and_its_cases() -> None:
    world = given_up()
    (hold,) = world.apply().holds
    world.declared.clear()
    world.domain("x.fr")
    assert not world.apply(approve=[hold.id]).holds
    assert world.admins_of("x.fr") == {"ada", "bob", "dsi", "eve"}
    assert not world.snapshot().cases


@pytest.mark.parametrize("stop", [{"suspend": True}, {"sourceRefs": [{"name": "nobody"}]}])
def test_a_domain_that_may_not_act_withdraws_nothing(stop: dict[str, object]) -> None:
    world = given_up(**stop)
    decided = world.apply()
    assert not decided.holds
    assert not decided.changes.revocations


def test_ready_says_what_waits_and_when_nothing_is_left_whatever_the_source_does() -> None:
    world = given_up()
    world.answers[source_key()].clear()
    (hold,) = world.apply().holds
    assert said(world) == {"Ready": ("False", "RevocationsHeld"), "RevocationsHeld": ("True", "Withdrawal")}
    world.apply(approve=[hold.id])
    assert said(world) == {"Ready": ("True", "Withdrawn"), "RevocationsHeld": ("False", "WithinLimits")}


def said(world: PlanningWorld) -> dict[str, tuple[str, str]]:
    """Ready and RevocationsHeld of the domain."""
    question = world.question()
    state = question.sources[source_key()]
    health = {source_key(): examine(state, (), list(world.users), question.snapshot, now=world.now)}
    found = domain_conditions(world.plan_of("x.fr"), health)
    return {
        condition.type.value: (condition.status, condition.reason.value)
        for condition in found
        if condition.type.value in ("Ready", "RevocationsHeld")
    }

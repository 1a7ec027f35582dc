"""When does a source's word about its canaries freeze its revocations?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.planning.changes import NotEntitled
from controller.planning.conditions import domain_conditions, source_conditions
from controller.planning.facts import (
    AnswerReason,
    CaseState,
    Entitled,
    Malformed,
    Partial,
    Unavailable,
    Unknown,
    Verdict,
)
from controller.planning.health import SourceHealth, examine
from controller.resources.names import DomainName, Email, ResourceKey
from tests.support.planning import PlanningWorld, source_key

X, Y = DomainName("x.fr"), DomainName("y.fr")
SINGS, SILENT = Email("canari@x.fr").key, Email("personne@x.fr").key
CANARIES = [{"email": "Canari@x.fr", "domains": ["x.fr"]}, {"email": "personne@x.fr", "domains": []}]
NOTHING = Entitled(frozenset())
RIGHT: dict[str, Verdict] = {SINGS: Entitled(frozenset({X})), SILENT: NOTHING}


def world(**heard: Verdict) -> PlanningWorld:
    """One administrator who has lost the right, and somebody who has gained it."""
    made = PlanningWorld()
    made.add_source(canaries=CANARIES)
    made.domain("x.fr")
    made.admin(made.user("ada@x.fr"), "x.fr")
    made.user("new@x.fr")
    made.says("ada")
    made.says("new", "x.fr")
    hear(made, heard or RIGHT)
    return made


def hear(made: PlanningWorld, heard: dict[str, Verdict]) -> None:
    made.states[source_key()] = {"canaries": heard}


WRONG: list[dict[str, Verdict]] = [
    {SINGS: NOTHING},
    {SINGS: Entitled(frozenset({Y}))},
    {SINGS: Entitled(frozenset({X, Y}))},
    {SINGS: Partial(frozenset({X}))},
    {SINGS: Unknown(AnswerReason.KEY_ABSENT)},
    {SINGS: Malformed(AnswerReason.NOT_JSON)},
    {SINGS: Unavailable(AnswerReason.TIMEOUT)},
    {SILENT: Entitled(frozenset({X}))},
    {SILENT: Unknown(AnswerReason.NO_ORGANIZATION)},
]


@pytest.mark.parametrize("heard", WRONG)
def test_a_wrong_canary_freezes_the_revocations_and_grants_go_on(heard: dict[str, Verdict]) -> None:
    made = world()
    hear(made, RIGHT | heard)
    made.confirm_and_apply()
    assert made.admins_of("x.fr") == {"ada", "new"}
    assert said(made) == {"source": "CanaryWrong", "domain": "CanaryWrong", "Ready": "RevocationsHeld"}


@pytest.mark.parametrize("missing", [SINGS, SILENT])
def test_a_canary_that_was_not_asked_about_freezes_without_a_word(missing: str) -> None:
    made = world()
    hear(made, {key: verdict for key, verdict in RIGHT.items() if key != missing})
    made.confirm_and_apply()
    assert made.admins_of("x.fr") == {"ada", "new"}
    assert said(made)["source"] == "WithinLimits"


def test_canaries_that_are_right_are_not_noticed() -> None:
    made = world()
    made.confirm_and_apply()
    assert made.admins_of("x.fr") == {"new"}
    assert said(made) == {"source": "WithinLimits", "domain": "WithinLimits", "Ready": "InSync"}


def test_a_domain_without_suspects_is_ready_while_its_source_is_frozen() -> None:
    made = world()
    made.says("ada", "x.fr")
    hear(made, RIGHT | {SINGS: NOTHING})
    made.apply()
    assert said(made) == {"source": "CanaryWrong", "domain": "CanaryWrong", "Ready": "InSync"}


def test_what_was_approved_waits_for_the_canary() -> None:
    made = world()
    made.declared.clear()
    made.domain("x.fr", limits={"minAdmins": 2})
    made.domain("y.fr")
    made.admin(made.user("zoe@y.fr"), "y.fr")
    (hold,) = made.confirm_and_apply().holds
    made.says("zoe")
    hear(made, RIGHT | {SINGS: NOTHING})
    made.repeat(minutes=1)
    decided = made.apply(approve=[hold.id])
    assert [(item.suspected, item.held) for item in decided.domains] == [(1, ()), (1, ())]
    assert made.admins_of("x.fr") == {"ada", "new"}
    assert {case.user: (case.state, case.hold) for case in made.cases.values()} == {
        "ada": (CaseState.APPROVED, hold.id),
        "zoe": (CaseState.CONFIRMED, None),
    }
    hear(made, RIGHT)
    made.repeat(minutes=1)
    made.apply(approve=[hold.id])
    assert made.admins_of("x.fr") == {"new"}


def test_what_plan_has_shown_may_be_approved_while_it_can_not_go() -> None:
    made = world()
    made.declared.clear()
    made.domain("x.fr", limits={"revocations": {"max": 0}})
    made.says("new")
    hear(made, RIGHT | {SINGS: NOTHING})
    (hold,) = made.plan().holds
    made.apply(approve=[hold.id])
    (case,) = made.cases.values()
    assert (case.state, case.hold) == (CaseState.APPROVED, hold.id)


@pytest.mark.parametrize(("asked_twice", "state"), [(True, CaseState.CONFIRMED), (False, CaseState.SUSPECTED)])
def test_a_case_whose_hold_is_over_goes_on_as_what_it_is(*, asked_twice: bool, state: CaseState) -> None:
    made = world()
    made.declared.clear()
    made.domain("x.fr", limits={"revocations": {"max": 0}})
    made.says("new")
    (hold,) = (made.confirm_and_apply() if asked_twice else made.apply()).holds
    (case,) = made.cases.values()
    assert (case.state, case.hold) == (CaseState.HELD, hold.id)
    made.declared.clear()
    made.domain("x.fr")
    hear(made, RIGHT | {SINGS: NOTHING})
    assert not made.apply().holds
    (case,) = made.cases.values()
    assert (case.state, case.hold) == (state, None)


def test_the_canary_of_one_of_two_sources_freezes_the_domain() -> None:
    made = world()
    made.add_source("second")
    made.declared.clear()
    made.domain("x.fr", sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    made.all_say(source="second")
    hear(made, RIGHT | {SINGS: NOTHING})
    made.confirm_and_apply()
    assert "ada" in made.admins_of("x.fr")


def test_denied_administrators_go_nevertheless() -> None:
    made = world()
    made.declared.clear()
    made.domain("x.fr", deniedAdmins=["ada@x.fr"])
    hear(made, RIGHT | {SINGS: NOTHING})
    made.apply()
    assert made.admins_of("x.fr") == {"new"}


@given(
    heard=st.dictionaries(
        st.sampled_from([SINGS, SILENT]),
        st.sampled_from([NOTHING, RIGHT[SINGS], *(w for d in WRONG for w in d.values())]),
    )
)
def test_nothing_is_revoked_unless_every_canary_is_right(heard: dict[str, Verdict]) -> None:
    made = world()
    hear(made, heard)
    made.apply()
    made.repeat(seconds=31)
    decided = made.apply()
    revoked = [item for item in decided.changes.revocations if isinstance(item.proof, NotEntitled)]
    assert bool(revoked) == (heard == RIGHT)


def said(made: PlanningWorld) -> dict[str, str]:
    """Why revocations are held, on the source and on its domain, and how ready the domain is."""
    question = made.question()
    state = question.sources[source_key()]
    health: dict[ResourceKey, SourceHealth] = {
        source_key(): examine(state, state.answers.values(), (), question.snapshot, now=made.now)
    }
    domain = domain_conditions(made.plan_of("x.fr"), health)
    source = source_conditions(health[source_key()], suspended=False, hold=None)
    found = {"source": source[-1], "domain": domain[-1], "Ready": domain[0]}
    return {place: condition.reason.value for place, condition in found.items()}

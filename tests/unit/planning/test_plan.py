"""Which rows change, and which stay: the rules of the plan, one test each."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controller.planning.changes import Changes, Denied, Grant, NotEntitled, Revocation
from controller.planning.facts import (
    AnswerReason,
    CaseState,
    DomainId,
    Evidence,
    Freeze,
    MailDomainRow,
    Malformed,
    Partial,
    Pin,
    Unavailable,
    Unknown,
    UserId,
    Verdict,
)
from controller.resources.names import DomainName, Email
from tests.support.planning import START, PlanningWorld, source_key

SILENT: list[Verdict] = [
    Partial(frozenset()),
    Unknown(AnswerReason.KEY_ABSENT),
    Malformed(AnswerReason.WRONG_SHAPE),
    Unavailable(AnswerReason.TIMEOUT),
]


@pytest.fixture
def world() -> PlanningWorld:
    """One domain, two active users, one source."""
    world = PlanningWorld()
    world.user("ada@x.fr")
    world.user("bob@x.fr")
    world.domain("x.fr")
    return world


def test_a_missing_access_is_granted(world: PlanningWorld) -> None:
    world.says("ada", "x.fr")
    decided = world.apply()
    assert world.admins_of("x.fr") == {"ada"}
    assert decided.changes.grants == (Grant(DomainId("x.fr"), DomainName("x.fr"), UserId("ada"), (source_key(),)),)


def test_in_sync_means_no_change_at_all(world: PlanningWorld) -> None:
    world.says("ada", "x.fr")
    world.says("bob")
    world.apply()
    assert world.plan().changes == Changes()


def test_a_stale_access_is_revoked_after_a_second_ask(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    first = world.apply()
    assert world.admins_of("x.fr") == {"ada"}
    assert first.ask_again == {source_key(): frozenset({"ada"})}
    world.repeat(seconds=31)
    world.apply()
    assert world.admins_of("x.fr") == set()


def test_a_case_keeps_what_every_source_said_last(world: PlanningWorld) -> None:
    world.add_source("second", confirmRevocations={"after": "0s"})
    world.declared.clear()
    world.domain("x.fr", sourceRefs=[{"name": "deploycenter"}, {"name": "second"}], limits={"minAdmins": 1})
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("ada", "other.fr", source="second")
    answers = world.answers[source_key("second")]
    answers[UserId("ada")] = replace(answers[UserId("ada")], siret="21590350100017")
    world.apply()
    (case,) = world.cases.values()
    first, second = (
        Evidence(source_key(), "Entitled", 0),
        Evidence(source_key("second"), "Entitled", 1, "21590350100017"),
    )
    assert (case.state, case.evidence) == (CaseState.SUSPECTED, (first, second))
    assert len(case.id) == 32, "as wide as its column"
    assert world.plan().ask_again == {source_key(): {"ada"}}, "the second needs no second ask"
    world.repeat(seconds=31)
    world.says("ada", "other.fr", "more.fr", source="second")
    world.apply()
    (case,) = world.cases.values()
    second = Evidence(source_key("second"), "Entitled", 2)
    assert (case.state, case.evidence) == (CaseState.HELD, (first, second))
    world.says("ada", "other.fr", source="second")
    (removal,) = world.plan(approve=[case.hold or ""]).changes.revocations
    assert isinstance(removal.proof, NotEntitled)
    assert removal.proof.case == case
    assert (removal.name, removal.sources) == ("x.fr", (source_key(), source_key("second")))
    assert removal.proof.evidence == (first, Evidence(source_key("second"), "Entitled", 1)), "not of before"


def test_who_is_still_to_be_asked_again_is_found_behind_others(world: PlanningWorld) -> None:
    for name in ("ada", "bob"):
        world.admin(name, "x.fr")
        world.says(name)
    world.apply()
    world.says("ada", verdict=Unavailable(AnswerReason.TIMEOUT))
    assert world.plan().ask_again == {source_key(): {"bob"}}


@pytest.mark.parametrize(("wait", "left"), [("0s", set()), ("31s", {"ada"}), ("32s", {"ada"})])
def test_the_time_between_two_asks_can_be_overridden(world: PlanningWorld, wait: str, left: set[str]) -> None:
    after = timedelta(seconds=int(wait.removesuffix("s")))
    world.admin("ada", "x.fr")
    world.says("ada")
    world.apply(confirm_after=after)
    assert world.admins_of("x.fr") == left
    world.repeat(seconds=31)
    world.apply(confirm_after=after)
    assert world.admins_of("x.fr") == ({"ada"} if wait == "32s" else set())


def test_a_second_ask_that_comes_too_early_confirms_nothing(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.apply()
    world.repeat(seconds=29)
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_confirmation_can_be_switched_off(world: PlanningWorld) -> None:
    world.add_source(confirmRevocations={"after": "0s"})
    world.admin("ada", "x.fr")
    world.says("ada")
    world.apply()
    assert world.admins_of("x.fr") == set()


@pytest.mark.parametrize("verdict", SILENT, ids=lambda verdict: type(verdict).__name__)
def test_only_a_whole_list_revokes(world: PlanningWorld, verdict: Verdict) -> None:
    world.admin("ada", "x.fr")
    world.says("ada", verdict=verdict)
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_no_answer_keeps_the_row(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_the_readable_names_of_a_partial_answer_grant(world: PlanningWorld) -> None:
    world.says("ada", verdict=Partial(frozenset({DomainName("x.fr")})))
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_failure_between_two_asks_breaks_the_confirmation(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.apply()
    world.later(seconds=20)
    world.says("ada", verdict=Unavailable(AnswerReason.TIMEOUT))
    world.later(seconds=20)
    world.says("ada")
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_right_that_reappears_closes_its_case(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.apply()
    world.later(seconds=40)
    world.says("ada", "x.fr")
    world.apply()
    assert not world.snapshot().cases
    world.later(seconds=1)
    world.says("ada")
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}, "the confirmation starts anew"


def test_an_answer_older_than_stale_after_decides_nothing(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    world.later(minutes=30)
    assert world.plan().changes.grants, "it is not older"
    assert world.plan().changes.cases
    world.later(seconds=1)
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}
    assert not world.cases


def test_an_answer_about_another_email_is_no_answer(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.repeat(seconds=31)
    world.user("ada.byron@x.fr", name="ada")
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_one_silent_source_of_two_keeps_the_row(world: PlanningWorld) -> None:
    world.add_source("second")
    world.declared.clear()
    world.domain("x.fr", sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("ada", source="second", verdict=Unavailable(AnswerReason.CONNECTION))
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_any_source_of_two_grants_and_keeps(world: PlanningWorld) -> None:
    world.add_source("second")
    world.declared.clear()
    world.domain("x.fr", sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    world.says("ada", "x.fr", source="second")
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_row_made_by_hand_is_never_removed(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr", owned=False)
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_second_row_in_place_of_ours_is_not_ours(world: PlanningWorld) -> None:
    ours = world.admin("ada", "x.fr")
    del world.rows[ours.id]
    world.admin("ada", "x.fr", owned=False)
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}
    assert not world.ledger, "the entry of the row that is gone is forgotten"


def test_authoritative_removes_rows_made_by_hand(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", ownership="Authoritative")
    world.admin("ada", "x.fr", owned=False)
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == set()


def test_a_matching_row_is_adopted_and_can_be_revoked_later(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr", owned=False)
    world.says("ada", "x.fr")
    assert world.apply().changes.adoptions
    world.later(minutes=1)
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == set()


def test_adoption_never_leaves_matching_rows_foreign(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", adoption="Never")
    world.admin("ada", "x.fr", owned=False)
    world.says("ada", "x.fr")
    assert not world.plan().changes.adoptions


@pytest.mark.parametrize(
    ("mode", "admins"), [("Observe", {"ada"}), ("GrantOnly", {"ada", "bob"}), ("Enforce", {"bob"})]
)
def test_the_mode_filters_what_is_carried_out(world: PlanningWorld, mode: str, admins: set[str]) -> None:
    world.declared.clear()
    world.domain("x.fr", mode=mode)
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == admins


def test_what_the_mode_suppresses_is_counted(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", mode="Observe")
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    decided = world.plan_of("x.fr")
    assert (decided.suppressed_grants, decided.suppressed_revocations, decided.suppressed) == (1, 1, 2)
    assert not world.plan().changes.cases


def test_a_denied_administrator_whom_the_mode_leaves_is_counted(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", mode="GrantOnly", deniedAdmins=["bob@x.fr"])
    for name in ("ada", "bob"):
        world.admin(name, "x.fr")
        world.says(name)
    assert world.plan_of("x.fr").suppressed_revocations == 2


def test_while_everything_is_frozen_no_change_is_planned_and_what_is_held_stays(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", limits={"maxAdmins": 1})
    world.admin("ada", "x.fr")
    world.says("ada", "x.fr")
    world.says("bob", "x.fr")
    held = world.apply().holds
    world.domain("y.fr")
    world.says("bob", "x.fr", "y.fr")
    world.freeze = Freeze()
    frozen = world.plan()
    assert (frozen.changes, frozen.holds, len(held)) == (Changes(), held, 1)


def test_as_if_shows_what_another_mode_would_do(world: PlanningWorld) -> None:
    from controller.resources.maildomain import Mode  # noqa: PLC0415  # only here

    world.declared.clear()
    world.domain("x.fr", mode="Observe")
    world.says("bob", "x.fr")
    assert world.plan_of("x.fr", as_if=Mode.ENFORCE).grants


def test_leaving_enforce_closes_the_open_cases(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.apply()
    world.declared.clear()
    world.domain("x.fr", mode="GrantOnly")
    world.apply()
    assert not world.snapshot().cases


def test_a_suspended_domain_writes_nothing(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", suspend=True, deniedAdmins=["ada@x.fr"])
    world.admin("ada", "x.fr")
    world.says("bob", "x.fr")
    decided = world.plan()
    assert not decided.changes.grants
    assert not decided.changes.revocations
    assert not decided.changes.cases


def test_a_domain_that_is_refused_is_shown_as_it_is_declared(world: PlanningWorld) -> None:
    world.domain("y.fr", mode="GrantOnly", suspend=True, sourceRefs=[{"name": "gone"}])
    world.domain("z.fr", mode="Observe", sourceRefs=[{"name": "gone"}])
    shown = [(item.mode, item.suspended, item.standing.admitted) for item in world.plan().domains]
    assert shown == [("Enforce", None, True), ("GrantOnly", "Suspended", False), ("Observe", None, False)]


def test_a_suspended_source_holds(world: PlanningWorld) -> None:
    world.add_source(suspend=True)
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_protected_administrator_is_never_revoked(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", protectedAdmins=["ADA@X.fr"])
    world.admin("ada", "x.fr")
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_who_stays_for_another_reason_than_an_answer_is_counted(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", protectedAdmins=["ada@x.fr"])
    world.admin("ada", "x.fr")
    for name in ("bob", "eve"):
        row = world.admin(name if name == "bob" else world.user("eve@x.fr"), "x.fr")
        world.pins[row.id] = Pin(row.id, row.domain, row.user, DomainName("x.fr"), START)
    found = world.plan_of("x.fr").difference
    assert (found.protected, found.pinned) == (1, 2)


def test_a_protected_administrator_who_matches_nobody_is_visible(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", protectedAdmins=["nobody@x.fr"])
    assert world.plan_of("x.fr").difference.pending == 1


def test_a_denied_administrator_goes_at_once_whoever_made_the_row(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", deniedAdmins=["ada@x.fr"], limits={"minAdmins": 1})
    row = world.admin("ada", "x.fr", owned=False)
    world.says("ada", "x.fr")
    decided = world.apply()
    assert world.admins_of("x.fr") == set()
    assert decided.changes.revocations == (Revocation(row, DomainName("x.fr"), (source_key(),), Denied()),)
    assert not world.plan().changes.grants, "and is never granted again"


def test_inactive_users_are_never_granted_and_keep_what_they_have(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    world.user("ada@x.fr", active=False)
    world.user("bob@x.fr", active=False)
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_an_email_of_two_active_users_grants_nothing_and_still_revokes(world: PlanningWorld) -> None:
    world.user("Bob@X.fr", name="bob-again")
    world.says("bob", "x.fr")
    world.says("bob-again", "x.fr")
    decided = world.plan_of("x.fr")
    assert not decided.grants
    assert decided.difference.ambiguous == 1
    world.admin("bob", "x.fr")
    world.later(seconds=1)
    world.says("bob")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == set()


def test_an_ambiguous_holder_who_is_named_keeps_the_row(world: PlanningWorld) -> None:
    world.user("bob@x.fr", name="bob-again")
    world.admin("bob", "x.fr")
    world.says("bob", "x.fr")
    world.says("bob-again", "x.fr")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"bob"}


def test_an_inactive_twin_makes_nobody_ambiguous(world: PlanningWorld) -> None:
    world.user("bob@x.fr", name="bob-again", active=False)
    world.says("bob", "x.fr")
    world.apply()
    assert world.admins_of("x.fr") == {"bob"}


def test_the_kelvin_sign_matches_nobody() -> None:
    assert Email("\u212aim@x.fr").key != Email("kim@x.fr").key


def test_a_row_of_another_role_is_neither_promoted_nor_removed(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr", admin=False)
    world.admin("bob", "x.fr", admin=False)
    world.says("ada", "x.fr")
    world.says("bob")
    world.confirm_and_apply()
    assert not world.admins_of("x.fr")
    assert len(world.rows) == 2


def test_an_undeclared_domain_is_never_touched(world: PlanningWorld) -> None:
    world.domains["other.fr"] = MailDomainRow(DomainId("other.fr"), "other.fr", alias=False)
    world.admin("ada", "other.fr")
    world.says("ada")
    world.says("bob", "other.fr")
    world.confirm_and_apply()
    assert world.admins_of("other.fr") == {"ada"}


def test_a_domain_without_a_row_is_pending_until_it_appears(world: PlanningWorld) -> None:
    world.domain("new.fr", row=False)
    world.says("ada", "new.fr")
    assert world.plan_of("new.fr").difference.pending == 1
    assert not world.plan().changes.grants
    world.declared.pop()
    world.domain("new.fr")
    world.apply()
    assert world.admins_of("new.fr") == {"ada"}


def test_who_would_administer_a_domain_without_a_row_is_counted(world: PlanningWorld) -> None:
    world.user("Bob@x.fr", name="bob-again")
    world.domain("new.fr", row=False)
    world.all_say("new.fr")
    found = world.plan_of("new.fr").difference
    assert found.desired == {"ada"}
    assert (found.pending, found.ambiguous) == (1, 1)


def test_a_row_that_is_no_domain_name_hides_no_other(world: PlanningWorld) -> None:
    world.domains = {"no name": MailDomainRow(DomainId("no name"), "no name", alias=False), **world.domains}
    world.says("ada", "x.fr")
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_twin_that_is_not_canonical_never_stands_in(world: PlanningWorld) -> None:
    world.domain("Y.fr")
    world.says("ada", "y.fr")
    decided = world.plan_of("y.fr")
    assert decided.difference.located.missing == "DomainAmbiguous"
    assert not decided.grants


def test_the_canonical_row_is_used_beside_its_twin(world: PlanningWorld) -> None:
    world.domain("Y.fr")
    world.declared.pop()
    world.domain("y.fr")
    world.says("ada", "y.fr")
    world.apply()
    assert world.admins_of("y.fr") == {"ada"}
    assert world.admins_of("Y.fr") == set()


def test_an_alias_gets_nothing(world: PlanningWorld) -> None:
    world.domain("alias.fr", alias=True)
    world.says("ada", "alias.fr")
    assert world.plan_of("alias.fr").difference.located.missing == "DomainAlias"
    assert not world.plan().changes.grants


def test_an_undeclared_domain_in_an_answer_changes_nothing_else(world: PlanningWorld) -> None:
    world.says("ada", "x.fr", "unknown.fr")
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_static_grants_to_nobody_are_pending() -> None:
    world = PlanningWorld()
    world.add_source(provider={"static": {"grants": [{"email": "new@x.fr", "domains": ["x.fr"]}]}})
    world.domain("x.fr")
    assert world.plan_of("x.fr").difference.pending == 1


def test_an_owned_row_that_somebody_deleted_is_restored_while_entitled(world: PlanningWorld) -> None:
    row = world.admin("ada", "x.fr")
    del world.rows[row.id]
    world.says("ada", "x.fr")
    world.says("bob", "x.fr")
    world.says(world.user("eve@x.fr"), "x.fr")
    (planned,) = world.apply().domains
    assert world.admins_of("x.fr") == {"ada", "bob", "eve"}
    assert (len(planned.grants), planned.restored) == (3, 1)
    assert row.id not in world.ledger


def test_between_waves_grants_go_and_revocations_wait(world: PlanningWorld) -> None:
    world.states[source_key()] = {"judging": False}
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada", "bob"}
    world.states.clear()
    world.apply()
    assert world.admins_of("x.fr") == {"bob"}


def test_nothing_is_revoked_before_a_source_has_completed_a_wave(world: PlanningWorld) -> None:
    world.states[source_key()] = {"complete": False}
    world.admin("ada", "x.fr")
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}


def test_a_case_confirmed_before_a_restart_needs_one_more_ask_only(world: PlanningWorld) -> None:
    world.states[source_key()] = {"judging": False}
    world.admin("ada", "x.fr")
    world.says("ada")
    world.confirm_and_apply()
    world.answers[source_key()].clear()
    world.states.clear()
    world.apply()
    assert world.admins_of("x.fr") == {"ada"}, "an answer of this process is needed"
    world.later(minutes=1)
    world.says("ada")
    world.apply()
    assert world.admins_of("x.fr") == set()


def test_the_same_question_gives_the_same_plan(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    assert world.plan() == world.plan()


def test_what_is_ours_and_settled_is_held_once_where_it_is_the_same(world: PlanningWorld) -> None:
    """In nearly each of ten thousand domains."""
    world.admin("ada", "x.fr")
    world.says("ada", "x.fr")
    difference = world.plan_of("x.fr").difference
    assert difference.owned
    assert difference.settled is difference.owned

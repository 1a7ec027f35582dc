"""What the limits hold, what an approval lets through, and what neither does."""

import pytest

from controller.planning.facts import AnswerReason, Scope, Unavailable
from controller.planning.guard import Approvals
from controller.planning.plan import plan
from tests.support.planning import PlanningWorld, source_key, town


def everybody_loses_everything(world: PlanningWorld) -> None:
    """The source says `[]` for all."""
    world.later(minutes=10)
    world.all_say()


@pytest.mark.parametrize(("domains", "admins"), [(1, 2), (1, 40), (60, 1), (60, 3), (400, 1)])
def test_a_mass_removal_is_held_before_its_first_row_is_gone(domains: int, admins: int) -> None:
    world = town(domains, admins)
    everybody_loses_everything(world)
    decided = world.confirm_and_apply()
    assert len(world.rows) == domains * admins
    assert decided.holds
    assert {(domain.suspected, len(domain.held)) for domain in decided.domains} == {(0, admins)}
    assert not decided.changes.revocations


def test_a_source_hold_covers_all_its_cases_and_needs_no_second_hold() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    decided = world.confirm_and_apply()
    (hold,) = decided.holds
    assert str(hold.scope) == "EntitlementSource default/deploycenter"
    assert hold.limit == "revocations 25% in 24h"
    assert hold.count == 120


def test_what_any_source_holds_its_domain_need_not() -> None:
    world = town(1, 2, sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    world.add_source(limits={"revocations": {"max": 0}})
    world.add_source("second")
    for name in ("deploycenter", "second"):
        world.all_say(source=name)
    assert [str(hold.scope) for hold in world.confirm_and_apply().holds] == ["EntitlementSource default/deploycenter"]


def test_a_hold_is_the_same_at_the_next_wave_and_nothing_is_written() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    first = world.confirm_and_apply()
    world.repeat(minutes=10)
    again = world.apply()
    assert again.holds == first.holds
    assert not again.changes


def test_a_few_revocations_pass() -> None:
    world = town(60, 2)
    world.later(minutes=10)
    for number in range(5):
        world.says(f"u{number:05d}-0")
    world.confirm_and_apply()
    assert len(world.rows) == 115


def test_a_trickle_over_many_waves_is_held_as_one() -> None:
    world = town(30, 2)
    for number in range(30):
        world.later(minutes=10)
        world.repeat(seconds=1)
        world.says(f"u{number:05d}-0")
        world.confirm_and_apply()
    assert len(world.rows) == 60 - 15, "25 % of 60 within a day"
    assert world.snapshot().holds


def test_the_window_lets_go_after_its_time() -> None:
    world = town(30, 2)
    for number in range(20):
        world.repeat(hours=2)
        world.says(f"u{number:05d}-0")
        world.confirm_and_apply()
    assert len(world.rows) == 40, "twelve a day never exceed 25 % of 60"


@pytest.mark.parametrize("forgotten", ["the declaration", "the source"])
def test_a_domain_that_is_gone_from_a_source_takes_nothing_off_its_count(forgotten: str) -> None:
    world = town(60, 2)
    world.add_source("other")
    world.later(minutes=10)
    for number in range(15):
        world.says(f"u{number:05d}-0")
    world.confirm_and_apply()
    assert len(world.rows) == 105
    world.declared = world.declared[15:]
    for number in range(15) if forgotten == "the source" else ():
        world.domain(f"d{number:05d}.fr", row=False, sourceRefs=[{"name": "other"}])
    world.repeat(minutes=10)
    for number in range(20, 40):
        world.says(f"u{number:05d}-0")
    decided = world.confirm_and_apply()
    assert len(world.rows) == 105, "15 and 20 are more than a quarter of 105"
    assert [hold.count for hold in decided.holds] == [20]


def test_a_small_domain_may_always_lose_one() -> None:
    world = town(1, 1)
    everybody_loses_everything(world)
    world.confirm_and_apply()
    assert not world.rows


def test_a_limit_of_zero_percent_allows_none() -> None:
    world = town(1, 3, limits={"revocations": {"max": "0%"}})
    world.says("u00000-0")
    decided = world.confirm_and_apply()
    assert len(world.rows) == 3
    assert decided.holds[0].limit == "revocations 0% in 24h"


def test_a_plain_number_is_a_count() -> None:
    world = town(1, 9, limits={"revocations": {"max": 2}})
    for place in range(2):
        world.says(f"u00000-{place}")
    world.confirm_and_apply()
    assert len(world.rows) == 7
    world.later(minutes=10)
    world.says("u00000-5")
    world.confirm_and_apply()
    assert len(world.rows) == 7


@pytest.mark.parametrize("passes", [1, 2])
def test_a_team_may_be_replaced(passes: int) -> None:
    world = town(1, 4)
    world.add_source(confirmRevocations={"after": "0s" if passes == 1 else "30s"})
    for place in range(4):
        world.says(f"u00000-{place}")
        world.says(world.user(f"new{place}@d00000.fr"), "d00000.fr")
    for _ in range(passes):
        world.apply()
        world.repeat(seconds=31)
    assert world.admins_of("d00000.fr") == {"new0", "new1", "new2", "new3"}


@pytest.mark.parametrize(("seconds", "left"), [(24 * 3600 - 1, 1), (24 * 3600, 3)])
def test_who_came_before_the_window_makes_no_room_in_it(seconds: int, left: int) -> None:
    world = town(1, 2, limits={"revocations": {"max": 1}})
    world.add_source(confirmRevocations={"after": "0s"})
    world.says(world.user("new@d00000.fr"), "d00000.fr")
    world.apply()
    world.repeat(seconds=seconds)
    for place in range(2):
        world.says(f"u00000-{place}")
    world.apply()
    assert len(world.rows) == left


def test_rows_granted_today_do_not_make_room_for_their_own_removal() -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    for place in range(4):
        world.says(world.user(f"u{place}@x.fr"), "x.fr")
    world.apply()
    everybody_loses_everything(world)
    world.confirm_and_apply()
    assert len(world.rows) == 4


def test_min_admins_holds_what_would_go_below() -> None:
    world = town(1, 3, limits={"minAdmins": 3})
    world.says("u00000-0")
    decided = world.confirm_and_apply()
    assert len(world.rows) == 3
    assert [(str(hold.scope), hold.limit) for hold in decided.holds] == [
        ("MailDomain default/d00000-fr", "minAdmins 3")
    ]


def test_who_comes_stays_in_the_place_of_who_goes() -> None:
    world = town(1, 2, limits={"minAdmins": 2})
    world.add_source(confirmRevocations={"after": "0s"})
    world.says("u00000-0")
    world.says(world.user("new@d00000.fr"), "d00000.fr")
    world.apply()
    assert world.admins_of("d00000.fr") == {"u00000-1", "new"}


def test_who_is_denied_counts_no_more() -> None:
    world = town(1, 3, limits={"minAdmins": 2}, deniedAdmins=["u00000-2@d00000.fr"])
    world.add_source(confirmRevocations={"after": "0s"})
    world.says("u00000-0")
    assert [hold.limit for hold in world.apply().holds] == ["minAdmins 2"]
    assert world.admins_of("d00000.fr") == {"u00000-0", "u00000-1"}


def test_max_admins_holds_grants_and_lets_revocations_pass() -> None:
    world = town(1, 3, limits={"maxAdmins": 4})
    world.says("u00000-0")
    for place in range(4):
        world.says(world.user(f"new{place}@d00000.fr"), "d00000.fr")
    decided = world.confirm_and_apply()
    assert world.admins_of("d00000.fr") == {"u00000-1", "u00000-2"}
    (hold,) = decided.holds
    assert hold.limit == "maxAdmins 4"
    world.apply(approve=[hold.id])
    assert len(world.rows) == 6


def test_grants_pass_while_revocations_are_held() -> None:
    world = town(1, 4)
    everybody_loses_everything(world)
    world.says(world.user("new@d00000.fr"), "d00000.fr")
    world.confirm_and_apply()
    assert len(world.rows) == 5


def test_an_approval_executes_exactly_what_was_held() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    world.repeat(minutes=10)
    decided = world.apply(approve=[hold.id])
    assert not world.rows
    assert world.snapshot().spent_holds == {hold.id}
    assert {case.hold for case in decided.changes.cases} == {hold.id}, "who looks later sees what let it go"


def test_an_approval_waits_for_those_who_can_not_go_yet() -> None:
    world = town(60, 2)
    world.add_source("second")
    world.declared.pop()
    world.domain("d00059.fr", sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    everybody_loses_everything(world)
    world.all_say(source="second")
    world.states[source_key("second")] = {"complete": False}
    (hold,) = world.confirm_and_apply().holds
    world.repeat(minutes=10)
    world.apply(approve=[hold.id])
    (rest,) = world.snapshot().holds
    assert (rest.id, rest.approved) == (hold.id, True)
    assert {(access.domain, access.user) for access in rest.accesses} == {
        ("d00059.fr", "u00059-0"),
        ("d00059.fr", "u00059-1"),
    }
    world.states.clear()
    world.repeat(minutes=10)
    world.apply()
    assert not world.rows
    assert world.snapshot().spent_holds == {hold.id}


@pytest.mark.parametrize(
    ("scope", "approved"),
    [
        (Scope("EntitlementSource", source_key()), True),
        (Scope("EntitlementSource", source_key("other")), False),
        (Scope("MailDomain", source_key()), False),
    ],
)
def test_an_annotation_approves_on_the_object_whose_limit_tripped(scope: Scope, *, approved: bool) -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    decided = plan(world.question(approvals=Approvals(by_object={scope: hold.id})))
    assert len(decided.changes.revocations) == (120 if approved else 0)
    assert not plan(world.question(approvals=Approvals(by_object={scope: "another"}))).changes.revocations


def test_two_sources_that_hold_the_same_ask_for_an_approval_each() -> None:
    never = {"revocations": {"max": 0}}
    world = town(1, 2, sourceRefs=[{"name": "deploycenter"}, {"name": "second"}], limits={"revocations": {"max": 9}})
    world.add_source(limits=never)
    world.add_source("second", limits=never)
    for name in ("deploycenter", "second"):
        world.all_say(source=name)
    assert len(world.plan().holds) == 2
    one, other = world.confirm_and_apply().holds
    assert one.accesses == other.accesses
    assert (len(one.id), len(other.id), one.id == other.id) == (12, 12, False)
    for approved, left in (([one.id], 2), ([other.id], 2), ([one.id, other.id], 0)):
        assert 2 - len(world.plan(approve=approved).changes.revocations) == left


def test_an_approval_does_not_cover_what_came_later() -> None:
    world = town(60, 3)
    everybody_loses_everything(world)
    for number in range(60):
        world.says(f"u{number:05d}-0", f"d{number:05d}.fr")
    (hold,) = world.confirm_and_apply().holds
    assert hold.count == 120
    world.later(minutes=10)
    world.all_say()
    world.confirm_and_apply(approve=[hold.id])
    assert len(world.rows) == 60, "the sixty that came later wait for their own approval"


def test_an_id_approves_only_once() -> None:
    world = town(1, 2)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    world.repeat(minutes=10)
    world.apply(approve=[hold.id])
    assert not world.rows
    world.repeat(hours=25)
    world.apply()
    for user in list(world.users):
        world.admin(user, "d00000.fr")
    world.confirm_and_apply(approve=[hold.id])
    assert len(world.rows) == 2


def test_a_hold_expires_after_a_day_and_a_new_one_takes_its_place() -> None:
    world = town(1, 2)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    world.repeat(seconds=24 * 3600 - 31)
    (fresh,) = world.apply().holds
    assert fresh.id != hold.id
    world.repeat(minutes=1)
    world.apply(approve=[hold.id])
    assert len(world.rows) == 2


def test_what_plan_has_shown_can_be_approved_before_anything_is_recorded() -> None:
    world = town(1, 2)
    world.add_source(confirmRevocations={"after": "0s"})
    everybody_loses_everything(world)
    (hold,) = world.plan().holds
    assert not world.apply(approve=[hold.id]).holds
    assert not world.rows
    assert world.snapshot().spent_holds == {hold.id}


def test_an_approval_is_used_up_also_when_some_of_the_rights_are_back() -> None:
    world = town(1, 3)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    world.says("u00000-2", "d00000.fr")
    world.repeat(minutes=10)
    world.apply(approve=[hold.id])
    assert world.admins_of("d00000.fr") == {"u00000-2"}
    assert world.snapshot().spent_holds == {hold.id}
    world.all_say()
    world.confirm_and_apply(approve=[hold.id])
    assert world.admins_of("d00000.fr") == {"u00000-2"}


def test_a_hold_keeps_its_id_while_it_shrinks_and_its_time_when_it_grows() -> None:
    world = town(1, 4)
    everybody_loses_everything(world)
    first = world.time
    (hold,) = world.apply().holds
    assert (hold.since, hold.count) == (first, 4)
    world.repeat(minutes=10)
    world.says("u00000-0", "d00000.fr")
    (fewer,) = world.apply().holds
    assert (fewer.id, fewer.since, fewer.count) == (hold.id, first, 3)
    world.says("u00000-0")
    world.repeat(minutes=10)
    (more,) = world.apply().holds
    assert (more.id == hold.id, more.since, more.count) == (False, first, 4)
    world.declared.clear()
    world.domain("d00000.fr", limits={"revocations": {"max": "30%"}})
    (renamed,) = world.apply().holds
    assert (renamed.id, renamed.limit) == (more.id, "revocations 30% in 24h"), "it says what trips now"


def test_a_hold_closes_when_the_rights_are_back() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    world.confirm_and_apply()
    world.later(minutes=10)
    for row in world.rows.values():
        world.says(row.user, row.domain)
    decided = world.apply()
    assert not decided.holds
    assert not world.snapshot().holds
    assert not world.snapshot().cases
    assert {case.hold for case in world.cases.values()} == {None}, "a closed case waits for nothing"


def test_a_hold_closes_when_the_limit_is_raised_and_its_cases_go_on() -> None:
    world = town(1, 4)
    everybody_loses_everything(world)
    world.confirm_and_apply()
    world.declared.clear()
    world.domain("d00000.fr", limits={"revocations": {"max": "100%"}})
    world.repeat(minutes=10)
    decided = world.apply()
    assert not world.rows
    assert {case.hold for case in decided.changes.cases} == {None}, "nobody has approved it"


def test_a_domain_approval_does_not_pass_the_source_limit() -> None:
    world = town(1, 2)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    assert hold.scope.kind == "MailDomain"
    for number in range(1, 40):
        name = f"e{number}.fr"
        world.domain(name)
        user = world.user(f"x{number}@{name}")
        world.admin(user, name)
    world.later(minutes=10)
    world.all_say()
    world.confirm_and_apply(approve=[hold.id])
    assert len(world.rows) == 41


def test_a_removal_counts_for_every_source_of_its_domain() -> None:
    world = town(30, 1, sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    world.add_source("second", limits={"revocations": {"max": 1}})
    world.repeat(minutes=10)
    world.all_say(source="second")
    for number in range(3):
        world.says(f"u{number:05d}-0")
    decided = world.confirm_and_apply()
    assert len(world.rows) == 30
    assert [str(hold.scope) for hold in decided.holds] == ["EntitlementSource default/second"]


def test_cases_between_waves_are_neither_executed_nor_released() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    world.states[source_key()] = {"judging": False}
    world.repeat(minutes=1)
    decided = world.apply(approve=[hold.id])
    assert len(world.rows) == 120
    assert decided.holds == (hold,)
    assert sum(len(domain.held) for domain in decided.domains) == 120


def test_a_hold_ends_after_a_day_also_between_waves() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    (hold,) = world.apply().holds
    world.states[source_key()] = {"judging": False}
    world.repeat(seconds=24 * 3600 - 1)
    assert world.plan().holds == (hold,)
    world.repeat(seconds=1)
    assert not world.plan().holds


# --- is the wave itself to be believed? -------------------------------------------------------------------------------

GENEROUS = {"revocations": {"max": "100%"}}


def generous(domains: int) -> PlanningWorld:
    """One administrator a domain, and declared limits that hold nothing."""
    world = town(domains, 1, limits=GENEROUS)
    world.add_source(limits=GENEROUS)
    return world


@pytest.mark.parametrize(
    ("domains", "leaving", "held"),
    [(10, 10, False), (11, 11, True), (24, 12, False), (24, 13, True), (100, 50, False), (100, 51, True)],
)
def test_a_wave_of_which_more_than_half_would_revoke_is_held(domains: int, leaving: int, *, held: bool) -> None:
    world = generous(domains)
    world.later(minutes=10)
    for number in range(leaving):
        world.says(f"u{number:05d}-0")
    decided = world.confirm_and_apply()
    assert [(str(hold.scope), hold.limit) for hold in decided.holds] == (
        [("EntitlementSource default/deploycenter", "plausibility 50% of a wave")] if held else []
    )
    assert len(world.rows) == domains - (0 if held else leaving)


def test_only_who_has_been_answered_about_makes_a_wave_plausible() -> None:
    world = generous(40)
    world.later(minutes=10)
    for number in range(40):
        silent = None if number < 15 else Unavailable(AnswerReason.TIMEOUT)
        world.says(f"u{number:05d}-0", verdict=silent)
    assert [hold.count for hold in world.confirm_and_apply().holds] == [15], "15 of 15 answers, not of 40"


def test_who_is_in_doubt_no_longer_makes_no_wave_implausible() -> None:
    world = generous(11)
    everybody_loses_everything(world)
    assert world.confirm_and_apply().holds
    world.repeat(minutes=10)
    world.says("u00000-0", verdict=Unavailable(AnswerReason.TIMEOUT))
    assert not world.plan().holds, "ten may always go, and the eleventh can't now"


def test_an_implausible_wave_that_is_approved_goes() -> None:
    world = generous(20)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    world.repeat(minutes=10)
    assert not world.apply(approve=[hold.id]).holds
    assert not world.rows


def test_what_the_declared_limit_holds_needs_no_second_approval() -> None:
    world = town(20, 1)
    everybody_loses_everything(world)
    (hold,) = world.confirm_and_apply().holds
    assert hold.limit == "revocations 25% in 24h"
    world.repeat(minutes=10)
    assert not world.apply(approve=[hold.id]).holds
    assert not world.rows

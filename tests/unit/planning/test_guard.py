"""What the limits hold, what an approval lets through, and what neither does."""

import pytest

from controller.planning.facts import AnswerReason, Unavailable
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
    assert not decided.changes.revocations


def test_a_source_hold_covers_all_its_cases_and_needs_no_second_hold() -> None:
    world = town(60, 2)
    everybody_loses_everything(world)
    decided = world.confirm_and_apply()
    (hold,) = decided.holds
    assert str(hold.scope) == "EntitlementSource default/deploycenter"
    assert hold.limit == "revocations 25% in 24h"
    assert hold.count == 120


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
    world = town(60, 2)
    for number in range(60):
        world.later(minutes=10)
        world.repeat(seconds=1)
        world.says(f"u{number:05d}-0")
        world.confirm_and_apply()
    assert len(world.rows) == 120 - 30, "25 % of 120 within a day"
    assert world.snapshot().holds


def test_the_window_lets_go_after_its_time() -> None:
    world = town(60, 2)
    for number in range(40):
        world.repeat(minutes=60)
        world.says(f"u{number:05d}-0")
        world.confirm_and_apply()
    assert len(world.rows) == 80, "one an hour never exceeds 25 % of a day"


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


def test_a_team_may_be_replaced() -> None:
    world = town(1, 4)
    for place in range(4):
        world.says(f"u00000-{place}")
        world.says(world.user(f"new{place}@d00000.fr"), "d00000.fr")
    world.confirm_and_apply()
    assert world.admins_of("d00000.fr") == {"new0", "new1", "new2", "new3"}


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
    assert decided.holds[0].limit == "minAdmins 3"


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
    world.apply(approve=[hold.id])
    assert not world.rows
    assert world.snapshot().spent_holds == {hold.id}


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
    world.repeat(hours=25)
    (fresh,) = world.apply().holds
    assert fresh.id != hold.id
    world.repeat(minutes=1)
    world.apply(approve=[hold.id])
    assert len(world.rows) == 2


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


def test_a_hold_closes_when_the_limit_is_raised_and_its_cases_go_on() -> None:
    world = town(1, 4)
    everybody_loses_everything(world)
    world.confirm_and_apply()
    world.declared.clear()
    world.domain("d00000.fr", limits={"revocations": {"max": "100%"}})
    world.repeat(minutes=10)
    world.apply()
    assert not world.rows


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

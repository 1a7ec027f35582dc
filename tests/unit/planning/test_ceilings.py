"""What is granted at once, and which grants and adoptions wait for a person."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.planning.facts import Hold
from controller.planning.plan import Plan
from tests.support.planning import PlanningWorld, source_key

SOURCE = "EntitlementSource default/deploycenter"


def at_work(days: float, *, grants_a_day: int = 0, admins: int = 0) -> PlanningWorld:
    """A source that has granted so many a day for so long, and one domain without a limit of its own."""
    world = PlanningWorld()
    world.domain("x.fr", limits={"maxAdmins": 10_000})
    for place in range(admins):
        user = world.user(f"old{place}@x.fr")
        world.admin(user, "x.fr")
        world.says(user, "x.fr")
    world.apply()
    for day in range(int(days)):
        for place in range(grants_a_day):
            world.says(world.user(f"day{day}-{place}@x.fr"), "x.fr")
        world.apply()
        world.repeat(hours=24)
    world.repeat(hours=24 * (days % 1) + 1)
    return world


def newcomers(world: PlanningWorld, number: int, domain: str = "x.fr", *, at: str = "x.fr") -> None:
    """So many people whom the source names from now on."""
    for place in range(number):
        world.says(world.user(f"new{len(world.users)}-{place}@{at}"), domain)


def limits(decided: Plan) -> list[tuple[str, str, int]]:
    return [(str(hold.scope), hold.limit, hold.count) for hold in decided.holds]


# --- the usual of a day -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "a_day", "admins", "coming", "held"),
    [
        (8, 0, 0, 20, False),
        (8, 0, 0, 21, True),
        (7, 0, 0, 21, True),
        (6.9, 0, 0, 21, False),
        (0, 0, 0, 500, False),
        (8, 10, 0, 30, False),
        (8, 10, 0, 31, True),
        (8, 0, 600, 30, False),
        (8, 0, 600, 31, True),
    ],
)
def test_more_than_three_times_the_usual_of_a_day_is_held(
    days: float, a_day: int, admins: int, coming: int, *, held: bool
) -> None:
    world = at_work(days, grants_a_day=a_day, admins=admins)
    newcomers(world, coming)
    decided = world.apply()
    assert limits(decided) == ([(SOURCE, "grants 3x the usual of a day", coming)] if held else [])
    assert len(decided.changes.grants) == (0 if held else coming)


def test_a_week_of_work_is_enough_to_know_the_usual() -> None:
    world = PlanningWorld()
    world.domain("x.fr", limits={"maxAdmins": 10_000})
    world.apply()
    world.later(hours=24 * 7)
    newcomers(world, 21)
    assert world.plan().holds
    world.time -= timedelta(seconds=1)
    assert not world.plan().holds


def test_grants_that_arrive_slowly_are_held_as_surely() -> None:
    world = at_work(8)
    for _ in range(30):
        newcomers(world, 1)
        world.apply()
        world.repeat(minutes=30)
    assert len(world.rows) == 20
    (hold,) = world.plan().holds
    assert hold.count == 10


def test_what_was_granted_yesterday_no_longer_counts() -> None:
    world = at_work(8)
    newcomers(world, 20)
    world.apply()
    world.repeat(hours=25)
    newcomers(world, 20)
    world.apply()
    assert len(world.rows) == 40


def test_adoptions_count_as_grants() -> None:
    world = at_work(8)
    for place in range(15):
        user = world.user(f"there{place}@x.fr")
        world.admin(user, "x.fr", owned=False)
        world.says(user, "x.fr")
    newcomers(world, 6)
    decided = world.apply()
    assert limits(decided) == [(SOURCE, "grants 3x the usual of a day", 21)]
    assert not decided.changes.adoptions
    (hold,) = decided.holds
    held = decided.domains[0].held
    assert {item.reason for item in held} == {"Entitled", "Matching"}
    assert {item.user for item in held} == set(world.users)
    assert {item.hold for item in held} == {hold}
    assert not world.apply(approve=[decided.holds[0].id]).holds
    assert len(world.ledger) == 21


def test_a_person_whom_two_sources_name_counts_for_both() -> None:
    world = at_work(8)
    world.add_source("second")
    world.declared.clear()
    world.domain("x.fr", sourceRefs=[{"name": "deploycenter"}, {"name": "second"}], limits={"maxAdmins": 10_000})
    world.apply()
    newcomers(world, 21)
    for user in list(world.users):
        world.says(user, "x.fr", source="second")
    assert limits(world.apply()) == [(SOURCE, "grants 3x the usual of a day", 21)], "the second is new"


def test_revocations_pass_while_grants_are_held() -> None:
    world = at_work(8, admins=3)
    world.says("old0")
    newcomers(world, 21)
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"old1", "old2"}


def test_held_grants_go_after_their_approval_alone() -> None:
    world = at_work(8)
    newcomers(world, 21)
    (hold,) = world.apply().holds
    newcomers(world, 1)
    decided = world.apply(approve=[hold.id])
    assert len(world.rows) == 21
    (rest,) = decided.holds
    assert (rest.count, rest.id != hold.id) == (1, True)
    newcomers(world, 1)
    assert len(world.apply(approve=[hold.id]).changes.grants) == 0, "an id serves once"


def test_a_hold_lasts_while_the_answers_are_gathered_again() -> None:
    world = at_work(8)
    newcomers(world, 21)
    (hold,) = world.apply().holds
    answers = dict(world.answers[source_key()])
    world.answers[source_key()].clear()
    world.states[source_key()] = {"gathered": False}
    assert world.apply().holds == (hold,)
    world.answers[source_key()].update(answers)
    world.states[source_key()] = {}
    assert world.apply().holds == (hold,)


def test_held_grants_may_be_approved_while_the_answers_are_gathered_again() -> None:
    world = at_work(8)
    newcomers(world, 21)
    (hold,) = world.apply().holds
    world.states[source_key()] = {"gathered": False}
    assert not world.apply(approve=[hold.id]).holds
    assert len(world.rows) == 21
    assert not world.snapshot().holds


def test_who_needed_an_approval_has_its_hold_and_the_others_have_none() -> None:
    world = PlanningWorld()
    world.domain("x.fr", adoption="All", limits={"adminEmailDomains": ["x.fr"]})
    world.admin(world.user("old@x.fr"), "x.fr", owned=False)
    world.admin(world.user("known@x.fr"), "x.fr", owned=False)
    world.says("known", "x.fr")
    for email in ("new@x.fr", "stranger@y.fr"):
        world.says(world.user(email), "x.fr")
    first = world.apply()
    holds = {hold.limit: hold.id for hold in first.holds}
    assert {grant.user: grant.hold for grant in first.changes.grants} == {"new": None}
    assert {item.access.user: item.hold for item in first.changes.adoptions} == {"known": None}
    approved = world.apply(approve=list(holds.values())).changes
    assert {grant.user: grant.hold for grant in approved.grants} == {"stranger": holds["adminEmailDomains"]}
    assert {item.access.user: item.hold for item in approved.adoptions} == {"old": holds["adoption All"]}


def test_a_hold_closes_when_its_people_are_named_no_more() -> None:
    world = at_work(8)
    newcomers(world, 21)
    world.apply()
    world.all_say()
    assert not world.apply().holds
    assert not world.snapshot().holds


# --- whose e-mail -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "held"),
    [
        ("ada@x.fr", False),
        ("ada@X.FR", False),
        ("ada@other.fr", True),
        ("ada@sub.x.fr", True),
        ("ada@x.fr.evil.example", True),
        ("x.fr", True),
    ],
)
def test_only_e_mails_of_the_listed_domains_are_granted(email: str, *, held: bool) -> None:
    world = PlanningWorld()
    world.domain("x.fr", limits={"adminEmailDomains": ["x.fr", "y.fr"]})
    world.says(world.user(email, name="ada"), "x.fr")
    decided = world.apply()
    assert limits(decided) == ([("MailDomain default/x-fr", "adminEmailDomains", 1)] if held else [])
    assert world.admins_of("x.fr") == (set() if held else {"ada"})


def test_a_stranger_is_adopted_after_approval_only_and_the_others_at_once() -> None:
    world = PlanningWorld()
    world.domain("x.fr", limits={"adminEmailDomains": ["x.fr"]})
    for email in ("ada@x.fr", "eve@y.fr"):
        user = world.user(email)
        world.admin(user, "x.fr", owned=False)
        world.says(user, "x.fr")
    decided = world.apply()
    assert [world.rows[key].user for key in world.ledger] == ["ada"]
    world.apply(approve=[decided.holds[0].id])
    assert len(world.ledger) == 2


def test_strangers_who_are_there_stay_and_may_lose_the_right() -> None:
    world = PlanningWorld()
    world.domain("x.fr", limits={"adminEmailDomains": ["x.fr"]})
    for email in ("eve@y.fr", "zoe@y.fr"):
        world.admin(world.user(email), "x.fr")
    world.says("eve", "x.fr")
    world.says("zoe")
    assert not world.confirm_and_apply().holds
    assert world.admins_of("x.fr") == {"eve"}


# --- how many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "ada", "granted"),
    [
        ("Enforce", "is named", False),
        ("Enforce", "is not named", True),
        ("Enforce", "is denied", True),
        ("GrantOnly", "is not named", False),
        ("GrantOnly", "is denied", False),
    ],
)
def test_who_is_on_the_way_out_makes_room(mode: str, ada: str, *, granted: bool) -> None:
    world = PlanningWorld()
    denied = ["ada@x.fr"] if ada == "is denied" else []
    world.domain("x.fr", mode=mode, deniedAdmins=denied, limits={"maxAdmins": 2})
    for name in ("ada", "bob"):
        world.admin(world.user(f"{name}@x.fr"), "x.fr")
        world.says(name, "x.fr")
    if ada == "is not named":
        world.says("ada")
    newcomers(world, 1)
    decided = world.plan()
    assert bool(decided.changes.grants) is granted
    assert [hold.limit for hold in decided.holds] == ([] if granted else ["maxAdmins 2"])


# --- several limits at once -------------------------------------------------------------------------------------------


def test_each_limit_needs_its_own_approval_for_what_the_others_let_through() -> None:
    world = PlanningWorld()
    world.domain("x.fr", limits={"adminEmailDomains": ["x.fr"], "maxAdmins": 1})
    newcomers(world, 2)
    newcomers(world, 1, at="y.fr")
    first = world.apply()
    assert sorted(hold.limit for hold in first.holds) == ["adminEmailDomains", "maxAdmins 1"]
    assert sorted(hold.count for hold in first.holds) == [1, 2]
    world.apply(approve=[hold.id for hold in first.holds if hold.limit == "maxAdmins 1"])
    assert len(world.rows) == 2
    (stranger,) = world.plan().holds
    decided = world.apply(approve=[stranger.id])
    assert len(world.rows) == 2
    assert limits(decided) == [("MailDomain default/x-fr", "maxAdmins 1", 1)], "now there would be three"
    world.apply(approve=[hold.id for hold in decided.holds])
    assert len(world.rows) == 3


def test_what_a_person_has_decided_on_each_domain_is_held_by_no_other_limit() -> None:
    world = PlanningWorld()
    for name in ("x.fr", "y.fr"):
        world.domain(name, adoption="All", limits={"adminEmailDomains": [name]})
        world.admin(world.user(f"{name}@other.fr"), name, owned=False)
    decided = world.apply()
    assert [hold.limit for hold in decided.holds] == ["adoption All", "adoption All"]
    assert not world.apply(approve=[hold.id for hold in decided.holds]).holds
    assert len(world.ledger) == 2


@given(
    coming=st.integers(0, 60),
    strangers=st.integers(0, 10),
    most=st.integers(1, 60),
    days=st.sampled_from([0, 8]),
    approve=st.booleans(),
)
def test_no_ceiling_is_exceeded_without_approval(
    coming: int, strangers: int, most: int, days: int, *, approve: bool
) -> None:
    world = at_work(days)
    world.declared.clear()
    world.domain("x.fr", limits={"maxAdmins": most, "adminEmailDomains": ["x.fr"]})
    newcomers(world, coming)
    newcomers(world, strangers, at="y.fr")
    decided = world.apply()
    granted = len(world.rows)
    assert granted <= most
    assert days == 0 or granted <= 20
    assert "y.fr" not in {email.domain for row in world.rows.values() if (email := world.users[row.user].email)}
    assert granted + sum(hold.count for hold in decided.holds) == coming + strangers, "everybody is granted or held"
    if approve:
        covered: set[Hold] = set(decided.holds)
        after = world.apply(approve=[hold.id for hold in covered])
        assert {(grant.domain, grant.user) for grant in after.changes.grants} <= {
            (access.domain, access.user) for hold in covered for access in hold.accesses
        }

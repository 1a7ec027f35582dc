"""What a rollback decides: laws over every world in which something was removed."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.planning.facts import Access, AccessId, Claim, DomainId, Pin, Removal, UserId
from controller.planning.guard import Approvals
from controller.planning.restoring import Rollback, roll_back
from controller.resources.names import DomainName, ResourceKey
from tests.support.planning import START, PlanningWorld

PEOPLE = tuple(f"p{number}" for number in range(5))
DOMAINS = ("a.fr", "b.fr", "gone.fr")


@st.composite
def removals(draw: st.DrawFn) -> tuple[PlanningWorld, list[Removal]]:
    """Removals of people and domains that may be there, gone, changed, or administrators again."""
    world = PlanningWorld()
    for name in DOMAINS[:2]:
        world.domain(name, limits={"maxAdmins": draw(st.integers(1, 4))})
    if draw(st.booleans()):
        world.claims[DomainName("b.fr")] = Claim("somebody else", ResourceKey("default", "b-fr"))
    for person in PEOPLE[:-1]:
        world.user(f"{person}@x.fr", active=draw(st.integers(0, 4)) > 0)
        for name in DOMAINS[:2]:
            if draw(st.integers(0, 3)) == 0:
                world.admin(person, name, admin=draw(st.booleans()))
    pairs = draw(st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(DOMAINS)), unique=True))
    return world, [
        Removal(
            entry=number,
            at=START,
            access=Access(AccessId(f"old-{number}"), DomainId(domain), UserId(person), admin=True),
            name=DomainName(domain),
            reason=draw(st.sampled_from(["NotEntitled", "NotEntitled", "Denied"])),
            hold=None,
            fits=draw(st.integers(0, 5)) > 0,
        )
        for number, (person, domain) in enumerate(pairs)
    ]


def decide(world: PlanningWorld, found: Sequence[Removal], *approved: str) -> Rollback:
    approvals = Approvals(by_command=frozenset(approved))
    return roll_back(found, world.snapshot(), owner=world.owner, declared=world.declared, approvals=approvals)


@given(removals())
@settings(max_examples=300, deadline=None)
def test_each_removal_is_restored_held_or_skipped_with_its_reason(case: tuple[PlanningWorld, list[Removal]]) -> None:
    world, found = case
    decided = decide(world, found)
    parts = (decided.restorations, decided.held, decided.skipped)
    assert sorted(item.removal.entry for part in parts for item in part) == [removal.entry for removal in found]
    assert decided == decide(world, found), "deterministic"


@given(removals())
@settings(max_examples=300, deadline=None)
def test_nothing_comes_back_that_must_not(case: tuple[PlanningWorld, list[Removal]]) -> None:
    world, found = case
    limits = {item.domain: item.spec.limits.max_admins for item in world.declared}
    decided = decide(world, found)
    for item in decided.restorations:
        row = item.access
        assert world.users[row.user].active
        assert row.domain in world.domains
        assert not [other for other in world.rows.values() if (other.domain, other.user) == (row.domain, row.user)]
        assert item.removal.reason != "Denied"
        assert item.removal.fits
        assert item.name not in world.claims
    for name, most in limits.items():
        returning = sum(item.name == name for item in decided.restorations)
        assert not returning or len(world.admins_of(name)) + returning <= most


@given(removals())
@settings(max_examples=300, deadline=None)
def test_an_approval_restores_exactly_what_was_held(case: tuple[PlanningWorld, list[Removal]]) -> None:
    world, found = case
    first = decide(world, found)
    holds = {item.hold.id for item in first.held}
    second = decide(world, found, *holds)
    assert second.held == ()
    assert {hold.id for hold in second.used} == holds
    assert {item.removal for item in second.restorations} == {
        item.removal for part in (first.restorations, first.held) for item in part
    }


def test_a_removal_of_a_domain_that_is_declared_nowhere_has_the_default_limits() -> None:
    world = PlanningWorld()
    world.domain("a.fr")
    world.declared.clear()
    found = [
        Removal(
            number,
            START,
            Access(AccessId(str(number)), DomainId("a.fr"), world.user(f"u{number}@a.fr"), admin=True),
            DomainName("a.fr"),
            "NotEntitled",
            None,
            fits=True,
        )
        for number in range(51)
    ]
    assert len(decide(world, found[:50]).restorations) == 50
    assert len(decide(world, found).held) == 51


def test_a_pinned_row_is_right_until_it_is_released() -> None:
    world = PlanningWorld()
    world.user("ada@x.fr")
    world.domain("x.fr")
    row = world.admin("ada", "x.fr")
    world.says("ada")
    world.apply()
    pin = Pin(row.id, row.domain, row.user, DomainName("x.fr"), START)
    world.pins[row.id] = pin
    world.repeat(seconds=31)
    closed = world.apply()
    assert [case.state for case in closed.changes.cases] == ["closed"], "the open case ends with the pin"
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada"}
    world.pins.clear()
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == set()


def test_a_pin_does_not_keep_a_denied_administrator() -> None:
    world = PlanningWorld()
    world.user("ada@x.fr")
    world.domain("x.fr", deniedAdmins=["ada@x.fr"])
    row = world.admin("ada", "x.fr")
    world.pins[row.id] = Pin(row.id, row.domain, row.user, DomainName("x.fr"), START)
    world.apply()
    assert world.admins_of("x.fr") == set()

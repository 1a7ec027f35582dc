"""Which rows of others become ours: those of people whom a source names at once, all others by approval."""

from typing import Any

import pytest

from controller.planning.facts import Origin, Seal
from tests.support.planning import PlanningWorld, source_key


def town(**spec: Any) -> PlanningWorld:
    """One administrator whom the source names and two whom it does not, none of them ours."""
    world = PlanningWorld()
    world.domain("x.fr", adoption="All", **spec)
    for name in ("ada", "bob", "eve"):
        world.admin(world.user(f"{name}@x.fr"), "x.fr", owned=False)
    world.says("ada", "x.fr")
    return world


def ours(world: PlanningWorld) -> set[str]:
    return {entry.user for entry in world.ledger.values() if entry.origin is Origin.ADOPTED}


def test_those_whom_no_source_names_wait_for_approval() -> None:
    world, seal = town(), Seal("a key")
    world.seal = seal
    decided = world.apply()
    assert ours(world) == {"ada"}
    (hold,) = decided.holds
    assert (str(hold.scope), hold.limit, hold.count) == ("MailDomain default/x-fr", "adoption All", 2)
    assert {item.reason for item in decided.domains[0].held} == {"All"}
    approved = world.apply(approve=[hold.id])
    assert ours(world) == {"ada", "bob", "eve"}
    assert {item.reason.value for item in approved.changes.adoptions} == {"All"}
    for item in (*decided.changes.adoptions, *approved.changes.adoptions):
        email = world.users[item.access.user].email
        assert email is not None
        assert (item.name, item.sources, item.identity) == ("x.fr", (source_key(),), seal.of(email))
    assert not world.apply().changes


def test_an_adoption_is_no_leave_to_remove() -> None:
    world = town()
    (hold,) = world.apply().holds
    world.apply(approve=[hold.id])
    world.all_say()
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada", "bob", "eve"}, "three of three are more than the limit allows"


def test_who_comes_later_waits_for_another_approval() -> None:
    world = town()
    (hold,) = world.apply().holds
    world.admin(world.user("zoe@x.fr"), "x.fr", owned=False)
    decided = world.apply(approve=[hold.id])
    assert ours(world) == {"ada", "bob", "eve"}
    assert [rest.count for rest in decided.holds] == [1]


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}])
def test_nothing_waits_where_nothing_may_be_written(spec: dict[str, object]) -> None:
    assert not town(**spec).apply().holds


def test_denied_and_doubted_administrators_are_not_adopted() -> None:
    world = town(deniedAdmins=["bob@x.fr"], ownership="Authoritative")
    world.says("eve")
    decided = world.apply()
    assert ours(world) == {"ada"}
    assert not decided.holds, "bob went at once, and eve is suspected"


def test_an_approved_adoption_counts_as_grants_and_is_held_once_only() -> None:
    world = PlanningWorld()
    world.domain("x.fr", adoption="All", limits={"maxAdmins": 1000, "adminEmailDomains": ["x.fr"]})
    world.apply()
    world.repeat(hours=24 * 8)
    for place in range(30):
        world.admin(world.user(f"u{place}@y.fr"), "x.fr", owned=False)
    (hold,) = world.apply().holds
    world.says(world.user("new@x.fr"), "x.fr")
    assert len(world.apply().changes.grants) == 1, "what waits does not count"
    decided = world.apply(approve=[hold.id])
    assert len(ours(world)) == 30
    assert not decided.holds
    world.says(world.user("newer@x.fr"), "x.fr")
    assert [rest.limit for rest in world.apply().holds] == ["grants 3x the usual of a day"]

"""What a rollback decides: tables of single rules, and laws over every world in which something was removed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.planning.changes import Changes, Restoration
from controller.planning.facts import (
    Access,
    AccessId,
    Claim,
    DomainId,
    Hold,
    Holding,
    MailDomainRow,
    Pin,
    Removal,
    Scope,
    UserId,
)
from controller.planning.guard import HOLD_LIFETIME, Approvals
from controller.planning.restoring import HeldRestoration, Rollback, Skipped, SkipReason, roll_back
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


def removal(user: str, domain: str = "a.fr", **of: Any) -> Removal:
    """A removal that comes back where nothing is in its way."""
    fields = {"entry": 1, "at": START, "reason": "NotEntitled", "hold": None, "fits": True, **of}
    return Removal(
        access=Access(AccessId(f"old-{user}"), DomainId(domain), UserId(user), admin=True),
        name=DomainName(domain),
        **fields,
    )


def place(**limits: Any) -> PlanningWorld:
    """A domain without administrators, and two people of it."""
    world = PlanningWorld()
    world.domain("a.fr", limits=limits)
    for name in ("ada", "bob"):
        world.user(f"{name}@a.fr")
    return world


def claimed(world: PlanningWorld, owner: str) -> None:
    world.claims[DomainName("a.fr")] = Claim(owner, ResourceKey("team", "claimed"))


def named(world: PlanningWorld, name: str, *, alias: bool = False) -> None:
    world.domains["a.fr"] = MailDomainRow(DomainId("a.fr"), name, alias)


def created_anew(world: PlanningWorld) -> None:
    world.domains["a.fr"] = MailDomainRow(DomainId("another"), "a.fr", alias=False)


WRONG: Sequence[tuple[SkipReason, Callable[[PlanningWorld], object], dict[str, Any]]] = (
    (SkipReason.DENIED, lambda _: None, {"reason": "Denied"}),
    (SkipReason.FOREIGN_OWNER, lambda world: claimed(world, "another"), {}),
    (SkipReason.DOMAIN_GONE, lambda world: world.domains.clear(), {}),
    (SkipReason.DOMAIN_GONE, lambda world: named(world, "b.fr"), {}),
    (SkipReason.DOMAIN_GONE, lambda world: named(world, "a.fr", alias=True), {}),
    (SkipReason.DOMAIN_GONE, created_anew, {}),
    (SkipReason.USER_GONE, lambda world: world.users.pop(UserId("ada")), {}),
    (SkipReason.USER_INACTIVE, lambda world: world.user("ada@a.fr", active=False), {}),
    (SkipReason.ACCESS_EXISTS, lambda world: world.admin("ada", "a.fr"), {}),
    (SkipReason.ACCESS_EXISTS, lambda world: world.admin("ada", "a.fr", admin=False), {}),
    (SkipReason.COLUMNS_CHANGED, lambda _: None, {"fits": False}),
)


@pytest.mark.parametrize(("because", "arrange", "changed"), WRONG)
def test_what_is_in_the_way_leaves_a_removal_as_it_is(
    because: SkipReason, arrange: Callable[[PlanningWorld], object], changed: dict[str, Any]
) -> None:
    world, found = place(), [removal("ada", **changed), removal("bob", entry=2)]
    arrange(world)
    assert [item for item in decide(world, found).skipped if item.removal == found[0]] == [Skipped(found[0], because)]


def test_the_first_rule_explains_why_it_stays() -> None:
    order = [item for item in WRONG if item[1] is not created_anew]
    for number, (because, _, _) in enumerate(order):
        world = place()
        changed: dict[str, Any] = {}
        # What takes away what a later rule is about comes last.
        for _, arrange, fields in reversed(order[number:]):
            arrange(world)
            changed |= fields
        (skipped,) = decide(world, [removal("ada", **changed)]).skipped
        assert skipped.because is because


@pytest.mark.parametrize(
    "arrange",
    [
        lambda _: None,
        lambda world: claimed(world, world.owner),
        lambda world: world.admin("bob", "a.fr"),
        lambda world: (world.domain("b.fr"), world.admin("ada", "b.fr")),
    ],
    ids=["nothing", "own-claim", "another-person", "another-domain"],
)
def test_what_nothing_is_in_the_way_of_comes_back(arrange: Callable[[PlanningWorld], object]) -> None:
    world = place()
    arrange(world)
    assert decide(world, [removal("ada")]) == Rollback(restorations=(Restoration(removal("ada")),))


def waiting(found: Rollback) -> set[tuple[str, str, str]]:
    """Who waits, for whom and for what."""
    return {(item.removal.access.user, str(item.hold.scope), item.hold.limit) for item in found.held}


def returning(found: Rollback) -> list[str]:
    return [item.access.user for item in found.restorations]


@pytest.mark.parametrize(
    ("limits", "back", "held"),
    [
        ({"maxAdmins": 4}, ["ada", "bob", "eve"], set()),
        ({"maxAdmins": 3}, [], {(name, "maxAdmins 3") for name in ("ada", "bob", "eve")}),
        ({"adminEmailDomains": ["a.fr"]}, ["ada", "bob"], {("eve", "adminEmailDomains")}),
        ({"adminEmailDomains": ["a.fr"], "maxAdmins": 3}, ["ada", "bob"], {("eve", "adminEmailDomains")}),
        (
            {"adminEmailDomains": ["a.fr"], "maxAdmins": 2},
            [],
            {("eve", "adminEmailDomains"), ("ada", "maxAdmins 2"), ("bob", "maxAdmins 2")},
        ),
    ],
)
def test_strangers_wait_by_themselves_and_all_where_they_would_be_too_many(
    limits: dict[str, Any], back: list[str], held: set[tuple[str, str]]
) -> None:
    """One administrator is there, and somebody of another role, who does not count."""
    world = place(**limits)
    for name in ("there", "viewer"):
        world.admin(world.user(f"{name}@a.fr"), "a.fr", admin=name == "there")
    world.user("eve@elsewhere.fr")
    found = [removal(name, entry=entry) for entry, name in enumerate(("ada", "bob", "eve"))]
    decided = decide(world, found)
    assert returning(decided) == back
    assert waiting(decided) == {(name, "MailDomain default/a-fr", limit) for name, limit in held}


@pytest.mark.parametrize(
    ("declares", "claims", "resource"),
    [
        (True, True, "default/a-fr"),
        (True, False, "default/a-fr"),
        (False, True, "team/claimed"),
        (False, False, "default/a.fr"),
    ],
)
def test_a_hold_is_of_the_resource_that_declares_the_domain_or_claims_it(
    *, declares: bool, claims: bool, resource: str
) -> None:
    world = place(maxAdmins=1)
    if not declares:
        world.declared.clear()
    if claims:
        claimed(world, world.owner)
    people = [world.user(f"u{number}@a.fr") for number in range(51)]
    decided = decide(world, [removal(user, entry=number) for number, user in enumerate(people)])
    assert {str(item.hold.scope) for item in decided.held} == {f"MailDomain {resource}"}


def test_each_domain_waits_for_itself_and_keeps_the_order_of_its_removals() -> None:
    world = place(maxAdmins=1)
    for name in ("b.fr", "c.fr"):
        world.domain(name, limits={"maxAdmins": 2})
    found = [
        removal(user, domain, entry=entry)
        for entry, (user, domain) in enumerate(
            [("bob", "c.fr"), ("bob", "a.fr"), ("bob", "b.fr"), ("ada", "b.fr"), ("ada", "a.fr"), ("ada", "c.fr")]
        )
    ]
    decided = decide(world, found)
    assert [item.removal.entry for item in decided.restorations] == [0, 5, 2, 3]
    assert [item.removal.entry for item in decided.held] == [1, 4]
    (hold,) = {item.hold for item in decided.held}
    assert hold == Hold(
        hold.id,
        Scope("MailDomain", ResourceKey("default", "a-fr")),
        "maxAdmins 1",
        frozenset(Holding(DomainId("a.fr"), UserId(user)) for user in ("ada", "bob")),
        START,
        START + HOLD_LIFETIME,
    )


def test_what_is_approved_comes_back_once() -> None:
    world = place(adminEmailDomains=["b.fr"])
    (item, *_) = decide(world, [removal("ada")]).held
    decided = decide(world, [removal("ada")], item.hold.id)
    used = replace(item.hold, approved=True, closed=True)
    assert decided == Rollback(restorations=(Restoration(removal("ada")),), used=(used,))
    world.holds[used.id] = used
    (again,) = decide(world, [removal("ada")], used.id).held
    assert again.hold.id != used.id, "the id is spent"


def test_an_approval_in_the_database_counts_and_what_it_does_not_cover_waits_since_when_it_did() -> None:
    world = place(adminEmailDomains=["b.fr"])
    (item,) = decide(world, [removal("ada")]).held
    world.holds[item.hold.id] = item.hold
    world.later(minutes=1)
    found = [removal("ada"), removal("bob", entry=2)]
    assert {item.hold.since for item in decide(world, found).held} == {START}
    world.holds[item.hold.id] = replace(item.hold, approved=True)
    decided = decide(world, found)
    assert (returning(decided), waiting(decided)) == (
        ["ada"],
        {("bob", "MailDomain default/a-fr", "adminEmailDomains")},
    )


def test_holds_of_others_are_not_used_up() -> None:
    world = place()
    other = Hold(
        "1" * 12,
        Scope("MailDomain", ResourceKey("default", "a-fr")),
        "minAdmins 1",
        frozenset({Holding(DomainId("a.fr"), UserId("bob"))}),
        START,
        START + timedelta(hours=1),
    )
    world.holds[other.id] = other
    assert decide(world, [removal("ada")]).used == ()


def test_one_transaction_writes_what_comes_back_what_is_released_and_what_is_used_up() -> None:
    found, other = removal("ada"), removal("bob", entry=2)
    pin = Pin(AccessId("row"), DomainId("a.fr"), UserId("eve"), DomainName("a.fr"), START)
    scope = Scope("MailDomain", ResourceKey("default", "a-fr"))
    used = Hold("1" * 12, scope, "maxAdmins 1", frozenset(), START, START + HOLD_LIFETIME, approved=True, closed=True)
    decided = Rollback(
        restorations=(Restoration(found),),
        held=(HeldRestoration(other, replace(used, id="2" * 12, approved=False, closed=False)),),
        skipped=(Skipped(other, SkipReason.USER_GONE),),
        released=(pin,),
        used=(used,),
    )
    assert decided.changes == Changes(restorations=(Restoration(found),), released=(pin,), holds=(used,))


def test_a_removal_of_a_domain_that_is_declared_nowhere_has_the_default_limits() -> None:
    world = PlanningWorld()
    world.domain("a.fr")
    world.declared.clear()
    found = [removal(world.user(f"u{number}@a.fr"), entry=number) for number in range(51)]
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

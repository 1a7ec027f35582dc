"""Do the rows say what is decided? And is one that says it already left alone?"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.permissions.rows import Opening, RowChanges, Ruling, Said, StandingRows, rule
from tests.support.permissions import COMMUNE, SERVICES, Town, binding, bought, maildomain, role, towns

ANNE, BEN = f"anne@{COMMUNE}", f"ben@{COMMUNE}"


def ruling(place: Town, *, audited: bool = False) -> Ruling:
    realm = place.court.realms[COMMUNE]
    return rule(replace(realm, advisory=audited or realm.advisory), place.census)


def after(standing: StandingRows, changes: RowChanges) -> StandingRows:
    """What stands once changes are carried out."""
    kept = {key: said for key, said in standing.said.items() if key not in changes.gone}
    return StandingRows(kept | dict(changes.said), standing.acting - changes.acting_gone | changes.acting)


@settings(max_examples=100, deadline=None)
@given(before=towns(), now=towns())
def test_what_was_carried_out_leaves_nothing_to_do(before: Town, now: Town) -> None:
    standing = after(StandingRows(), ruling(before).changes(StandingRows()))
    standing = after(standing, ruling(now).changes(standing))

    assert not ruling(now).changes(standing)
    assert {key.service for key in standing.said} <= set(SERVICES)


@settings(max_examples=100, deadline=None)
@given(before=towns(), now=towns())
def test_only_what_differs_is_written(before: Town, now: Town) -> None:
    standing = after(StandingRows(), ruling(before).changes(StandingRows()))
    changes = ruling(now).changes(standing)

    assert not any(standing.said.get(key) == said for key, said in changes.said.items())
    assert changes.gone <= standing.said.keys()
    assert changes.acting.isdisjoint(standing.acting)
    assert changes.acting_gone <= standing.acting


@settings(max_examples=150, deadline=None)
@given(one=towns(), other=towns())
def test_the_same_digest_says_that_there_is_nothing_to_do(one: Town, other: Town) -> None:
    standing = after(StandingRows(), ruling(one).changes(StandingRows()))
    same = ruling(one).digest == ruling(other).digest

    assert not (same and ruling(other).changes(standing))
    assert ruling(one).digest == ruling(one).digest
    assert ruling(one).digest != ruling(one, audited=True).digest or ruling(one).advisory


@settings(max_examples=100, deadline=None)
@given(place=towns(), data=st.data())
def test_what_is_not_known_never_changes_what_a_row_allows(place: Town, data: st.DataObject) -> None:
    allowed = data.draw(st.booleans())
    place.subscribed = {}
    decided = ruling(place)
    standing = StandingRows(
        {
            Opening(person, each.service): Said(allowed, "RoleAll", decided.advisory, stale=False)
            for person, decisions in decided.access.decisions.items()
            for each in decisions
            if each.allowed is None
        }
    )
    then = after(standing, decided.changes(standing))

    assert all(then.said[key] == said._replace(stale=True) for key, said in standing.said.items())


@settings(max_examples=100, deadline=None)
@given(before=towns(), now=towns())
def test_nobody_is_let_in_who_waits_for_approval(before: Town, now: Town) -> None:
    served = replace(ruling(before), advisory=False)
    standing = after(StandingRows(), served.changes(StandingRows()))
    decided = replace(ruling(now), advisory=False)
    entering = decided.lets_in(standing)
    then = after(standing, replace(decided, kept_out=entering).changes(standing))

    for key, said in standing.said.items():
        if said.restricted and key.person in entering:
            assert then.said[key] == said
    free = after(standing, decided.changes(standing))
    others = {key: said for key, said in free.said.items() if key.person not in entering}
    assert {key: said for key, said in then.said.items() if key.person not in entering} == others


def test_an_audit_counts_those_who_would_lose_what_their_domain_may_use() -> None:
    place = Town(
        declared=[maildomain(default="member"), role("member", ["docs", "meet"]), bought("drive")],
        people=[ANNE, BEN],
        subscribed={"drive": False},
    )
    assert ruling(place).would_lose == 0, "nobody loses what the domain has not bought"

    place.subscribed = {"drive": True}
    assert ruling(place).would_lose == 2
    assert replace(ruling(place), advisory=False).would_lose == 0


def test_a_right_to_act_is_a_row_of_its_own_for_each_pair() -> None:
    place = Town(
        declared=[maildomain(), role("desk", ["docs"], acts_as=[BEN]), binding("desk", ANNE)], people=[ANNE, BEN]
    )

    assert ruling(place).acting == {(f"id-{ANNE}", f"id-{BEN}")}

"""Does everybody at once get the same decisions as each one asked alone? And what would change for whom?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.permissions.membership import compare, opened, resolve_members
from tests.support.permissions import (
    COMMUNE,
    PEOPLE,
    SERVICES,
    Town,
    binding,
    bought,
    maildomain,
    role,
    towns,
)


@settings(max_examples=150, deadline=None)
@given(place=towns())
def test_rows_and_questions_say_the_same_of_everybody(place: Town) -> None:
    census = place.census
    found = resolve_members(place.court.realms[COMMUNE], census).decisions

    for email in PEOPLE:
        verdict = place.ask(email)
        if f"id-{email}" in found and verdict.gate == "Allowed":
            assert found[f"id-{email}"] == verdict.services
        elif f"id-{email}" in found:
            assert not any(each.allowed for each in found[f"id-{email}"])
        else:
            assert email in place.inactive or verdict.reason == "NotMember" or email in place.superusers


@settings(max_examples=150, deadline=None)
@given(place=towns(), who=st.sampled_from(PEOPLE), as_whom=st.sampled_from(PEOPLE))
def test_acting_as_somebody_never_opens_more_than_that_person_may(place: Town, who: str, as_whom: str) -> None:
    acted = place.ask(who, as_whom)
    opens = {each.service for each in acted.services if each.allowed}

    assert opens <= set(place.opens(as_whom) or ())
    if acted.subject is not None:
        assert place.ask(who).gate == "Allowed", "a gate that is shut is shut for acting as well"
        assert as_whom not in place.superusers
        assert as_whom not in place.admins["other.example"]


@settings(max_examples=100, deadline=None)
@given(place=towns())
def test_restrictions_only_ever_narrow(place: Town) -> None:
    census = place.census
    with_them = opened(resolve_members(place.court.realms[COMMUNE], census))
    place.declared = [item for item in place.declared if item.kind != "ServiceGroupRestriction"]
    without = opened(resolve_members(place.court.realms[COMMUNE], census))

    assert all(with_them[person] <= without[person] for person in without)


@settings(max_examples=100, deadline=None)
@given(place=towns())
def test_counts_are_those_of_the_decisions(place: Town) -> None:
    access = resolve_members(place.court.realms[COMMUNE], place.census)

    assert access.allowed() == {
        name: sum(any(each.service == name and each.allowed for each in rows) for rows in access.decisions.values())
        for name in SERVICES
    }


@pytest.mark.parametrize(
    ("now", "loses", "gains"),
    [
        (["docs"], False, False),
        (["docs", "meet"], True, False),
        ([], False, True),
        (["meet"], True, True),
        (["docs", "drive"], False, False),
    ],
    ids=str,
)
def test_what_is_not_known_stays_as_it_is_when_two_states_are_compared(
    now: list[str], loses: bool, gains: bool
) -> None:
    anne = "a@commune.example"
    place = Town(
        declared=[maildomain(), bought("drive"), role("held", ["docs", "drive"]), binding("held", anne)], people=[anne]
    )
    change = compare({f"id-{anne}": frozenset(now)}, resolve_members(place.court.realms[COMMUNE], place.census))

    assert (bool(change.loses), bool(change.gains)) == (loses, gains)


def test_who_is_no_member_any_more_loses_what_they_had() -> None:
    place = Town(declared=[maildomain()])
    change = compare({"id-gone": frozenset({"docs"})}, resolve_members(place.court.realms[COMMUNE], place.census))

    assert change.loses == {"id-gone"}


def test_roles_give_nothing_to_two_active_users_of_one_e_mail_and_an_admin_row_still_counts() -> None:
    one, two = "a@commune.example", "A@commune.example"
    place = Town(
        declared=[maildomain(), role("held", "All"), binding("held", one)], people=[one, two], admins={COMMUNE: [two]}
    )
    found = resolve_members(place.court.realms[COMMUNE], place.census).decisions

    assert {each.reason.value for each in found[f"id-{one}"]} == {"NoRole"}
    assert {each.reason.value for each in found[f"id-{two}"]} == {"DomainAdmin"}

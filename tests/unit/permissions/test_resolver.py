"""Is every question answered by the rules of C2, in their order, and is what is missing an error and never a no?"""

from typing import Any

import pytest

from controller.errors import InvalidInput
from controller.permissions.impersonation import subjects_of
from controller.permissions.reasons import AccessReason
from controller.permissions.resolver import NotKnown
from tests.support.permissions import COMMUNE, SERVICES, Town, binding, bought, group, maildomain, role, service

ANNE, BOB = "anne@commune.example", "bob@commune.example"


def held(access: Any, **rest: Any) -> list[Any]:
    return [role("held", access, **rest), binding("held", ANNE)]


def test_every_reason_has_a_text_of_its_own() -> None:
    assert len({reason.text for reason in AccessReason}) == len(AccessReason)


# --- what is no question ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"domain": None}, "domain"),
        ({"domain": ""}, "domain"),
        ({"domain": "nobody.example"}, "domain"),
        ({"domain": "no domain"}, "domain"),
        ({"actor": None}, "user"),
        ({"actor": ""}, "user"),
        ({"actor": "anne"}, "user"),
        ({"acting_as": ""}, "actingAs"),
        ({"acting_as": "anne"}, "actingAs"),
        ({"service": None}, "service"),
        ({"service": ""}, "service"),
    ],
    ids=str,
)
@pytest.mark.parametrize("superusers", [[], [ANNE]], ids=["member", "superuser"])
def test_what_is_missing_is_an_error_for_everybody_and_never_a_no(
    question: dict[str, Any], field: str, superusers: list[str]
) -> None:
    place = Town(declared=[maildomain(), *held("All")], people=[ANNE], superusers=superusers)

    with pytest.raises(InvalidInput) as error:
        place.ask(**({"actor": ANNE} | question))
    assert error.value.problems[0].path == field
    assert "@" not in str(error.value), "an e-mail is not repeated"


def test_a_domain_is_found_in_any_spelling() -> None:
    place = Town(declared=[maildomain(), *held("All")], people=[ANNE])

    assert place.opens(ANNE, domain=" Commune.Example") == list(SERVICES)


def test_an_e_mail_of_two_active_users_is_not_known() -> None:
    place = Town(declared=[maildomain(), *held("All")], people=[ANNE, "Anne@commune.example", BOB])

    with pytest.raises(NotKnown):
        place.ask(ANNE)
    with pytest.raises(NotKnown):
        place.ask(BOB, ANNE)


def test_an_inactive_namesake_does_not_matter() -> None:
    place = Town(declared=[maildomain(), *held("All")], people=[ANNE], inactive=["Anne@commune.example"])

    assert place.opens(ANNE) == list(SERVICES)


# --- levels -----------------------------------------------------------------------------------------------------------


def test_roles_are_united_and_none_adds_nothing() -> None:
    place = Town(
        declared=[
            maildomain(),
            role("one", ["docs"]),
            role("two", ["drive"]),
            role("three", "None"),
            *(binding(name, ANNE) for name in ("one", "two", "three")),
        ],
        people=[ANNE],
    )

    assert place.reasons(ANNE) == {"docs": "RoleSelected", "drive": "RoleSelected", "meet": "NotSelected"}


def test_one_role_for_everything_is_everything() -> None:
    place = Town(declared=[maildomain(), *held(["docs"]), role("all", "All"), binding("all", ANNE)], people=[ANNE])

    assert set(place.reasons(ANNE).values()) == {"RoleAll"}


def test_somebody_from_elsewhere_is_a_member_by_a_binding_and_by_an_admin_row() -> None:
    partner, admin = "partner@other.example", "admin@other.example"
    place = Town(
        declared=[maildomain(), role("held", ["docs"]), binding("held", partner)],
        people=[partner],
        admins={COMMUNE: [admin]},
    )

    assert place.opens(partner) == ["docs"]
    assert set(place.reasons(admin).values()) == {"DomainAdmin"}


def test_who_is_nobody_is_no_member() -> None:
    verdict = Town(declared=[maildomain(), *held("All")]).ask(ANNE)

    assert (verdict.gate, verdict.reason) == ("Forbidden", "NotMember")


def test_a_role_names_its_holder_through_a_group_and_in_any_spelling() -> None:
    place = Town(
        declared=[
            maildomain(),
            role("held", ["docs"]),
            binding("held", "deputies"),
            group("deputies", "ANNE@Commune.example"),
        ],
        people=[ANNE],
    )

    assert place.opens(ANNE) == ["docs"]


def test_a_group_that_does_not_exist_is_nobody() -> None:
    place = Town(declared=[maildomain(), role("held", "All"), binding("held", "deputies")], people=[ANNE])

    assert place.opens(ANNE) is None


def test_a_binding_to_a_role_that_is_gone_gives_nothing_and_no_default() -> None:
    place = Town(declared=[maildomain(default="member"), role("member", "All"), binding("gone", ANNE)], people=[ANNE])

    assert set(place.reasons(ANNE).values()) == {"NoRole"}


def test_d3_a_default_role_that_is_gone_is_no_role() -> None:
    place = Town(declared=[maildomain(default="member")], people=[ANNE])

    assert set(place.reasons(ANNE).values()) == {"NoRole"}


def test_a_binding_of_another_domain_or_namespace_says_nothing_here() -> None:
    place = Town(
        declared=[
            maildomain(),
            maildomain("ville", domain="ville.example"),
            role("held", "All"),
            binding("held", ANNE, domain="ville"),
            binding("held", ANNE, namespace="other"),
        ],
        people=[ANNE],
    )

    assert place.opens(ANNE) is None
    assert place.opens(ANNE, domain="ville.example") == list(SERVICES)


@pytest.mark.parametrize("access", ["All", "Restricted"])
def test_superusers_are_members_like_all_others_where_that_is_said(access: str) -> None:
    place = Town(declared=[maildomain(superuserAccess=access), *held(["docs"])], superusers=[ANNE])

    assert place.opens(ANNE) == (list(SERVICES) if access == "All" else ["docs"])


def test_a1_an_admin_row_opens_everything_and_without_it_the_role_counts_again() -> None:
    declared = [maildomain(), *held(["docs"])]

    assert Town(declared=declared, admins={COMMUNE: [ANNE]}).opens(ANNE) == list(SERVICES)
    assert Town(declared=declared, people=[ANNE]).opens(ANNE) == ["docs"]


@pytest.mark.parametrize("who", ["actor", "subject"])
def test_inactive_users_open_nothing(who: str) -> None:
    place = Town(
        declared=[maildomain(), *held("All", acts_as="All")],
        people=[BOB if who == "actor" else ANNE],
        inactive=[ANNE if who == "actor" else BOB],
    )
    verdict = place.ask(ANNE, None if who == "actor" else BOB)

    assert (verdict.gate, verdict.reason) == ("Forbidden", "UserInactive")


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_service_that_is_not_active_not_in_the_catalog_or_not_listed_is_closed_to_everybody() -> None:
    place = Town(
        declared=[maildomain(services=["docs", "gone", "drive"]), service("docs", active=False), service("other")],
        admins={COMMUNE: [ANNE]},
    )

    assert place.reasons(ANNE) == {"docs": "ServiceInactive", "drive": "DomainAdmin", "gone": "ServiceInactive"}
    assert place.reasons(ANNE, service="other") == {"other": "ServiceInactive"}


def test_s1_without_a_subscription_a_service_is_closed_to_administrators_too() -> None:
    place = Town(
        declared=[maildomain(), bought("drive")],
        admins={COMMUNE: [ANNE]},
        superusers=[BOB],
        subscribed={"drive": False},
    )

    assert place.reasons(ANNE, service="drive") == {"drive": "NotSubscribed"}
    assert place.reasons(BOB, service="drive") == {"drive": "NotSubscribed"}


def test_s2_a_subscription_that_is_not_known_is_neither_yes_nor_no() -> None:
    place = Town(declared=[maildomain(), bought("drive"), *held("All")], people=[ANNE])
    [decision] = place.ask(ANNE, service="drive").services

    assert (decision.allowed, decision.reason) == (None, "Stale")
    assert not place.ask(ANNE).known
    assert place.ask(ANNE, service="docs").known


def test_who_may_not_open_a_service_anyway_is_told_so_whatever_the_subscription() -> None:
    place = Town(declared=[maildomain(), bought("drive"), *held(["docs"])], people=[ANNE])

    assert place.ask(ANNE).known
    assert place.reasons(ANNE, service="drive") == {"drive": "NotSelected"}


def test_a_gate_that_hangs_on_a_subscription_is_shut_and_not_known() -> None:
    place = Town(declared=[maildomain(services=["drive"]), bought("drive"), *held("All")], people=[ANNE])
    verdict = place.ask(ANNE)

    assert (verdict.gate, verdict.reason, verdict.known) == ("Forbidden", "Stale", False)


def test_services_are_listed_by_name_each_once() -> None:
    place = Town(declared=[maildomain(services=["meet", "docs", "meet"]), *held("All")], people=[ANNE])

    assert place.opens(ANNE) == ["docs", "meet"]


@pytest.mark.parametrize("name", SERVICES)
def test_listing_and_opening_agree(name: str) -> None:
    place = Town(declared=[maildomain(), *held(["docs", "drive"], acts_as="All")], people=[ANNE, BOB])

    for acting_as in (None, BOB):
        listed = {each.service: each for each in place.ask(ANNE, acting_as).services}
        assert place.ask(ANNE, acting_as, service=name).services == (listed[name],)


# --- acting as somebody -----------------------------------------------------------------------------------------------


def acting(actor_may: Any = "All", **rest: Any) -> Town:
    return Town(
        declared=[maildomain(default="member"), role("member", ["meet"]), *held("All", acts_as=actor_may)],
        people=[ANNE, BOB],
        **rest,
    )


@pytest.mark.parametrize(
    ("actor_may", "granted"), [("All", True), ([BOB], True), (["c@x.fr"], False), ("None", False)], ids=str
)
def test_whom_a_role_lets_its_holder_act_as(actor_may: Any, granted: bool) -> None:
    verdict = acting(actor_may).ask(ANNE, BOB)

    assert (verdict.reason == "ImpersonationDenied") != granted
    assert (verdict.subject is not None) == granted
    if not granted:
        assert not any(each.allowed for each in verdict.services), "never silently as oneself"


def test_i1_a_right_that_is_taken_away_is_gone_at_the_next_question() -> None:
    place = acting("All")
    assert place.opens(ANNE, BOB) == ["meet"]

    place.declared = [item for item in place.declared if item.kind != "MailDomainRoleBinding"]
    place.declared.append(role("plain", "All"))
    place.declared.append(binding("plain", ANNE))

    assert place.ask(ANNE, BOB).reason == "ImpersonationDenied"


@pytest.mark.parametrize(
    "rest",
    [{"superusers": [BOB]}, {"admins": {"ville.example": [BOB]}}, {"admins": {"Commune.example": [BOB]}}],
    ids=["a superuser", "an administrator of another domain", "an administrator of a twin of the domain"],
)
def test_nobody_acts_as_somebody_who_may_do_more_elsewhere(rest: dict[str, Any]) -> None:
    place = acting("All", **rest)

    assert place.ask(ANNE, BOB).reason == "ImpersonationDenied"
    assert list(subjects_of(place.court.realms[COMMUNE], place.census, next(iter(place.census.people.values())))) == []


def test_an_administrator_of_this_domain_may_be_acted_as() -> None:
    assert acting("All", admins={COMMUNE: [BOB]}).opens(ANNE, BOB) == list(SERVICES)


def test_nobody_acts_as_somebody_who_is_no_member() -> None:
    place = acting(["stranger@other.example"])
    place.people.append("stranger@other.example")

    assert place.ask(ANNE, "stranger@other.example").reason == "ImpersonationDenied"
    assert place.ask(ANNE, "nobody@commune.example").reason == "ImpersonationDenied"


def test_without_an_impersonation_mode_nobody_acts_as_anybody() -> None:
    place = Town(declared=[maildomain(impersonationMode=None), *held("All", acts_as="All")], people=[ANNE, BOB])

    assert place.ask(ANNE, BOB).reason == "ImpersonationDenied"


@pytest.mark.parametrize("rest", [{"admins": {COMMUNE: [ANNE]}}, {"superusers": [ANNE]}, {"people": [ANNE]}], ids=str)
def test_neither_an_admin_row_nor_the_default_role_lets_anybody_act_as_others(rest: dict[str, Any]) -> None:
    place = Town(declared=[maildomain(default="member"), role("member", "All", acts_as="All")], **rest)
    place.people = [*place.people, BOB]

    assert place.ask(ANNE, BOB).reason == "ImpersonationDenied"


def test_acting_as_oneself_is_being_oneself() -> None:
    verdict = acting("None").ask(ANNE, "ANNE@commune.example")

    assert verdict.gate == "Allowed"
    assert verdict.subject is None


def test_rows_name_the_same_subjects_as_questions_grant() -> None:
    people = [ANNE, BOB, "carl@commune.example", "root@commune.example", "dora@commune.example"]
    place = Town(
        declared=[maildomain(), *held("All", acts_as="All")],
        people=people,
        superusers=["root@commune.example"],
        admins={"ville.example": ["dora@commune.example"]},
    )
    census = place.census
    found = {person.id for person in subjects_of(place.court.realms[COMMUNE], census, census.people[f"id-{ANNE}"])}

    assert found == {f"id-{email}" for email in people[1:] if place.ask(ANNE, email).subject is not None}
    assert found == {"id-bob@commune.example", "id-carl@commune.example"}

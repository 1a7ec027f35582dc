"""Is each behaviour of the reference met, or differed from on purpose? One test a behaviour, named after it (B-xx)."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.errors import InvalidInput
from controller.permissions.importing import OldRestrictions, import_restrictions
from controller.permissions.links import LinkReport, LinkState
from controller.permissions.membership import resolve_members
from controller.permissions.resolver import EVERY
from controller.permissions.restrictions import report_restrictions
from controller.permissions.roles import Role
from controller.resources.charter import Charter
from controller.resources.documents import KINDS, parse_object
from controller.resources.names import ResourceKey
from controller.resources.role import Choice, MailDomainRole
from tests.docs.pages import page
from tests.support.declared import ROLE, changed
from tests.support.permissions import (
    COMMUNE,
    SERVICES,
    Town,
    binding,
    group,
    link,
    maildomain,
    restriction,
    role,
    service,
)

ANNE, BOB = "anne@commune.example", "bob@commune.example"
ALL = list(SERVICES)


def town(access: Any = None, *more: Any, acts_as: Any = None, **given: Any) -> Town:
    """Anne with one role, or with none, and Bob without any."""
    own = [role("held", access, acts_as=acts_as), binding("held", ANNE)] if access is not None else []
    options = {name: given.pop(name) for name in list(given) if name not in ("admins", "superusers", "inactive")}
    return Town(declared=[maildomain(**options), *own, *more], people=[ANNE, BOB], **given)


def refuses(*steps: str, to: object) -> bool:
    try:
        parse_object(MailDomainRole, changed(ROLE, *steps, to=to), strict=True)
    except InvalidInput:
        return True
    return False


# --- all, selected, none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("access", "opens"), [("All", ALL), (["docs"], ["docs"]), ("None", None)], ids=str)
def test_b01_one_field_says_all_selected_or_none(access: Any, opens: list[str] | None) -> None:
    assert town(access).opens(ANNE) == opens


@pytest.mark.parametrize("mode", ["All", "None"])
def test_b02_all_or_none_together_with_a_list_can_not_be_stored(mode: str) -> None:
    assert refuses("spec", "serviceAccess", to={"mode": mode, "services": ["docs"]})


def test_b03_a_list_beside_all_is_refused_and_never_lost_in_silence() -> None:
    assert refuses("spec", "serviceAccess", "mode", to="All")


def test_b04_a_list_where_none_belongs_is_an_error() -> None:
    assert refuses("spec", "impersonation", to={"mode": "All", "services": ["docs"]})


@pytest.mark.parametrize("services", [[], None])
def test_b05_selected_with_nothing_selected_can_not_be_saved(services: list[str] | None) -> None:
    assert refuses("spec", "serviceAccess", to={"mode": "Selected", "services": services})


def test_b06_one_service_needs_all_or_the_list_and_any_needs_all_or_a_list() -> None:
    assert [town(["docs"]).opens(ANNE, service=name) for name in SERVICES] == [["docs"], [], []]
    assert [town(access).ask(ANNE).gate for access in ("All", ["docs"], "None")] == ["Allowed", "Allowed", "Forbidden"]


def test_b07_an_empty_list_opens_nothing() -> None:
    place = town(["docs"])
    emptied = {"held": Role("held", "", Choice.SELECTED, frozenset())}  # what no manifest can say
    realm = replace(place.court.realms[COMMUNE], roles=emptied)

    assert not any(each.allowed for each in resolve_members(realm, place.census).decisions[f"id-{ANNE}"])


def test_b08_the_order_of_a_list_says_nothing() -> None:
    assert town(["docs", "meet"]).ask(ANNE) == town(["meet", "docs"]).ask(ANNE)


# --- who has which right ----------------------------------------------------------------------------------------------


def test_b09_superusers_open_everything_unless_the_domain_restricts_them() -> None:
    assert town(superusers=[ANNE]).opens(ANNE) == ALL
    assert town(superusers=[ANNE], superuserAccess="Restricted").opens(ANNE) is None


def test_b10_administrators_open_everything_and_act_as_nobody_by_that() -> None:
    place = town(admins={COMMUNE: [ANNE]})

    assert place.opens(ANNE) == ALL
    assert place.ask(ANNE, BOB).reason == "ImpersonationDenied"


def test_b11_a_role_that_is_gone_gives_nothing() -> None:
    place = town(None, role("member", "All"), binding("gone", ANNE), default="member")

    assert place.opens(ANNE) is None
    assert place.opens(BOB) == ALL


def test_b12_members_without_a_role_have_the_default_role_wherever_it_is_asked() -> None:
    place = town(None, role("member", ["meet"]), default="member")
    rows = resolve_members(place.court.realms[COMMUNE], place.census).decisions

    assert place.opens(BOB) == ["meet"]
    assert rows[f"id-{BOB}"] == place.ask(BOB).services


def test_b13_who_is_no_member_has_nothing() -> None:
    place = town("All", unassignedMembers="AllowAll")
    place.people.append("stranger@other.example")

    assert place.ask("stranger@other.example").reason == "NotMember"


@pytest.mark.parametrize("superusers", [[], [ANNE]])
@pytest.mark.parametrize("domain", [None, ""])
def test_b14_a_missing_domain_is_an_error_for_everybody(domain: str | None, superusers: list[str]) -> None:
    with pytest.raises(InvalidInput):
        town("All", superusers=superusers).ask(ANNE, domain=domain)


def test_b15_a_changed_role_holds_at_the_next_question() -> None:
    place = town(["docs"])
    assert place.opens(ANNE) == ["docs"]

    place.declared = [role("held", ["meet"]) if item.kind == "MailDomainRole" else item for item in place.declared]

    assert place.opens(ANNE) == ["meet"]


@pytest.mark.parametrize("name", [None, ""])
def test_b16_an_empty_service_is_an_error_and_never_access(name: str | None) -> None:
    with pytest.raises(InvalidInput):
        town("All").ask(ANNE, service=name)


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_b17_who_may_open_nothing_does_not_get_in_nor_act_as_anybody() -> None:
    place = town("None", acts_as="All")

    assert place.opens(ANNE) is None
    assert place.ask(ANNE, BOB).reason == "ActorHasNoService"


@pytest.mark.parametrize("access", ["All", ["docs"]], ids=str)
def test_b18_selected_gets_in_as_all_does(access: Any) -> None:
    assert town(access).ask(ANNE).gate == "Allowed"


def test_b19_members_without_a_role_get_in_only_where_that_is_said() -> None:
    assert town().ask(BOB).gate == "Forbidden"
    assert town(unassignedMembers="AllowAll").ask(BOB).gate == "Allowed"


# --- what is listed ---------------------------------------------------------------------------------------------------


def test_b21_what_may_be_listed_are_the_active_services_of_the_domain() -> None:
    place = town("All", service("docs", active=False), service("other"), services=["docs", "drive"])

    assert place.opens(ANNE) == ["drive"]


@pytest.mark.parametrize("access", [["docs"], ["drive", "meet"]], ids=str)
def test_b23_who_has_a_role_is_checked_service_by_service(access: list[str]) -> None:
    assert town(access, unassignedMembers="AllowAll").opens(ANNE) == access


def test_b24_a_role_for_nothing_is_never_wider_than_one_for_something() -> None:
    assert town("None", unassignedMembers="AllowAll").opens(ANNE) is None
    assert town(unassignedMembers="AllowAll").reasons(BOB)["docs"] == "UnassignedAllowed"


def test_b25_a_restriction_and_the_role_both_have_to_agree() -> None:
    def opens(access: Any, *members: str) -> list[str] | None:
        old = (group("readers", *members), restriction(drive="readers"))
        return town(access, *old, legacyGroupRestrictions="Enabled").opens(ANNE, service="drive")

    assert [opens("All", ANNE), opens("All", BOB), opens(["docs"], ANNE)] == [["drive"], [], []]


def test_b26_services_are_listed_by_name() -> None:
    listed = town("All", services=["meet", "docs", "drive"]).ask(ANNE).services

    assert [each.service for each in listed] == ["docs", "drive", "meet"]


@pytest.mark.parametrize("acting_as", [None, BOB])
@pytest.mark.parametrize("name", SERVICES)
def test_b27_opening_one_asks_about_the_same_person_as_listing_all(name: str, acting_as: str | None) -> None:
    place = town(["docs"], role("member", ["meet"]), acts_as="All", default="member")
    listed = {each.service: each for each in place.ask(ANNE, acting_as, service=EVERY).services}

    assert place.ask(ANNE, acting_as, service=name).services == (listed[name],)


# --- restrictions -----------------------------------------------------------------------------------------------------


def restricted(*rows: Any, switch: str = "Enabled", access: Any = "All", **given: Any) -> Town:
    return town(access, group("hers", ANNE), group("his", BOB), *rows, legacyGroupRestrictions=switch, **given)


@pytest.mark.parametrize("rows", [(), (restriction(restrict=False, docs="his"),)], ids=["no record", "restrict false"])
def test_b28_without_a_restriction_that_restricts_nothing_is_forbidden(rows: tuple[Any, ...]) -> None:
    assert restricted(*rows).opens(ANNE) == ALL


def test_b29_administrators_and_superusers_are_not_restricted_and_everybody_else_is() -> None:
    old = restriction(docs="his")

    assert restricted(old, admins={COMMUNE: [ANNE]}).opens(ANNE) == ALL
    assert restricted(old, superusers=[ANNE]).opens(ANNE) == ALL
    assert restricted(old).opens(ANNE) == []


def test_b30_the_row_of_the_service_decides() -> None:
    assert restricted(restriction(docs="hers", drive="his")).opens(ANNE) == ["docs"]


def test_b31_without_rows_everything_is_closed() -> None:
    assert restricted(restriction()).opens(ANNE) == []


def test_b32_the_last_row_decides_on_no_other_service_and_who_relied_on_it_is_named() -> None:
    place = restricted(restriction(docs="his", drive="hers"))

    assert place.reasons(ANNE)["meet"] == "LegacyGroup"
    assert report_restrictions(place.court.realms[COMMUNE], place.census).leaked == {f"id-{ANNE}": {"meet"}}


def test_b33_a_restriction_never_grants_what_the_role_denies() -> None:
    assert restricted(restriction(docs="hers"), access=["drive"]).reasons(ANNE)["docs"] == "NotSelected"


def test_b34_with_the_switch_off_stored_restrictions_do_nothing() -> None:
    assert restricted(restriction(), switch="Disabled").opens(ANNE) == ALL


def test_b35_the_switch_is_turned_on_where_something_restricts_and_a_second_time_changes_nothing() -> None:
    declared = [maildomain(), maildomain("ville", domain="ville.example")]
    old = OldRestrictions.model_validate(
        {
            "restrictions": [
                {"domain": COMMUNE, "restrict": True, "rows": [{"service": "docs", "group": "hers"}]},
                {"domain": "ville.example", "restrict": False},
            ]
        }
    )
    made = import_restrictions(old, declared, Charter())
    parsed: list[Any] = [parse_object(KINDS[each["kind"]], each, strict=True) for each in made]

    assert [(item.kind, item.metadata.name) for item in parsed] == [
        ("MailDomain", "commune"),
        ("ServiceGroupRestriction", "commune"),
    ]
    assert import_restrictions(old, [parsed[0], declared[1]], Charter.of(parsed)) == ()


# --- acting as somebody -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts_as", "granted"), [("All", True), ([BOB], True), ([ANNE], False), ("None", False), (None, False)], ids=str
)
def test_b36_acting_as_somebody_is_a_right_that_a_binding_gives(acts_as: Any, granted: bool) -> None:
    assert (town("All", acts_as=acts_as).ask(ANNE, BOB).subject is not None) == granted
    assert town(superusers=[ANNE]).ask(ANNE, BOB).reason == "ImpersonationDenied", "not even superusers without it"


def test_b38_the_right_is_looked_at_each_time_and_without_it_nobody_is_oneself_in_silence() -> None:
    place = town("All", acts_as="All", unassignedMembers="AllowAll")
    assert place.opens(ANNE, BOB) == ALL

    place.declared = [role("held", "All") if item.kind == "MailDomainRole" else item for item in place.declared]
    verdict = place.ask(ANNE, BOB)

    assert (verdict.gate, verdict.reason) == ("Forbidden", "ImpersonationDenied")
    assert not any(each.allowed for each in verdict.services)


@pytest.mark.parametrize(("mode", "opens"), [("Subject", ["meet"]), ("Intersection", [])])
def test_b39_what_the_other_may_open_decides(mode: str, opens: list[str]) -> None:
    place = town(["docs"], role("member", ["meet"]), acts_as="All", default="member", impersonationMode=mode)

    assert place.opens(ANNE, BOB) == opens


# --- links ------------------------------------------------------------------------------------------------------------

KEY = ResourceKey("org", "link")


def linked(upstream: Any, *local: Any, listed: tuple[str, ...] = SERVICES, **spec: Any) -> Town:
    """A domain that gets the upstream role `elected`; Docs stands for the national one."""
    consent = [{"namespace": "org", "name": "*"}]
    model = maildomain(
        "model", domain="model.example", namespace="national", services=["n-docs"], allowedDownstreams=consent
    )
    national = role("elected", upstream, namespace="national", uid="u-1")
    docs = service("docs", upstreamRef={"name": "n-docs"})
    declared = [maildomain(services=listed), model, national, docs, *local, link(**spec)]
    return Town(declared=declared, people=[ANNE])


def report(place: Town) -> LinkReport:
    return place.court.links.reports[KEY]


HELD = binding("elected", ANNE)


def test_b41_roles_are_matched_by_uid_first_and_then_by_name() -> None:
    by_uid = role("a", "None", upstreamRef={"name": "other", "uid": "u-1"})
    by_name = role("b", "None", upstreamRef={"name": "elected", "uid": "u-9"})

    assert linked(["n-docs"], by_uid, by_name, binding("a", ANNE)).opens(ANNE) == ["docs"]
    assert linked(["n-docs"], by_uid, by_name, binding("b", ANNE)).opens(ANNE) is None
    assert linked(["n-docs"], by_name, binding("b", ANNE)).opens(ANNE) == ["docs"]


def test_b42_an_unlinked_role_of_the_same_name_is_a_conflict_and_nothing_is_applied() -> None:
    place = linked(["n-docs"], role("elected", "None"), HELD)

    assert (report(place).state, report(place).conflicts) == (LinkState.ROLE_CONFLICT, ("elected",))
    assert place.opens(ANNE) is None


def test_b43_overwrite_takes_over_and_a_name_that_is_taken_gets_a_number() -> None:
    over = linked(["n-docs"], role("elected", "None"), HELD, conflictPolicy="Overwrite")
    follower = role("elus", "None", upstreamRef={"name": "elected"})
    beside = linked(["n-docs"], role("elected", "None"), follower, conflictPolicy="Overwrite")

    assert over.opens(ANNE) == ["docs"]
    assert [each.downstream for each in report(beside).roles] == ["elected-1"]


def test_b44_a_role_lists_the_services_that_stand_for_those_of_the_upstream() -> None:
    assert linked(["n-docs", "n-other"], HELD).opens(ANNE) == ["docs"]


def test_b45_what_has_no_counterpart_is_said_and_nothing_left_is_nothing_opened() -> None:
    place = linked(["n-other"], HELD)

    assert place.opens(ANNE) is None
    assert report(place).roles[0].unmapped == ("n-other",)
    assert not report(place).all_mapped


def test_b46_two_services_that_stand_for_one_both_open() -> None:
    assert linked(["n-docs"], service("meet", upstreamRef={"name": "n-docs"}), HELD).opens(ANNE) == ["docs", "meet"]


@pytest.mark.parametrize(("policy", "opens"), [("Keep", ["docs", "meet"]), ("Drop", ["docs"])])
def test_b47_services_of_the_downstream_alone_are_kept_unless_they_are_to_be_dropped(
    policy: str, opens: list[str]
) -> None:
    follower = role("elected", ["meet"], upstreamRef={"name": "elected"})

    assert linked(["n-docs"], follower, HELD, localServices=policy).opens(ANNE) == opens


def test_b48_all_stays_all_over_the_services_of_the_downstream() -> None:
    assert linked("All", HELD, listed=("docs", "meet")).opens(ANNE) == ["docs", "meet"]


def test_b49_a_service_of_the_upstream_means_nothing_downstream_until_it_is_translated() -> None:
    place = linked("None", role("own", ["n-docs"]), binding("own", ANNE))

    assert place.reasons(ANNE)["docs"] == "NotSelected"


# --- rollout ----------------------------------------------------------------------------------------------------------


def test_b52_nothing_is_served_as_denied_before_somebody_says_so() -> None:
    access = maildomain(impersonationMode=None).spec.service_access

    assert access.enforcement == "Audit"
    assert access.unassigned_members == "DefaultRole", "compatibility is asked for, never assumed"


def test_b54_a_reader_of_before_ignores_what_it_does_not_know() -> None:
    newer = changed(ROLE, "spec", "serviceAccess", "newer", to=["docs"])

    known = parse_object(MailDomainRole, newer, strict=False)
    assert known.spec == parse_object(MailDomainRole, ROLE, strict=True).spec


# --- the table --------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[3] / "docs" / "service-access.md"
TESTS: dict[str, list[Callable[..., None]]] = {}
for _name, _test in list(globals().items()):
    if _found := re.match(r"test_b(\d\d)_", _name):
        TESTS.setdefault(f"B-{_found[1]}", []).append(_test)


def test_the_table_names_every_behaviour_once_and_those_that_apply_have_a_test() -> None:
    rows = page(PAGE).table("Compared with the reference")

    assert [row[0] for row in rows] == [f"B-{number:02}" for number in range(1, 55)]
    assert {row[2] for row in rows} == {"same", "different", "not applicable"}
    assert {row[0] for row in rows if row[2] != "not applicable"} == TESTS.keys()
    assert all(row[3] for row in rows if row[2] != "same"), "what differs says why"

"""What do the deprecated restrictions do? Table L-1 to L-8, the leak that is gone, and what is left without them."""

from typing import Any

import pytest

from controller.permissions.realm import Realm
from controller.permissions.restrictions import report_restrictions
from controller.resources.names import ResourceKey
from tests.support.permissions import COMMUNE, Town, binding, bought, group, maildomain, restriction, role

ANNE = "anne@commune.example"


def town(access: Any, in_groups: str, *rows: Any, legacy: str = "Enabled", **rest: Any) -> Town:
    """Anne, who may open `access` (None: she has no role and everything is allowed), as a member of one group."""
    unassigned = "AllowAll" if access is None else "DefaultRole"
    return Town(
        declared=[
            maildomain(legacyGroupRestrictions=legacy, unassignedMembers=unassigned),
            *([role("held", access), binding("held", ANNE)] if access is not None else []),
            group("readers", *([ANNE] if in_groups == "readers" else [])),
            group("others", *([ANNE] if in_groups == "others" else [])),
            *(rows or [restriction(drive="readers", docs="others")]),
        ],
        people=[ANNE],
        **rest,
    )


TABLE = [
    ("L-1 no role, in the group of the service", None, "readers", True),
    ("L-2 a role for another service, in the group of the service", ["meet"], "readers", False),
    ("L-3 a role for another service, in another group", ["meet"], "others", False),
    ("L-4 a role for the service, in its group", ["drive"], "readers", True),
    ("L-5 a role for the service, in another group", ["drive"], "others", False),
    ("L-6 no role, in no group", None, "none", False),
    ("L-7 a role that opens nothing, in the group of the service", "None", "readers", False),
    ("L-8 a role for everything, in the group of the service", "All", "readers", True),
]


@pytest.mark.parametrize(("row", "access", "in_groups", "allowed"), TABLE, ids=[row[0] for row in TABLE])
def test_the_legacy_table(row: str, access: Any, in_groups: str, allowed: bool) -> None:
    [decision] = town(access, in_groups).ask(ANNE, service="drive").services

    assert decision.allowed is allowed


@pytest.mark.parametrize("who", ["admins", "superusers"])
def test_l8_administrators_and_superusers_are_not_restricted(who: str) -> None:
    given: dict[str, Any] = {"admins": {COMMUNE: [ANNE]}} if who == "admins" else {"superusers": [ANNE]}

    assert town("None", "none", **given).opens(ANNE) == ["docs", "drive", "meet"]


def test_l6_a_restriction_without_rows_closes_everything() -> None:
    assert town(None, "readers", restriction()).reasons(ANNE) == dict.fromkeys(["docs", "drive", "meet"], "LegacyGroup")


@pytest.mark.parametrize("rows", [{"restrict": False}, {"restrict": False, "drive": "others"}], ids=["no rows", "rows"])
def test_a_restriction_that_does_not_restrict_does_nothing(rows: dict[str, Any]) -> None:
    assert town("All", "none", restriction(**rows)).opens(ANNE) == ["docs", "drive", "meet"]


def test_several_restrictions_all_have_to_agree() -> None:
    place = town("All", "readers", restriction("one", drive="readers"), restriction("two", drive="others"))

    assert place.reasons(ANNE)["drive"] == "LegacyGroup"


# --- before it is left behind -----------------------------------------------------------------------------------------


def realm(place: Town) -> Realm:
    return place.court.realms[COMMUNE]


def test_who_had_access_only_through_the_last_row_is_named() -> None:
    place = town("All", "others", restriction(drive="readers", docs="others"))
    report = report_restrictions(realm(place), place.census)

    assert report.leaked == {f"id-{ANNE}": frozenset({"meet"})}, "drive has a row, docs is hers, meet had none"


@pytest.mark.parametrize(
    ("in_groups", "rows"),
    [("readers", {"drive": "readers", "docs": "others"}), ("others", {})],
    ids=["not in the last group", "no rows at all"],
)
def test_nobody_else_is_named(in_groups: str, rows: dict[str, Any]) -> None:
    place = town("All", in_groups, restriction(**rows))

    assert report_restrictions(realm(place), place.census).leaked == {}


def test_the_leak_counts_only_where_every_restriction_let_it_through() -> None:
    place = town("All", "others", restriction("one", docs="others"), restriction("two", docs="readers"))

    assert report_restrictions(realm(place), place.census).leaked == {}


@pytest.mark.parametrize(
    ("access", "idle"), [("None", True), (["drive"], True), (["docs"], False), ("All", False)], ids=str
)
def test_a_restriction_is_idle_where_roles_are_narrower_already(access: Any, idle: bool) -> None:
    place = town(access, "readers", restriction(drive="readers"))
    report = report_restrictions(realm(place), place.census)

    assert report.idle == ({ResourceKey("org", "old")} if idle else set())


def test_switching_off_says_who_would_gain() -> None:
    place = town("All", "none")
    change = report_restrictions(realm(place), place.census).switched_off

    assert change.gains == {f"id-{ANNE}"}
    assert not change.loses, "a restriction never grants"
    assert town("All", "none", legacy="Disabled").opens(ANNE) == ["docs", "drive", "meet"]


def test_a_restriction_of_a_service_whose_subscription_is_not_known_is_not_called_idle() -> None:
    place = town(["drive"], "none", restriction(drive="readers"))
    place.declared.append(bought("drive"))

    assert report_restrictions(realm(place), place.census).idle == set()

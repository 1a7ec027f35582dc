"""Does `apply` write who may open which service, as `review` answers it, and hold what would let people in?"""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run, Town

FILES = ("-f", "manifests")
PEOPLE = ("anne", "ben", "carl")


@pytest.fixture
def commune(town: Town, run: Run) -> Town:
    """Carl administers the commune, Anne is elected, and an old restriction keeps all but Ben out of Drive."""
    for name in ("docs", "drive"):
        town.declare("CatalogService", name, {"type": name})
    town.declare("MailDomainRole", "member", {"serviceAccess": {"mode": "All"}})
    town.declare("MailDomainRole", "elected", {"serviceAccess": {"mode": "Selected", "services": ["drive"]}})
    reference = {"mailDomainRef": {"name": "commune.example"}}
    anne = [{"kind": "User", "email": "anne@commune.example"}]
    town.declare("MailDomainRoleBinding", "elected", {**reference, "roleRef": {"name": "elected"}, "subjects": anne})
    town.declare("MailDomainGroup", "team", {"members": ["ben@commune.example"]})
    old = [{"service": "drive", "group": "team"}]
    town.declare("ServiceGroupRestriction", "old", {**reference, "restrict": True, "groups": old})
    town.domain("commune.example", serviceAccess=access("Enabled"))
    for name in PEOPLE:
        town.person(f"{name}@commune.example", *(["commune.example"] if name == "carl" else []))
    return town


def access(restrictions: str) -> dict[str, Any]:
    return {
        "services": [{"name": "drive"}, {"name": "docs"}],
        "defaultRoleRef": {"name": "member"},
        "enforcement": "Enforce",
        "legacyGroupRestrictions": restrictions,
    }


def rows(town: Town) -> dict[str, dict[str, str]]:
    """What readers see: for each person the services with their reasons, those that are closed in brackets."""
    place = "maildomain_controller." if town.mail.dialect == "postgresql" else "mdc_"
    found = town.mail.execute(
        f"SELECT u.email, e.service_id, e.allowed, e.reason FROM {place}effective_services e"
        " JOIN messages_user u ON u.id = e.user_id ORDER BY u.email, e.service_id"
    )
    shown: dict[str, dict[str, str]] = {}
    for row in found:
        reason = row["reason"] if row["allowed"] else f"[{row['reason']}]"
        shown.setdefault(row["email"].partition("@")[0], {})[row["service_id"]] = reason
    return shown


def test_rows_say_what_a_question_is_answered(commune: Town, run: Run) -> None:
    assert run("apply", *FILES).code == 0
    found = rows(commune)
    assert found == {
        "anne": {"docs": "[NotSelected]", "drive": "[LegacyGroup]"},
        "ben": {"docs": "[LegacyGroup]", "drive": "DefaultRole"},
        "carl": {"docs": "DomainAdmin", "drive": "DomainAdmin"},
    }
    for name in PEOPLE:
        asked = run("review", *FILES, "--domain", "commune.example", "--user", f"{name}@commune.example", "-o", "json")
        answered = {
            each["name"]: each["reason"] if each["allowed"] else f"[{each['reason']}]"
            for each in json.loads(asked.out)["services"]
        }
        assert answered == found[name]


def test_the_second_apply_writes_nothing(commune: Town, run: Run) -> None:
    run("apply", *FILES)
    before, own = rows(commune), commune.mail.dump_own()
    assert run("apply", *FILES).code == 0
    assert (rows(commune), commune.mail.dump_own()) == (before, own)
    [line] = json.loads(run("journal", "--what", "services", "-o", "json").out)["entries"]
    assert (line["domain"], line["reason"]) == ("commune.example", "Decided")


def test_a_plan_writes_nothing_about_services(commune: Town, run: Run) -> None:
    run("plan", *FILES)
    assert rows(commune) == {}


def test_switching_restrictions_off_is_held_until_exactly_that_is_approved(commune: Town, run: Run) -> None:
    run("apply", *FILES)
    before = rows(commune)
    commune.domain("commune.example", there=False, serviceAccess=access("Disabled"))
    held = run("apply", *FILES, "-o", "json")
    assert held.code == 5
    [hold] = json.loads(held.out)["holds"]
    assert (hold["scope"], hold["limit"]) == ("MailDomain default/commune.example", "legacyGroupRestrictions")
    assert hold["count"] == 2, "Anne and Ben: Carl was never kept out"
    assert rows(commune) == before
    assert [found["id"] for found in json.loads(run("status", "-o", "json").out)["holds"]] == [hold["id"]]

    approved = run("apply", *FILES, "--approve", hold["id"])
    assert approved.code == 0
    assert "warning" not in approved.err
    assert rows(commune)["ben"] == {"docs": "DefaultRole", "drive": "DefaultRole"}
    assert rows(commune)["anne"] == {"docs": "[NotSelected]", "drive": "RoleSelected"}
    assert json.loads(run("status", "-o", "json").out)["holds"] == []

"""Do the two commands lead into the deprecated restrictions and out again without anybody losing what they had?"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import API_VERSION, Ran, Run
from tests.support.database import MailWorld

ANNE, BOB = "anne@commune.example", "bob@commune.example"
OLD = {
    "restrictions": [
        {
            "domain": "commune.example",
            "restrict": True,
            "rows": [{"service": "drive", "group": "accounts"}],
            "groups": [{"name": "accounts", "members": [ANNE]}],
        },
        {"domain": "ville.example", "restrict": False, "rows": [{"service": "drive", "group": "accounts"}]},
        {"domain": "nobody.example", "restrict": False},
    ]
}


def domain(name: str, **access: Any) -> dict[str, Any]:
    spec = {
        "domain": f"{name}.example",
        "mode": "Observe",
        "sourceRefs": [{"name": "source"}],
        "protectedAdmins": [],
        "serviceAccess": {"services": [{"name": "drive"}, {"name": "docs"}], "unassignedMembers": "AllowAll", **access},
    }
    return {"apiVersion": API_VERSION, "kind": "MailDomain", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "manifests"
    place.mkdir()
    services = [
        {"apiVersion": API_VERSION, "kind": "CatalogService", "metadata": {"name": name}, "spec": {"type": name}}
        for name in ("drive", "docs")
    ]
    (place / "all.yaml").write_text(yaml.safe_dump_all([domain("commune"), domain("ville"), *services]))
    return place


def importing(run: Run, folder: Path, old: object = OLD, *options: str) -> Ran:
    export = folder.parent / "export.json"
    export.write_text(json.dumps(old))
    return run("import-restrictions", str(export), "-f", str(folder), *options)


def taken_over(run: Run, folder: Path) -> list[dict[str, Any]]:
    """Import, and put the result into the folder in place of what it replaces."""
    made = list(yaml.safe_load_all(importing(run, folder, OLD, "--show-pii").out))
    kept = [
        item for item in yaml.safe_load_all((folder / "all.yaml").read_text()) if item["metadata"] not in places(made)
    ]
    (folder / "all.yaml").write_text(yaml.safe_dump_all([*kept, *made]))
    return made


def places(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item["metadata"] for item in made if item["kind"] == "MailDomain"]


def test_the_switch_is_turned_on_only_where_something_restricts(run: Run, folder: Path) -> None:
    made = {(item["kind"], item["metadata"]["name"]): item["spec"] for item in taken_over(run, folder)}

    assert made.keys() == {
        ("MailDomain", "commune"),
        ("MailDomainGroup", "accounts"),
        ("ServiceGroupRestriction", "commune"),
    }
    expected = domain("commune", legacyGroupRestrictions="Enabled")["spec"]
    assert made["MailDomain", "commune"] == expected, "nothing else changes"
    assert run("validate", "-f", str(folder)).code == 0


def test_running_it_twice_changes_nothing(run: Run, folder: Path) -> None:
    taken_over(run, folder)
    again = importing(run, folder)

    assert (again.code, again.out) == (0, "")


def test_members_of_groups_are_written_on_request_only(run: Run, folder: Path) -> None:
    ran = importing(run, folder)

    assert (ran.code, ran.out) == (2, "")
    assert "@" not in ran.err


@pytest.mark.parametrize(
    "record",
    [
        {"domain": "nobody.example", "restrict": True},
        {"domain": "commune.example", "restrict": "yes"},
        {"domain": "commune.example"},
        {"domain": "commune.example", "restrict": True, "groups": [{"name": "Not A Name", "members": [ANNE]}]},
        {"domain": "commune.example", "restrict": True, "rows": [{"service": "", "group": "a"}]},
    ],
    ids=["not declared", "no truth value", "no word on restrict", "no name", "an empty service"],
)
def test_what_can_not_be_used_is_refused_without_its_values(record: dict[str, Any], run: Run, folder: Path) -> None:
    ran = importing(run, folder, {"restrictions": [record]}, "--show-pii")

    assert (ran.code, ran.out) == (6, "")
    assert "anne@" not in ran.err


# --- out again --------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> MailWorld:
    monkeypatch.setenv("MDC_DATABASE_URL", bare_url)
    made = MailWorld(bare_url)
    made.user(ANNE)
    made.user(BOB)
    return made


def report(run: Run, folder: Path, *options: str) -> dict[str, Any]:
    ran = run("converge", "-f", str(folder), "-o", "json", *options)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_the_report_counts_and_names_who_was_let_in_by_mistake(run: Run, folder: Path, world: MailWorld) -> None:
    taken_over(run, folder)
    [commune] = report(run, folder)["domains"]

    assert (commune["domain"], commune["enabled"], commune["wouldGain"]) == ("commune.example", True, 2)
    assert commune["restrictions"] == [{"name": "commune", "denied": 2, "idle": False}]
    [leak] = commune["lastRowLeak"]
    assert leak["services"] == ["docs"], "Anne is in the last row's group, and docs has no row"
    assert "email" not in leak
    assert report(run, folder, "--show-pii")["domains"][0]["lastRowLeak"][0]["email"] == ANNE


def test_a_restriction_without_effect_is_safe_to_delete(run: Run, folder: Path, world: MailWorld) -> None:
    taken_over(run, folder)
    narrow = domain("commune", legacyGroupRestrictions="Enabled", unassignedMembers="DefaultRole")
    kept = [item for item in yaml.safe_load_all((folder / "all.yaml").read_text()) if item["kind"] != "MailDomain"]
    (folder / "all.yaml").write_text(yaml.safe_dump_all([*kept, narrow]))

    assert "ServiceGroupRestriction commune: safe to delete" in run("converge", "-f", str(folder)).out


def test_with_the_switch_off_the_report_says_what_was_widened(run: Run, folder: Path, world: MailWorld) -> None:
    taken_over(run, folder)
    text = (folder / "all.yaml").read_text()
    (folder / "all.yaml").write_text(text.replace("legacyGroupRestrictions: Enabled", "enforcement: Audit"))
    [commune] = report(run, folder)["domains"]

    assert (commune["enabled"], commune["wouldGain"]) == (False, 2)
    assert "is not applied: the switch of its MailDomain is off" in run("validate", "-f", str(folder)).err


def test_without_restrictions_there_is_nothing_to_say(run: Run, folder: Path, world: MailWorld) -> None:
    assert run("converge", "-f", str(folder)).out == "no ServiceGroupRestriction is left\n"

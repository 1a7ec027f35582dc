"""Does `plan` say what `apply` would write about services, hold and approve the same, and end with the right code?"""

import json
from typing import Any

import pytest

from controller.sandbox.deploycenter import Behaviour, Organization
from tests.cli.conftest import Run, Town
from tests.cli.test_services import FILES, access, commune, rows

__all__ = ["commune"]

SIRET = "21590350100017"


def planned(run: Run, *options: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("plan", *FILES, "-o", "json", *options).out)
    return document


def told(document: dict[str, Any]) -> dict[str, tuple[str, int, int, int]]:
    """By service: the state, how many may open it, how many gain it and how many lose it."""
    [domain] = document["services"]["domains"]
    return {each["name"]: (each["state"], each["allowed"], each["gains"], each["loses"]) for each in domain["services"]}


def buy(town: Town, *, active: bool | None, **source: Any) -> None:
    """Let Drive want a subscription from a source of its own, and the organization have it or not."""
    provider = {
        "deployCenter": {
            "url": town.url,
            "insecureHTTP": True,
            "serviceId": town.double.world.service_id,
            "apiKeySecretRef": {"name": "deploycenter", "key": "api-key"},
            "organization": {"pivotSirets": [SIRET]},
            "timeout": "2s",
        }
    }
    town.declare("EntitlementSource", "drive", {"provider": provider, **source})
    reference = {"sourceRef": {"namespace": "default", "name": "drive"}, "probeEmail": "probe@dsi.example"}
    town.declare("CatalogService", "drive", {"type": "drive", "subscription": reference})
    town.domain("commune.example", there=False, serviceAccess=access("Disabled"), organization={"siret": SIRET})
    world = town.double.world
    world.organizations = [each for each in world.organizations if each.siret != SIRET]
    world.organizations.append(Organization(SIRET, "Commune", active=active))


def test_what_is_planned_is_what_apply_does(commune: Town, run: Run) -> None:
    plan = planned(run)
    assert told(plan) == {"docs": ("Usable", 1, 1, 0), "drive": ("Usable", 2, 2, 0)}
    assert plan["services"]["counts"] == {"domains": 1, "gains": 3, "loses": 0, "held": 0}
    result = json.loads(run("apply", *FILES, "-o", "json").out)
    assert (result["kind"], result["services"], result["digest"]) == ("Result", plan["services"], plan["digest"])

    quiet = run("plan", *FILES, "-o", "json")
    assert quiet.code == 0
    assert told(json.loads(quiet.out)) == {"docs": ("Usable", 1, 0, 0), "drive": ("Usable", 2, 0, 0)}


def test_a_plan_counts_administrators_whom_it_grants_and_revokes(commune: Town, run: Run) -> None:
    run("apply", *FILES)
    commune.entitle("carl@commune.example")
    commune.entitle("anne@commune.example", "commune.example")
    commune.domain("commune.example", there=False, limits={"minAdmins": 0}, serviceAccess=access("Enabled"))
    plan = planned(run)
    assert told(plan) == {"docs": ("Usable", 1, 1, 1), "drive": ("Usable", 2, 1, 1)}
    assert json.loads(run("apply", *FILES, "-o", "json").out)["services"] == plan["services"]


def test_who_gains_is_three_and_who_loses_is_four(commune: Town, run: Run) -> None:
    run("apply", *FILES)
    town = commune
    town.declare("MailDomainGroup", "team", {"members": ["ben@commune.example", "anne@commune.example"]})
    assert run("plan", *FILES).code == 3
    town.declare("MailDomainGroup", "team", {"members": []})
    assert run("plan", *FILES).code == 4
    assert run("apply", *FILES).code == 0
    assert run("plan", *FILES).code == 0


def test_what_is_only_audited_keeps_nobody_out_and_says_who_would_lose(commune: Town, run: Run) -> None:
    commune.domain("commune.example", there=False, serviceAccess=access("Enabled") | {"enforcement": "Audit"})
    assert run("apply", *FILES).code == 0
    [domain] = planned(run)["services"]["domains"]
    assert (domain["advisory"], domain["members"], domain["wouldLose"]) == (True, 3, 2)

    commune.domain("commune.example", there=False, serviceAccess=access("Enabled"))
    plan = run("plan", *FILES, "-o", "json")
    assert plan.code == 4, "who was kept out on paper alone is kept out"
    assert told(json.loads(plan.out)) == {"docs": ("Usable", 1, 0, 2), "drive": ("Usable", 2, 0, 1)}


def test_a_domain_that_is_observed_can_be_thought_of_as_enforced(commune: Town, run: Run) -> None:
    commune.domain("commune.example", there=False, mode="Observe", serviceAccess=access("Enabled"))
    run("apply", *FILES)
    assert planned(run)["services"]["counts"] == {"domains": 1, "gains": 0, "loses": 0, "held": 0}
    thought = run("plan", *FILES, "--as-if", "Enforce", "-o", "json")
    assert json.loads(thought.out)["services"]["counts"]["loses"] == 3
    assert thought.code == 4


def test_a_domain_that_decides_no_more_loses_its_rows(commune: Town, run: Run) -> None:
    run("apply", *FILES)
    commune.domain("commune.example", there=False)
    for kind, name in (("ServiceGroupRestriction", "old"), ("MailDomainRoleBinding", "elected")):
        (commune.folder / f"{kind}-{name}.yaml").unlink()
    plan = run("plan", *FILES, "-o", "json")
    assert plan.code == 4
    assert told(json.loads(plan.out)) == {"docs": ("NotListed", 0, 0, 1), "drive": ("NotListed", 0, 0, 2)}
    assert run("apply", *FILES).code == 0
    assert rows(commune) == {}


def test_the_hold_of_a_plan_is_that_of_apply_and_can_be_approved_in_both(commune: Town, run: Run) -> None:
    run("apply", *FILES)
    commune.domain("commune.example", there=False, serviceAccess=access("Disabled"))
    plan = run("plan", *FILES, "-o", "json")
    assert plan.code == 5
    [hold] = json.loads(plan.out)["holds"]
    assert (hold["limit"], hold["count"]) == ("legacyGroupRestrictions", 2)
    assert json.loads(plan.out)["services"]["counts"]["held"] == 2

    shown = run("plan", *FILES)
    assert f"--approve {hold['id']}" in shown.out
    approved = run("plan", *FILES, "--approve", hold["id"], "-o", "json")
    assert (approved.code, approved.err) == (3, "")
    assert told(json.loads(approved.out))["docs"] == ("Usable", 2, 1, 0)
    assert rows(commune)["ben"] == {"docs": "[LegacyGroup]", "drive": "DefaultRole"}, "a plan approves nothing"

    assert json.loads(run("apply", *FILES, "-o", "json").out)["holds"] == [hold]
    assert run("plan", *FILES, "--approve", hold["id"]).code == 3
    assert "no such hold" in run("plan", *FILES, "--approve", "feedfeedfeed").err
    assert run("apply", *FILES, "--approve", hold["id"]).code == 0


def test_people_and_pull_requests_are_told_by_service(commune: Town, run: Run) -> None:
    text = run("plan", *FILES).out
    assert [line.split() for line in text.splitlines() if line.startswith("commune.example  d")] == [
        ["commune.example", "docs", "Usable", "1", "1", "-", "-"],
        ["commune.example", "drive", "Usable", "2", "2", "-", "-"],
    ]
    assert text.splitlines()[-1].endswith("; services: 3 gained")
    markdown = run("plan", *FILES, "-o", "markdown").out
    assert "| `commune.example` | docs | Usable | 1 | 1 | 0 | 0 |" in markdown


def test_a_plan_works_before_the_first_migrate(commune: Town, run: Run) -> None:
    if commune.mail.dialect == "postgresql":
        commune.mail.execute("DROP SCHEMA maildomain_controller CASCADE")
    else:
        for row in commune.mail.execute("SELECT type, name FROM sqlite_master WHERE name LIKE 'mdc\\_%' ESCAPE '\\'"):
            if row["type"] in ("table", "view"):
                commune.mail.execute(f"DROP {row['type']} {row['name']}")
    assert told(planned(run)) == {"docs": ("Usable", 1, 1, 0), "drive": ("Usable", 2, 2, 0)}


def test_files_without_services_say_nothing_of_them(town: Town, run: Run) -> None:
    town.domain("commune.example")
    assert "services" not in planned(run)
    assert "services" not in run("plan", *FILES).out


# --- sources of subscriptions -----------------------------------------------------------------------------------------


def test_what_is_not_bought_is_told(commune: Town, run: Run) -> None:
    buy(commune, active=False)
    plan = planned(run)
    assert told(plan)["drive"] == ("NotSubscribed", 0, 0, 0)
    [source] = plan["services"]["sources"]
    assert (source["name"], source["asked"], source["notSubscribed"]) == ("drive", 1, 1)


@pytest.mark.parametrize("command", ["plan", "apply"])
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Behaviour.DOWN, "Unreachable"),
        (Behaviour.SERVER_ERROR, "Unreachable"),
        (Behaviour.UNAUTHENTICATED, "Unauthenticated"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_source_of_subscriptions_that_is_down_is_seven_and_keeps_the_rows(
    commune: Town, run: Run, command: str, trouble: Behaviour, reason: str
) -> None:
    buy(commune, active=True)
    assert run("apply", *FILES).code == 0
    before = rows(commune)
    commune.double.behaviours["probe@dsi.example"] = trouble
    ran = run(command, *FILES, "-o", "json")
    assert ran.code == 7
    assert f"EntitlementSource default/drive: {reason}" in ran.err
    [domain] = json.loads(ran.out)["services"]["domains"]
    [drive] = [each for each in domain["services"] if each["name"] == "drive"]
    assert (drive["state"], drive["stale"], drive["gains"], drive["loses"]) == ("Unknown", 3, 0, 0)
    assert rows(commune) == before


def test_a_source_of_subscriptions_that_is_not_there_or_has_no_secret_is_seven(commune: Town, run: Run) -> None:
    buy(commune, active=True)
    (commune.folder / "EntitlementSource-drive.yaml").unlink()
    ran = run("apply", *FILES)
    assert (ran.code, "EntitlementSource default/drive: SourceNotFound" in ran.err) == (7, True)

    provider = {"deployCenter": {"url": commune.url, "insecureHTTP": True, "serviceId": 1}}
    provider["deployCenter"]["apiKeySecretRef"] = {"name": "other", "key": "api-key"}
    commune.declare("EntitlementSource", "drive", {"provider": provider})
    ran = run("apply", *FILES)
    assert (ran.code, "EntitlementSource default/drive: SecretMissing" in ran.err) == (7, True)


def test_a_source_that_is_suspended_or_does_not_know_the_organization_has_not_failed(commune: Town, run: Run) -> None:
    buy(commune, active=None)
    assert run("apply", *FILES).code == 0
    buy(commune, active=True, suspend=True)
    assert run("apply", *FILES).code == 0
    assert planned(run)["services"]["sources"][0]["unknown"] == 1


def test_nothing_is_planned_while_everything_is_frozen(commune: Town, run: Run) -> None:
    assert run("freeze").code == 0
    plan = run("plan", *FILES, "-o", "json")
    assert "services" not in json.loads(plan.out)
    assert plan.code == 0

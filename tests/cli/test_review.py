"""Does `review` answer by the rules, with its exit codes, and without an e-mail in what it prints?"""

import json
from pathlib import Path
from typing import Any

import pytest

from controller.cli.review import schema
from controller.permissions.reasons import AccessReason
from controller.sandbox.deploycenter import Behaviour, Organization
from tests.cli.conftest import ROOT, Ran, Run, Town, write
from tests.docs.pages import page, plain
from tests.support.database import MailWorld
from tests.support.published import require

SCHEMA = ROOT / "docs" / "schema" / "review.json"
SIRET, OTHER = "21590350100017", "21990000000099"
ANNE, BOB = "anne@commune.example", "bob@commune.example"


@pytest.fixture
def asked(town: Town, run: Run) -> Any:
    """Ask about the commune, in which Anne opens Drive and acts as anybody, and everybody else opens Docs."""
    declare(town, organization={"siret": SIRET})
    for name in ("drive", "docs"):
        town.declare("CatalogService", name, {"type": name})
    town.declare("MailDomainRole", "member", {"serviceAccess": {"mode": "Selected", "services": ["docs"]}})
    town.declare(
        "MailDomainRole",
        "elected",
        {"serviceAccess": {"mode": "Selected", "services": ["drive"]}, "impersonation": {"mode": "All"}},
    )
    binding = {"mailDomainRef": {"name": "commune"}, "roleRef": {"name": "elected"}}
    town.declare("MailDomainRoleBinding", "elected", {**binding, "subjects": [{"kind": "User", "email": ANNE}]})
    town.mail.domain("commune.example", attributes={"siret": OTHER})
    town.mail.user(ANNE)
    town.mail.user(BOB)

    def ask(*question: str, domain: str = "commune.example", user: str = ANNE) -> Ran:
        return run("review", "-f", str(town.folder), "-o", "json", "--domain", domain, "--user", user, *question)

    return ask


def declare(town: Town, **spec: Any) -> None:
    access = {
        "services": [{"name": "drive"}, {"name": "docs"}],
        "defaultRoleRef": {"name": "member"},
        "impersonationMode": "Subject",
        "enforcement": "Enforce",
    }
    base = {"domain": "commune.example", "mode": "Enforce", "sourceRefs": [{"name": "deploycenter"}]}
    town.declare("MailDomain", "commune", {**base, "serviceAccess": access, **spec})


def buy(town: Town, *, active: bool | None, siret: str = SIRET) -> None:
    """Let Drive want a subscription, from the source of the tests, and the organization have it or not."""
    source = {"namespace": "default", "name": "deploycenter"}
    subscription = {"sourceRef": source, "probeEmail": "probe@dsi.example"}
    town.declare("CatalogService", "drive", {"type": "drive", "subscription": subscription})
    town.double.world.organizations.append(Organization(siret, f"Commune {siret}", active=active))


def opened(ran: Ran) -> dict[str, Any]:
    document = json.loads(ran.out)
    require(document, "review.json")
    return {each["name"]: each["allowed"] for each in document["services"]}


def test_all_services_of_the_domain_and_one_of_them(asked: Any) -> None:
    listed, drive, docs = asked(), asked("--service", "drive"), asked("--service", "docs")

    assert (listed.code, drive.code, docs.code) == (0, 0, 3)
    assert json.loads(listed.out) == {
        "gate": "Allowed",
        "reason": "RoleSelected",
        "services": [
            {"name": "docs", "allowed": False, "reason": "NotSelected"},
            {"name": "drive", "allowed": True, "reason": "RoleSelected"},
        ],
    }
    assert opened(drive) == {"drive": True}
    assert opened(docs) == {"docs": False}


def test_where_nothing_is_served_yet_it_is_said(asked: Any, town: Town) -> None:
    assert "advisory" not in json.loads(asked().out)
    declare(town, mode="Observe")
    assert json.loads(asked().out)["advisory"] is True


def test_who_is_no_member_is_denied(asked: Any) -> None:
    ran = asked(user="stranger@other.example")

    assert ran.code == 3
    assert json.loads(ran.out)["gate"] == "Forbidden"
    assert json.loads(ran.out)["reason"] == "NotMember"


@pytest.mark.parametrize("row", ["admin", "superuser"])
def test_rows_of_the_mail_database_count(row: str, asked: Any, town: Town) -> None:
    user = town.mail.user("chef@other.example", superuser=row == "superuser")
    if row == "admin":
        [domain] = [found["id"] for found in town.mail.execute("SELECT id FROM messages_maildomain")]
        town.mail.admin(user, str(domain))

    assert opened(asked(user="chef@other.example")) == {"docs": True, "drive": True}


def test_a_question_that_makes_no_sense_is_six_and_never_a_no(asked: Any, town: Town, run: Run) -> None:
    for question in (
        ["--user", ANNE],
        ["--domain", "commune.example"],
        ["--domain", "", "--user", ANNE],
        ["--domain", "nobody.example", "--user", ANNE],
        ["--domain", "commune.example", "--user", "anne"],
        ["--domain", "commune.example", "--user", ANNE, "--service", ""],
        ["--domain", "commune.example", "--user", ANNE, "--acting-as", ""],
    ):
        ran = run("review", "-f", str(town.folder), *question)
        assert (ran.code, ran.out) == (6, ""), question
        assert "anne@" not in ran.err


def test_an_e_mail_of_two_people_is_seven(asked: Any, town: Town) -> None:
    town.mail.user("Anne@commune.example")

    assert asked().code == 7


def test_a_role_that_acts_as_others_needs_the_word_of_the_domain(asked: Any, town: Town) -> None:
    access = {"services": [{"name": "drive"}]}
    declare(town, serviceAccess=access)
    ran = asked()

    assert ran.code == 6
    assert "spec.serviceAccess.impersonationMode: is missing" in ran.err


# --- acting as somebody -----------------------------------------------------------------------------------------------


def journal(run: Run) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(run("journal", "-o", "json").out)["entries"]
    return entries


def test_acting_as_somebody_is_answered_for_them_and_noted_in_the_journal(asked: Any, run: Run) -> None:
    ran = asked("--acting-as", BOB)

    assert (ran.code, opened(ran)) == (0, {"docs": True, "drive": False})
    [line] = journal(run)
    assert (line["what"], line["domain"], line["reason"]) == ("actedAs", "commune.example", "Impersonation")
    assert line["image"]["services"] == ["docs"]
    assert "@" not in str(line), "people are named by their ids"


def test_what_is_denied_is_noted_nowhere(asked: Any, run: Run) -> None:
    ran = asked("--acting-as", ANNE, user=BOB)

    assert ran.code == 3
    assert json.loads(ran.out)["reason"] == "ImpersonationDenied"
    assert opened(ran) == {"docs": False, "drive": False}
    assert journal(run) == []


# --- subscriptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("active", "code"), [(True, 0), (False, 3), (None, 3)])
def test_a_subscription_opens_a_service_or_closes_it(active: bool | None, code: int, asked: Any, town: Town) -> None:
    buy(town, active=active)
    ran = asked("--service", "drive")

    assert ran.code == code
    assert opened(ran) == {"drive": code == 0}


def test_the_siret_is_that_of_the_domain_and_never_a_pivot(asked: Any, town: Town) -> None:
    buy(town, active=None)
    ran = asked("--service", "drive")

    assert json.loads(ran.out)["services"][0]["reason"] == "NotSubscribed"
    assert town.double.requests == 1, "the pivot would have said yes"


def test_without_a_declared_siret_the_stored_one_counts(asked: Any, town: Town) -> None:
    buy(town, active=True, siret=OTHER)
    declare(town)

    assert asked("--service", "drive").code == 0


def test_a_source_that_is_down_is_neither_yes_nor_no(asked: Any, town: Town) -> None:
    buy(town, active=True)
    town.double.behaviour = Behaviour.SERVER_ERROR
    ran = asked()

    assert ran.code == 7
    assert opened(ran) == {"docs": False, "drive": None}


def test_nobody_is_asked_where_the_answer_does_not_hang_on_it(asked: Any, town: Town) -> None:
    buy(town, active=True)

    assert asked("--service", "drive", user=BOB).code == 3
    assert asked(user=BOB).code == 0
    assert town.double.requests == 0


# --- the published shape ----------------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_model() -> None:
    assert json.loads(SCHEMA.read_text()) == schema()


def test_each_reason_stands_in_the_documentation_with_its_text() -> None:
    shown = {plain(row[0]): row[1] for row in page(ROOT / "docs" / "service-access.md").table("Reasons")}

    assert shown == {reason.value: reason.text for reason in AccessReason}


def test_an_answer_for_people_tells_why(asked: Any, town: Town, run: Run) -> None:
    ran = run("review", "-f", str(town.folder), "--domain", "commune.example", "--user", ANNE)

    assert "Allowed  RoleSelected: A role of theirs lists the service." in ran.out
    assert "no       docs  NotSelected" in ran.out


def test_works_before_the_first_migrate(
    bare_url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDC_DATABASE_URL", bare_url)
    MailWorld(bare_url).user(ANNE)
    access = {"services": [{"name": "drive"}], "unassignedMembers": "AllowAll"}
    spec = {"domain": "commune.example", "mode": "Observe", "sourceRefs": [{"name": "s"}], "serviceAccess": access}
    write(tmp_path / "m" / "d.yaml", "MailDomain", "commune", spec)
    write(tmp_path / "m" / "s.yaml", "CatalogService", "drive", {"type": "drive"})

    assert run("review", "-f", str(tmp_path / "m"), "--domain", "commune.example", "--user", ANNE).code == 0

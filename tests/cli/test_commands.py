"""The commands beside a real database and a DeployCenter on loopback: rows, exit codes, and what stands on stdout."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.resources.conditions import Reason
from controller.sandbox.deploycenter import Behaviour
from tests.cli.conftest import Ran, Run, Town, write
from tests.support.database import MailWorld
from tests.support.published import require

FILES = ("-f", "manifests")


def document(ran: Ran) -> dict[str, Any]:
    """What stands on stdout: one JSON document of the published shape and nothing else."""
    found: dict[str, Any] = json.loads(ran.out)
    require(found, "plan.json")
    return found


def populate(town: Town, people: int = 24) -> list[str]:
    """Domains `d<n>.example`, two administrators each."""
    for number in range(people // 2):
        town.domain(f"d{number}.example")
    return [town.person(f"u{n}@d{n // 2}.example", f"d{n // 2}.example") for n in range(people)]


# --- plan and apply ---------------------------------------------------------------------------------------------------


def test_apply_makes_exactly_the_entitled_rows_and_touches_nothing_else(town: Town, run: Run) -> None:
    enforced, observed = town.domain("x.example"), town.domain("seen.example", mode="Observe")
    undeclared, granting = town.domain("other.example", declared=False), town.domain("more.example", mode="GrantOnly")
    town.domain("missing.example", there=False)
    ann = town.person("ann@x.example", "x.example", "seen.example", "other.example", "more.example", "missing.example")
    bob = town.person("bob@x.example")
    town.person("gone@x.example", "x.example", active=False)
    town.person("twin@x.example", "x.example")
    town.mail.user("Twin@x.example")
    by_hand, other_role = town.mail.admin(bob, enforced), town.mail.admin(bob, undeclared, role=42)
    before = town.mail.rows_of("messages_maildomainaccess")

    planned = run("plan", *FILES, "-o", "json")
    assert planned.code == 3
    assert document(planned)["counts"]["grants"] == 2
    assert town.mail.rows_of("messages_maildomainaccess") == before

    applied = run("apply", *FILES, "-o", "json")
    assert applied.code == 0
    assert document(applied)["applied"] == {"grants": 2, "revocations": 0, "adoptions": 0}
    assert document(applied)["digest"] == document(planned)["digest"]
    assert town.mail.admins_of(enforced) == {ann, bob}
    assert town.mail.admins_of(granting) == {ann}
    assert town.mail.admins_of(observed) == town.mail.admins_of(undeclared) == set()
    kept = town.mail.rows_of("messages_maildomainaccess")
    assert set(before) <= set(kept)
    assert by_hand != other_role


def test_the_second_apply_writes_no_row_and_asks_each_user_once(town: Town, run: Run) -> None:
    populate(town, 6)
    assert run("apply", *FILES).code == 0
    before, own = town.mail.dump(), town.mail.dump_own()
    town.double.asked.clear()
    again = run("apply", *FILES, "-o", "json")
    assert again.code == 0
    assert document(again)["applied"] == {"grants": 0, "revocations": 0, "adoptions": 0}
    assert (town.mail.dump(), town.mail.dump_own()) == (before, own)
    assert set(town.double.asked.values()) == {1}


def test_a_right_that_is_gone_is_revoked_after_a_second_ask(town: Town, run: Run) -> None:
    users = populate(town, 8)
    run("apply", *FILES)
    town.entitle("u0@d0.example")
    planned = run("plan", *FILES, "-o", "json")
    assert planned.code == 4
    [revocation] = [found for domain in document(planned)["domains"] for found in domain["revocations"]]
    assert revocation == {"user": users[0], "reason": "NotEntitled"}
    assert run("apply", *FILES, "--confirm-after", "0s").code == 0
    [entry, *_] = json.loads(run("journal", "-o", "json", "--domain", "D0.example").out)["entries"]
    assert (entry["what"], entry["user"], entry["domain"]) == ("revoked", users[0], "d0.example")
    assert entry["evidence"][0]["verdict"] == "Entitled"


def test_suspects_are_asked_twice(town: Town, run: Run) -> None:
    populate(town, 8)
    run("apply", *FILES)
    town.source(confirmRevocations={"after": "1s"})
    town.entitle("u0@d0.example")
    town.double.asked.clear()
    assert run("apply", *FILES).code == 0
    assert town.double.asked["u0@d0.example"] == 2
    assert town.double.asked["u1@d0.example"] == 1


@pytest.mark.parametrize(
    "behaviour", [Behaviour.DOWN, Behaviour.SERVER_ERROR, Behaviour.UNAUTHENTICATED, Behaviour.LOGIN_PAGE]
)
def test_an_outage_writes_nothing_and_is_exit_7(town: Town, run: Run, behaviour: Behaviour) -> None:
    populate(town, 6)
    run("apply", *FILES)
    before, own = town.mail.dump(), town.mail.dump_own()
    town.double.behaviour = behaviour
    for verb in ("plan", "apply"):
        ran = run(verb, *FILES, "-o", "json")
        assert ran.code == 7
        assert document(ran)["counts"]["revocations"] == 0
        assert "warning: EntitlementSource default/deploycenter:" in ran.err
    assert (town.mail.dump(), town.mail.dump_own()) == (before, own)


def test_an_empty_list_for_everybody_is_held_and_an_approval_carries_it_out(town: Town, run: Run) -> None:
    populate(town, 24)
    run("apply", *FILES)
    before = town.mail.rows_of("messages_maildomainaccess")
    town.double.behaviour = Behaviour.EMPTY
    planned = run("plan", *FILES, "-o", "json")
    assert planned.code == 5
    held = run("apply", *FILES, "-o", "json")
    assert held.code == 5
    [hold] = document(held)["holds"]
    assert hold == document(planned)["holds"][0]
    assert (hold["scope"], hold["count"]) == ("EntitlementSource default/deploycenter", 24)
    assert town.mail.rows_of("messages_maildomainaccess") == before

    text = run("plan", *FILES).out
    assert f"maildomain-controller apply -f manifests --approve {hold['id']}" in text
    status = json.loads(run("status", "-o", "json").out)
    assert [(found["id"], found["count"]) for found in status["holds"]] == [(hold["id"], 24)]
    assert "canary" not in run("status").out, "what keeps them is known: they wait for approval"

    approved = run("apply", *FILES, "--approve", hold["id"])
    assert approved.code == 0
    assert "warning" not in approved.err
    assert town.mail.rows_of("messages_maildomainaccess") == []


def test_a_wrong_canary_freezes_revocations_and_is_said(town: Town, run: Run) -> None:
    canaries = [{"email": "canari@x.fr", "domains": ["x.fr"]}, {"email": "personne@x.fr", "domains": []}]
    domain = town.domain("x.fr")
    town.person("ada@x.fr", "x.fr")
    town.entitle("canari@x.fr", "x.fr")
    requests = []
    for spec in ({}, {"canaries": canaries}):
        town.source(**spec)
        ran = run("apply", "-f", "manifests", "-o", "json")
        assert ran.code == 0
        requests.append(json.loads(ran.out)["sources"][0]["requests"])
    assert requests[1] == requests[0] + len(canaries)
    town.entitle("ada@x.fr")
    town.entitle("canari@x.fr")
    town.person("new@x.fr", "x.fr")
    for command in ("plan", "apply"):
        ran = run(command, "-f", "manifests", "-o", "json")
        assert ran.code == 5
        assert "CanaryWrong" in ran.err
        assert "canari" not in ran.out + ran.err
    assert len(town.mail.admins_of(domain)) == 2
    # The database does not know of it, and claims nothing about it.
    told = run("status").out.splitlines()
    assert told[0] == "held       nothing waits for approval"
    assert told[1].startswith("suspected  1 open case, ")
    assert "a wrong canary, is in the statuses of the cluster" in told[2]
    town.entitle("canari@x.fr", "x.fr")
    assert run("apply", "-f", "manifests").code == 0
    assert len(town.mail.admins_of(domain)) == 1


def test_canaries_are_asked_about_before_everybody_else(town: Town, run: Run) -> None:
    people = populate(town)
    town.source(canaries=[{"email": "canari@x.fr", "domains": []}, {"email": "personne@x.fr", "domains": []}])
    assert run("apply", *FILES).code == 0
    order = list(town.double.asked)
    assert len(order) == len(people) + 2
    # As many are under way at once as `concurrency` allows: 8.
    assert {"canari@x.fr", "personne@x.fr"} <= set(order[:8])


def test_an_unknown_approval_is_said(town: Town, run: Run) -> None:
    populate(town, 2)
    ran = run("apply", *FILES, "--approve", "feedfeedfeed")
    assert (ran.code, "--approve feedfeedfeed: no such hold now" in ran.err) == (0, True)


def test_an_approval_that_comes_too_late_is_said(town: Town, run: Run) -> None:
    populate(town, 2)
    town.domain("d0.example", there=False, limits={"adminEmailDomains": ["elsewhere.example"]})
    (hold,) = document(run("apply", *FILES, "-o", "json"))["holds"]
    prefix = {"sqlite": "mdc_", "postgresql": "maildomain_controller."}[town.mail.dialect]
    town.mail.execute(f"UPDATE {prefix}hold SET expires_at = since")
    late = run("apply", *FILES, "--approve", hold["id"])
    assert (late.code, f"--approve {hold['id']}: no such hold now" in late.err) == (5, True)
    (new,) = document(run("plan", *FILES, "-o", "json"))["holds"]
    soon = run("apply", *FILES, "--approve", new["id"])
    assert (soon.code, soon.err) == (0, "")


def test_who_probably_undoes_what_is_written_is_said(town: Town, run: Run) -> None:
    town.domain("d0.example")
    town.person("ada@d0.example", "d0.example")
    for _ in range(3):
        assert run("apply", *FILES).err == ""
        town.mail.execute("DELETE FROM messages_maildomainaccess")
    ran = run("apply", *FILES)
    assert ran.err == f"warning: MailDomain default/d0.example: Contested: {Reason.CONTESTED.text}\n"
    assert "mail application at login" in ran.err


@pytest.mark.parametrize("options", [("--what-if", "empty"), ("--as-if", "Withdraw")])
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_what_is_only_supposed_asks_for_no_approval(town: Town, run: Run, options: tuple[str, str], form: str) -> None:
    populate(town)
    assert run("apply", *FILES).code == 0
    supposed = run("plan", *FILES, *options, "-o", form)
    assert supposed.code == 5
    assert "supposed: " in supposed.out
    assert "approve" not in supposed.out


def test_what_if_asks_nobody_and_shows_where_the_limits_would_stop_it(town: Town, run: Run) -> None:
    populate(town)
    assert run("apply", *FILES).code == 0
    town.double.behaviour = Behaviour.DOWN
    before = town.mail.rows_of("messages_maildomainaccess")
    empty, down = (run("plan", *FILES, "--what-if", what, "-o", "json") for what in ("empty", "down"))
    assert (empty.code, document(empty)["counts"]["held"], document(empty)["sources"][0]["requests"]) == (5, 24, 0)
    assert (down.code, document(down)["counts"]["held"], document(down)["counts"]["revocations"]) == (7, 0, 0)
    assert town.mail.rows_of("messages_maildomainaccess") == before


def test_what_if_a_file_answered_in_place_of_a_source(town: Town, run: Run, tmp_path: Path) -> None:
    populate(town, 4)
    assert run("apply", *FILES).code == 0
    grants = [{"email": f"u{n}@d{n // 2}.example", "domains": [f"d{n // 2}.example"]} for n in range(3)]
    write(tmp_path / "other.yaml", "EntitlementSource", "deploycenter", {"provider": {"static": {"grants": grants}}})
    found = run("plan", *FILES, "--what-if", "source=other.yaml", "-o", "json")
    assert (found.code, document(found)["counts"]["revocations"]) == (4, 1)
    write(tmp_path / "other.yaml", "EntitlementSource", "unknown", {"provider": {"local": {}}})
    refused = run("plan", *FILES, "--what-if", "source=other.yaml")
    assert (refused.code, "has EntitlementSource default/unknown, which -f has not" in refused.err) == (6, True)
    assert run("plan", *FILES, "--what-if", "full").code == 2


def test_as_if_shows_another_mode(town: Town, run: Run) -> None:
    town.domain("x.example", mode="Observe")
    town.person("ann@x.example", "x.example")
    assert run("plan", *FILES).code == 0
    enforced = run("plan", *FILES, "--as-if", "Enforce", "-o", "json")
    assert enforced.code == 3
    assert document(enforced)["domains"][0]["mode"] == "Enforce"


def test_holders_only_asks_nobody_else(town: Town, run: Run) -> None:
    domain = town.domain("x.example")
    town.mail.admin(town.person("ann@x.example", "x.example"), domain)
    town.person("bob@x.example", "x.example")
    assert run("plan", *FILES, "--holders-only").code == 0
    assert set(town.double.asked) == {"ann@x.example"}


def test_a_missing_secret_names_itself_and_is_exit_7(town: Town, run: Run) -> None:
    populate(town, 2)
    (town.folder / "secret.yaml").unlink()
    ran = run("apply", *FILES)
    assert ran.code == 7
    assert "Secret default/deploycenter has no readable key api-key" in ran.err


def test_a_folder_of_secrets_goes_before_documents(town: Town, run: Run, tmp_path: Path) -> None:
    populate(town, 2)
    secret = yaml.safe_load((town.folder / "secret.yaml").read_text())
    (town.folder / "secret.yaml").write_text(yaml.safe_dump(secret | {"stringData": {"api-key": "replace-me"}}))
    mounted = tmp_path / "secrets" / "default" / "deploycenter"
    mounted.mkdir(parents=True)
    (mounted / "api-key").write_text("key-of-the-test\n")
    assert run("plan", *FILES).code == 7
    assert run("plan", *FILES, "--secrets-dir", "secrets").code == 3


def test_a_closed_pivot_is_said_and_changes_nothing(town: Town, run: Run) -> None:
    populate(town, 2)
    run("apply", *FILES)
    before = town.mail.dump()
    for organization in town.double.world.organizations:
        organization.active = False
    ran = run("apply", *FILES)
    assert ran.code == 0
    assert "PivotClosed" in ran.err
    assert town.mail.dump() == before


def test_plan_works_before_the_first_migrate_and_says_so(
    bare_url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDC_DATABASE_URL", bare_url)
    mail = MailWorld(bare_url)
    mail.domain("x.example")
    mail.user("ann@x.example")
    grants = [{"email": "ann@x.example", "domains": ["x.example"]}]
    write(tmp_path / "m" / "s.yaml", "EntitlementSource", "s", {"provider": {"static": {"grants": grants}}})
    write(
        tmp_path / "m" / "d.yaml",
        "MailDomain",
        "x",
        {"domain": "x.example", "mode": "Enforce", "sourceRefs": [{"name": "s"}]},
    )
    planned = run("plan", "-f", "m")
    assert planned.code == 3
    assert "run migrate before apply" in planned.err
    applied = run("apply", "-f", "m")
    assert (applied.code, applied.out) == (7, "")
    assert "migrate" in applied.err
    assert run("status").code == run("journal").code == 7
    assert run("check").code == 7
    assert run("migrate").code == 0
    assert run("apply", "-f", "m").code == 0
    assert run("check").code == 0


# --- who sees what ----------------------------------------------------------------------------------------------------


def test_no_output_of_any_command_has_an_email_unless_asked_for(town: Town, run: Run) -> None:
    users = populate(town, 24)
    run("apply", *FILES)
    town.double.behaviour = Behaviour.EMPTY
    commands = (
        *(("plan", *FILES, "-o", form) for form in ("text", "json", "markdown")),
        *(("apply", *FILES, "-o", form) for form in ("text", "json", "markdown")),
        *(("explain", users[0], "d0.example", *FILES, "-o", form) for form in ("text", "json")),
        *(("status", "-o", form) for form in ("text", "json")),
        *(("journal", "-o", form) for form in ("text", "json")),
        ("export",),
        ("check",),
    )
    for command in commands:
        ran = run(*command)
        said = (ran.out + ran.err).replace("***@d0.example", "")
        assert "@" not in said, command
    shown = run("plan", *FILES, "-o", "json", "--show-pii")
    assert document(shown)["domains"][0]["held"][0]["email"].endswith("@d0.example")


def test_markdown_is_a_comment_with_the_domains_that_change(town: Town, run: Run) -> None:
    populate(town, 24)
    run("apply", *FILES)
    town.entitle("u0@d0.example")
    ran = run("plan", *FILES, "-o", "markdown")
    assert ran.code == 4
    assert ran.out.startswith("### Mail domains: 12 domains: 1 to revoke\n")
    assert "| `d0.example` | Enforce | 0 | 1 | 0 | 0 | 0 | ChangesPending |" in ran.out
    assert "d1.example" not in ran.out


def test_explain_tells_every_fact_in_order(town: Town, run: Run) -> None:
    domain = town.domain("x.example")
    user = town.person("ann@x.example")
    town.mail.admin(user, domain)
    by_id = run("explain", user, "X.example", *FILES, "-o", "json")
    by_email = run("explain", "ANN@x.example", "x.example", *FILES, "-o", "json")
    facts = json.loads(by_id.out)
    assert by_id.code == by_email.code == 0
    assert (facts["decision"], facts["because"], facts["role"], facts["owned"]) == ("Keep", "Foreign", "Admin", None)
    assert facts["sources"][0]["answer"] == "Entitled"
    assert facts["email"] is None
    assert json.loads(by_email.out)["users"] == [user]
    lines = run("explain", "ann@x.example", "x.example", *FILES, "--show-pii").out.splitlines()
    assert lines[0] == "ann@x.example on x.example"
    assert [line.split()[0] for line in lines[1:]] == ["declared", "user", "row", "source", "decision"]
    assert run("explain", "nobody", "x.example", *FILES).code == 2
    assert run("explain", "nobody@x.example", "x.example", *FILES).code == 0


# --- export, migrate, check -------------------------------------------------------------------------------------------


def test_the_first_plan_on_an_export_is_empty(town: Town, run: Run, tmp_path: Path) -> None:
    """For an observed domain and a source that knows nothing; and in Enforce with the present administrators."""
    domain, other = town.mail.domain("x.example"), town.mail.domain("y.example")
    town.mail.domain("empty.example")
    town.mail.domain("alias.example", alias_of=domain)
    ann, gone = town.mail.user("ann@x.example"), town.mail.user("gone@x.example", active=False)
    town.mail.user("GONE@x.example")
    odd = town.mail.user("not an e-mail")
    for user in (ann, gone, odd):
        town.mail.admin(user, domain)
    town.mail.admin(ann, other)

    exported = run("export")
    assert exported.code == 0
    (tmp_path / "plain.yaml").write_text(exported.out)
    found = [(item["kind"], item["spec"].get("mode")) for item in yaml.safe_load_all(exported.out)]
    assert found == [("EntitlementSource", None), ("MailDomain", "Observe"), ("MailDomain", "Observe")]
    assert run("plan", "-f", "plain.yaml").code == 0

    static = run("export", "--static", "--show-pii", "--source", "present")
    assert "1 administrator left out" in static.err
    (tmp_path / "static.yaml").write_text(static.out)
    planned = run("plan", "-f", "static.yaml", "--as-if", "Enforce", "-o", "json")
    assert planned.code == 0
    counts = document(planned)["counts"]
    assert (counts["grants"], counts["revocations"], counts["held"], counts["adoptions"]) == (0, 0, 0, 2)


def test_a_static_export_needs_leave_to_show_emails(town: Town, run: Run) -> None:
    town.mail.admin(town.mail.user("ann@x.example"), town.mail.domain("x.example"))
    ran = run("export", "--static")
    assert (ran.code, ran.out) == (2, "")
    assert run("export", "--static", "--show-pii").code == 0


def test_a_domain_of_another_owner_is_taken_over_on_purpose_only(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(town, 2)
    run("apply", *FILES)
    monkeypatch.setenv("MDC_OWNER", "cluster")
    run("migrate")
    foreign = run("plan", *FILES, "-o", "json")
    assert document(foreign)["domains"][0]["conditions"][0]["reason"] == "ForeignOwner"
    assert "ForeignOwner" in foreign.err
    assert run("migrate", "--take-over", "d0.example").code == 0
    assert document(run("plan", *FILES, "-o", "json"))["domains"][0]["conditions"][0]["reason"] == "InSync"


def test_an_unknown_schema_is_named_column_by_column(town: Town, run: Run) -> None:
    populate(town, 2)
    town.mail.execute("ALTER TABLE messages_user RENAME COLUMN email TO mail")
    for command in (("plan", *FILES), ("apply", *FILES), ("check",)):
        ran = run(*command)
        assert ran.code == 7
        assert "messages_user.email" in ran.out + ran.err


def test_a_denied_administrator_goes_while_the_source_is_down(town: Town, run: Run) -> None:
    domain = town.domain("x.example", deniedAdmins=["bad@x.example"], limits={"revocations": {"max": 0}})
    ann, bad = town.person("ann@x.example", "x.example"), town.person("bad@x.example", "x.example")
    for user in (ann, bad):
        town.mail.admin(user, domain)
    town.double.behaviour = Behaviour.DOWN
    planned = document(run("plan", *FILES, "-o", "json"))["domains"][0]
    assert (planned["denied"], planned["revocations"]) == (1, [{"user": bad, "reason": "Denied"}])
    applied = run("apply", *FILES)
    assert applied.code == 7, "the source could not be asked; what could be done was done"
    assert town.mail.admins_of(domain) == {ann}

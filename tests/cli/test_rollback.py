"""The way back as a person goes it: a mass removal that was approved, undone, pinned, and released."""

import csv
import io
import json

import pytest

from controller.cli.journal import What
from controller.maildb.keeping import Deed
from tests.cli.conftest import Run, Town

FILES = ("-f", "manifests")


def removed(town: Town, run: Run) -> tuple[list[str], str, dict[str, list[str]]]:
    """A domain whose six administrators an approved hold has removed: who, by which hold, and how it was before."""
    domain = town.domain("x.example")
    people = [town.person(f"u{number}@x.example", "x.example") for number in range(6)]
    assert run("apply", *FILES).code == 0
    assert town.mail.admins_of(domain) == set(people)
    before = town.mail.dump()
    for number in range(6):
        town.entitle(f"u{number}@x.example")
    held = json.loads(run("apply", *FILES, "-o", "json").out)
    (hold,) = held["holds"]
    assert run("apply", *FILES, "--approve", hold["id"]).code == 0
    assert town.mail.admins_of(domain) == set()
    return people, hold["id"], before


def test_a_hold_that_was_approved_by_mistake_is_undone_and_stays_undone(town: Town, run: Run) -> None:
    people, hold, before = removed(town, run)
    shown = run("rollback", "--hold", hold)
    assert shown.code == 3
    assert shown.out.count("+ x.example") == 6
    assert "nothing is written without --yes" in shown.out
    assert town.mail.dump() != before

    done = run("rollback", "--hold", hold, "--yes", "-o", "json")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["kind"], found["written"], len(found["restorations"])) == ("Rollback", True, 6)
    assert "@" not in done.out
    assert town.mail.dump() == before

    assert run("apply", *FILES).code == 0, "pinned: no case is opened"
    assert town.mail.dump() == before
    assert "pinned     6 restored accesses" in run("status").out
    explained = json.loads(run("explain", "u0@x.example", "x.example", *FILES, "-o", "json").out)
    assert (explained["decision"], explained["because"]) == ("Keep", "Pinned")

    assert run("rollback", "--release", "--yes").out == (
        "".join(f"~ x.example  {user}  pinned since {at(run, user)}\n" for user in by_row(town, people))
        + "6 accesses released\n"
    )
    assert run("apply", *FILES).code == 5, "judged again, and held again"


def at(run: Run, user: str) -> str:
    (entry, *_) = json.loads(run("journal", "--user", user, "--what", "restored", "-o", "json").out)["entries"]
    return str(entry["at"])[:19].replace("T", " ")


def by_row(town: Town, people: list[str]) -> list[str]:
    """In the order of the ids of their rows."""
    rows = town.mail.execute("SELECT id, user_id FROM messages_maildomainaccess ORDER BY id")
    ids = {person.replace("-", ""): person for person in people}
    return [ids[str(row["user_id"]).replace("-", "")] for row in rows]


def test_the_limits_of_the_files_count_and_a_hold_is_approved_by_its_id(town: Town, run: Run) -> None:
    removed(town, run)
    town.domain("x.example", there=False, limits={"maxAdmins": 5})
    held = run("rollback", "--since", "1h", *FILES, "--yes", "-o", "json")
    assert held.code == 5
    (hold,) = json.loads(held.out)["holds"]
    assert (hold["scope"], hold["limit"], hold["count"]) == ("MailDomain default/x.example", "maxAdmins 5", 6)
    assert town.mail.rows_of("messages_maildomainaccess") == []
    done = run("rollback", "--since", "1h", *FILES, "--approve", hold["id"], "--yes", "-o", "markdown")
    assert done.code == 0
    assert "| `x.example` | 6 | 0 | 0 |" in done.out
    assert len(town.mail.rows_of("messages_maildomainaccess")) == 6


def test_the_wrong_owner_is_told(town: Town, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    removed(town, run)
    monkeypatch.setenv("MDC_OWNER", "another")
    ended = run("rollback", "--since", "1h", "--yes")
    assert (ended.code, ended.out) == (0, "nothing\n")
    assert "owner another removed nothing" in ended.err


def test_a_rollback_needs_to_know_what(town: Town, run: Run) -> None:
    assert run("rollback", "--yes").code == 2


def test_a_rollback_of_a_frozen_database_needs_to_be_meant(town: Town, run: Run) -> None:
    removed(town, run)
    run("freeze")
    assert "--despite-freeze" in run("rollback", "--since", "1h").out
    assert run("rollback", "--since", "1h", "--yes").code == 7
    assert run("rollback", "--since", "1h", "--yes", "--despite-freeze").code == 0
    assert len(town.mail.rows_of("messages_maildomainaccess")) == 6


def test_the_journal_is_filtered_and_exported(town: Town, run: Run) -> None:
    people, hold, _ = removed(town, run)
    town.domain("y.example")
    town.person("ann@y.example", "y.example")
    run("apply", *FILES)
    lines = [json.loads(line) for line in run("journal", "--what", "revoked", "-o", "jsonl").out.splitlines()]
    assert {line["user"] for line in lines} == set(people)
    assert {line["hold"] for line in lines} == {hold}
    assert len(run("journal", "--hold", hold).out.splitlines()) == 6
    assert len(run("journal", "--domain", "y.example", "--what", "granted", "--what", "claimed").out.splitlines()) == 2
    for user in ("u3@x.example", people[3]):
        rows = list(csv.DictReader(io.StringIO(run("journal", "--user", user, "-o", "csv").out)))
        assert [row["what"] for row in rows] == ["revoked", "granted"]
        assert json.loads(rows[0]["image"])["role"] == 1
    assert run("journal", "--user", "nobody@x.example").out == ""
    assert run("journal", "--user", "neither").code == 2


def test_the_journal_names_sources_only_where_they_were_the_reason(town: Town, run: Run) -> None:
    town.mail.admin(town.mail.user("old@x.example"), town.domain("x.example", deniedAdmins=["old@x.example"]))
    town.person("ann@x.example", "x.example")
    assert run("apply", *FILES).code == 0
    reasons = {line.split()[2]: line.rpartition("  ")[-1] for line in run("journal").out.splitlines()}
    assert reasons["granted"] == "Entitled by default/deploycenter"
    assert reasons["revoked"] == "Denied"


def test_every_deed_can_be_asked_for() -> None:
    assert {kind.value for kind in What} == {deed.value for deed in Deed}


def test_the_journal_is_pruned_by_the_setting_alone(town: Town, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    removed(town, run)
    assert run("journal", "--prune").code == 2
    monkeypatch.setenv("MDC_JOURNAL_RETENTION", "31")
    assert run("journal", "--prune").code == 2, "a window of a limit may be that long"
    monkeypatch.setenv("MDC_JOURNAL_RETENTION", "32")
    assert run("journal", "--prune").err == "0 entries deleted\n"


def test_nobody_restores_by_hand_where_accesses_are_not_managed_by_hand(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hold, _ = removed(town, run)
    before = town.mail.dump()
    monkeypatch.setenv("FEATURE_MAILDOMAIN_MANAGE_ACCESSES", "false")
    refused = run("rollback", "--hold", hold, "--yes")
    assert (refused.code, "FEATURE_MAILDOMAIN_MANAGE_ACCESSES" in refused.err) == (2, True)
    assert town.mail.dump() == before
    assert run("rollback", "--release").code == 0

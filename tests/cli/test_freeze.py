"""The commands while everything is frozen: nothing is written, and everybody is told."""

import json

import pytest

from tests.cli.conftest import Run, Town

FILES = ("-f", "manifests")


def test_a_freeze_stops_apply_and_is_shown_by_plan_and_status(town: Town, run: Run) -> None:
    town.domain("x.example", deniedAdmins=["bad@x.example"])
    town.person("ann@x.example", "x.example")
    bad = town.person("bad@x.example")
    town.mail.admin(bad, town.mail.execute("SELECT id FROM messages_maildomain")[0]["id"])
    assert run("freeze", "--reason", "a drill").code == 0
    before = town.mail.dump(), town.mail.dump_own()
    applied = run("apply", *FILES, "-o", "json")
    assert applied.code == 0
    found = json.loads(applied.out)
    assert found["applied"] == {"grants": 0, "revocations": 0, "adoptions": 0}
    assert found["domains"][0]["suppressed"] == {"grants": 1, "revocations": 1}
    assert (found["frozen"]["by"], found["frozen"]["reason"]) == ("Database", "a drill")
    assert (town.mail.dump(), town.mail.dump_own()) == before
    planned = run("plan", *FILES).out
    assert "nothing is written (a drill)" in planned
    assert planned.splitlines()[-1].startswith("1 domain: 2 left")
    assert "nothing is written (a drill)" in run("plan", *FILES, "-o", "markdown").out
    assert run("status").out.startswith("FROZEN")
    assert json.loads(run("status", "-o", "json").out)["frozen"]["reason"] == "a drill"

    lifted = run("freeze", "--off")
    assert (lifted.code, lifted.err) == (0, "the freeze is lifted\n")
    assert run("freeze", "--off").err == "nothing was frozen\n"
    assert json.loads(run("status", "-o", "json").out)["frozen"] is None
    assert json.loads(run("apply", *FILES, "-o", "json").out)["applied"]["grants"] == 1


def test_a_process_is_frozen_by_its_setting(town: Town, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    town.domain("x.example")
    town.person("ann@x.example", "x.example")
    monkeypatch.setenv("MDC_FREEZE", "true")
    applied = run("apply", *FILES, "-o", "json")
    assert (applied.code, json.loads(applied.out)["frozen"]) == (0, {"by": "Process"})
    assert town.mail.rows_of("messages_maildomainaccess") == []


@pytest.mark.parametrize("value", ["maybe", "", "2"])
def test_a_setting_that_is_no_boolean_ends_the_start(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MDC_FREEZE", value)
    ended = run("apply", *FILES)
    assert ended.code == 2
    assert "MDC_FREEZE" in ended.err


def test_a_reason_belongs_to_a_freeze(town: Town, run: Run) -> None:
    assert run("freeze", "--off", "--reason", "why").code == 2

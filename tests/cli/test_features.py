"""What do commands on files do where people may not manage by hand? What machines do, and nothing else."""

import pytest

from tests.cli.conftest import Run, Town

FILES = ("-f", "manifests")


@pytest.fixture
def dialect() -> str:
    """One is enough: flags are no matter of the database."""
    return "sqlite"


def test_where_accesses_are_not_managed_by_hand_the_synchronisation_goes_on(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.declare(
        "EntitlementSource",
        "by-hand",
        {"provider": {"static": {"grants": [{"email": "hand@x.example", "domains": ["y.example"]}]}}},
    )
    denying = town.domain("x.example", deniedAdmins=["denied@x.example"])
    by_hand = town.domain("y.example", sourceRefs=[{"name": "by-hand"}])
    new, denied = town.person("new@x.example", "x.example"), town.person("denied@x.example", "x.example")
    hand, kept = town.person("hand@x.example"), town.person("kept@x.example")
    town.mail.admin(denied, denying)
    town.mail.admin(kept, by_hand)

    monkeypatch.setenv("FEATURE_MAILDOMAIN_MANAGE_ACCESSES", "false")
    ran = run("apply", *FILES)
    assert ran.code == 7, "a source was not asked"
    assert "FeatureDisabled" in ran.err
    assert town.mail.admins_of(denying) == {new, denied}
    assert town.mail.admins_of(by_hand) == {kept}

    monkeypatch.delenv("FEATURE_MAILDOMAIN_MANAGE_ACCESSES")
    assert run("apply", *FILES).code == 0
    assert town.mail.admins_of(denying) == {new}
    assert town.mail.admins_of(by_hand) == {hand, kept}


@pytest.mark.parametrize("flag", ["FEATURE_MAILDOMAIN_CREATE", "FEATURE_MAILDOMAIN_MANAGE_ACCESSES"])
def test_a_flag_that_is_no_boolean_ends_every_command_before_it_does_anything(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    domain = town.domain("x.example")
    town.person("new@x.example", "x.example")
    monkeypatch.setenv(flag, "flase")
    for command in ("plan", "apply"):
        ran = run(command, *FILES)
        assert (ran.code, flag in ran.err, "flase" in ran.err) == (2, True, False)
    assert town.mail.admins_of(domain) == set()

"""The whole way on real servers: kubectl apply, DeployCenter over HTTP, rows in PostgreSQL, conditions in status.

The operator is a subprocess under the ServiceAccount and the RBAC of manifests/.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.sandbox.deploycenter import Account, Behaviour, Organization
from tests.support.apiserver import ControlPlane
from tests.support.operator import ROOT
from tests.support.town import SIRET, Town, eventually, founded


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """A namespace of its own with everything beside it."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        yield town


def test_what_is_applied_becomes_rows_and_ready(town: Town) -> None:
    town.grow(3)
    running = town.start()
    town.declare(3)
    town.ready()
    assert len(town.rows()) == 6
    status = town.get("maildomains", "d000-example").status
    assert status["admins"]["actual"] == status["admins"]["owned"] == status["admins"]["desired"] == 2
    assert town.ready_of("mdsrc", "dc") == ("True", "Answering")
    assert running.terminate() == 0


def test_a_right_that_is_taken_away_is_revoked_and_told(town: Town) -> None:
    town.grow(3)
    town.start()
    town.declare(3)
    town.ready()
    town.center.world.accounts[0].links = {}
    town.poke()
    assert len(town.rows()) == 5
    assert town.get("maildomains", "d000-example").status["admins"]["actual"] == 1
    assert town.get("maildomains", "d000-example").status["lastChange"]["revoked"] == 1
    assert town.ready_of("maildomains", "d000-example") == ("True", "InSync")


def test_a_source_that_is_down_changes_nothing(town: Town) -> None:
    town.grow(3)
    town.start()
    town.declare(3)
    town.ready()
    rows = town.rows()
    town.center.behaviour = Behaviour.DOWN
    town.center.world.accounts.clear()
    town.poke()
    assert town.rows() == rows
    assert town.ready_of("mdsrc", "dc") == ("False", "Unreachable")
    town.center.behaviour = Behaviour.LOGIN_PAGE
    town.poke()
    assert town.rows() == rows


def test_a_denied_administrator_goes_at_once_while_the_source_is_down(town: Town) -> None:
    town.grow(3)
    town.start()
    town.declare(3)
    town.ready()
    town.center.behaviour = Behaviour.DOWN
    town.apply(town.maildomain("d000.example", deniedAdmins=["u0@d000.example"]))
    eventually(lambda: len(town.rows()) == 5)
    town.center.behaviour = None
    town.poke()
    assert len(town.rows()) == 5, "the service names them still"
    assert town.get("maildomains", "d000-example").status["admins"]["denied"] == 0


def test_a_refused_key_is_told_and_a_rotated_one_needs_no_restart(town: Town) -> None:
    town.grow(2)
    town.start()
    town.declare(2)
    town.ready()
    rows = town.rows()
    town.center.world.api_key = "rotated"
    town.poke()
    assert town.ready_of("mdsrc", "dc") == ("False", "Unauthenticated")
    assert town.rows() == rows
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "dc"}, "stringData": {"key": "rotated"}}
    town.apply(secret, town.source(interval="11m"))
    town.wait("mdsrc/dc", "condition=Ready")
    assert town.rows() == rows


@pytest.mark.timeout(300)
@pytest.mark.parametrize("domains", [3, 60])
def test_a_mass_removal_is_held_until_exactly_it_is_approved(town: Town, domains: int) -> None:
    town.grow(domains)
    town.start()
    town.declare(domains)
    town.ready()
    town.center.behaviour = Behaviour.EMPTY
    town.poke()
    assert len(town.rows()) == 2 * domains
    assert town.ready_of("maildomains", "d000-example") == ("False", "RevocationsHeld")
    if domains == 60:
        hold = town.get("mdsrc", "dc").status["hold"]
        assert (hold["scope"], hold["count"]) == (f"EntitlementSource {town.namespace}/dc", 120)
        assert town.ready_of("mdsrc", "dc") == ("False", "RevocationsHeld")
        target, left = "mdsrc/dc", 0
    else:
        hold = town.get("maildomains", "d000-example").status["hold"]
        assert hold["scope"] == f"MailDomain {town.namespace}/d000-example"
        target, left = "maildomains/d000-example", 4
    town.kubectl.run("annotate", target, f"maildomain.dev/approve={hold['id']}", "-n", town.namespace)
    eventually(lambda: len(town.rows()) == left)


def test_quiet_waves_write_no_row_and_no_domain_status(town: Town) -> None:
    town.grow(5)
    town.start()
    town.declare(5)
    town.ready()
    town.poke()
    before = (town.versions(), town.mail.dump(), town.mail.dump_own())
    for _ in range(3):
        town.poke()
    assert (town.versions(), town.mail.dump(), town.mail.dump_own()) == before


def test_after_a_kill_nothing_is_revoked_before_a_complete_wave(town: Town) -> None:
    town.grow(4)
    running = town.start()
    town.declare(4)
    town.ready()
    running.kill()
    town.center.behaviour = Behaviour.EMPTY
    town.center.behaviours = {f"u{place}@d003.example": Behaviour.SLOW for place in range(3)}
    town.start()
    eventually(lambda: sum(town.center.asked.values()) >= 12 + 12)
    assert len(town.rows()) == 8
    town.center.behaviour = None
    town.center.behaviours.clear()
    town.center.resume.set()
    town.poke()
    assert len(town.rows()) == 8


def test_a_user_who_appears_is_granted_soon(town: Town) -> None:
    town.grow(1)
    town.start()
    town.declare(1)
    town.ready()
    town.center.world.accounts.append(Account("late@d000.example", SIRET, roles=("admin",)))
    town.mail.user("late@d000.example")
    began = time.monotonic()
    eventually(lambda: len(town.rows()) == 3)
    assert time.monotonic() - began < 15


def test_deleting_the_resources_changes_no_row(town: Town) -> None:
    town.grow(2)
    town.start()
    town.declare(2)
    town.ready()
    rows = town.rows()
    town.kubectl.run("delete", "maildomains,mdsrc", "--all", "-n", town.namespace)
    town.center.behaviour = Behaviour.EMPTY
    town.apply(town.source())
    town.wait("mdsrc/dc", "condition=Ready")
    assert town.rows() == rows


def test_the_samples_are_carried_out(town: Town) -> None:
    for email in ("dsi@commune.example", "maire@commune.example", "agent@ville.example"):
        town.mail.user(email)
    for name in ("commune.example", "ville.example"):
        town.mail.domain(name)
    town.center.world.service_id = 42
    town.center.world.api_key = "replace-me"
    town.center.world.organizations.append(
        Organization(SIRET, "Commune", {"domains": ["commune.example", "ville.example"]})
    )
    town.center.world.accounts.append(Account("agent@ville.example", SIRET, roles=("admin",)))
    town.start()
    rendered = town.kubectl.run("kustomize", str(ROOT / "manifests" / "samples")).stdout
    local = rendered.replace(
        "url: https://deploycenter.example/api/v1.0/entitlements/", f"url: {town.url}\n      insecureHTTP: true"
    )
    town.kubectl.apply(local, namespace=town.namespace)
    # The agent's organization is declared by the second domain: until it is seen, the first one is right without them.
    town.wait("maildomains/commune-example", "jsonpath={.status.admins.actual}=2")
    town.wait("maildomains/commune-example", "condition=Ready")
    town.wait("maildomains/ville-example", "condition=Ready")
    assert town.ready_of("maildomains", "ville-example") == ("True", "Observing")
    assert len(town.rows()) == 2

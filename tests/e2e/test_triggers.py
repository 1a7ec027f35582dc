"""What makes the operator look again, and at once? Annotations, Secrets, passwords, and rows that somebody changes."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from controller.sandbox.deploycenter import Account
from tests.support.apiserver import ControlPlane
from tests.support.database import Server, started_server
from tests.support.hooks import IMPATIENT
from tests.support.operator import OperatorProcess
from tests.support.town import DATABASE_ROLE, SIRET, Town, eventually, founded


@dataclass
class Desk:
    """A town whose operator reads the URL of its database from a file."""

    town: Town
    server: Server
    file: Path
    operator: OperatorProcess = field(init=False)
    """Started with the file."""

    def rotate(self, password: str) -> None:
        """Give the role another password and end its sessions, as whoever rotates does first."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {DATABASE_ROLE} PASSWORD '{password}'")
            connection.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{DATABASE_ROLE}'"
            )

    def say(self, password: str) -> None:
        """Write the file, as the kubelet does when a Secret has changed."""
        url = make_url(self.town.mail.url).set(username=DATABASE_ROLE, password=password)
        self.file.write_text(url.render_as_string(hide_password=False), encoding="utf-8")


@pytest.fixture(scope="module")
def desk(control_plane: ControlPlane, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Two domains, an operator whose password counts, and a database that asks for it."""
    folder = tmp_path_factory.mktemp("triggers")
    with ExitStack() as stack:
        server = started_server()
        server.ask_for_password(DATABASE_ROLE)
        namespace = stack.enter_context(control_plane.namespace())
        town = stack.enter_context(founded(control_plane, kubeconfig, namespace, folder, database=server.database()))
        town.grow(2)
        desk = Desk(town, server, folder / "url")
        desk.rotate("first")
        desk.say("first")
        desk.operator = town.start(before=IMPATIENT, MDC_DATABASE_URL="", MDC_DATABASE_URL_FILE=str(desk.file))
        town.declare(2)
        town.ready()
        yield desk


@pytest.mark.parametrize("annotation", ["maildomain.dev/requestedAt", "reconcile.fluxcd.io/requestedAt"])
@pytest.mark.parametrize("name", ["mdsrc/dc", "mdom/d000-example"])
def test_either_annotation_asks_for_a_wave_on_either_kind(desk: Desk, name: str, annotation: str) -> None:
    value = f"{name} {annotation}"
    asked = desk.town.center.asked["u0@d000.example"]
    desk.town.kubectl.run("annotate", name, f"{annotation}={value}", "-n", desk.town.namespace)
    desk.town.wait(name, f"jsonpath={{.status.lastHandledReconcileAt}}={value}")
    assert desk.town.center.asked["u0@d000.example"] == asked + 1


def test_a_key_that_rotates_is_read_without_a_restart(desk: Desk) -> None:
    rows = desk.town.rows()
    desk.town.center.world.api_key = "rotated"
    desk.town.poke()
    assert desk.town.ready_of("mdsrc", "dc") == ("False", "Unauthenticated")
    secret, *_ = desk.town.declaration(0)
    desk.town.apply({**secret, "stringData": {"key": "rotated"}})
    desk.town.wait("mdsrc/dc", "condition=Ready")
    assert desk.town.rows() == rows
    assert "rotated" not in desk.operator.text()


def test_a_database_password_that_rotates_is_read_without_a_restart(desk: Desk) -> None:
    rows = desk.town.rows()
    process = desk.operator.running
    desk.rotate("second")
    eventually(lambda: desk.town.ready_of("mdom", "d000-example") == ("Unknown", "DatabaseUnavailable"))
    assert desk.town.rows() == rows
    desk.say("second")
    desk.town.wait("mdom/d000-example", "condition=Ready")
    email = "late@d000.example"
    desk.town.center.world.accounts.append(Account(email, SIRET, links={"admin": {"domains": ["d000.example"]}}))
    desk.town.mail.user(email)
    eventually(lambda: len(desk.town.rows()) == len(rows) + 1)
    assert process.poll() is None
    assert "second" not in desk.operator.text()


def test_a_row_that_is_deleted_by_hand_is_granted_again_and_told(desk: Desk) -> None:
    town = desk.town
    rows = len(town.rows())
    town.mail.execute(
        "DELETE FROM messages_maildomainaccess WHERE maildomain_id ="
        " (SELECT id FROM messages_maildomain WHERE name = 'd001.example')"
    )
    town.wait("mdom/d001-example", "jsonpath={.status.conditions[?(@.type=='Drifted')].reason}=RowsRemoved")
    assert len(town.rows()) == rows
    assert town.ready_of("mdom", "d001-example") == ("True", "InSync")
    events = [item.raw for item in town.kubectl.list("events", namespace=town.namespace)]
    assert [event["type"] for event in events if event["reason"] == "RowsRemoved"] == ["Warning"]
    town.poke()
    condition = town.get("mdom", "d001-example").condition("Drifted")
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "NoDrift")

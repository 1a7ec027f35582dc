"""An approval by command: shown, annotated by server-side apply, carried out once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.sandbox.deploycenter import Behaviour
from tests.support.apiserver import ControlPlane
from tests.support.operator import OWNER
from tests.support.town import Town, eventually, founded


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """A namespace of its own with everything beside it."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        yield town


def approve(town: Town, control_plane: ControlPlane, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person with rights of their own."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "KUBECONFIG": str(control_plane.admin_kubeconfig),
        "MDC_OWNER": OWNER,
        "MDC_DATABASE_URL": town.mail.url,
    }
    command = [sys.executable, "-W", "error", "-m", "controller", "approve", f"{town.namespace}/{name}", *options]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )


@pytest.mark.timeout(300)
def test_what_waits_is_shown_and_approved_once(town: Town, control_plane: ControlPlane) -> None:
    town.grow(2)
    town.start()
    town.declare(2)
    town.ready()
    assert approve(town, control_plane, "d000-example", "--yes").stderr.startswith("nothing waits")
    town.center.behaviour = Behaviour.EMPTY
    town.poke()
    assert len(town.rows()) == 4

    unsure = approve(town, control_plane, "d000-example")
    assert unsure.returncode == 2
    assert "2 changes" in unsure.stdout
    assert "@d000.example" not in unsure.stdout
    assert town.ready_of("maildomains", "d000-example") == ("False", "RevocationsHeld")

    hold = town.get("maildomains", "d000-example").status["hold"]["id"]
    sure = approve(town, control_plane, "d000-example", "--yes", "--show-pii", "-o", "json")
    assert sure.returncode == 0, sure.stderr
    shown = json.loads(sure.stdout)
    assert (shown["hold"], shown["reason"]) == (hold, "RevocationLimit")
    assert {change["email"] for change in shown["changes"]} == {"u0@d000.example", "u1@d000.example"}
    eventually(lambda: len(town.rows()) == 2)

    found = town.get("maildomains", "d000-example")
    assert found.raw["metadata"]["annotations"]["maildomain.dev/approve"] == hold
    assert found.raw["spec"]["domain"] == "d000.example", "nothing else of the object is touched"
    town.center.behaviour = None
    town.poke()
    assert len(town.rows()) == 4
    town.center.behaviour = Behaviour.EMPTY
    town.poke()
    assert len(town.rows()) == 4, "the annotation that stands there approves nothing any more"


def test_what_is_not_there_is_said(town: Town, control_plane: ControlPlane) -> None:
    ran = approve(town, control_plane, "nobody", "--yes")
    assert ran.returncode == 2
    assert "names no object of the cluster" in ran.stderr

"""Who writes when there are several? One at a time, whatever is killed or paused, and whoever works beside it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.sandbox.deploycenter import Account, Behaviour
from tests.support.apiserver import ControlPlane
from tests.support.hooks import (
    PAUSES_BEFORE_IT_WRITES,
    PAUSES_WITHIN_ITS_TRANSACTION,
    SHORT_LEASES,
    WITHOUT_THE_EPOCH_CHECK,
)
from tests.support.operator import OWNER, ROOT, OperatorProcess
from tests.support.pgbouncer import pooled
from tests.support.town import SIRET, Town, eventually, founded

LATE = "late@d000.example"


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """Three domains with two administrators each."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        town.grow(3)
        yield town


@pytest.fixture
def pooled_town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """The same, whose operators reach the database through a transaction pooler."""
    with founded(control_plane, kubeconfig, namespace, tmp_path, through=lambda url: pooled(url, tmp_path)) as town:
        town.grow(3)
        yield town


def entitle(town: Town, email: str = LATE) -> str:
    """DeployCenter names somebody new, who has a user; their id."""
    town.center.world.accounts.append(Account(email, SIRET, links={"admin": {"domains": ["d000.example"]}}))
    return town.mail.user(email)


def deeds(town: Town, user: str) -> list[str]:
    """What the journal says about somebody."""
    entries = (json.loads(entry) for entry in town.mail.dump_own()["journal"])
    return [entry["what"] for entry in entries if entry["user_id"] == user]


def test_a_killed_worker_is_replaced_within_twenty_seconds(town: Town) -> None:
    first = town.start()
    second = town.start(ready="standby")
    town.declare(3)
    town.ready()
    began = time.monotonic()
    first.kill()
    second.wait_ready("leading")
    assert time.monotonic() - began < 20
    user = entitle(town)
    eventually(lambda: deeds(town, user) == ["granted"])


# --- paused, and resumed ---


@pytest.mark.parametrize(
    ("pause", "mutation", "done"),
    [
        (PAUSES_BEFORE_IT_WRITES, "", []),
        (PAUSES_WITHIN_ITS_TRANSACTION, "", []),
        (PAUSES_BEFORE_IT_WRITES, WITHOUT_THE_EPOCH_CHECK, ["granted"]),
    ],
    ids=["before its write", "within its transaction", "without the epoch check it would write"],
)
def test_a_paused_worker_that_resumes_writes_nothing(
    town: Town, tmp_path: Path, pause: str, mutation: str, done: list[str]
) -> None:
    armed = tmp_path / "armed"
    first = town.start(before=SHORT_LEASES + pause + mutation, ARMED=str(armed))
    second = town.start(ready="standby", before=SHORT_LEASES)
    town.declare(3)
    town.ready()
    rows = town.rows()

    armed.touch()
    user = entitle(town)
    first.wait_text("about to write")
    pause_process(first)
    town.center.world.accounts.pop()
    second.wait_ready("leading")
    town.poke()
    resume_process(first)

    first.wait_ready("standby")
    assert deeds(town, user)[:1] == done
    assert done or town.rows() == rows


def pause_process(operator: OperatorProcess) -> None:
    operator.running.send_signal(signal.SIGSTOP)


def resume_process(operator: OperatorProcess) -> None:
    operator.running.send_signal(signal.SIGCONT)


# --- beside a running operator ---


def apply_files(town: Town, folder: Path, *options: str) -> tuple[int, dict[str, object]]:
    """Run `apply` on what is declared in the cluster, on behalf of the same owner: its exit code and its document."""
    declared = town.declaration(3)
    items = [{**item, "metadata": {**item["metadata"], "namespace": town.namespace}} for item in declared]
    file = folder / "declared.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "controller", "apply", "-f", file, "-o", "json", "--confirm-after", "0s", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "MDC_DATABASE_URL": town.reached, "MDC_OWNER": OWNER},
    )
    return result.returncode, json.loads(result.stdout)["applied"]


def work_beside_commands(town: Town, folder: Path) -> None:
    """A command revokes one, another approves what the operator holds, and the operator goes on after each."""
    running = town.start()
    town.declare(3)
    town.ready()
    town.center.world.accounts[0].links = {}
    assert apply_files(town, folder) == (0, {"grants": 0, "revocations": 1, "adoptions": 0})
    user = entitle(town)
    eventually(lambda: deeds(town, user) == ["granted"])

    town.center.behaviour = Behaviour.EMPTY
    town.poke()
    hold = town.get("maildomains", "d001-example").status["hold"]
    assert apply_files(town, folder, "--approve", hold["id"])[1] == {
        "grants": 0,
        "revocations": 2,
        "adoptions": 0,
    }
    town.poke()
    assert len(town.rows()) == 4
    assert town.ready_of("maildomains", "d001-example") == ("True", "InSync")
    hold = town.get("maildomains", "d002-example").status["hold"]
    town.kubectl.run("annotate", "mdom/d002-example", f"maildomain.dev/approve={hold['id']}", "-n", town.namespace)
    eventually(lambda: len(town.rows()) == 2)
    assert running.get("/readyz") == (200, "leading")


def test_commands_and_approvals_work_beside_a_running_operator(town: Town, tmp_path: Path) -> None:
    work_beside_commands(town, tmp_path)


def test_everything_works_through_a_transaction_pooler(pooled_town: Town, tmp_path: Path) -> None:
    work_beside_commands(pooled_town, tmp_path)

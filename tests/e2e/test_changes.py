"""What does the first wave after a change remove? Nothing before somebody has looked, on real servers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import ControlPlane
from tests.support.operator import OperatorProcess
from tests.support.town import Town, eventually, founded, manifest

ANOTHER_VERSION = "import controller; controller.__version__ = '9.9.9'"
TARGET = "mdom/d000-example"


@pytest.fixture
def town(control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Town]:
    """Two domains with two administrators each; nothing is confirmed, so that one wave decides."""
    with founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        town.grow(2)
        yield town


def source(town: Town, name: str = "dc", secret: str = "dc") -> dict[str, Any]:
    spec = town.source(confirmRevocations={"after": "0s"})["spec"]
    spec["provider"]["deployCenter"]["apiKeySecretRef"] = {"name": secret, "key": "key"}
    return manifest("EntitlementSource", name, spec)


def edited(town: Town, **spec: object) -> None:
    """Edit the first domain, and wait until that is seen: of two kinds the watch tells in any order."""
    town.apply(town.maildomain("d000.example", **spec))
    generation = town.get(*TARGET.split("/")).raw["metadata"]["generation"]
    town.wait(TARGET, f"jsonpath={{.status.observedGeneration}}={generation}")


def upgraded(town: Town, running: OperatorProcess) -> None:
    assert running.terminate() == 0
    town.start(before=ANOTHER_VERSION)


def given_another_provider(town: Town, _: OperatorProcess) -> None:
    secret, *_rest = town.declaration(0)
    town.apply({**secret, "metadata": {"name": "other"}}, source(town, secret="other"))


def given_another_source(town: Town, _: OperatorProcess) -> None:
    town.apply(source(town, "other"))
    edited(town, sourceRefs=[{"name": "dc"}, {"name": "other"}])
    town.wait("mdsrc/other", "condition=Ready")


CHANGES: dict[str, tuple[Callable[[Town, OperatorProcess], None], str]] = {
    "version": (upgraded, "mdsrc/dc"),
    "provider": (given_another_provider, "mdsrc/dc"),
    "sourceRefs": (given_another_source, TARGET),
    "mode": (lambda town, _: edited(town), TARGET),
    "ownership": (lambda town, _: edited(town, ownership="Authoritative"), TARGET),
}


@pytest.mark.parametrize(("what", "change", "where"), [(what, *rest) for what, rest in CHANGES.items()], ids=CHANGES)
def test_what_the_first_wave_after_a_change_would_remove_waits(
    town: Town, what: str, change: Callable[[Town, OperatorProcess], None], where: str
) -> None:
    running = town.start()
    town.declare(2)
    town.apply(source(town))
    if what == "mode":
        edited(town, mode="GrantOnly")
    town.ready()
    town.poke()
    rows = town.rows()
    assert len(rows) == 4

    town.center.world.accounts[0].links = {}
    change(town, running)
    town.poke()
    town.wait(TARGET, "jsonpath={.status.conditions[?(@.type=='RevocationsHeld')].reason}=TermsChanged")
    town.poke()
    assert town.rows() == rows

    hold = town.get(*where.split("/")).status["hold"]
    assert (hold["limit"], hold["count"]) == (f"change of {what}", 1)
    town.kubectl.run("annotate", where, f"maildomain.dev/approve={hold['id']}", "-n", town.namespace)
    eventually(lambda: len(town.rows()) == 3)
    town.wait(TARGET, "condition=Ready")

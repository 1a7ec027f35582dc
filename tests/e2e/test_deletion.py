"""What does a deletion take away? No row, whatever is deleted; who comes back owns what they owned (invariant 8)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.sandbox.deploycenter import Account
from tests.support.apiserver import ControlPlane
from tests.support.dumps import dumped
from tests.support.operator import NAMESPACE, ROOT, OperatorProcess, install, let_read_secrets
from tests.support.town import SIRET, Town, eventually, founded


@dataclass
class Place:
    """A town that everything is taken from, and its operator."""

    control_plane: ControlPlane
    kubeconfig: Path
    town: Town
    operator: OperatorProcess

    def held(self) -> tuple[list[str], dict[str, list[str]]]:
        """Every row of the mail database, and all that we keep beside them."""
        return self.town.rows(), self.town.mail.dump_own()

    def declared_again(self) -> None:
        """Declare everything anew, and find everything in place."""
        self.town.declare(3)
        self.town.ready()
        counts = self.town.get("maildomains", "d000-example").status["admins"]
        assert (counts["actual"], counts["owned"], counts["foreign"]) == (2, 2, 0)

    def told_of_everything(self) -> bool:
        """Whether the source's status knows all that was done."""
        statement = "SELECT max(id) AS id FROM maildomain_controller.journal WHERE access_id IS NOT NULL"
        (newest,) = self.town.mail.execute(statement)
        return bool(self.town.get("mdsrc", "dc").status["journal"] == newest["id"])

    def without_the_rights(self) -> Callable[[], None]:
        """From now on nobody is entitled; whoever still acted on what is deleted would revoke. Call it to end that."""
        accounts = self.town.center.world.accounts
        kept = list(accounts)
        accounts.clear()
        return lambda: accounts.extend(kept)


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Three domains with two administrators each."""
    folder = tmp_path_factory.mktemp("deletion")
    with control_plane.namespace() as namespace, founded(control_plane, kubeconfig, namespace, folder) as town:
        town.grow(3)
        place = Place(control_plane, kubeconfig, town, town.start())
        place.declared_again()
        yield place


def test_a_resource_that_is_deleted_leaves_its_rows_and_owns_them_when_it_is_back(place: Place) -> None:
    before = place.held()
    place.town.kubectl.run("delete", "mdom", "d000-example", "-n", place.town.namespace)
    entitled = place.without_the_rights()
    place.town.kubectl.run("delete", "mdom", "--all", "-n", place.town.namespace)
    place.town.poke()
    assert place.held() == before
    entitled()
    place.declared_again()
    assert place.held() == before


def test_what_is_withdrawn_waits_for_its_approval_and_leaves_nothing_to_delete(place: Place) -> None:
    town, before = place.town, place.town.rows()
    town.apply(town.maildomain("d002.example", mode="Withdraw"))
    reason = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
    town.wait("mdom/d002-example", f"{reason}=RevocationsHeld")
    town.poke()
    assert town.rows() == before
    hold = town.get("mdom", "d002-example").status["hold"]["id"]
    town.kubectl.run("annotate", "mdom/d002-example", f"maildomain.dev/approve={hold}", "-n", town.namespace)
    town.wait("mdom/d002-example", f"{reason}=Withdrawn")
    assert len(town.rows()) == len(before) - 2
    assert town.get("mdom", "d002-example").status["admins"]["owned"] == 0
    town.kubectl.run("delete", "mdom", "d002-example", "-n", town.namespace)
    place.declared_again()
    assert len(town.rows()) == len(before), "who is declared again is granted again"
    town.poke()
    assert "mode=Withdraw" not in "".join(town.mail.dump_own()["claim"]), "a quiet wave accepts the change of mode"


def test_a_source_that_is_deleted_while_it_is_used_leaves_the_rows(place: Place) -> None:
    before = place.held()
    place.town.kubectl.run("delete", "mdsrc", "dc", "-n", place.town.namespace)
    what = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}=SourceNotFound"
    for number in range(3):
        place.town.wait(f"mdom/d00{number}-example", what)
    assert place.held() == before
    place.declared_again()
    assert place.held() == before


def test_a_namespace_that_is_deleted_leaves_the_rows(place: Place) -> None:
    before = place.held()
    entitled = place.without_the_rights()
    place.control_plane.delete_namespace(place.town.namespace)
    place.town.kubectl.run("create", "namespace", place.town.namespace)
    let_read_secrets(place.control_plane, place.town.namespace)
    secret, source, *_ = place.town.declaration(0)
    place.town.apply(secret, source)
    place.town.wait("mdsrc/dc", "condition=Ready")
    assert place.held() == before
    entitled()
    place.declared_again()
    assert place.held() == before


def test_kinds_that_are_deleted_leave_the_rows(place: Place) -> None:
    before = place.held()
    entitled = place.without_the_rights()
    place.control_plane.kubectl.delete(ROOT / "crds")
    assert place.operator.wait() == 7
    assert "apply crds/ first" in place.operator.text()
    assert place.held() == before
    entitled()
    install(place.control_plane)
    place.operator = place.town.start()
    place.declared_again()
    assert place.held() == before


def test_an_installation_that_is_deleted_leaves_the_rows(place: Place) -> None:
    before = place.held()
    control_plane = place.control_plane
    control_plane.delete_namespace(NAMESPACE)
    control_plane.kubectl.delete(ROOT / "manifests")
    assert place.operator.wait() == 7
    assert place.held() == before
    place.kubeconfig.write_text(install(control_plane).read_text(encoding="utf-8"), encoding="utf-8")
    place.operator = place.town.start()
    place.declared_again()
    assert place.held() == before


@pytest.mark.parametrize("running", [True, False], ids=["under a running operator", "while nobody works"])
def test_a_database_that_was_restored_waits_for_somebody_who_looks(place: Place, tmp_path: Path, running: bool) -> None:
    town = place.town
    put_back, before = dumped(town.mail.url, tmp_path), town.rows()
    # What the dump lacks: somebody who is new, and what is told of the grant.
    late = f"late-{running}@d000.example".lower()
    town.center.world.accounts.append(Account(late, SIRET, links={"admin": {"domains": ["d000.example"]}}))
    town.mail.user(late)
    eventually(lambda: len(town.rows()) == len(before) + 1 and place.told_of_everything())
    if not running:
        assert place.operator.terminate() == 0
    entitled = place.without_the_rights()
    put_back()
    if not running:
        place.operator = town.start()
    reason = "jsonpath={.status.conditions[?(@.type=='Reconciling')].reason}"
    town.wait("mdsrc/dc", f"{reason}=Frozen")
    town.poke()
    assert town.rows() == before
    entitled()
    town.mail.execute("DELETE FROM maildomain_controller.frozen")
    town.wait("mdsrc/dc", f"{reason}=Reconciled")
    town.ready()
    assert town.rows() == before

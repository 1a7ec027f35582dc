"""Does anything of anybody leave the operator? One life with everything that it can tell, at every level.

The logs and metrics of all other operators of this layer are searched as well when they end, and so are the statuses
and events of each of its namespaces before it goes, with the statuses of the cluster.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.sandbox.deploycenter import Behaviour
from tests.support.api import Api
from tests.support.apiserver import ControlPlane
from tests.support.privacy import inbox, revealed
from tests.support.town import founded, manifest

STUMBLE = """
from controller.entitlements.deploycenter import DeployCenterSource
ask, stumbled = DeployCenterSource.ask, []
async def stumble(self, subject):
    if not stumbled:
        stumbled.append(True)
        raise KeyError(f"{subject.email.reveal()} {vars(self) if hasattr(self, '__dict__') else ''}")
    return await ask(self, subject)
DeployCenterSource.ask = stumble
"""
"""An error that nobody foresaw, which quotes all that it knows."""


def test_nothing_that_the_operator_tells_names_anybody(
    control_plane: ControlPlane, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    with inbox() as reports, founded(control_plane, kubeconfig, namespace, tmp_path) as town:
        town.grow(3)
        running = town.start(before=STUMBLE, MDC_LOG_LEVEL="DEBUG", SENTRY_DSN=reports.dsn)
        town.declare(3)
        town.ready()
        town.apply(town.maildomain("d001.example", deniedAdmins=["u0@d001.example"], protectedAdmins=["x@y.example"]))
        for behaviour in (Behaviour.LOGIN_PAGE, Behaviour.EMPTY, Behaviour.UNAUTHENTICATED):
            town.center.behaviour = behaviour
            town.poke()
        measured = running.get("/metrics")
        kinds = ("entitlementsources", "maildomains", "events")
        told = [item.raw for kind in kinds for item in town.kubectl.list(kind, namespace=namespace)]
        assert running.terminate() == 0

        log = running.text()
        assert '"asking_failed"' in log
        assert len(reports.reports) == 1
        assert "KeyError" in reports.reports[0]
        assert measured is not None
        assert {item["reason"] for item in told if item["kind"] == "Event"} >= {"RevocationsHeld"}
        # What people have declared is theirs to show.
        shown = [{name: part for name, part in item.items() if name not in ("spec", "metadata")} for item in told]
        for text in (log, json.dumps(shown), measured[1], *reports.reports):
            assert revealed(text) == []


def tell_by_event(api: Api, namespace: str, words: str) -> None:
    about = {"kind": "MailDomain", "name": "d000", "namespace": namespace}
    event = {"metadata": {"name": "told"}, "involvedObject": about, "message": words}
    api.ask("POST", f"/api/v1/namespaces/{namespace}/events", event)


def tell_by_status(api: Api, namespace: str, words: str) -> None:
    collection = f"/apis/maildomain.dev/v1alpha1/namespaces/{namespace}/maildomains"
    spec = {"domain": "d000.example", "mode": "Observe", "sourceRefs": [{"name": "dc"}]}
    made = api.ask("POST", collection, manifest("MailDomain", "d000", spec))
    ready = {"type": "Ready", "status": "False", "reason": "Told", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    api.ask("PUT", f"{collection}/d000/status", made | {"status": {"conditions": [ready | {"message": words}]}})


def tell_by_status_of_the_cluster(api: Api, namespace: str, words: str) -> None:
    collection = "/apis/maildomain.dev/v1alpha1/catalogservices"
    name = f"told-{namespace}"
    made = api.ask("POST", collection, manifest("CatalogService", name, {"type": "told"}))
    ready = {"type": "Ready", "status": "False", "reason": "Told", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    api.ask("PUT", f"{collection}/{name}/status", made | {"status": {"conditions": [ready | {"message": words}]}})


@pytest.mark.parametrize("tell", [tell_by_event, tell_by_status, tell_by_status_of_the_cluster])
def test_whoever_is_named_in_a_namespace_is_found_before_it_goes(
    control_plane: ControlPlane, kubeconfig: Path, tell: Callable[[Api, str, str], None]
) -> None:
    """A test of the test; `kubeconfig` has installed our kinds."""

    def name_somebody() -> None:
        with control_plane.namespace() as namespace:
            tell(control_plane.api, namespace, "for u0@d000.example")

    with pytest.raises(AssertionError, match=r"events name .*u0@d000\.example"):
        name_somebody()

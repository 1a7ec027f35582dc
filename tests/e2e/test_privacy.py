"""Does anything of anybody leave the operator? One life with everything that it can tell, at every level.

The logs of all other operators of this layer are searched as well, when they end.
"""

import json
from pathlib import Path

from controller.sandbox.deploycenter import Behaviour
from tests.support.apiserver import ControlPlane
from tests.support.privacy import inbox, revealed
from tests.support.town import KEY, founded

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
            assert revealed(text, KEY) == []

"""Do the alerts fire when they should, lead to a page that exists, and use what is measured?"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.observability.metrics import Metrics
from tests.docs.pages import page
from tests.support.crd import ROOT
from tests.support.manifests import Manifest, rendered

TESTS = Path(__file__).parent / "alerts.yaml"
METRIC = re.compile(r"\bmaildomain_\w+")


@pytest.fixture(scope="module")
def monitoring() -> list[Manifest]:
    return rendered("manifests/monitoring")


def the(kind: str, objects: list[Manifest]) -> Manifest:
    [found] = [item for item in objects if item["kind"] == kind]
    return found


@pytest.fixture(scope="module")
def rules(monitoring: list[Manifest]) -> dict[str, dict[str, Any]]:
    """Every alert by name."""
    return {
        rule["alert"]: rule for group in the("PrometheusRule", monitoring)["spec"]["groups"] for rule in group["rules"]
    }


def measured() -> set[str]:
    """The names of all samples, also of those that need a label to appear."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + suffix for family in Metrics().registry.collect() for suffix in suffixes[family.type]}


def test_each_alert_fires_when_it_should(promtool: Path, monitoring: list[Manifest], tmp_path: Path) -> None:
    spec = the("PrometheusRule", monitoring)["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    shutil.copy(TESTS, tmp_path)
    for arguments in (["check", "rules", "--lint-fatal", "rules.yaml"], ["test", "rules", TESTS.name]):
        ran = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_is_seen_firing_and_silent(rules: dict[str, dict[str, Any]]) -> None:
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    seen = {(item["alertname"], bool(item["exp_alerts"])) for test in tests for item in test["alert_rule_test"]}
    assert seen == {(name, fires) for name in rules for fires in (True, False)}


def test_each_alert_has_a_runbook_and_each_runbook_an_alert(rules: dict[str, dict[str, Any]]) -> None:
    path = ROOT / "docs" / "runbooks.md"
    for name, rule in rules.items():
        target, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert ROOT / target == path, name
        assert anchor == name.lower()
    anchors = {anchor for anchor in page(path).anchors if anchor.startswith("maildomain")}
    assert anchors == {name.lower() for name in rules}


def test_each_alert_uses_what_is_measured(rules: dict[str, dict[str, Any]]) -> None:
    for name, rule in rules.items():
        used = set(METRIC.findall(rule["expr"]))
        assert used, name
        assert used <= measured(), name


def test_each_panel_of_the_dashboard_shows_what_is_measured(monitoring: list[Manifest]) -> None:
    dashboard = json.loads(the("ConfigMap", monitoring)["data"]["maildomain-controller.json"])
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    used = set()
    for panel in panels:
        expressions = [target["expr"] for target in panel["targets"]]
        found = {name for expression in expressions for name in METRIC.findall(expression)}
        assert found, panel["title"]
        used |= found
    assert used <= measured()
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_what_is_scraped_is_the_service(monitoring: list[Manifest]) -> None:
    service = the("Service", rendered("manifests"))
    monitor = the("ServiceMonitor", monitoring)
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"

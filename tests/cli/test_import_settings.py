"""What becomes of the mail application's own settings? The same source, declared; or the reason why not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.application_settings import LOCAL_BACKEND, read_assignments
from controller.resources.documents import Document, parse_documents
from tests.cli.conftest import Ran, Run

DEPLOY_CENTER = "core.entitlements.backends.deploycenter.DeployCenterEntitlementsBackend"
PARAMETERS = {
    "base_url": "https://dc.example/api/v1.0/entitlements/",
    "service_id": 42,
    "api_key": "it's a $ecret",
    "timeout": 20,
    "oidc_claims": ["siret"],
}
AS_JSON = json.dumps(PARAMETERS)
SAFE = json.dumps(PARAMETERS | {"api_key": "ecret"})


@pytest.fixture
def imported(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("ENTITLEMENTS_BACKEND", "ENTITLEMENTS_BACKEND_PARAMETERS"):
        monkeypatch.delenv(name, raising=False)

    def importing(text: str, *options: str) -> Ran:
        (tmp_path / "messages.env").write_text(text, encoding="utf-8")
        return run("import-settings", "--env-file", "messages.env", *options)

    return importing


def written(ran: Ran) -> Sequence[dict[str, Any]]:
    assert ran.code == 0, ran.err
    # What it writes is input as it stands.
    parse_documents([Document("-", ran.out)])
    return list(yaml.safe_load_all(ran.out))


def provider(ran: Ran) -> Any:
    return written(ran)[0]["spec"]["provider"]


def test_the_source_asks_what_the_application_asked(imported: Any) -> None:
    ran = imported(
        f"ENTITLEMENTS_BACKEND={DEPLOY_CENTER}\nENTITLEMENTS_BACKEND_PARAMETERS='{SAFE}'\n", "-n", "platform"
    )
    source, secret = written(ran)
    assert source["spec"]["provider"] == {
        "deployCenter": {
            "url": "https://dc.example/api/v1.0/entitlements/",
            "serviceId": 42,
            "apiKeySecretRef": {"name": "deploycenter", "key": "api-key"},
            "organization": {"claims": ["siret"]},
            "timeout": "20s",
        }
    }
    assert secret["stringData"] == {"api-key": "ecret"}
    assert source["metadata"] == secret["metadata"] == {"name": "deploycenter", "namespace": "platform"}
    assert ran.err == ""


def test_it_says_what_the_application_needs_instead(imported: Any) -> None:
    ran = imported(f"ENTITLEMENTS_BACKEND={DEPLOY_CENTER}\nENTITLEMENTS_BACKEND_PARAMETERS='{SAFE}'\n")
    hints = "\n".join(line.removeprefix("#").strip() for line in ran.out.splitlines() if line.startswith("#"))
    # The hint is itself a file of settings, of a backend that asks nobody.
    assert provider(imported(hints)) == {"local": {}}


@pytest.mark.parametrize(
    "line",
    [
        f"ENTITLEMENTS_BACKEND_PARAMETERS={SAFE}",
        f"ENTITLEMENTS_BACKEND_PARAMETERS='{SAFE}'",
        f"  export ENTITLEMENTS_BACKEND_PARAMETERS='{SAFE}'  # the key of staging",
        "ENTITLEMENTS_BACKEND_PARAMETERS='" + json.dumps(json.loads(SAFE), indent=2) + "'",
        'ENTITLEMENTS_BACKEND_PARAMETERS="' + SAFE.replace('"', '\\"') + '"',
        f"ENTITLEMENTS_BACKEND_PARAMETERS={json.loads(SAFE)}",
        f'ENTITLEMENTS_BACKEND_PARAMETERS="{json.loads(SAFE)}"',
        f"ENTITLEMENTS_BACKEND_PARAMETERS={{}}\nENTITLEMENTS_BACKEND_PARAMETERS={SAFE}",
    ],
)
def test_each_way_to_write_json_into_a_file_of_settings_is_read(imported: Any, line: str) -> None:
    ran = imported(f"# of the mail application\n\nENTITLEMENTS_BACKEND='{DEPLOY_CENTER}'\n{line}\nno assignment\n")
    source, secret = written(ran)
    assert source["spec"]["provider"]["deployCenter"]["serviceId"] == 42
    assert secret["stringData"] == {"api-key": "ecret"}


@pytest.mark.parametrize("value", [AS_JSON, f"'{SAFE}'", str(PARAMETERS)])
def test_the_environment_is_read_without_a_file(run: Run, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ENTITLEMENTS_BACKEND", DEPLOY_CENTER)
    monkeypatch.setenv("ENTITLEMENTS_BACKEND_PARAMETERS", value)
    assert provider(run("import-settings"))["deployCenter"]["serviceId"] == 42


@pytest.mark.parametrize("text", ["", "ENTITLEMENTS_BACKEND=\n", f"ENTITLEMENTS_BACKEND={LOCAL_BACKEND}"])
def test_an_application_that_asks_nobody_has_a_source_that_knows_nothing(imported: Any, text: str) -> None:
    ran = imported(text, "--source", "other")
    assert provider(ran) == {"local": {}}
    assert written(ran)[0]["metadata"] == {"name": "other"}
    assert "knows nothing" in ran.err


@pytest.mark.parametrize(
    ("changed", "shown", "said"),
    [
        ({"base_url": "http://dc.example/"}, {"insecureHTTP": True}, ""),
        ({"service_id": "42"}, {"serviceId": 42}, ""),
        ({"timeout": 0.5}, {"timeout": "1s"}, "timeout becomes 1s"),
        ({"timeout": 600}, {"timeout": "120s"}, "timeout becomes 120s"),
        ({"oidc_claims": ["idp_id"]}, {"organization": {"claims": ["idp_id"]}}, "add organization.pivotSirets"),
        ({"organization_claim": "siret"}, {}, "organization_claim is left out"),
    ],
)
def test_what_differs_is_said(imported: Any, changed: dict[str, Any], shown: dict[str, Any], said: str) -> None:
    parameters = json.dumps(json.loads(SAFE) | changed)
    ran = imported(f"ENTITLEMENTS_BACKEND={DEPLOY_CENTER}\nENTITLEMENTS_BACKEND_PARAMETERS='{parameters}'")
    assert provider(ran)["deployCenter"].items() >= shown.items()
    assert said in ran.err
    assert bool(said) == bool(ran.err)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ("__import__('os').getcwd()", "is no JSON object"),
        ("{}", "ENTITLEMENTS_BACKEND_PARAMETERS.base_url: is missing"),
        (json.dumps(PARAMETERS | {"service_id": "x"}), "spec.provider.deployCenter.serviceId"),
        (json.dumps(PARAMETERS | {"base_url": "https://me:pw@dc.example/"}), "spec.provider.deployCenter.url"),
        (json.dumps(PARAMETERS | {"oidc_claims": "siret"}), "spec.provider.deployCenter.organization.claims"),
        (json.dumps(PARAMETERS | {"api_key": 5}), "api_key: is no text"),
    ],
)
def test_what_can_not_be_used_is_said_without_the_key(imported: Any, parameters: str, said: str) -> None:
    ran = imported(f"ENTITLEMENTS_BACKEND={DEPLOY_CENTER}\nENTITLEMENTS_BACKEND_PARAMETERS={parameters}")
    assert (ran.code, ran.out) == (6, "")
    assert said in ran.err
    assert "ecret" not in ran.err
    assert "me:pw" not in ran.err


def test_a_backend_of_ones_own_is_sent_to_external_providers(imported: Any) -> None:
    ran = imported("ENTITLEMENTS_BACKEND=ours.entitlements.Ldap")
    assert (ran.code, ran.out) == (6, "")
    assert "external provider" in ran.err


def test_a_file_that_is_not_there_is_said(run: Run) -> None:
    ran = run("import-settings", "--env-file", "missing.env")
    assert (ran.code, ran.out) == (6, "")


def test_the_last_assignment_of_a_name_stands_and_an_open_quote_ends_nothing() -> None:
    assert read_assignments("A=1\nA=2 # two\nB='x\ny'\nC='open\nD=4") == {"A": "2", "B": "'x\ny'", "C": "'open\nD=4"}

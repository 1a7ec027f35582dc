"""`serve` without a cluster: names become files until a signal ends it, and what can't be used is said at the start."""

from pathlib import Path

import httpx
import pytest

from controller.cli.main import execute
from tests.support.crd import ROOT
from tests.support.operator import ApiProcess
from tests.support.provisioning import BEARER, KEY, write_keys

TEMPLATE = ROOT / "manifests" / "provisioning" / "template.yaml"
NOWHERE = "sqlite:////nonexistent/mail.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "domains"
    made.mkdir()
    return made


def test_names_become_files_and_a_signal_ends_it_with_0(tmp_path: Path, folder: Path) -> None:
    keys = str(write_keys(tmp_path / "keys", a=KEY))
    settings = {"MDC_PROVISIONING_TEMPLATE": str(TEMPLATE), "MDC_PROVISIONING_KEYS": keys, "MDC_HOOKS_KEYS": keys}
    flags = {"FEATURE_MAILDOMAIN_CREATE": "false", "FEATURE_MAILDOMAIN_MANAGE_ACCESSES": "true"}
    with ApiProcess(tmp_path, tmp_path / "no.kubeconfig", NOWHERE, "--folder", str(folder), **settings, **flags) as api:
        api.wait_for("/readyz", "ok")
        domains = httpx.post(
            f"{api.address}/api/v1.0/provisioning/maildomains/", json={"domains": "x.fr"}, headers=BEARER, timeout=30
        )
        hints = httpx.post(
            f"{api.address}/api/v1.0/hooks/deploycenter/", json={"domains": "x.fr"}, headers=BEARER, timeout=30
        )
        shown = httpx.get(f"{api.address}/api/v1.0/config/", timeout=30)
        assert api.terminate() == 0

    assert shown.json() == {name: value == "true" for name, value in flags.items()}
    assert domains.json()["created"] == ["x.fr"]
    assert hints.status_code == 503, "there is no database, which is nobody else's trouble"
    assert (folder / "x.fr.yaml").is_file()
    assert KEY not in api.text()


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({"MDC_PROVISIONING_KEYS": "keys"}, (), "MDC_PROVISIONING_TEMPLATE"),
        ({"MDC_PROVISIONING_CHANNELS": "keys"}, (), "MDC_PROVISIONING_TEMPLATE"),
        ({"MDC_HOOKS_KEYS": "keys"}, (), "MDC_OWNER"),
        ({"MDC_API_PORT": "http"}, (), "MDC_API_PORT"),
        ({"FEATURE_MAILDOMAIN_CREATE": "maybe"}, (), "FEATURE_MAILDOMAIN_CREATE"),
        ({"MDC_PROVISIONING_RATE": "0"}, (), "MDC_PROVISIONING_RATE"),
        ({}, ("--folder", "/nonexistent"), "--folder"),
    ],
)
def test_what_can_not_be_used_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.delenv("MDC_OWNER", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert execute(["serve", *options]) == 2
    assert words in capsys.readouterr().err

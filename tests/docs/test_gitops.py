"""Do the examples for Flux and Argo CD wait for each other, and ask before something is deleted?"""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.docs.pages import ROOT, page

PAGE = ROOT / "docs" / "gitops.md"


def documents(kind: str) -> Iterator[dict[str, Any]]:
    """Every document of a kind that the page shows, in order."""
    for block in page(PAGE).blocks:
        if block.language == "yaml":
            yield from (item for item in yaml.safe_load_all(block.text) if item["kind"] == kind)


def test_flux_brings_one_after_the_other_and_waits_for_each() -> None:
    before: list[str] = []
    for item in documents("Kustomization"):
        spec = item["spec"]
        assert {"interval", "path", "prune", "sourceRef", "timeout"} <= spec.keys()
        assert spec["wait"] is True
        assert [wanted["name"] for wanted in spec.get("dependsOn", ())] == before[-1:]
        before.append(item["metadata"]["name"])
    assert len(before) == 3


def test_argo_cd_brings_the_source_first_and_asks_before_it_deletes() -> None:
    waves = {}
    for kind in ("EntitlementSource", "MailDomain"):
        [item] = documents(kind)
        annotations = item["metadata"]["annotations"]
        waves[kind] = int(annotations["argocd.argoproj.io/sync-wave"])
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=confirm"
    assert waves["EntitlementSource"] < waves["MailDomain"]


def test_the_application_is_of_the_project_whose_people_may_approve() -> None:
    [application] = documents("Application")
    [rights] = [block.text.splitlines() for block in page(PAGE).blocks if block.language == "text"]
    fields = [[field.strip() for field in line.split(",")] for line in rights]
    assert {field[4] for field in fields} == {f"{application['spec']['project']}/*"}
    assert {field[3] for field in fields} == {
        f"action/maildomain.dev/{kind}/approve" for kind in ("EntitlementSource", "MailDomain")
    }

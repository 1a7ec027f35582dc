"""What does a MailDomain look like that the API makes?"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import InvalidInput
from controller.provisioning.template import overlaid, read_template, siret_of
from controller.provisioning.wanted import Wanted
from controller.resources.documents import Document, parse_documents
from controller.resources.names import DomainName
from tests.support.crd import ROOT, crd
from tests.support.provisioning import SIRET, TEMPLATE

WHOLE: dict[str, Any] = {
    "apiVersion": "maildomain.dev/v1alpha1",
    "kind": "MailDomain",
    "metadata": {"namespace": "communes", "labels": {"team": "mail"}, "annotations": {"note": "x"}},
    "spec": {"mode": "Enforce", "sourceRefs": [{"name": "a"}], "provisioning": {"ensure": "Created"}},
}


def written(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "template.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def made(template: Any, domain: str = "x.fr", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = template.made(DomainName(domain), Wanted(domains=[domain], **fields))
    return found


def test_the_sample_makes_what_every_check_accepts() -> None:
    template = read_template(ROOT / "manifests" / "provisioning" / "template.yaml")
    obj = made(template, custom_attributes={"siret": SIRET, "n": 1}, oidc_autojoin=True, identity_sync=False)

    assert crd("MailDomain").refusals(obj) == []
    [domain] = parse_documents([Document("-", yaml.safe_dump(obj))]).domains
    assert domain.spec.mode == "Observe"
    assert domain.metadata.provisioned


def test_the_template_stays_as_it_is_and_the_request_comes_on_top(tmp_path: Path) -> None:
    obj = made(read_template(written(tmp_path, WHOLE)), custom_attributes={"siret": SIRET})

    assert obj["metadata"] == {
        "namespace": "communes",
        "name": "x.fr",
        "labels": {"team": "mail"},
        "annotations": {"note": "x", "maildomain.dev/provisioned": "true"},
    }
    assert obj["spec"] == {
        "domain": "x.fr",
        "mode": "Enforce",
        "sourceRefs": [{"name": "a"}],
        "organization": {"siret": SIRET},
        "provisioning": {"ensure": "Created", "customAttributes": {"siret": SIRET}},
    }


def test_without_a_mode_nothing_is_carried_out() -> None:
    assert made(TEMPLATE)["spec"]["mode"] == "Observe"


def test_what_is_not_asked_for_is_not_declared() -> None:
    assert made(TEMPLATE)["spec"] == {"domain": "x.fr", "mode": "Observe", "sourceRefs": [{"name": "deploycenter"}]}


@given(st.text("abcxyz-0123456789.", min_size=1, max_size=253), st.text("abcxyz-0123456789.", min_size=1, max_size=253))
def test_two_domains_never_have_one_name(one: str, other: str) -> None:
    assert (made(TEMPLATE, one)["metadata"]["name"] == made(TEMPLATE, other)["metadata"]["name"]) == (one == other)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no template"),
        ("a: [", "is no template"),
        ({**WHOLE, "kind": "EntitlementSource"}, "is no template"),
        ({**WHOLE, "spec": {**WHOLE["spec"], "domain": "x.fr"}}, "is no template"),
        ({**WHOLE, "spec": {**WHOLE["spec"], "organization": {"siret": SIRET}}}, "is no template"),
        ({**WHOLE, "metadata": {"name": "x"}}, "more than a namespace"),
        ({**WHOLE, "spec": {"mode": "Observe"}}, "spec.sourceRefs: is missing"),
        ({**WHOLE, "spec": {**WHOLE["spec"], "mode": "observe"}}, "spec.mode"),
        ({**WHOLE, "apiVersion": "v1"}, "apiVersion"),
    ],
)
def test_a_template_that_would_make_nothing_usable_is_refused_at_the_start(
    tmp_path: Path, content: Any, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_template(written(tmp_path, content))


def test_a_template_that_is_not_there_is_named_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="MDC_PROVISIONING_TEMPLATE"):
        read_template(tmp_path / "absent")


def test_fields_that_are_omitted_stay_and_attributes_join() -> None:
    before = made(TEMPLATE, custom_attributes={"a": "1", "b": "2"}, oidc_autojoin=False, identity_sync=True)
    after = overlaid(before, Wanted(domains=["x.fr"], custom_attributes={"b": "3"}))

    assert after["spec"]["provisioning"] == {
        "oidcAutojoin": False,
        "identitySync": True,
        "customAttributes": {"a": "1", "b": "3"},
    }
    assert overlaid(before, Wanted(domains=["x.fr"])) == before


@pytest.mark.parametrize(
    ("spec", "siret"),
    [
        ({}, None),
        ({"organization": {"siret": "1"}}, "1"),
        ({"provisioning": {"customAttributes": {"siret": "2"}}}, "2"),
        ({"organization": {"siret": "1"}, "provisioning": {"customAttributes": {"siret": "2"}}}, "1"),
        ({"provisioning": {"ensure": "Exists"}}, None),
    ],
)
def test_whose_domain_it_is_stands_in_two_places(spec: dict[str, Any], siret: str | None) -> None:
    assert siret_of(spec) == siret

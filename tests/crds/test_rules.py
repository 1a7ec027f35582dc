"""Does each rule of the CRDs refuse what it must, with words that name the field and the remedy?"""

from typing import Any

import pytest

from controller.errors import InvalidInput
from controller.resources.documents import parse_maildomain, parse_source
from tests.support.crd import crd, nodes
from tests.support.declared import DEPLOY_CENTER, LEAST, MAILDOMAIN, SOURCE, WHOLE, changed
from tests.support.refusals import RULES, SHAPES, UNKNOWN, Refused

PARSERS = {"EntitlementSource": parse_source, "MailDomain": parse_maildomain}


def title(refused: Refused) -> str:
    return refused.title


@pytest.mark.parametrize("refused", RULES, ids=title)
def test_a_rule_refuses_with_its_message_at_its_field(refused: Refused) -> None:
    messages = [refusal.message for refusal in crd(refused.kind).refusals(refused.obj) if refusal.path == refused.path]

    assert any(refused.words in message for message in messages)


@pytest.mark.parametrize("refused", SHAPES, ids=title)
def test_the_schema_refuses_what_has_another_shape(refused: Refused) -> None:
    assert crd(refused.kind).refusals(refused.obj)


@pytest.mark.parametrize("refused", UNKNOWN, ids=title)
def test_the_schema_does_not_know_what_comes_with_later_work(refused: Refused) -> None:
    assert crd(refused.kind).refusals(refused.obj)


@pytest.mark.parametrize("refused", [*RULES, *SHAPES, *UNKNOWN], ids=title)
def test_the_model_refuses_the_same(refused: Refused) -> None:
    with pytest.raises(InvalidInput):
        PARSERS[refused.kind](refused.obj, strict=True)


def test_every_rule_is_in_the_table() -> None:
    shown = {refusal.message for refused in RULES for refusal in crd(refused.kind).refusals(refused.obj)}
    before, after = MAILDOMAIN, changed(MAILDOMAIN, "spec", "domain", to="other.example")
    shown |= {refusal.message for refusal in crd("MailDomain").refusals(after, before=before)}

    assert {rule["message"] for kind in WHOLE for rule in rules(kind)} == shown


def test_the_domain_can_not_be_changed() -> None:
    after = changed(MAILDOMAIN, "spec", "domain", to="other.example")

    assert crd("MailDomain").refusals(after) == []
    [refusal] = crd("MailDomain").refusals(after, before=MAILDOMAIN)
    assert refusal.path == "spec.domain"
    assert refusal.message == "spec.domain can't be changed: create another MailDomain for the new name"


def test_everything_else_can_be_changed() -> None:
    for kind, whole in WHOLE.items():
        least = changed(LEAST[kind], "spec", "mode", to="Enforce") if kind == "MailDomain" else LEAST[kind]
        assert crd(kind).refusals(least, before=whole) == []
        assert crd(kind).refusals(whole, before=least) == []


def test_http_is_allowed_where_it_is_asked_for() -> None:
    insecure = DEPLOY_CENTER | {"url": "http://dc.example/", "insecureHTTP": True}

    assert crd("EntitlementSource").refusals(changed(SOURCE, "spec", "provider", "deployCenter", to=insecure)) == []


@pytest.mark.parametrize("kind", WHOLE)
def test_a_message_begins_with_the_field_and_ends_with_the_remedy(kind: str) -> None:
    for path, schema in nodes(crd(kind).schema):
        for rule in schema.get("x-kubernetes-validations", ()):
            field = path + rule.get("fieldPath", "")
            words, _, remedy = rule["message"].partition(": ")
            assert words.startswith(field.removesuffix("[]").split("[].")[0]), field
            assert remedy, field


def rules(kind: str) -> list[dict[str, Any]]:
    return [rule for _, schema in nodes(crd(kind).schema) for rule in schema.get("x-kubernetes-validations", ())]

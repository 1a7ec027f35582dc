"""Does each rule of the CRDs refuse what it must, with words that name the field and the remedy?"""

from typing import Any

import pytest

from controller.errors import InvalidInput
from controller.resources.documents import KINDS, parse_object
from tests.support.crd import crd, nodes
from tests.support.declared import DEPLOY_CENTER, LEAST, SOURCE, WHOLE, Step, changed
from tests.support.refusals import RULES, SHAPES, UNKNOWN, Refused

FIXED: tuple[tuple[str, tuple[Step, ...]], ...] = (
    ("MailDomain", ("spec", "domain")),
    ("MailDomainRoleBinding", ("spec", "mailDomainRef", "name")),
    ("MailDomainRoleBinding", ("spec", "roleRef", "name")),
    ("MailDomainLink", ("spec", "upstream", "name")),
    ("MailDomainLink", ("spec", "upstream", "namespace")),
    ("MailDomainLink", ("spec", "downstream", "name")),
    ("ServiceGroupRestriction", ("spec", "mailDomainRef", "name")),
)
"""What can't be changed: another object is wanted then."""


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
        parse_object(KINDS[refused.kind], refused.obj, strict=True)


def test_every_rule_is_in_the_table() -> None:
    shown = {refusal.message for refused in RULES for refusal in crd(refused.kind).refusals(refused.obj)}
    for kind, steps in FIXED:
        after = changed(WHOLE[kind], *steps, to="other.example")
        shown |= {refusal.message for refusal in crd(kind).refusals(after, before=WHOLE[kind])}

    assert {rule["message"] for kind in WHOLE for rule in rules(kind)} == shown


@pytest.mark.parametrize(("kind", "steps"), FIXED)
def test_what_an_object_is_about_can_not_be_changed(kind: str, steps: tuple[Step, ...]) -> None:
    after = changed(WHOLE[kind], *steps, to="other.example")

    assert crd(kind).refusals(after) == []
    [refusal] = crd(kind).refusals(after, before=WHOLE[kind])
    assert refusal.path == ".".join(map(str, steps[:2]))
    assert refusal.message.startswith(f"{refusal.path} can't be changed: create another ")


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

"""What is the mail application asked about a domain, and what is it never asked? (A-74, A-78, D2)"""

import json
from typing import Any

import pytest

from controller.planning.conditions import domain_conditions
from controller.planning.facts import DomainId, MailDomainRow
from controller.planning.founding import Founding, Order, founding
from controller.planning.health import examine
from controller.resources.conditions import ConditionType, Reason
from controller.resources.names import DomainName
from tests.support.planning import PlanningWorld

X = DomainName("x.fr")


def stored(name: str = "x.fr", *, alias: bool = False, **fields: Any) -> MailDomainRow:
    attributes = json.dumps(fields.pop("attributes", {}))
    return MailDomainRow(DomainId(name), name, alias, attributes=attributes, **fields)


def found(
    row: MailDomainRow | None, *, world: PlanningWorld | None = None, spec: Any = None, **provisioning: Any
) -> Any:
    world = world or PlanningWorld()
    world.domain("x.fr", row=False, provisioning={"ensure": "Created", **provisioning}, **(spec or {}))
    if row is not None:
        world.domains[row.name] = row
    return founding(world.plan_of("x.fr"))


def create(**fields: Any) -> Order:
    return Order(X, creates=True, **{"oidc_autojoin": None, "identity_sync": None, "custom_attributes": None, **fields})


def test_a_missing_domain_is_created_with_what_is_declared_and_no_more() -> None:
    assert found(None) == Founding(create())
    declared: dict[str, Any] = {
        "oidcAutojoin": False,
        "identitySync": True,
        "customAttributes": {"siret": "1", "people": 5},
    }
    attributes = {"siret": "1", "people": 5}
    assert found(None, **declared) == Founding(
        create(oidc_autojoin=False, identity_sync=True, custom_attributes=attributes)
    )


def test_a_domain_that_is_only_waited_for_is_never_asked_about() -> None:
    assert found(None, ensure="Exists") is None
    assert found(stored(), ensure="Exists", oidcAutojoin=True) is None


@pytest.mark.parametrize(
    ("row", "declared"),
    [
        (stored(), {}),
        (stored(oidc_autojoin=True), {"oidcAutojoin": True}),
        (stored(identity_sync=True, attributes={"b": 2}), {"oidcAutojoin": False}),
        (stored(attributes={"siret": "1", "other": [1]}), {"customAttributes": {"siret": "1"}}),
        (stored(attributes={"a": 1}), {"customAttributes": {}}),
    ],
)
def test_in_sync_nothing_is_asked(row: MailDomainRow, declared: dict[str, Any]) -> None:
    assert found(row, **declared) == Founding()


@pytest.mark.parametrize(
    ("row", "declared", "autojoin", "sync", "attributes"),
    [
        (stored(identity_sync=True, attributes={"a": [1]}), {"oidcAutojoin": True}, True, True, {"a": [1]}),
        (stored(oidc_autojoin=True), {"identitySync": True}, True, True, {}),
        (stored(attributes={"a": 1}), {"customAttributes": {"b": 2}}, False, False, {"a": 1, "b": 2}),
        (stored(attributes={"a": 1}), {"customAttributes": {"a": 2}, "overwrite": True}, False, False, {"a": 2}),
    ],
)
def test_a_change_carries_every_field_because_the_others_would_be_reset(
    row: MailDomainRow, declared: dict[str, Any], autojoin: bool, sync: bool, attributes: dict[str, Any]
) -> None:
    assert found(row, **declared) == Founding(
        Order(X, creates=False, oidc_autojoin=autojoin, identity_sync=sync, custom_attributes=attributes)
    )


def test_other_values_are_reported_and_left() -> None:
    row = stored(attributes={"siret": "1"})
    assert found(row, customAttributes={"siret": "2"}) == Founding(conflict=True)
    order = Order(
        X, creates=False, oidc_autojoin=True, identity_sync=False, custom_attributes={"siret": "1", "name": "x"}
    )
    assert found(row, customAttributes={"siret": "2", "name": "x"}, oidcAutojoin=True) == Founding(order, conflict=True)


def test_true_is_not_one() -> None:
    assert found(stored(attributes={"a": True}), customAttributes={"a": 1}) == Founding(conflict=True)


def test_attributes_that_are_no_mapping_are_not_replaced() -> None:
    assert found(stored(attributes=[1]), customAttributes={"a": 1}, overwrite=True) == Founding(conflict=True)


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}])
def test_who_only_observes_or_is_suspended_asks_for_nothing(spec: dict[str, Any]) -> None:
    one = found(None, spec=spec)
    assert (one.order, one.due) == (create(), None)


def test_grant_only_may_create() -> None:
    assert found(None, spec={"mode": "GrantOnly"}).due == create()


@pytest.mark.parametrize("row", [stored(alias=True), stored("X.fr")])
def test_an_alias_or_a_twin_is_not_created_again(row: MailDomainRow) -> None:
    assert found(row) is None


def test_who_may_not_act_asks_for_nothing() -> None:
    world = PlanningWorld()
    world.add_source()
    assert found(None, world=world, spec={"sourceRefs": [{"name": "missing"}]}) is None


@pytest.mark.parametrize(
    ("row", "declared", "trouble", "status", "reason"),
    [
        (None, {}, None, "False", Reason.CHANGES_PENDING),
        (None, {}, Reason.MESSAGES_UNAVAILABLE, "False", Reason.MESSAGES_UNAVAILABLE),
        (None, {"spec": {"mode": "Observe"}}, Reason.MESSAGES_UNAVAILABLE, "False", Reason.SUPPRESSED_BY_MODE),
        (stored(), {}, None, "True", Reason.PROVISIONED),
        (stored(), {}, Reason.MESSAGES_UNAVAILABLE, "True", Reason.PROVISIONED),
        (stored(attributes={"a": 1}), {"customAttributes": {"a": 2}}, None, "False", Reason.ATTRIBUTES_CONFLICT),
    ],
)
def test_a_condition_says_how_it_stands(
    row: MailDomainRow | None, declared: dict[str, Any], trouble: Reason | None, status: str, reason: Reason
) -> None:
    world = PlanningWorld()
    found(row, world=world, **declared)
    question = world.question()
    states = question.sources.items()
    health = {key: examine(state, (), (), question.snapshot, now=question.now) for key, state in states}
    conditions = domain_conditions(world.plan_of("x.fr"), health, trouble=trouble)
    [condition] = [item for item in conditions if item.type is ConditionType.PROVISIONED]
    assert (condition.status, condition.reason) == (status, reason)

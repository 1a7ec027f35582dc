"""Which part of an object has a field manager applied, and what does a refusal of an apply mean?"""

import json
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException

from controller.cluster.applying import Applied, applied_part, outcome_of_refusal

OURS, THEIRS = "ours", "theirs"


def managed(manager: str, fields: dict[str, Any], operation: str = "Apply") -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}


def obj(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "x", "labels": {"a": "1", "b": "2"}, "managedFields": list(entries)},
        "spec": {
            "domain": "x.fr",
            "sourceRefs": [{"name": "a"}],
            "provisioning": {"ensure": "Exists", "oidcAutojoin": True, "customAttributes": {"n": 1}},
        },
    }


def test_the_part_holds_the_present_values_of_exactly_the_fields_that_were_applied() -> None:
    fields: dict[str, Any] = {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:sourceRefs": {}, "f:provisioning": {"f:customAttributes": {"f:n": {}}}},
    }

    assert applied_part(obj(managed(OURS, fields)), OURS) == {
        "metadata": {"labels": {"a": "1"}},
        "spec": {"sourceRefs": [{"name": "a"}], "provisioning": {"customAttributes": {"n": 1}}},
    }


def test_others_and_other_ways_of_writing_are_not_ours() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:domain": {}}}

    assert applied_part(obj(managed(THEIRS, fields), managed(OURS, fields, "Update")), OURS) == {}
    assert applied_part({"metadata": {}}, OURS) == {}


def test_a_field_that_is_gone_is_not_invented_and_a_mapping_of_others_is_empty() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:mode": {}, "f:provisioning": {".": {}}}}

    assert applied_part(obj(managed(OURS, fields)), OURS) == {"spec": {"provisioning": {}}}


def refusal(status: int, body: object) -> ApiException:
    error = ApiException(status=status)
    error.body = body if isinstance(body, str) else json.dumps(body)
    return error


CONFLICT = {"details": {"causes": [{"reason": "FieldManagerConflict", "field": ".spec.mode"}]}}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (409, CONFLICT, Applied.OWNED_BY_OTHERS),
        (409, {"details": {"causes": [{"reason": "Other"}]}}, Applied.OUTDATED),
        (409, {"details": {}}, Applied.OUTDATED),
        (409, "nonsense", Applied.OUTDATED),
        (409, [], Applied.OUTDATED),
        (422, {}, Applied.REFUSED),
        (400, {}, Applied.REFUSED),
        (413, {}, Applied.REFUSED),
        (403, {}, None),
        (404, {}, None),
        (500, {}, None),
    ],
)
def test_a_refusal_is_about_the_object_or_about_everything(status: int, body: object, outcome: Applied | None) -> None:
    assert outcome_of_refusal(refusal(status, body)) is outcome

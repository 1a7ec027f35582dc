"""Are the CRDs structural, bounded, explained, and readable at a glance?"""

import re

import pytest

from tests.support.crd import KINDS, crd, nodes
from tests.support.situations import UNSEEN

FORBIDDEN = {
    "$ref",
    "uniqueItems",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
}
JUNCTORS = {"allOf", "anyOf", "oneOf", "not"}
NOT_CORE_CEL = re.compile(
    r"isURL|url\(|lowerAscii|upperAscii|quantity\(|\.\?|optional\.|isSorted|\.find|format\.|ip\(|cidr\("
)
OURS = ("spec", "status")
SHORT_NAMES = {
    "CatalogService": "mdsvc",
    "EntitlementSource": "mdsrc",
    "MailDomain": "mdom",
    "MailDomainGroup": "mdgrp",
    "MailDomainLink": "mdlink",
    "MailDomainRole": "mdrole",
    "MailDomainRoleBinding": "mdrb",
    "ServiceGroupRestriction": "mdsgr",
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_part_has_one_type_and_nothing_that_is_not_structural(kind: str) -> None:
    for path, schema in nodes(crd(kind).schema):
        assert not (FORBIDDEN | JUNCTORS) & schema.keys(), path
        assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema), path
        assert (schema.get("type") == "array") == ("items" in schema), path


def test_every_field_is_explained(kind: str) -> None:
    unexplained = [
        path
        for path, schema in nodes(crd(kind).schema)
        if path.startswith(OURS) and not path.endswith("[]") and "description" not in schema
    ]
    assert unexplained == []


def test_everything_in_a_spec_is_bounded_so_that_the_cost_of_rules_is(kind: str) -> None:
    for path, schema in nodes(crd(kind).schema):
        if not path.startswith("spec"):
            continue
        if schema.get("type") == "array":
            assert schema["maxItems"] <= 10_000, path
            assert schema["x-kubernetes-list-type"] == "atomic", path
        if "additionalProperties" in schema:
            assert schema["maxProperties"] <= 64, path
            assert schema["additionalProperties"]["maxLength"] <= 2048, path
        if schema.get("type") == "string":
            assert "enum" in schema or schema["maxLength"] <= 2048, path
        if schema.get("type") == "integer":
            assert {"minimum", "maximum"} <= schema.keys(), path


def test_rules_keep_to_core_cel(kind: str) -> None:
    for path, schema in nodes(crd(kind).schema):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert not NOT_CORE_CEL.search(rule["rule"]), path
            assert "\n" not in rule["message"], path


def test_defaults_are_valid_by_themselves(kind: str) -> None:
    for path, schema in nodes(crd(kind).schema):
        if "default" in schema:
            part = type(crd(kind))(
                {
                    "spec": {
                        "versions": [{"schema": {"openAPIV3Schema": {"type": "object", "properties": {"it": schema}}}}]
                    }
                }
            )
            assert part.refusals({"it": schema["default"]}) == [], path


def test_conditions_merge_by_type(kind: str) -> None:
    conditions = crd(kind).schema["properties"]["status"]["properties"]["conditions"]

    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "enum" not in conditions["items"]["properties"]["reason"]


def test_an_object_that_nobody_has_seen_says_so(kind: str) -> None:
    assert crd(kind).admitted({"metadata": {}, "spec": {}})["status"] == UNSEEN


def test_one_version_with_a_status_of_its_own(kind: str) -> None:
    version = crd(kind).version

    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert version["subresources"] == {"status": {}}


def test_the_deprecated_kind_says_what_replaces_it(kind: str) -> None:
    warning = crd(kind).version.get("deprecationWarning", "")

    assert crd(kind).version.get("deprecated", False) == (kind == "ServiceGroupRestriction")
    assert ("MailDomainRole" in warning) == (kind == "ServiceGroupRestriction")


def test_names_and_category(kind: str) -> None:
    spec = crd(kind).raw["spec"]

    assert spec["scope"] == ("Cluster" if kind == "CatalogService" else "Namespaced")
    assert spec["names"]["shortNames"] == [SHORT_NAMES[kind]]
    assert spec["names"]["categories"] == ["maildomain"]
    assert crd(kind).raw["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("MailDomain", ["Domain", "Mode", "Ready", "Reason", "Admins", "Desired", "Held", "Age"]),
        ("EntitlementSource", ["Ready", "Reason", "Reachable", "Wave", "Held", "Age"]),
        ("CatalogService", ["Type", "Active", "Ready", "Reason", "Domains", "Age"]),
        ("MailDomainRole", ["Access", "Impersonation", "Ready", "Reason", "Bindings", "Age"]),
        ("MailDomainRoleBinding", ["Domain", "Role", "Ready", "Reason", "Resolved", "Age"]),
        ("MailDomainGroup", ["Ready", "Reason", "Declared", "Resolved", "Age"]),
        ("MailDomainLink", ["Upstream", "Downstream", "Synced", "Reason", "Mapped", "Age"]),
        ("ServiceGroupRestriction", ["Domain", "Restrict", "Ready", "Reason", "Denied", "Age"]),
    ],
)
def test_the_columns_tell_whether_it_is_right(kind: str, columns: list[str]) -> None:
    printed = crd(kind).version["additionalPrinterColumns"]

    assert [column["name"] for column in printed if not column.get("priority")] == columns


def test_columns_and_selectable_fields_name_fields_that_exist(kind: str) -> None:
    known = {f".{path}" for path, _ in nodes(crd(kind).schema)} | {".metadata.creationTimestamp"}
    version = crd(kind).version
    columns = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    selectable = [field["jsonPath"] for field in version.get("selectableFields", [])]

    assert {re.sub(r"\[\?\(@\.type==\"\w+\"\)\]", "[]", path) for path in columns} <= known
    assert set(selectable) <= known

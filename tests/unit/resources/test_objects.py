"""What do parsed objects answer: who may use a source, which sources a domain names, what an annotation asks for?"""

from typing import Any

import pytest

from controller.errors import InvalidInput
from controller.resources.documents import parse_maildomain, parse_source
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource
from tests.support.declared import LEAST, MAILDOMAIN, Absent, changed


def source(*consumers: dict[str, Any]) -> EntitlementSource:
    obj = changed(LEAST["EntitlementSource"], "spec", "consumers", to=list(consumers) or Absent)
    return parse_source(changed(obj, "metadata", "namespace", to="platform"), strict=True)


def domain(obj: dict[str, Any]) -> MailDomain:
    return parse_maildomain(obj, strict=True)


@pytest.mark.parametrize(
    ("consumers", "namespace", "name", "served"),
    [
        ([], "platform", "commune.fr", True),
        ([], "other", "commune.fr", False),
        ([{"namespaces": ["org"]}], "org", "any.fr", True),
        ([{"namespaces": ["org"]}], "platform", "any.fr", False),
        ([{"namespaces": ["*"]}], "whoever", "any.fr", True),
        ([{"namespaces": ["org"], "domains": ["commune.fr"]}], "org", "commune.fr", True),
        ([{"namespaces": ["org"], "domains": ["commune.fr"]}], "org", "mail.commune.fr", False),
        ([{"namespaces": ["org"], "domains": ["*.commune.fr"]}], "org", "mail.commune.fr", True),
        ([{"namespaces": ["org"], "domains": ["*.commune.fr"]}], "org", "a.b.commune.fr", True),
        ([{"namespaces": ["org"], "domains": ["*.commune.fr"]}], "org", "commune.fr", False),
        ([{"namespaces": ["org"], "domains": ["*.commune.fr"]}], "org", "autrecommune.fr", False),
        ([{"namespaces": ["a"], "domains": ["x.fr"]}, {"namespaces": ["b"]}], "b", "y.fr", True),
        ([{"namespaces": ["a"], "domains": ["x.fr"]}, {"namespaces": ["b"]}], "a", "y.fr", False),
    ],
)
def test_the_owner_of_a_source_says_who_may_use_it(
    consumers: list[dict[str, Any]], namespace: str, name: str, *, served: bool
) -> None:
    assert source(*consumers).serves(namespace, DomainName(name)) is served


def test_a_source_is_looked_for_in_the_own_namespace_unless_another_is_named() -> None:
    references = [{"name": "a"}, {"name": "b", "namespace": "platform"}, {"name": "a", "namespace": "org"}]
    obj = changed(changed(MAILDOMAIN, "metadata", "namespace", to="org"), "spec", "sourceRefs", to=references)

    assert domain(obj).source_keys == (ResourceKey("org", "a"), ResourceKey("platform", "b"))


def test_annotations_ask_and_approve() -> None:
    annotations = {
        "maildomain.dev/approve": "h-1",
        "maildomain.dev/requestedAt": "2026-01-01T00:00:00Z",
        "reconcile.fluxcd.io/requestedAt": "2026-01-02T00:00:00Z",
    }
    metadata = domain(changed(MAILDOMAIN, "metadata", "annotations", to=annotations)).metadata

    assert metadata.approved_hold == "h-1"
    assert set(metadata.requests.values()) == {"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"}


def test_the_copy_that_kubectl_leaves_in_an_annotation_is_not_printed() -> None:
    copy = {"kubectl.kubernetes.io/last-applied-configuration": '{"spec": {"protectedAdmins": ["jean.secret@x.fr"]}}'}

    assert "secret" not in repr(domain(changed(MAILDOMAIN, "metadata", "annotations", to=copy)))


def test_an_older_operator_ignores_the_fields_of_a_newer_schema() -> None:
    newer = changed(changed(MAILDOMAIN, "spec", "surprise", to={}), "spec", "limits", "newer", to=1)

    assert parse_maildomain(newer, strict=False).spec == domain(MAILDOMAIN).spec
    with pytest.raises(InvalidInput, match=r"spec\.surprise: is not a known field"):
        parse_maildomain(newer, strict=True)


@pytest.mark.parametrize("strict", [True, False])
def test_what_the_api_server_adds_to_metadata_is_no_problem(*, strict: bool) -> None:
    metadata = {
        "name": "a",
        "namespace": "b",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "managedFields": [{}],
        "labels": {"a": "b"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    parsed = parse_maildomain(MAILDOMAIN | {"metadata": metadata, "status": {"observedGeneration": 2}}, strict=strict)

    assert (parsed.key, parsed.metadata.generation) == (ResourceKey("b", "a"), 3)
    assert parsed.status == {"observedGeneration": 2}


def test_an_object_that_can_not_be_used_is_named_with_all_its_problems() -> None:
    obj = changed(changed(MAILDOMAIN, "spec", "mode", to="enforce"), "spec", "limits", "revocations", "max", to="60")

    with pytest.raises(InvalidInput) as error:
        parse_maildomain(obj, strict=False)

    where = "MailDomain default/commune"
    share = "write a share from 0% to 100% or a whole number"
    assert [str(problem) for problem in error.value.problems] == [
        f"{where}: spec.mode: is a text of 7 characters; write 'Observe', 'GrantOnly', 'Enforce' or 'Withdraw'",
        f"{where}: spec.limits.revocations.max: is a text of 2 characters; {share}",
    ]


def test_equal_parts_of_two_objects_keep_the_words_in_which_each_was_written() -> None:
    written: list[dict[str, Any]] = [{"minAdmins": 0}, {"maxAdmins": 50}, {"revocations": {"max": "50%"}}]
    found = [domain(changed(LEAST["MailDomain"], "spec", "limits", to=limits)).spec.limits for limits in written]
    assert found[0] == found[1] == found[2]
    assert [part.model_dump(mode="json", by_alias=True, exclude_unset=True) for part in found] == written

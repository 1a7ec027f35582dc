"""Are the kinds of a cluster as new as this program? What older CRDs lack is named."""

from copy import deepcopy
from typing import Any

import pytest

from controller.cluster.fields import unknown_to
from tests.support.crd import KINDS, crd

GROUP = "maildomain.dev"


def document() -> dict[str, Any]:
    """What an API server publishes about the CRDs of the project."""
    schemas = {
        kind: deepcopy(dict(crd(kind).schema))
        | {"x-kubernetes-group-version-kind": [{"group": GROUP, "version": "v1alpha1", "kind": kind}]}
        for kind in KINDS
    }
    return {"components": {"schemas": schemas}}


def test_the_crds_of_the_project_lack_nothing() -> None:
    assert list(unknown_to(document())) == []


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        (("maxAdmins",), "maildomains.maildomain.dev spec.limits.maxAdmins"),
        (("revocations", "properties", "window"), "maildomains.maildomain.dev spec.limits.revocations.window"),
    ],
)
def test_a_field_that_older_crds_would_drop_is_named(path: tuple[str, ...], lost: str) -> None:
    older = document()
    spec = older["components"]["schemas"]["MailDomain"]["properties"]["spec"]
    part = spec["properties"]["limits"]["properties"]
    for step in path[:-1]:
        part = part[step]
    del part[path[-1]]
    assert list(unknown_to(older)) == [lost]


def test_what_is_read_back_of_a_status_is_named() -> None:
    older = document()
    del older["components"]["schemas"]["EntitlementSource"]["properties"]["status"]["properties"]["journal"]
    assert list(unknown_to(older)) == ["entitlementsources.maildomain.dev status.journal"]


def test_a_kind_that_is_not_installed_is_named() -> None:
    older = document()
    del older["components"]["schemas"]["MailDomainLink"]
    assert list(unknown_to(older)) == ["maildomainlinks.maildomain.dev"]


def test_another_group_says_nothing_about_ours() -> None:
    assert len(list(unknown_to({"components": {"schemas": {"Pod": {}}}}))) == len(KINDS)

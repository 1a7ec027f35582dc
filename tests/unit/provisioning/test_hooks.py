"""Whom does a webhook name? As the service sends them, and as nobody would."""

from typing import Any

import pytest

from controller.planning.facts import Hint
from controller.provisioning.hooks import read_hints
from controller.resources.names import DomainName, Email

SENT = {
    "event_type": "subscription.updated",
    "domains": "d1.mairie-004.example,d2.mairie-004.example",
    "custom_attributes": {"siret": "21000000000004"},
    "organization_roles": [{"email": "both@d1.mairie-004.example", "roles": ["admin"]}],
    "service_roles": [
        {"email": "editor@d1.mairie-004.example", "roles": {"editor": {"scope": {}}}},
        {"email": "both@d1.mairie-004.example", "roles": {"admin": {"scope": {"domains": ["d1.mairie-004.example"]}}}},
    ],
}


def hints(document: object) -> set[Hint]:
    return set(read_hints(document))


def test_users_of_both_lists_and_domains_are_named() -> None:
    assert hints(SENT) == {
        Email("both@d1.mairie-004.example"),
        Email("editor@d1.mairie-004.example"),
        DomainName("d1.mairie-004.example"),
        DomainName("d2.mairie-004.example"),
    }


@pytest.mark.parametrize("field", ["account_email", "email"])
def test_an_account_names_itself(field: str) -> None:
    assert hints({"event_type": "account.updated", field: "a@x.example"}) == {Email("a@x.example")}


@pytest.mark.parametrize(
    "domains", ["X.example, y.example,", ["x.example", "Y.EXAMPLE", None, "no name", 3], "x.example,y.example,a b"]
)
def test_domains_are_named_canonically(domains: object) -> None:
    assert hints({"subscription_domains": domains}) == {"x.example", "y.example"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "a@x.example",
        {},
        {"event_type": "account.updated", "timestamp": "now"},
        {"account_email": None, "domains": None, "organization_roles": None, "service_roles": {}},
        {"account_email": ["a@x.example"], "organization_roles": "a@x.example", "domains": {"x.example": 1}},
        {"account_email": "", "organization_roles": [None, [], "a@x.example", {"email": 3}, {"mail": "a@x.example"}]},
        {"account_email": "a b@x.example"},
    ],
)
def test_what_can_not_be_read_names_nobody(document: Any) -> None:
    assert hints(document) == set()


def test_no_hook_names_more_people_than_are_looked_at() -> None:
    crowd = [{"email": f"u{number}@x.example"} for number in range(20_000)]

    assert 4000 < len(hints({"organization_roles": crowd, "service_roles": crowd})) <= 5000

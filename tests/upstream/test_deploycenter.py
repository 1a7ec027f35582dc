"""DeployCenter's tests of who administers which mail domain, as far as its double takes part in them.

The double stands for the service in all other tests, so it has to grant what the service grants.
"""

from dataclasses import replace

import pytest

from controller.sandbox.deploycenter import Account, Organization, World

SIRET, OTHER = "21000000000001", "21000000000002"
FIRST = Organization(SIRET, "Commune 001", {"domains": ["d1.fr", "d2.fr"]})
SECOND = Organization(OTHER, "Commune 002", {"domains": ["d3.fr"]})
ADA = Account("ada@d1.fr", SIRET)


def administers(*accounts: Account, first: Organization = FIRST, email: str = ADA.email) -> list[str]:
    return World([first, SECOND], list(accounts)).domains(email)


CASES = {
    "org_admin": ([replace(ADA, roles=("admin",))], ["d1.fr", "d2.fr"]),
    "service_admin": ([replace(ADA, links={"admin": {}})], ["d1.fr", "d2.fr"]),
    "not_admin": ([replace(ADA, roles=("member",), links={"editor": {}})], []),
    "many_organizations": (
        [replace(ADA, roles=("admin",)), replace(ADA, siret=OTHER, roles=("admin",))],
        ["d1.fr", "d2.fr", "d3.fr"],
    ),
    "scoped": ([replace(ADA, links={"admin": {"domains": ["d2.fr"]}})], ["d2.fr"]),
    "unscoped": ([replace(ADA, links={"admin": {"domains": []}})], ["d1.fr", "d2.fr"]),
    "org_admin_ignores_scope": (
        [replace(ADA, roles=("admin",), links={"admin": {"domains": ["d2.fr"]}})],
        ["d1.fr", "d2.fr"],
    ),
    "mixed": (
        [replace(ADA, links={"admin": {"domains": ["d2.fr"]}}), replace(ADA, siret=OTHER, roles=("admin",))],
        ["d2.fr", "d3.fr"],
    ),
    "stale_scope_dropped": ([replace(ADA, links={"admin": {"domains": ["d1.fr", "sold.fr"]}})], ["d1.fr"]),
    "whole_scope_gone": ([replace(ADA, links={"admin": {"domains": ["sold.fr"]}})], []),
}


@pytest.mark.parametrize(("accounts", "domains"), CASES.values(), ids=list(CASES))
def test_server_grants(accounts: list[Account], domains: list[str]) -> None:
    assert administers(*accounts) == domains


def test_server_grants_nothing_without_metadata() -> None:
    assert administers(replace(ADA, roles=("admin",)), first=replace(FIRST, metadata={})) == []


def test_server_finds_an_account_by_its_exact_email() -> None:
    admin = replace(ADA, roles=("admin",))

    assert administers(admin, email="ada@d1.fr") == ["d1.fr", "d2.fr"]
    assert administers(admin, email="Ada@d1.fr") == []
    assert administers(replace(admin, email="Ada@D1.fr"), email="Ada@d1.fr") == ["d1.fr", "d2.fr"]


def test_server_grants_nothing_by_an_inactive_subscription() -> None:
    assert administers(replace(ADA, roles=("admin",)), first=replace(FIRST, active=False)) == []

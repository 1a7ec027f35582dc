"""Is what is said about an object right at a glance? One situation a line, and never an e-mail."""

import json
from typing import Any

import pytest

from controller.permissions.rows import rule
from controller.permissions.status import Statement, View, domain_statement, statements
from controller.resources.charter import Charter
from controller.resources.names import ResourceKey
from tests.support.permissions import (
    COMMUNE,
    SERVICES,
    Town,
    binding,
    bought,
    group,
    link,
    maildomain,
    restriction,
    role,
    service,
)

ANNE, BEN = f"anne@{COMMUNE}", f"ben@{COMMUNE}"
CATALOG = [service(name) for name in SERVICES]


def said(*declared: Any, sources: tuple[ResourceKey, ...] = (), **town: Any) -> dict[str, Statement]:
    """What is said about everything, by kind and name; of the MailDomain what its part says."""
    place = Town(declared=list(declared), people=[ANNE, BEN], **town)
    view = View(Charter.of(place.declared), place.court, place.census, sources)
    found = {f"{item.resource.kind} {item.resource.metadata.name}": item for item in statements(view)}
    for item in place.declared:
        if item.kind == "MailDomain":
            ruling = rule(place.court.realms[item.domain], place.census)
            found[f"MailDomain {item.metadata.name}"] = domain_statement(item, ruling, view, None)
    return found


def conditions(statement: Statement) -> dict[str, tuple[str, str]]:
    return {item.type.value: (item.status, item.reason.value) for item in statement.conditions}


MEMBER = role("member", ["docs"])
SITUATIONS = [
    ("CatalogService docs", [service("docs")], ("True", "Available")),
    ("CatalogService docs", [service("docs", active=False)], ("True", "SwitchedOff")),
    ("CatalogService drive", [bought("drive")], ("False", "SourceNotFound")),
    ("MailDomainRole member", [MEMBER, *CATALOG], ("True", "Resolved")),
    ("MailDomainRole member", [MEMBER], ("False", "ServiceNotFound")),
    ("MailDomainRole desk", [role("desk", "All", acts_as=["team"])], ("False", "GroupNotFound")),
    ("MailDomainRoleBinding member-commune", [maildomain(), MEMBER, binding("member", ANNE)], ("True", "Resolved")),
    ("MailDomainRoleBinding member-commune", [MEMBER, binding("member", ANNE)], ("False", "DomainNotFound")),
    ("MailDomainRoleBinding member-commune", [maildomain(), binding("member", ANNE)], ("False", "RoleNotFound")),
    (
        "MailDomainRoleBinding member-commune",
        [maildomain(), MEMBER, binding("member", "x")],
        ("False", "GroupNotFound"),
    ),
    ("MailDomainGroup team", [group("team", ANNE)], ("True", "Resolved")),
    ("ServiceGroupRestriction old", [restriction()], ("False", "DomainNotFound")),
    ("ServiceGroupRestriction old", [maildomain(), restriction(docs="team")], ("False", "GroupNotFound")),
    ("ServiceGroupRestriction old", [maildomain(), restriction()], ("True", "NotApplied")),
    ("ServiceGroupRestriction old", [maildomain(), restriction(restrict=False)], ("True", "Resolved")),
    (
        "ServiceGroupRestriction old",
        [maildomain(legacyGroupRestrictions="Enabled"), restriction()],
        ("True", "RestrictionInUse"),
    ),
]


@pytest.mark.parametrize(
    ("name", "declared", "ready"), SITUATIONS, ids=[f"{line[0]} {line[2][1]}" for line in SITUATIONS]
)
def test_each_situation_has_its_reason(name: str, declared: list[Any], ready: tuple[str, str]) -> None:
    assert conditions(said(*declared)[name])["Ready"] == ready


DOMAINS: list[tuple[list[Any], tuple[str, str]]] = [
    ([maildomain(enforcement="Enforce")], ("True", "ServicesInSync")),
    ([maildomain(enforcement="Audit")], ("True", "Audited")),
    ([maildomain(services=["gone"])], ("False", "ServiceNotFound")),
    ([maildomain(default="gone")], ("False", "DefaultRoleMissing")),
    (
        [maildomain(impersonationMode=None), role("desk", "All", acts_as="All"), binding("desk", ANNE)],
        ("False", "ImpersonationModeMissing"),
    ),
]


@pytest.mark.parametrize(("declared", "ready"), DOMAINS, ids=[line[1][1] for line in DOMAINS])
def test_each_situation_of_a_domain_has_its_reason(declared: list[Any], ready: tuple[str, str]) -> None:
    assert conditions(said(*CATALOG, *declared)["MailDomain commune"])["ServiceAccessReady"] == ready


def test_a_subscription_that_is_not_known_is_said() -> None:
    others = [service(name) for name in ("docs", "meet")]
    found = said(maildomain(), bought("drive"), *others, sources=(ResourceKey("platform", "drive"),))
    assert conditions(found["MailDomain commune"])["ServiceAccessReady"] == ("Unknown", "SubscriptionsUnknown")
    assert conditions(found["CatalogService drive"])["Ready"] == ("True", "Available")


def test_counts_are_of_people_and_name_nobody() -> None:
    twin = [f"{name}@{COMMUNE}" for name in ("nobody", "gone")]
    found = said(
        *CATALOG,
        maildomain(default="member"),
        MEMBER,
        group("team", ANNE, *twin),
        role("elected", "All"),
        binding("elected", "team", BEN),
        inactive=[f"gone@{COMMUNE}"],
    )
    people = {"declared": 3, "resolved": 1, "pending": 2, "ambiguous": 0}
    assert found["MailDomainGroup team"].fields == {"members": people}
    subjects = {"declared": 4, "resolved": 2, "pending": 2, "ambiguous": 0}
    assert found["MailDomainRoleBinding elected-commune"].fields == {"subjects": subjects}
    assert found["MailDomainRole elected"].fields == {"bindings": 1}
    assert found["CatalogService docs"].fields == {"domains": 1}
    assert found["MailDomain commune"].fields["serviceAccess"] == {
        "members": 2,
        "allowed": {"docs": 2, "drive": 2, "meet": 2},
        "wouldLose": 0,
        "wouldGain": 0,
    }
    assert "@" not in json.dumps([item.fields for item in found.values()])


def test_restrictions_that_are_in_use_are_said_where_they_count() -> None:
    found = said(
        *CATALOG,
        maildomain(default="member", legacyGroupRestrictions="Enabled"),
        role("member", "All"),
        binding("member", ANNE),
        restriction(drive="team"),
        group("team", ANNE),
    )
    warning = ("True", "RestrictionInUse")
    assert conditions(found["MailDomain commune"])["DeprecatedRestrictionInUse"] == warning
    assert conditions(found["MailDomainRole member"])["DeprecatedRestrictionInUse"] == warning
    assert found["ServiceGroupRestriction old"].fields == {"denied": 2, "lastRowLeak": 1}
    assert found["MailDomain commune"].fields["serviceAccess"]["lastRowLeak"] == 1


def test_a_link_says_what_it_brings_and_what_it_leaves_out() -> None:
    upstream = maildomain(
        "model", domain="model.example", namespace="national", allowedDownstreams=[{"namespace": "org", "name": "*"}]
    )
    roles = [role(f"r{number:02}", ["grist"], namespace="national") for number in range(25)]
    found = said(*CATALOG, upstream, maildomain(), *roles, link())
    statement = found["MailDomainLink link"]
    assert conditions(statement) == {"Synced": ("True", "Synced"), "AllMapped": ("False", "ServicesUnmapped")}
    assert statement.fields["counts"] == {"roles": 25, "conflicts": 0, "unmapped": 25}
    assert statement.fields["roles"][0] == {"upstream": "r00", "downstream": "r00", "mapped": 0, "unmapped": ["grist"]}
    assert len(statement.fields["roles"]) == 20
    assert conditions(found["MailDomain commune"])["LinkSynced"] == ("True", "Synced")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ([maildomain()], "UpstreamMissing"),
        ([maildomain(), maildomain("model", domain="model.example", namespace="national")], "NotAllowed"),
        ([], "DownstreamMissing"),
    ],
    ids=["UpstreamMissing", "NotAllowed", "DownstreamMissing"],
)
def test_a_link_that_brings_nothing_says_why(declared: list[Any], reason: str) -> None:
    found = said(*declared, link())
    assert conditions(found["MailDomainLink link"])["Synced"] == ("False", reason)
    if declared:
        assert conditions(found["MailDomain commune"])["LinkSynced"] == ("False", reason)

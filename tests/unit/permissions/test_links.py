"""Do links bring what the upstream says, translated, and nothing else? The rules of C7."""

from typing import Any

import pytest

from controller.permissions.links import LinkReport, LinkState
from controller.resources.names import ResourceKey
from tests.support.permissions import COMMUNE, Town, binding, link, maildomain, role, service

ANNE = "anne@commune.example"
KEY = ResourceKey("org", "link")
CONSENT: dict[str, Any] = {"allowedDownstreams": [{"namespace": "org", "name": "*"}]}


def upstream(*roles: Any, **access: Any) -> list[Any]:
    """A national model with three services, which lets the commune follow it."""
    return [
        maildomain(
            "model",
            domain="model.example",
            namespace="national",
            services=["n-docs", "n-drive", "n-grist"],
            **(CONSENT | access),
        ),
        *roles,
    ]


def national(name: str, access: Any, **rest: Any) -> Any:
    return role(name, access, namespace="national", **rest)


def town(*declared: Any) -> Town:
    """The commune has Docs and Drive, which stand for the national ones, and Meet, which is its own."""
    return Town(
        declared=[
            maildomain(),
            service("docs", upstreamRef={"name": "n-docs"}),
            service("drive", upstreamRef={"name": "n-drive"}),
            *declared,
        ],
        people=[ANNE],
    )


def report(place: Town, key: ResourceKey = KEY) -> LinkReport:
    return place.court.links.reports[key]


def opens(place: Town) -> list[str] | None:
    return place.opens(ANNE)


# --- services ---------------------------------------------------------------------------------------------------------


def test_services_are_translated_by_upstream_ref() -> None:
    place = town(*upstream(national("elected", ["n-docs", "n-drive"])), link(), binding("elected", ANNE))

    assert opens(place) == ["docs", "drive"]
    [brought] = report(place).roles
    assert (brought.upstream, brought.downstream, sorted(brought.mapped)) == ("elected", "elected", ["docs", "drive"])
    assert report(place).state is LinkState.SYNCED
    assert report(place).all_mapped


def test_overrides_go_before_upstream_ref() -> None:
    mapping = {"overrides": [{"upstream": "n-docs", "downstream": "meet"}]}
    place = town(*upstream(national("elected", ["n-docs"])), link(serviceMapping=mapping), binding("elected", ANNE))

    assert opens(place) == ["meet"]


def test_without_upstream_ref_only_overrides_translate() -> None:
    mapping = {"byUpstreamRef": False, "overrides": [{"upstream": "n-docs", "downstream": "meet"}]}
    place = town(
        *upstream(national("elected", ["n-docs", "n-drive"])), link(serviceMapping=mapping), binding("elected", ANNE)
    )

    assert opens(place) == ["meet"]
    assert report(place).roles[0].unmapped == ("n-drive",)


def test_what_has_no_counterpart_is_listed() -> None:
    place = town(*upstream(national("elected", ["n-grist", "n-docs"])), link(), binding("elected", ANNE))

    assert opens(place) == ["docs"]
    assert report(place).roles[0].unmapped == ("n-grist",)
    assert not report(place).all_mapped


def test_nothing_mapped_opens_nothing_and_never_everything() -> None:
    place = town(*upstream(national("elected", ["n-grist"])), link(), binding("elected", ANNE))

    assert place.reasons(ANNE) == dict.fromkeys(["docs", "drive", "meet"], "RoleNone")
    assert not report(place).all_mapped


def test_all_stays_all_over_the_services_of_the_downstream() -> None:
    place = town(*upstream(national("elected", "All")), link(), binding("elected", ANNE))

    assert opens(place) == ["docs", "drive", "meet"]
    assert report(place).all_mapped


def test_none_stays_none() -> None:
    place = town(*upstream(national("elected", "None")), link(), binding("elected", ANNE))

    assert opens(place) is None


def test_two_services_of_the_downstream_may_stand_for_one() -> None:
    place = town(
        *upstream(national("elected", ["n-docs"])),
        service("meet", upstreamRef={"name": "n-docs"}),
        link(),
        binding("elected", ANNE),
    )

    assert opens(place) == ["docs", "meet"]


def test_a_counterpart_that_the_domain_does_not_list_is_none() -> None:
    place = town(
        *upstream(national("elected", ["n-grist"])),
        service("grist", upstreamRef={"name": "n-grist"}),
        link(),
        binding("elected", ANNE),
    )

    assert report(place).roles[0].unmapped == ("n-grist",)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["Refuse", "Overwrite"])
def test_a_role_follows_by_uid_first(policy: str) -> None:
    place = town(
        *upstream(national("elected", ["n-docs"], uid="u-1"), national("officials", ["n-drive"], uid="u-2")),
        role("elus", "None", upstreamRef={"name": "elected", "uid": "u-2"}),
        link(conflictPolicy=policy),
        binding("elus", ANNE),
    )

    assert opens(place) == ["drive"]


def test_a_role_follows_by_name_where_the_uid_is_gone() -> None:
    place = town(
        *upstream(national("elected", ["n-docs"], uid="u-9")),
        role("elus", "None", upstreamRef={"name": "elected", "uid": "u-1"}),
        link(),
        binding("elus", ANNE),
    )

    assert opens(place) == ["docs"]


def test_a_follower_answers_to_its_own_name_and_to_that_of_the_upstream() -> None:
    place = town(
        *upstream(national("elected", ["n-docs"])),
        role("elus", "None", upstreamRef={"name": "elected"}),
        link(),
        binding("elected", ANNE),
    )

    assert opens(place) == ["docs"]


def test_an_unlinked_role_of_the_same_name_refuses_everything_and_every_conflict_is_listed() -> None:
    place = town(
        *upstream(national("a", "All"), national("b", "All"), national("c", "All")),
        role("a", "None"),
        role("b", ["meet"]),
        link(),
        binding("c", ANNE),
    )

    assert (report(place).state, report(place).conflicts) == (LinkState.ROLE_CONFLICT, ("a", "b"))
    assert report(place).roles == ()
    assert place.reasons(ANNE) == dict.fromkeys(["docs", "drive", "meet"], "NoRole"), "c is not brought either"


def test_a_refused_link_leaves_local_roles_as_they_are() -> None:
    place = town(*upstream(national("a", "All")), role("a", ["meet"]), link(), binding("a", ANNE))

    assert opens(place) == ["meet"]


def test_overwrite_takes_the_place_of_an_unlinked_role() -> None:
    place = town(
        *upstream(national("a", ["n-docs"])),
        role("a", "All"),
        link(conflictPolicy="Overwrite", localServices="Drop"),
        binding("a", ANNE),
    )

    assert opens(place) == ["docs"]
    assert report(place).conflicts == ("a",)


def test_a_name_that_is_taken_gets_a_number() -> None:
    declared = [
        *upstream(national("elected", ["n-docs"])),
        role("elus", "None", upstreamRef={"name": "elected"}),
        role("elected", ["meet"]),
    ]
    place = town(*declared, link(conflictPolicy="Overwrite"), binding("elected-1", ANNE))

    assert opens(place) == ["docs"]
    assert report(place).roles[0].downstream == "elected-1"
    assert opens(town(*declared, link(conflictPolicy="Overwrite"), binding("elected", ANNE))) == ["meet"]
    assert opens(town(*declared, link(conflictPolicy="Overwrite"), binding("elus", ANNE))) == ["docs"]
    assert report(town(*declared, link())).state is LinkState.ROLE_CONFLICT


def test_a_number_that_is_taken_gets_the_next_one() -> None:
    place = town(
        *upstream(national("elected", ["n-docs"])),
        role("elus", "None", upstreamRef={"name": "elected"}),
        role("elected", "None"),
        role("elected-1", "None"),
        link(conflictPolicy="Overwrite"),
    )

    assert report(place).roles[0].downstream == "elected-2"


def test_only_the_roles_that_are_matched_are_brought() -> None:
    place = town(*upstream(national("a", "All"), national("b", "All")), link(roles={"matchNames": ["b"]}))

    assert [each.upstream for each in report(place).roles] == ["b"]


# --- local services ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "expected"), [("Keep", ["docs", "meet"]), ("Drop", ["docs"])])
def test_local_services_of_a_follower_are_kept_or_dropped(policy: str, expected: list[str]) -> None:
    place = town(
        *upstream(national("elected", ["n-docs"])),
        role("elected", ["meet"], upstreamRef={"name": "elected"}),
        link(localServices=policy),
        binding("elected", ANNE),
    )

    assert opens(place) == expected
    assert report(place).roles[0].mapped == {"docs"}, "what is mapped and what is local stay apart"


def test_a_follower_that_says_all_does_not_widen_what_the_upstream_lists() -> None:
    place = town(
        *upstream(national("elected", ["n-docs"])),
        role("elected", "All", upstreamRef={"name": "elected"}),
        link(),
        binding("elected", ANNE),
    )

    assert opens(place) == ["docs"]


# --- consent, cycles, coming and going --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "consent",
    [
        [],
        [{"namespace": "other", "name": "*"}],
        [{"namespace": "org", "name": "ville"}],
    ],
    ids=["none", "another namespace", "another domain"],
)
def test_without_consent_nothing_is_brought(consent: list[Any]) -> None:
    place = town(*upstream(national("a", "All"), allowedDownstreams=consent), link(), binding("a", ANNE))

    assert report(place).state is LinkState.NOT_ALLOWED
    assert opens(place) is None


def test_a_cycle_is_refused_in_both_directions() -> None:
    both = [{"namespace": "org", "name": "*"}]
    place = Town(
        declared=[
            maildomain("a", domain="a.example", allowedDownstreams=both),
            maildomain("b", domain="b.example", allowedDownstreams=both),
            role("local", "All"),
            link("org/a", "b", name="a-b"),
            link("org/b", "a", name="b-a"),
        ]
    )

    assert {each.state for each in place.court.links.reports.values()} == {LinkState.CYCLE}


def test_a_domain_does_not_follow_itself() -> None:
    place = town(
        maildomain("alone", domain="alone.example", allowedDownstreams=[{"namespace": "org", "name": "*"}]),
        link("org/alone", "alone"),
    )

    assert report(place).state is LinkState.CYCLE


def test_roles_come_over_two_links() -> None:
    place = Town(
        declared=[
            maildomain("model", domain="model.example", namespace="national", services=["n-docs"], **CONSENT),
            national("elected", "All"),
            maildomain("region", domain="region.example", services=["docs"], **CONSENT),
            link(downstream="region", name="first"),
            maildomain(),
            link("org/region", name="second"),
            binding("elected", ANNE),
        ],
        people=[ANNE],
    )

    assert opens(place) == ["docs", "drive", "meet"]


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ({"upstream": "national/nobody"}, LinkState.UPSTREAM_MISSING),
        ({"downstream": "nobody"}, LinkState.DOWNSTREAM_MISSING),
    ],
)
def test_an_end_that_does_not_exist_is_said(ends: dict[str, str], state: LinkState) -> None:
    assert report(town(*upstream(), link(**ends))).state is state


def test_without_the_link_only_local_roles_are_left() -> None:
    declared = [
        *upstream(national("elected", ["n-docs"]), national("other", "All")),
        role("elected", ["meet"], upstreamRef={"name": "elected"}),
        binding("elected", ANNE),
    ]

    assert opens(town(*declared, link(localServices="Drop"))) == ["docs"]
    assert opens(town(*declared)) == ["meet"], "unlinked, it is what it says itself"


def test_an_upstream_edit_holds_at_once_and_local_drift_does_not() -> None:
    def commune(access: Any) -> Town:
        return town(*upstream(national("a", access)), link(localServices="Drop"), binding("a", ANNE))

    assert opens(commune(["n-docs"])) == ["docs"]
    assert opens(commune(["n-drive"])) == ["drive"]


def test_acting_as_somebody_is_never_brought() -> None:
    declared = [*upstream(national("elected", "All", acts_as="All")), link(), binding("elected", ANNE)]
    place = town(*declared)
    place.people.append("standard@commune.example")

    assert place.ask(ANNE, "standard@commune.example").reason == "ImpersonationDenied"


def test_an_older_link_goes_first_and_a_younger_one_conflicts_with_it() -> None:
    second = maildomain("second", domain="second.example", namespace="national", services=["n-docs"], **CONSENT)
    place = town(
        *upstream(national("elected", ["n-docs"])),
        second,
        link(name="a"),
        link("national/second", name="b"),
        binding("elected", ANNE),
    )

    assert report(place, ResourceKey("org", "a")).state is LinkState.SYNCED
    assert report(place, ResourceKey("org", "b")).conflicts == ("elected",)


def test_a_domain_without_service_access_consents_to_nothing() -> None:
    assert COMMUNE in town().court.realms
    assert report(town(link())).state is LinkState.UPSTREAM_MISSING

"""Do gate and list follow the truth table of acting as somebody (M-1 to M-9, M-1'), in both modes?"""

import pytest

from tests.support.permissions import SERVICES, Town, binding, maildomain, role

ACTOR, SUBJECT = "actor@commune.example", "subject@commune.example"
FORBIDDEN = None
ALL = list(SERVICES)

# What a role opens. The actor's list and the subject's have one service in common.
ACTOR_LISTS, SUBJECT_LISTS = ["docs", "drive"], ["drive", "meet"]
OPENS = {"none": "None", "all": "All"}


def town(actor: str, subject: str, mode: str) -> Town:
    return Town(
        declared=[
            maildomain(impersonationMode=mode),
            role("actor", OPENS.get(actor, ACTOR_LISTS), acts_as="All"),
            role("subject", OPENS.get(subject, SUBJECT_LISTS)),
            binding("actor", ACTOR),
            binding("subject", SUBJECT),
        ],
        people=[ACTOR, SUBJECT],
    )


MATRIX = [
    ("M-1", "none", None, FORBIDDEN, FORBIDDEN),
    ("M-1' none", "none", "none", FORBIDDEN, FORBIDDEN),
    ("M-1' selected", "none", "selected", FORBIDDEN, FORBIDDEN),
    ("M-1' all", "none", "all", FORBIDDEN, FORBIDDEN),
    ("M-2", "selected", None, ACTOR_LISTS, ACTOR_LISTS),
    ("M-3", "selected", "none", [], []),
    ("M-4", "selected", "selected", SUBJECT_LISTS, ["drive"]),
    ("M-5", "selected", "all", ALL, ACTOR_LISTS),
    ("M-6", "all", None, ALL, ALL),
    ("M-7", "all", "none", [], []),
    ("M-8", "all", "selected", SUBJECT_LISTS, SUBJECT_LISTS),
    ("M-9", "all", "all", ALL, ALL),
]


@pytest.mark.parametrize(("row", "actor", "subject", "expected", "both"), MATRIX, ids=[row[0] for row in MATRIX])
def test_the_truth_table_of_acting_as_somebody(
    row: str, actor: str, subject: str | None, expected: list[str] | None, both: list[str] | None
) -> None:
    as_subject = town(actor, subject or "none", "Subject")
    as_both = town(actor, subject or "none", "Intersection")
    acting_as = SUBJECT if subject else None

    assert as_subject.opens(ACTOR, acting_as) == expected
    assert as_both.opens(ACTOR, acting_as) == both


@pytest.mark.parametrize("mode", ["Subject", "Intersection"])
@pytest.mark.parametrize("subject", ["none", "selected", "all"])
def test_a_shut_gate_says_the_same_of_every_service_whoever_is_acted_as(mode: str, subject: str) -> None:
    verdict = town("none", subject, mode).ask(ACTOR, SUBJECT)

    assert (verdict.gate, verdict.reason) == ("Forbidden", "ActorHasNoService")
    assert {each.reason.value for each in verdict.services} == {"ActorHasNoService"}


# --- kinds of members: the web and mobile users of the reference ------------------------------------------------------

KINDS = [
    ("administrator", {}, True, ALL),
    ("superuser", {}, True, ALL),
    ("with a role that opens nothing", {}, False, []),
    ("with a role that lists", {}, True, ACTOR_LISTS),
    ("with a role that opens all", {}, True, ALL),
    ("without a role", {}, False, []),
    ("without a role", {"default": "member"}, True, ["meet"]),
    ("without a role", {"unassignedMembers": "AllowAll"}, True, ALL),
    ("without a role", {"unassignedMembers": "AllowAll", "default": "member"}, True, ALL),
    ("stranger", {}, False, []),
    ("stranger", {"unassignedMembers": "AllowAll"}, False, []),
]


@pytest.mark.parametrize(("kind", "access", "passes", "opens"), KINDS, ids=range(len(KINDS)))
def test_what_each_kind_of_member_may_open(kind: str, access: dict[str, str], passes: bool, opens: list[str]) -> None:
    roles = {"opens nothing": "None", "lists": ACTOR_LISTS, "opens all": "All"}
    held = next((opened for words, opened in roles.items() if kind.endswith(words)), None)
    who = "a@elsewhere.example" if kind == "stranger" else ACTOR
    place = Town(
        declared=[
            maildomain(**access),
            role("member", ["meet"]),
            *([role("held", held), binding("held", who)] if held else []),
        ],
        people=[who],
        admins={"commune.example": [who]} if kind == "administrator" else {},
        superusers=[who] if kind == "superuser" else [],
    )

    assert place.opens(who) == (opens if passes else None)

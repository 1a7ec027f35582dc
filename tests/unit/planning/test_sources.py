"""How many answers make a source doubtful, and of which kind they were."""

from dataclasses import astuple

import pytest

from controller.planning.facts import AnswerReason, Entitled, Malformed, Partial, Unavailable, Unknown, Verdict
from controller.planning.health import trouble_of
from controller.planning.sources import Tally, tally, too_many
from controller.resources.conditions import Reason
from tests.support.planning import PlanningWorld, source_key


@pytest.mark.parametrize(
    ("silent", "total", "doubtful"),
    [
        (0, 0, False),
        (0, 1, False),
        (1, 1, True),
        (1, 2, False),
        (2, 3, True),
        (1, 100, False),
        (5, 100, False),
        (6, 100, True),
        (5, 119, False),
        (6, 119, True),
    ],
)
def test_all_or_more_than_one_in_twenty_are_the_source_and_not_a_user(
    silent: int, total: int, *, doubtful: bool
) -> None:
    assert too_many(silent, total) is doubtful


def test_every_answer_is_counted_by_its_type() -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    said: list[tuple[int, Verdict]] = [
        (1, Entitled(frozenset())),
        (2, Partial(frozenset())),
        (3, Unknown(AnswerReason.KEY_ABSENT)),
        (4, Malformed(AnswerReason.NOT_JSON)),
        (5, Unavailable(AnswerReason.TIMEOUT)),
    ]
    for number, verdict in said:
        for place in range(number):
            world.says(world.user(f"{type(verdict).__name__}{place}@x.fr"), verdict=verdict)
    counted = tally(world.answers[source_key()].values())
    assert astuple(counted) == (15, 1, 2, 3, 4, 5)
    assert counted.failed == 9


@pytest.mark.parametrize(("failed", "asked", "mostly"), [(0, 0, False), (1, 2, False), (2, 3, True), (1, 3, False)])
def test_a_wave_of_which_more_than_half_failed_is_told(failed: int, asked: int, *, mostly: bool) -> None:
    assert Tally(asked=asked, unavailable=failed).mostly_failed is mostly


def test_only_active_holders_with_an_e_mail_make_a_source_stale() -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    for place in range(3):
        world.admin(world.user(f"gone{place}@x.fr", active=False), "x.fr")
        world.admin(world.user(None, name=f"nameless{place}"), "x.fr")
        world.admin(f"deleted{place}", "x.fr")
    for place in range(3):
        world.admin(world.user(f"ada{place}@x.fr"), "x.fr")
        world.says(f"ada{place}", "x.fr")
    found = world.health()[source_key()]
    assert (found.key, found.stale) == (source_key(), False)
    world.answers[source_key()].clear()
    assert world.health()[source_key()].stale


@pytest.mark.parametrize(
    ("refusal", "trouble"),
    [
        (AnswerReason.UNAUTHENTICATED, Reason.UNAUTHENTICATED),
        (AnswerReason.CIRCUIT_OPEN, Reason.CIRCUIT_OPEN),
        (AnswerReason.CONNECTION, Reason.UNREACHABLE),
    ],
)
def test_a_source_that_can_not_be_asked_has_failed_and_says_why(refusal: AnswerReason, trouble: Reason) -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    assert not world.health()[source_key()].failed
    world.states[source_key()] = {"refusal": refusal}
    found = world.health()[source_key()]
    assert (found.trouble, found.failed, trouble_of(refusal)) == (trouble, True, trouble)


def test_a_closed_pivot_is_an_answer_and_no_failure() -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    world.says(world.user("ada@x.fr"), verdict=Unknown(AnswerReason.NOT_ACTIVATED))
    found = world.health()[source_key()]
    assert (found.trouble, found.failed) == (Reason.PIVOT_CLOSED, False)


@pytest.mark.parametrize(
    ("silent", "trouble"), [(0, None), (1, None), (2, Reason.UNREACHABLE), (3, Reason.UNREACHABLE)]
)
def test_a_source_is_unreachable_when_too_many_of_a_wave_have_no_answer(silent: int, trouble: Reason | None) -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    for place in range(3):
        user = world.user(f"ada{place}@x.fr")
        world.says(user, verdict=Unavailable(AnswerReason.TIMEOUT) if place < silent else Entitled(frozenset()))
    assert world.health()[source_key()].trouble is trouble

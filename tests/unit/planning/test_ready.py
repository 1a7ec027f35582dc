"""Ready as a state machine: every line of the tables of docs/conditions.md, and every way from one to another."""

import pytest

from controller.planning.status import Status
from tests.docs.pages import ROOT, page
from tests.support.situations import GOLDEN, GOOD, SITUATIONS, UNSEEN, Said, Situation, golden

EVERY = [pytest.param(kind, found, id=f"{kind}-{found}") for kind, of in SITUATIONS.items() for found in of]
LATER = "2099-01-01T00:00:00Z"


def said(status: Status) -> dict[str, Said]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def since(status: Status) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["lastTransitionTime"]) for item in status["conditions"]}


def on_a_new_object(ready: Said) -> Said:
    return (ready[0] or "Unknown", ready[1])


@pytest.mark.parametrize("kind", SITUATIONS)
def test_each_line_of_the_table_is_a_situation_and_back(kind: str) -> None:
    article = "an" if kind[0] in "AEIOU" else "a"
    lines = [row[0] for row in page(ROOT / "docs" / "conditions.md").table(f"Ready of {article} {kind}")]
    assert set(lines) == {situation.row for situation in SITUATIONS[kind]}


@pytest.mark.parametrize(("kind", "situation"), EVERY)
def test_a_new_object_says_what_the_table_says(kind: str, situation: Situation) -> None:
    found = said(situation.tell(UNSEEN))
    expected = {
        "Ready": on_a_new_object(situation.ready),
        "Reconciling": situation.reconciling,
        "Stalled": situation.stalled,
        **GOOD[kind],
        **(situation.also or {}),
    }
    # What can't be worked on at all says nothing about the rest.
    assert found == {type_: expected[type_] for type_ in found}
    assert found.keys() >= {"Ready", "Reconciling", "Stalled"}


@pytest.mark.parametrize(("kind", "situation"), EVERY)
def test_each_situation_may_follow_each(kind: str, situation: Situation) -> None:
    first = situation.tell(UNSEEN)
    for after in SITUATIONS[kind]:
        then = said(after.tell(first))
        assert then["Ready"] == (said(first)["Ready"] if after.ready[0] is None else after.ready), after
        assert (then["Reconciling"], then["Stalled"]) == (after.reconciling, after.stalled), after


@pytest.mark.parametrize(("kind", "situation"), EVERY)
def test_a_situation_that_lasts_changes_nothing(kind: str, situation: Situation) -> None:
    once = situation.tell(UNSEEN)
    assert situation.tell(once) == once, kind


@pytest.mark.parametrize(("kind", "situation"), EVERY)
def test_the_time_of_a_condition_moves_with_its_status_alone(kind: str, situation: Situation) -> None:
    first = situation.tell(UNSEEN)
    early = {**first, "conditions": [{**item, "lastTransitionTime": LATER} for item in first["conditions"]]}
    known = since(early)
    for after in SITUATIONS[kind]:
        for type_, (status, time) in since(after.tell(early)).items():
            if type_ in known:
                assert (time == LATER) == (status == known[type_][0]), (after, type_)


@pytest.mark.parametrize(("kind", "situation"), EVERY)
def test_stalled_and_reconciling_are_never_true_together_nor_beside_ready(kind: str, situation: Situation) -> None:
    for before in (UNSEEN, SITUATIONS[kind][0].tell(UNSEEN)):
        found = said(situation.tell(before))
        assert (found["Stalled"][0], found["Reconciling"][0]) != ("True", "True")
        if found["Stalled"][0] == "True":
            assert found["Ready"][0] == "False"


@pytest.mark.parametrize("kind", SITUATIONS)
def test_the_golden_objects_are_what_is_written(kind: str) -> None:
    stored = (GOLDEN / f"{kind}.yaml").read_text(encoding="utf-8")
    assert stored == golden(kind), "write them anew: python -m tests.support.situations"

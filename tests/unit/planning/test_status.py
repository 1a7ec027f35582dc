"""What stands in a status beside its conditions: counts, the last change, and what is kept of the one before."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.planning.conditions import interrupted_conditions
from controller.planning.sources import Tally
from controller.planning.status import (
    Counts,
    Round,
    Status,
    Wave,
    count,
    domain_status,
    overlaid_status,
    read_sound_wave,
    source_status,
)
from controller.planning.supposing import BlastRadius
from controller.resources.conditions import Reason
from tests.support.planning import START, PlanningWorld, source_key
from tests.support.situations import in_sync

SERVICES: Mapping[str, Any] = {"type": "ServiceAccessReady", "status": "True", "reason": "ServicesInSync"}
SYNCED: Mapping[str, Any] = {"type": "Synced", "status": "True", "reason": "Synced"}
NUMBERS: Mapping[str, Any] = {"members": 3}


def of_domain(world: PlanningWorld, before: Status, **options: Any) -> Status:
    given = {"handled": None, "wrote": False, "rows_removed": False, "now": START, **options}
    return domain_status(world.plan_of("x.fr"), world.health(), before, **given)


def of_source(before: Status, **options: Any) -> Status:
    world = in_sync()
    nothing = dict.fromkeys(("hold", "wave", "estimate", "radius", "handled"))
    given = {
        "suspended": False,
        "frozen": False,
        "too_slow": False,
        "epoch": 1,
        "journal": 7,
        "now": START,
        **nothing,
        **options,
    }
    return source_status(world.sources[source_key()].metadata, before, world.health()[source_key()], **given)


def kinds(status: Status) -> list[str]:
    return [item["type"] for item in status["conditions"]]


def reasons(status: Status) -> dict[str, str]:
    return {item["type"]: item["reason"] for item in status["conditions"]}


@pytest.fixture
def changing() -> PlanningWorld:
    """Ada stays, three come, zoe's row becomes ours, two denied administrators go, of whom one is of somebody else."""
    world = PlanningWorld()
    world.domain("x.fr", adoption="Matching", deniedAdmins=["dan@x.fr", "dora@x.fr"])
    for name in ("ada", "dan", "dora", "zoe", "new1", "new2", "new3"):
        world.says(world.user(f"{name}@x.fr"), "x.fr")
    for name in ("ada", "dan"):
        world.admin(name, "x.fr")
    for name in ("dora", "zoe"):
        world.admin(name, "x.fr", owned=False)
    return world


@pytest.mark.parametrize(
    ("carried_out", "numbers"),
    [
        (True, {"actual": 5, "owned": 5, "foreign": 0, "denied": 0}),
        (False, {"actual": 4, "owned": 2, "foreign": 2, "denied": 2}),
    ],
)
def test_counts_are_those_after_the_pass_or_those_of_now(
    changing: PlanningWorld, numbers: Mapping[str, int], *, carried_out: bool
) -> None:
    others = {"pending": 0, "ambiguous": 0, "protected": 0, "contested": 0, "pinned": 0, "suspected": 0, "held": 0}
    expected = Counts(desired=5, **others, **numbers)
    assert count(changing.plan_of("x.fr"), carried_out=carried_out) == expected


def test_a_status_counts_a_domain_as_the_pass_leaves_it(changing: PlanningWorld) -> None:
    found = of_domain(changing, {})["admins"]
    assert (found["desired"], found["actual"], found["owned"]) == (5, 5, 5)


def test_the_last_change_is_told_until_another_one_is_written(changing: PlanningWorld) -> None:
    change = {"time": "2026-03-02T08:00:00Z", "granted": 3, "revoked": 2}
    assert "lastChange" not in of_domain(changing, {})
    first = of_domain(changing, {}, wrote=True)
    assert first["lastChange"] == change
    assert of_domain(changing, first, now=START + timedelta(days=1))["lastChange"] == change


@pytest.mark.parametrize("tell", [lambda *args, **of: of_domain(in_sync(), *args, **of), of_source])
def test_the_poke_that_was_carried_out_last_is_told_until_the_next_one(tell: Any) -> None:
    first = tell({}, handled="monday")
    assert "lastHandledReconcileAt" not in tell({})
    assert first["lastHandledReconcileAt"] == "monday"
    assert tell(first)["lastHandledReconcileAt"] == "monday"
    assert tell(first, handled="tuesday")["lastHandledReconcileAt"] == "tuesday"


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_said_about_services_stays_only_where_something_is_declared_about_them(*, declared: bool) -> None:
    world = in_sync(**({"serviceAccess": {"services": [{"name": "chat"}]}} if declared else {}))
    own = ["Ready", "Reconciling", "Stalled", "Fresh", "Drifted", "RevocationsHeld"]
    found = of_domain(world, {"serviceAccess": NUMBERS, "conditions": [SERVICES, SYNCED]})
    assert kinds(found) == [*own, *(["ServiceAccessReady"] if declared else [])]
    assert found.get("serviceAccess") == (NUMBERS if declared else None)
    assert kinds(of_domain(world, {})) == own


def test_a_domain_that_could_not_be_created_says_why() -> None:
    world = PlanningWorld()
    world.domain("x.fr", row=False, provisioning={"ensure": "Created"})
    found = of_domain(world, {}, trouble=Reason.MESSAGES_UNAVAILABLE)
    assert reasons(found)["Provisioned"] == "MessagesUnavailable"


def test_what_is_not_known_anew_about_a_source_is_told_as_it_was() -> None:
    hour = timedelta(hours=1)
    known = of_source(
        {},
        wave=Wave(START, None, Tally(5, 1, 1, 1, 1, 1)),
        estimate=Round(hour, 2 * hour),
        radius=BlastRadius(3, 2, 1),
    )
    figures = {
        "wave": {
            "startedAt": "2026-03-02T08:00:00Z",
            "asked": 5,
            "entitled": 1,
            "partial": 1,
            "unknown": 1,
            "malformed": 1,
            "unavailable": 1,
        },
        "estimatedRound": {"holders": "1h", "everybody": "2h"},
        "blastRadius": {"accesses": 3, "domains": 2, "stoppedAfter": 1},
    }
    assert {name: known[name] for name in figures} == figures
    assert of_source(known) == known
    assert not of_source({}).keys() & figures.keys()


def test_a_source_that_may_not_be_asked_often_enough_says_so() -> None:
    assert reasons(of_source({}))["Reconciling"] == "Reconciled"
    assert reasons(of_source({}, too_slow=True))["Reconciling"] == "RatesTooLow"


def test_what_can_not_be_worked_on_keeps_everything_else_that_was_said() -> None:
    before = of_domain(in_sync(), {})
    after = overlaid_status(2, before, interrupted_conditions(Reason.DATABASE_UNAVAILABLE), now=START)
    assert kinds(after) == kinds(before)
    assert after["conditions"][3:] == before["conditions"][3:]
    assert {name: after[name] for name in after if name != "conditions"} == {
        **{name: before[name] for name in before if name != "conditions"},
        "observedGeneration": 2,
    }
    assert overlaid_status(2, {}, (), now=START) == {"observedGeneration": 2, "conditions": []}


@pytest.mark.parametrize(
    ("wave", "sound"),
    [
        ({"asked": 2, "unavailable": 1}, True),
        ({"asked": 2, "unavailable": 1, "malformed": 1}, False),
        ({}, True),
    ],
)
def test_the_end_of_a_wave_is_read_from_a_status_unless_most_of_it_failed(wave: dict[str, int], *, sound: bool) -> None:
    status = {"wave": {"startedAt": "2026-03-02T07:59:00Z", "finishedAt": "2026-03-02T08:00:00Z", **wave}}
    assert read_sound_wave(status) == (START if sound else None)


@pytest.mark.parametrize("status", [{}, {"wave": {}}, {"wave": {"asked": 2}}])
def test_a_status_that_tells_of_no_ended_wave_has_none(status: Status) -> None:
    assert read_sound_wave(status) is None

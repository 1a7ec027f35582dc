"""Exit codes: they never overlap, and the most serious finding wins (6, 2, 7, 5, 4, 3, 0)."""

from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from controller.cli.exits import Exit, most_serious, of_error, of_plan, of_result
from controller.errors import (
    ControllerError,
    DatabaseUnavailable,
    InvalidInput,
    LeaseHeld,
    MigrationNeeded,
    NotAuthorized,
    PlanOutdated,
    Problem,
    SchemaUnknown,
)
from controller.planning.facts import AnswerReason, Unavailable, Unknown
from tests.support.planning import PlanningWorld
from tests.support.plans import planned

ORDER = (6, 2, 7, 5, 4, 3, 0)


def test_the_most_serious_finding_wins() -> None:
    for size in range(1, len(ORDER) + 1):
        for chosen in combinations(ORDER, size):
            assert most_serious({Exit(code) for code in chosen}) == chosen[0]
    assert most_serious(()) == 0


def granting() -> PlanningWorld:
    world = PlanningWorld()
    world.domain("x.fr")
    world.user("ann@x.fr")
    world.says("ann", "x.fr")
    return world


def revoking(rows: int = 1) -> PlanningWorld:
    world = PlanningWorld()
    for number in range(8):
        world.domain(f"d{number}.fr")
        world.user(f"u{number}@x.fr")
        world.admin(f"u{number}", f"d{number}.fr")
        world.says(f"u{number}", *(() if number < rows else (f"d{number}.fr",)))
    return world


def holding() -> PlanningWorld:
    world = PlanningWorld()
    world.domain("x.fr")
    for name in ("ann", "bob", "eve"):
        world.user(f"{name}@x.fr")
        world.admin(name, "x.fr")
        world.says(name)
    return world


def adopting() -> PlanningWorld:
    world = granting()
    world.admin("ann", "x.fr", owned=False)
    return world


def observing() -> PlanningWorld:
    world = PlanningWorld()
    world.domain("x.fr", mode="Observe")
    world.user("ann@x.fr")
    world.says("ann", "x.fr")
    return world


def unreachable() -> PlanningWorld:
    world = holding()
    for name in ("ann", "bob", "eve"):
        world.says(name, verdict=Unavailable(AnswerReason.TIMEOUT))
    return world


def pivot_closed() -> PlanningWorld:
    world = holding()
    for name in ("ann", "bob", "eve"):
        world.says(name, verdict=Unknown(AnswerReason.NOT_ACTIVATED))
    return world


def one_silent_user() -> PlanningWorld:
    world = granting()
    for number in range(30):
        world.user(f"u{number}@x.fr")
        world.says(f"u{number}")
    world.says("u0", verdict=Unavailable(AnswerReason.SERVER_ERROR))
    return world


def refused_key() -> PlanningWorld:
    world = holding()
    world.states[next(iter(world.sources))] = {"refusal": AnswerReason.UNAUTHENTICATED, "complete": False}
    return world


def no_such_source() -> PlanningWorld:
    world = granting()
    world.domain("y.fr", sourceRefs=[{"name": "elsewhere"}])
    return world


@pytest.mark.parametrize(
    ("world", "plan_code", "apply_code"),
    [
        (PlanningWorld(), 0, 0),
        (granting(), 3, 0),
        (revoking(), 4, 0),
        (holding(), 5, 5),
        (adopting(), 0, 0),
        (observing(), 0, 0),
        (unreachable(), 7, 7),
        (refused_key(), 7, 7),
        (pivot_closed(), 0, 0),
        (one_silent_user(), 3, 0),
        (no_such_source(), 7, 7),
    ],
    ids=lambda value: "" if isinstance(value, PlanningWorld) else str(value),
)
def test_what_was_found_is_the_exit_code(world: PlanningWorld, plan_code: int, apply_code: int) -> None:
    options: dict[str, Any] = {"confirm_after": timedelta(0)}
    assert of_plan(planned(world, **options)) == plan_code
    assert of_result(planned(world, applied=True, **options)) == apply_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput(Problem("a.yaml", "spec", "is missing", "add it")), 6),
        (InvalidInput(Problem("environment", "MDC_OWNER", "is not usable", "change it")), 2),
        (InvalidInput(Problem("database URL", "", "is no database URL", "give one")), 2),
        (InvalidInput(Problem("environment", "", "x", "y"), Problem("a.yaml", "", "x", "y")), 6),
        (DatabaseUnavailable("x"), 7),
        (LeaseHeld("x"), 7),
        (SchemaUnknown(("x",)), 7),
        (MigrationNeeded("x"), 7),
        (PlanOutdated("x"), 7),
        (NotAuthorized("x"), 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_has_one_code(error: ControllerError, code: int) -> None:
    assert of_error(error) == code

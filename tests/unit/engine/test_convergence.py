"""How soon is the same plan the same plan? Two minutes, while nobody else has written."""

from dataclasses import replace

import pytest

from controller.engine.convergence import Convergence
from controller.maildb.pulse import Beat
from tests.support.planning import PlanningWorld

BEAT = Beat(3, "2026-03-02", 17)


@pytest.mark.parametrize(
    ("later", "beat", "stuck"),
    [
        (119.0, BEAT, True),
        (120.0, BEAT, True),
        (121.0, BEAT, False),
        (1.0, replace(BEAT, content=18), False),
    ],
)
def test_the_same_plan_within_two_minutes_is_given_up_unless_somebody_else_wrote(
    later: float, beat: Beat, *, stuck: bool
) -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    world.says(world.user("ada@x.fr"), "x.fr")
    domains = world.plan().domains
    convergence = Convergence()
    convergence.see(BEAT, 0.0)
    assert not convergence.repeats(domains, BEAT, 0.0)
    convergence.wrote(domains, 0.0)
    convergence.see(BEAT, 1.0)
    convergence.see(beat, later)
    assert bool(convergence.repeats(domains, beat, later)) is stuck

"""What a source could take away by losing its data, and where the limits would stop it."""

from typing import Any

import pytest

from controller.planning.facts import Answer, AnswerReason, Entitled, Unavailable, UserId
from controller.planning.plan import plan
from controller.planning.sources import SourceState
from controller.planning.supposing import NOTHING, BlastRadius, blast_radius, supposing
from controller.resources.names import Email
from tests.support.planning import PlanningWorld, source_key, town

KEY = source_key()


@pytest.mark.parametrize(
    ("domains", "admins", "spec", "radius"),
    [
        (1, 1, {}, BlastRadius(1, 1, 1)),
        (4, 2, {}, BlastRadius(8, 4, 4)),
        (60, 2, {}, BlastRadius(120, 60, 30)),
        (60, 2, {"minAdmins": 2}, BlastRadius(120, 60, 0)),
        (60, 2, {"revocations": {"max": "0%"}}, BlastRadius(120, 60, 0)),
    ],
)
def test_it_is_weighed_against_every_limit(
    domains: int, admins: int, spec: dict[str, Any], radius: BlastRadius
) -> None:
    assert blast_radius(town(domains, admins, limits=spec).question(), KEY) == radius


@pytest.mark.parametrize(
    "spec",
    [{"mode": "Observe"}, {"mode": "GrantOnly"}, {"suspend": True}, {"protectedAdmins": ["u00000-0@d00000.fr"]}],
    ids=["Observe", "GrantOnly", "suspend", "protected"],
)
def test_what_can_not_go_is_not_counted(spec: dict[str, Any]) -> None:
    assert blast_radius(town(1, 1, **spec).question(), KEY) == BlastRadius()


def test_what_another_source_names_or_does_not_deny_stays() -> None:
    world = town(1, 3, sourceRefs=[{"name": "deploycenter"}, {"name": "second"}])
    world.add_source("second")
    world.says("u00000-0", "d00000.fr", source="second")
    world.says("u00000-1", source="second", verdict=Unavailable(AnswerReason.TIMEOUT))
    world.says("u00000-2", source="second")
    assert blast_radius(world.question(), KEY) == BlastRadius(1, 0, 1)


def test_a_domain_lets_no_more_go_than_it_would_lose() -> None:
    """Of eight administrators the limit lets half go. Where seven are protected, only one is there to go."""
    world = town(1, 8)
    protected = [f"u00000-{place}@d00000.fr" for place in range(1, 8)]
    assert blast_radius(world.question(), KEY) == BlastRadius(8, 1, 4)
    world.domain("other.fr", protectedAdmins=protected)
    for place in range(8):
        world.admin(f"u00000-{place}", "other.fr")
    assert blast_radius(world.question(), KEY) == BlastRadius(9, 1, 5)


def test_what_domains_of_other_sources_lose_anyway_is_not_counted() -> None:
    world = town(1, 1)
    world.add_source("second")
    world.domain("other.fr", sourceRefs=[{"name": "second"}])
    world.admin("u00000-0", "other.fr")
    world.says("u00000-0", source="second")
    assert blast_radius(world.question(), KEY) == BlastRadius(1, 1, 1)


def test_what_went_within_the_window_is_used_up() -> None:
    world = town(60, 2)
    world.later(minutes=10)
    for number in range(20):
        world.says(f"u{number:05d}-0")
    world.confirm_and_apply()
    assert blast_radius(world.question(), KEY).stopped_after == 10


def test_a_canary_stops_everything() -> None:
    world = town(60, 2)
    world.sources.clear()
    world.add_source(canaries=[{"email": "canary@x.fr", "domains": ["x.fr"]}])
    assert blast_radius(world.question(), KEY) == BlastRadius(120, 60, 0)


def test_as_many_go_in_truth_when_they_go_one_by_one() -> None:
    world = town(30, 2)
    stopped_after = blast_radius(world.question(), KEY).stopped_after
    for number in range(30):
        world.repeat(minutes=10)
        world.says(f"u{number:05d}-0")
        world.confirm_and_apply()
    assert 60 - len(world.rows) == stopped_after


@pytest.mark.parametrize(("said", "revoked", "held"), [(NOTHING, 0, 120), (Unavailable(AnswerReason.CONNECTION), 0, 0)])
def test_a_supposed_answer_is_planned_like_a_real_one(said: Entitled | Unavailable, revoked: int, held: int) -> None:
    decided = plan(supposing(town(60, 2).question(), said, {KEY}))
    assert len(decided.changes.revocations) == revoked
    assert sum(len(domain.held) for domain in decided.domains) == held


@pytest.mark.parametrize(("said", "sound"), [(NOTHING, True), (Unavailable(AnswerReason.CONNECTION), False)])
def test_a_supposed_answer_is_the_word_of_a_wave_that_has_just_ended(
    said: Entitled | Unavailable, *, sound: bool
) -> None:
    """Confirmed, about each canary and everybody who holds something, however the source was before."""
    world = PlanningWorld()
    key = world.add_source(canaries=[{"email": "Canary@x.fr", "domains": ["x.fr"]}])
    other = world.add_source("second")
    world.states[key] = {"gathered": False, "judging": False, "complete": not sound, "refusal": AnswerReason.TIMEOUT}
    world.user("ada@x.fr")
    world.user("bob@x.fr")
    world.domain("x.fr")
    world.admin("ada", "x.fr")
    world.admin(world.user(None, name="nobody"), "x.fr")
    question = world.question()
    answer = Answer(UserId("ada"), Email("ada@x.fr"), key, said, world.now, world.now - 30)
    assert supposing(question, said, {key}).sources == {
        key: SourceState(
            key,
            world.sources[key].spec,
            {answer.user: answer},
            gathered=True,
            complete=sound,
            judging=True,
            refusal=None,
            canaries={"canary@x.fr": said},
        ),
        other: question.sources[other],
    }

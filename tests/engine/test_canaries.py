"""A source that is wrong about its canaries, in a loop over a real database."""

import pytest

from controller.engine.world import Kind
from tests.support.database import MailWorld
from tests.support.operating import SOURCE, Operating, admins, town

CANARIES = [{"email": "canari@x.fr", "domains": ["x.fr"]}, {"email": "personne@x.fr", "domains": []}]


@pytest.mark.parametrize(
    "lie",
    [
        {"canari@x.fr": frozenset[str]()},
        {"personne@x.fr": frozenset({"x.fr"})},
    ],
)
async def test_a_wrong_canary_freezes_revocations_until_it_is_right(
    operating: Operating, world: MailWorld, lie: dict[str, frozenset[str]]
) -> None:
    right = {"canari@x.fr": frozenset({"x.fr"})}
    operating.source.says |= right
    operating.source_object(canaries=CANARIES)
    await town(operating, world, 3)
    assert operating.world.condition(Kind.SOURCE, "deploycenter", "RevocationsHeld") == ("False", "WithinLimits")
    operating.source.says |= lie
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    world.user("new@d00002.fr")
    operating.source.says["new@d00002.fr"] = frozenset({"d00002.fr"})
    operating.source.asked.clear()
    await operating.wave()
    assert (admins(world, "d00001.fr"), admins(world, "d00002.fr")) == (2, 3)
    for kind, name in ((Kind.SOURCE, "deploycenter"), (Kind.DOMAIN, "d00001-fr"), (Kind.DOMAIN, "d00000-fr")):
        assert operating.world.condition(kind, name, "RevocationsHeld") == ("True", "CanaryWrong")
    assert operating.world.condition(Kind.SOURCE, "deploycenter") == ("False", "RevocationsHeld")
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("False", "RevocationsHeld")
    assert operating.world.condition(Kind.DOMAIN, "d00000-fr") == ("True", "InSync")
    assert "canari" not in str(operating.world.objects[Kind.SOURCE][SOURCE]["status"])
    operating.source.says |= {"personne@x.fr": frozenset(), **right}
    await operating.wave()
    assert admins(world, "d00001.fr") == 1
    assert operating.world.condition(Kind.SOURCE, "deploycenter") == ("True", "Answering")


async def test_a_canary_that_is_new_says_nothing_before_it_is_asked_about(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 2)
    operating.source.says["canari@x.fr"] = frozenset({"x.fr"})
    operating.source_object(canaries=CANARIES)
    events = len(operating.world.events)
    await operating.settle(1)
    assert operating.source.asked[-6:-4] == ["canari@x.fr", "personne@x.fr"]
    assert len(operating.world.events) == events
    await operating.restart()
    operating.reign.notice()
    await operating.settle(1)
    assert len(operating.world.events) == events

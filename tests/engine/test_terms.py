"""A change of what is declared, met by the next term of a loop over a real database."""

from controller.engine.world import Kind
from tests.support.database import MailWorld
from tests.support.operating import SOURCE, Operating, admins, town

GONE = ("u00000-0@d00000.fr", "u00001-0@d00001.fr")


async def test_what_another_provider_would_remove_waits_until_the_change_is_approved(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 2)
    await operating.wave()
    operating.source_object(provider={"external": {"name": "another"}})
    operating.source.says[GONE[0]] = frozenset()
    await operating.restart()
    await operating.settle()
    await operating.wave()
    assert admins(world, "d00000.fr") == 2
    hold = operating.world.status(Kind.SOURCE, SOURCE.name)["hold"]
    assert (hold["limit"], hold["count"]) == ("change of provider", 1)
    assert operating.world.condition(Kind.DOMAIN, "d00000-fr", "RevocationsHeld") == ("True", "TermsChanged")
    before = world.dump(), world.dump_own()
    await operating.wave()
    assert (world.dump(), world.dump_own()) == before, "it waits without a write"

    operating.world.annotate(Kind.SOURCE, SOURCE, approve=hold["id"])
    operating.reign.notice()
    await operating.wave()
    assert admins(world, "d00000.fr") == 1
    operating.source.says[GONE[1]] = frozenset()
    await operating.wave()
    assert admins(world, "d00001.fr") == 1, "from then on it is as always"


async def test_a_quiet_wave_accepts_another_provider(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 2)
    await operating.wave()
    operating.source_object(provider={"external": {"name": "another"}})
    await operating.restart()
    await operating.settle()
    await operating.wave()
    before = world.dump_own()
    await operating.wave()
    assert world.dump_own() == before, "it is accepted once"
    operating.source.says[GONE[0]] = frozenset()
    await operating.wave()
    assert admins(world, "d00000.fr") == 1, "a removal much later has nothing to do with the change"


async def test_a_domain_that_was_only_observed_for_a_while_shows_what_it_would_remove(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 2)
    await operating.wave()
    operating.domain("d00000.fr", mode="Observe")
    await operating.settle()
    await operating.wave()
    operating.source.says[GONE[0]] = frozenset()
    await operating.wave()
    assert admins(world, "d00000.fr") == 2

    operating.domain("d00000.fr")
    await operating.settle()
    await operating.wave()
    assert admins(world, "d00000.fr") == 2
    hold = operating.world.status(Kind.DOMAIN, "d00000-fr")["hold"]
    assert (hold["limit"], hold["count"]) == ("change of mode", 1)

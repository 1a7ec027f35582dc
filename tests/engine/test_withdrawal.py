"""A domain that is given up while its source is away, in a loop over a real database."""

from controller.engine.world import Kind
from controller.planning.facts import AnswerReason, Unavailable
from tests.support.database import MailWorld
from tests.support.operating import SOURCE, Operating, admins, town

DOMAIN = SOURCE._replace(name="d00000-fr")


async def test_a_withdrawal_needs_its_approval_and_no_source(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 2)
    operating.source.instead = lambda _: Unavailable(AnswerReason.CONNECTION)
    operating.domain("d00000.fr", mode="Withdraw")
    await operating.wave()
    assert admins(world, "d00000.fr") == 2
    hold = operating.world.status(Kind.DOMAIN, "d00000-fr")["hold"]
    assert (hold["limit"], hold["count"]) == ("withdrawal", 2)
    operating.world.annotate(Kind.DOMAIN, DOMAIN, approve=hold["id"])
    operating.reign.notice()
    await operating.settle(1)
    assert (admins(world, "d00000.fr"), admins(world, "d00001.fr")) == (0, 2)
    assert operating.world.condition(Kind.DOMAIN, "d00000-fr") == ("True", "Withdrawn")
    assert "Withdrawn" in str(world.dump_own()["journal"])
    before = world.dump(), world.dump_own()
    await operating.wave()
    assert (world.dump(), world.dump_own()) == before


async def test_everybody_of_a_domain_is_adopted_by_approval(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 1)
    row = world.domain("x.fr")
    for name in ("ada", "bob"):
        world.admin(world.user(f"{name}@x.fr"), row)
    operating.domain("x.fr", adoption="All")
    await operating.settle(1)
    hold = operating.world.status(Kind.DOMAIN, "x-fr")["hold"]
    assert (hold["limit"], hold["count"]) == ("adoption All", 2)
    operating.world.annotate(Kind.DOMAIN, DOMAIN._replace(name="x-fr"), approve=hold["id"])
    operating.reign.notice()
    await operating.settle(1)
    assert operating.world.status(Kind.DOMAIN, "x-fr")["admins"]["owned"] == 2
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("True", "InSync")

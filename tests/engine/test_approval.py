"""An approval by annotation: once, until it expires, exactly what was held, and asked about again before it goes."""

from controller.engine.world import Kind
from tests.support.database import MailWorld
from tests.support.operating import SOURCE, Operating, admins, town

DOMAIN = SOURCE._replace(name="d00000-fr")


async def held(operating: Operating, world: MailWorld) -> str:
    """A domain whose two administrators have lost the right: one hold over both."""
    await town(operating, world, 1)
    operating.source.says.clear()
    await operating.wave()
    hold = operating.world.status(Kind.DOMAIN, "d00000-fr")["hold"]
    assert hold["count"] == 2
    return str(hold["id"])


def approve(operating: Operating, hold: str) -> None:
    """As a person, or Git, does it."""
    operating.world.annotate(Kind.DOMAIN, DOMAIN, approve=hold)
    operating.reign.notice()


async def test_an_approval_carries_out_what_was_held(operating: Operating, world: MailWorld) -> None:
    approve(operating, await held(operating, world))
    await operating.settle(1)
    assert admins(world, "d00000.fr") == 0
    assert "hold" not in operating.world.status(Kind.DOMAIN, "d00000-fr")


async def test_who_has_the_right_again_stays_in_spite_of_the_approval(operating: Operating, world: MailWorld) -> None:
    hold = await held(operating, world)
    operating.source.says["u00000-0@d00000.fr"] = frozenset({"d00000.fr"})
    approve(operating, hold)
    await operating.settle(1)
    assert admins(world, "d00000.fr") == 1


async def test_an_answer_from_before_the_approval_executes_nothing(operating: Operating, world: MailWorld) -> None:
    """The annotation comes while a wave that has asked already waits for its confirmations."""
    hold = await held(operating, world)
    operating.source.says["late@d00000.fr"] = frozenset({"d00000.fr"})
    world.user("late@d00000.fr")
    await operating.settle(1)
    operating.source.says["late@d00000.fr"] = frozenset()
    await operating.settle(operating.desk.interval)
    operating.source.says["u00000-0@d00000.fr"] = frozenset({"d00000.fr"})
    approve(operating, hold)
    await operating.settle(31)
    await operating.wave()
    assert "u00000-0@d00000.fr" in emails(world)


async def test_an_approval_serves_once_and_left_in_git_approves_nothing_later(
    operating: Operating, world: MailWorld
) -> None:
    hold = await held(operating, world)
    approve(operating, hold)
    await operating.settle(1)
    people = {f"u00000-{place}@d00000.fr": frozenset({"d00000.fr"}) for place in range(2)}
    operating.source.says |= people
    operating.world.annotate(Kind.SOURCE, SOURCE, requestedAt="everybody")
    operating.reign.notice()
    await operating.settle(1)
    assert admins(world, "d00000.fr") == 2
    operating.source.says.clear()
    for _ in range(3):
        operating.reign.notice()
        await operating.wave()
    assert admins(world, "d00000.fr") == 2
    assert operating.world.status(Kind.DOMAIN, "d00000-fr")["hold"]["id"] != hold


async def test_an_approval_covers_no_case_that_came_later(operating: Operating, world: MailWorld) -> None:
    hold = await held(operating, world)
    late = world.user("late@d00000.fr")
    operating.source.says["late@d00000.fr"] = frozenset({"d00000.fr"})
    await operating.settle(1)
    operating.source.says.clear()
    approve(operating, hold)
    await operating.settle(1)
    await operating.settle(31)
    assert world.admins_of(world.execute("SELECT id FROM messages_maildomain")[0]["id"]) <= {late}


async def test_an_expired_hold_is_not_approved_and_a_new_one_stands(operating: Operating, world: MailWorld) -> None:
    hold = await held(operating, world)
    table = "maildomain_controller.hold" if world.dialect == "postgresql" else "mdc_hold"
    world.execute(f"UPDATE {table} SET expires_at = since")
    approve(operating, hold)
    await operating.wave()
    assert admins(world, "d00000.fr") == 2
    assert operating.world.status(Kind.DOMAIN, "d00000-fr")["hold"]["id"] != hold


async def test_an_id_that_is_guessed_before_it_is_held_approves_nothing(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 1)
    approve(operating, "0123456789ab")
    operating.source.says.clear()
    await operating.wave()
    assert admins(world, "d00000.fr") == 2


async def test_only_the_object_that_holds_can_approve(operating: Operating, world: MailWorld) -> None:
    hold = await held(operating, world)
    operating.world.annotate(Kind.SOURCE, SOURCE, approve=hold)
    operating.reign.notice()
    await operating.wave()
    assert admins(world, "d00000.fr") == 2


def emails(world: MailWorld) -> set[str]:
    """Who administers anything."""
    rows = world.execute("SELECT u.email FROM messages_maildomainaccess a JOIN messages_user u ON u.id = a.user_id")
    return {row["email"] for row in rows}

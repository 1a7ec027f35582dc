"""A database that undoes what is written, within the transaction that writes it: told, and not written for ever."""

import pytest

from controller.engine.convergence import PATIENCE
from controller.engine.world import Kind
from tests.support.database import MailWorld
from tests.support.operating import Operating, admins

UNDOING = {
    "postgresql": (
        """CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN DELETE FROM messages_maildomainaccess WHERE id = NEW.id; RETURN NULL; END $$""",
        "CREATE TRIGGER undoing AFTER INSERT ON messages_maildomainaccess FOR EACH ROW EXECUTE FUNCTION undo()",
    ),
    "sqlite": (
        """CREATE TRIGGER undoing AFTER INSERT ON messages_maildomainaccess
        BEGIN DELETE FROM messages_maildomainaccess WHERE id = NEW.id; END""",
    ),
}
HEALING = {"postgresql": "DROP TRIGGER undoing ON messages_maildomainaccess", "sqlite": "DROP TRIGGER undoing"}


@pytest.fixture
def undone(operating: Operating, world: MailWorld) -> None:
    """One domain that can be granted, beside one that can't be: its row is undone."""
    for name in ("x.fr", "y.fr"):
        world.domain(name)
        world.user(f"ada@{name}")
        operating.source.says[f"ada@{name}"] = frozenset({name})
    for statement in UNDOING[world.dialect]:
        world.execute(statement)
    operating.domain("x.fr")


def ready(operating: Operating) -> tuple[str, str]:
    return operating.world.condition(Kind.DOMAIN, "x-fr")


def written(world: MailWorld) -> int:
    return sum('"granted"' in entry for entry in world.dump_own()["journal"])


async def test_what_does_not_stay_is_told_and_not_written_for_ever(
    operating: Operating, world: MailWorld, undone: None
) -> None:
    await operating.settle()
    assert ready(operating) == ("False", "NonConvergent")
    assert operating.world.condition(Kind.DOMAIN, "x-fr", "Stalled") == ("True", "NonConvergent")
    assert written(world) == 1
    await operating.settle(60)
    assert written(world) == 1


async def test_it_stops_nobody_else(operating: Operating, world: MailWorld, undone: None) -> None:
    await operating.settle()
    world.execute(HEALING[world.dialect])
    operating.domain("y.fr")
    await operating.settle(2)
    assert admins(world, "y.fr") == 1


@pytest.mark.parametrize("because", ["a row has changed", "it was edited", "it is long ago"])
async def test_it_is_tried_again(operating: Operating, world: MailWorld, undone: None, because: str) -> None:
    await operating.settle()
    world.execute(HEALING[world.dialect])
    if because == "a row has changed":
        world.admin(world.user("eve@y.fr"), world.domain("z.fr"))
    elif because == "it was edited":
        operating.domain("x.fr", limits={"maxAdmins": 20})
    await operating.settle(PATIENCE + 1 if because == "it is long ago" else 2)
    assert admins(world, "x.fr") == 1
    assert ready(operating) == ("True", "InSync")


async def test_what_somebody_removes_again_and_again_is_another_matter(operating: Operating, world: MailWorld) -> None:
    world.domain("x.fr")
    world.user("ada@x.fr")
    operating.source.says["ada@x.fr"] = frozenset({"x.fr"})
    operating.domain("x.fr")
    await operating.settle()
    for _ in range(2):
        world.execute("DELETE FROM messages_maildomainaccess")
        await operating.settle(2)
    assert admins(world, "x.fr") == 1
    assert ready(operating) == ("True", "InSync")

"""Hints are reasons to ask, soon and within the permitted rate; what a webhook says is never believed."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from controller.engine.world import Kind
from controller.errors import NotAuthorized
from controller.maildb import hints as hinting
from controller.maildb.database import MailDatabase
from controller.planning.facts import Hint
from controller.resources.names import DomainName, Email
from tests.support.database import MailWorld, watched
from tests.support.operating import Operating, ScriptedSource

ADA = "ada@x.fr"
X = DomainName("x.fr")


@pytest.fixture(autouse=True)
def due_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's clock is a real one, so that a delay would have to be waited for."""
    monkeypatch.setattr(hinting, "DELAY", timedelta())


@pytest.fixture
async def operating(database: MailDatabase, world: MailWorld) -> AsyncIterator[Operating]:
    """One domain whose administrators have been asked about; Ada is nobody yet."""
    world.domain("x.fr")
    world.user(ADA)
    operating = Operating(database)
    operating.source_object()
    operating.domain("x.fr")
    await operating.settle()
    operating.source.asked.clear()
    yield operating
    await operating.reign.close()


def hint(database: MailDatabase, *hints: Hint) -> None:
    database.note_hints(set(hints))


def admins(world: MailWorld) -> int:
    return len(world.rows_of("messages_maildomainaccess"))


async def test_a_hint_grants_nothing_that_the_source_does_not_say(
    operating: Operating, database: MailDatabase, world: MailWorld
) -> None:
    hint(database, Email(ADA), X)
    await operating.settle(2)

    assert operating.source.asked == [ADA]
    assert admins(world) == 0


async def test_a_user_who_is_hinted_at_is_asked_about_long_before_the_next_wave(
    operating: Operating, database: MailDatabase, world: MailWorld
) -> None:
    operating.source.says[ADA] = frozenset({"x.fr"})
    hint(database, Email("ADA@x.fr"))
    await operating.settle(2)

    assert admins(world) == 1


async def test_a_domain_that_is_hinted_at_has_its_administrators_asked_about(
    operating: Operating, database: MailDatabase, world: MailWorld
) -> None:
    world.domain("other.fr")
    others = {f"bert@{name}": name for name in ("x.fr", "other.fr")}
    operating.domain("other.fr")
    for email, name in others.items():
        world.user(email)
        operating.source.says[email] = frozenset({name})
    await operating.settle(2)
    assert admins(world) == 2
    operating.source.asked.clear()

    hint(database, X)
    await operating.settle(2)
    assert operating.source.asked == ["bert@x.fr"]


async def test_a_replay_within_a_turn_is_one_question(operating: Operating, database: MailDatabase) -> None:
    for _ in range(50):
        hint(database, Email(ADA), Email(ADA.upper()), X)
    await operating.settle(2)

    assert operating.source.asked == [ADA]


async def test_whom_nobody_knows_is_not_asked_about(operating: Operating, database: MailDatabase) -> None:
    hint(database, Email("nobody@x.fr"), DomainName("undeclared.fr"))
    await operating.settle(2)

    assert operating.source.asked == []
    assert database.take_hints() == frozenset()


async def test_a_flood_asks_each_user_once_a_turn_at_the_most(operating: Operating, database: MailDatabase) -> None:
    """Every ask takes its token from the source's bucket, and only so many can be wanted at a time."""
    turns = 5
    for _ in range(turns):
        hint(database, Email(ADA), *(Email(f"u{number}@x.fr") for number in range(2_000)))
        operating.now += 2
        await operating.reign.turn()
        await operating.settle()

    assert len(operating.source.asked) <= turns
    assert operating.desk.wait(operating.now) > 1, "nobody is left over"


async def test_who_is_being_asked_about_already_is_not_asked_about_twice_at_once(
    operating: Operating, database: MailDatabase
) -> None:
    users = frozenset(database.snapshot((), ()).users)
    for _ in range(3):
        operating.desk.hurry(users)
    first = operating.desk.next(operating.now)

    assert first is not None
    assert operating.desk.next(operating.now) is None
    operating.desk.recall(first)


async def test_a_source_that_is_suspended_is_not_asked_by_hints(operating: Operating, database: MailDatabase) -> None:
    operating.source_object(suspend=True)
    await operating.settle(2)
    hint(database, Email(ADA))
    await operating.settle(2)

    assert operating.source.asked == []


async def test_a_domain_asks_its_own_sources_only(database: MailDatabase, world: MailWorld) -> None:
    first, second = (
        ScriptedSource(key=key) for key in (ScriptedSource().key, ScriptedSource().key._replace(name="second"))
    )
    world.admin(world.user(ADA), world.domain("x.fr"))
    operating = Operating(database, first, second)
    for source in (first, second):
        source.says[ADA] = frozenset({"x.fr"})
        operating.world.apply(Kind.SOURCE, source.key.name, provider={"local": {}})
    operating.domain("x.fr")
    await operating.settle()
    first.asked.clear()
    second.asked.clear()

    hint(database, X)
    await operating.settle(2)
    assert (first.asked, second.asked) == ([ADA], [])
    await operating.reign.close()


async def test_without_hints_a_turn_writes_nothing(operating: Operating, database: MailDatabase) -> None:
    with watched(database) as statements:
        operating.now += 2
        await operating.reign.turn()
    assert statements.writes == []


async def test_a_role_that_may_not_read_hints_goes_on_without_them(
    operating: Operating, database: MailDatabase, world: MailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> frozenset[Hint]:
        raise NotAuthorized("may not")

    monkeypatch.setattr(database, "take_hints", refused)
    operating.source.says["bert@x.fr"] = frozenset({"x.fr"})
    world.user("bert@x.fr")
    await operating.settle(2)

    assert admins(world) == 1

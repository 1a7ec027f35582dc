"""What is done and told when somebody else writes beside the operator, or when nothing can be read?"""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from controller.engine.loop import OUTAGE, Loop
from controller.engine.world import Kind
from controller.errors import ControllerError, DatabaseUnavailable, SchemaUnknown
from controller.maildb.database import MailDatabase
from controller.observability.lasting import LASTING
from controller.observability.metrics import Metrics
from controller.planning.changes import Changes, NotEntitled
from controller.resources.names import ResourceKey
from tests.support.changes import access, revocation
from tests.support.database import MailWorld, opened
from tests.support.operating import SOURCE, FakeWorld, Operating

DOMAIN = "x-fr"


@pytest.fixture
async def operating(database: MailDatabase, world: MailWorld) -> AsyncIterator[Operating]:
    """One domain with two administrators, granted by us."""
    operating = Operating(database)
    operating.source_object()
    world.domain("x.fr")
    for email in ("ada@x.fr", "bob@x.fr"):
        world.user(email)
        operating.source.says[email] = frozenset({"x.fr"})
    operating.domain("x.fr")
    await operating.settle()
    assert len(rows(world)) == 2
    yield operating
    await operating.reign.close()


def rows(world: MailWorld) -> list[str]:
    return world.rows_of("messages_maildomainaccess")


def drifted(operating: Operating) -> tuple[str, str]:
    return operating.world.condition(Kind.DOMAIN, DOMAIN, "Drifted")


# --- rows that somebody else removes ---


async def test_a_row_that_somebody_else_removed_is_granted_again_and_told_until_the_next_wave(
    operating: Operating, world: MailWorld
) -> None:
    await operating.wave()
    assert drifted(operating) == ("False", "NoDrift")
    world.execute("DELETE FROM messages_maildomainaccess")
    await operating.settle(2)
    assert len(rows(world)) == 2
    assert drifted(operating) == ("True", "RowsRemoved")
    assert operating.world.condition(Kind.DOMAIN, DOMAIN) == ("True", "InSync")
    assert operating.world.events.count((f"default/{DOMAIN}", "RowsRemoved")) == 1
    await operating.settle(10)
    assert drifted(operating) == ("True", "RowsRemoved")
    await operating.wave()
    assert drifted(operating) == ("False", "NoDrift")


async def test_a_writer_who_goes_on_removing_is_told_and_in_the_end_left_alone(
    operating: Operating, world: MailWorld
) -> None:
    for told in ("RowsRemoved", "RowsRemoved", "Contested"):
        world.execute("DELETE FROM messages_maildomainaccess")
        await operating.settle(2)
        assert drifted(operating) == ("True", told)
        await operating.wave()
    assert rows(world) == []
    assert operating.world.condition(Kind.DOMAIN, DOMAIN) == ("False", "Contested")


async def test_a_right_that_comes_back_is_no_removal(operating: Operating, world: MailWorld) -> None:
    operating.source.says["bob@x.fr"] = frozenset()
    await operating.wave()
    assert len(rows(world)) == 1
    operating.source.says["bob@x.fr"] = frozenset({"x.fr"})
    operating.desk.request(everybody=True)
    await operating.wave()
    assert len(rows(world)) == 2
    assert drifted(operating) == ("False", "NoDrift")


# --- commands ---


def revoke_by_command(url: str, world: MailWorld, email: str) -> None:
    """What `apply` does beside the operator, on later answers than the operator has."""
    (row,) = world.execute(
        "SELECT a.id, a.user_id, a.maildomain_id FROM messages_maildomainaccess a"
        " JOIN messages_user u ON u.id = a.user_id WHERE u.email = :email",
        email=email,
    )
    with opened(url) as database:
        snapshot = database.snapshot((), ())
        (owned,) = (entry for entry in snapshot.ledger.values() if entry.access.replace("-", "") in plain_id(row["id"]))
        item = revocation(access(owned.access, owned.user, owned.domain))
        assert isinstance(item.proof, NotEntitled)
        with database.seized() as epoch:
            database.write(Changes(revocations=(item,), cases=(item.proof.case,)), epoch=epoch)


def plain_id(key: object) -> str:
    return str(key).replace("-", "")


async def test_what_a_command_revoked_is_not_granted_again_on_an_older_answer(
    operating: Operating, world: MailWorld, database_url: str
) -> None:
    operating.source.says["bob@x.fr"] = frozenset()
    revoke_by_command(database_url, world, "bob@x.fr")
    operating.source.asked.clear()
    await operating.settle(2)
    assert len(rows(world)) == 1
    assert operating.source.asked == ["bob@x.fr"]
    assert operating.world.condition(Kind.DOMAIN, DOMAIN) == ("True", "InSync")


async def test_what_a_command_revoked_is_granted_again_when_the_source_still_names_it(
    operating: Operating, world: MailWorld, database_url: str
) -> None:
    revoke_by_command(database_url, world, "bob@x.fr")
    await operating.settle(2)
    assert len(rows(world)) == 2


# --- two annotations ---


@pytest.mark.parametrize(("kind", "name"), [(Kind.DOMAIN, DOMAIN), (Kind.SOURCE, "deploycenter")])
async def test_of_two_requests_the_one_that_changed_is_the_newest(operating: Operating, kind: Kind, name: str) -> None:
    key = ResourceKey("default", name)
    annotations = operating.world.objects[kind][key]["metadata"]["annotations"]
    for annotation, value in [
        ("maildomain.dev/requestedAt", "now"),
        ("reconcile.fluxcd.io/requestedAt", "2026-03-02T08:00:00Z"),
        ("maildomain.dev/requestedAt", "again"),
    ]:
        annotations[annotation] = value
        operating.reign.notice()
        await operating.settle(1)
        await operating.settle(31)
        assert operating.world.status(kind, name)["lastHandledReconcileAt"] == value


# --- a database that is away ---


class Tower:
    """A loop turned by hand, over a database that a test takes away."""

    def __init__(self, database: MailDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.world = FakeWorld()
        self.error: ControllerError | None = None
        self._pulse = database.pulse
        monkeypatch.setattr(database, "pulse", self.pulse)
        self.loop = Loop(
            database=database,
            world=self.world,
            source_namespaces={"default"},
            metrics=Metrics(),
            clock=lambda: self.now,
        )
        self.loop._epoch = database.acquire()
        self.world.apply(Kind.SOURCE, SOURCE.name, provider={"local": {}})
        self.world.apply(Kind.DOMAIN, DOMAIN, domain="x.fr", mode="Enforce", sourceRefs=[{"name": SOURCE.name}])

    def pulse(self) -> object:
        if self.error is not None:
            raise self.error
        return self._pulse()

    async def turn(self, seconds: float = 2.0) -> float:
        self.now += seconds
        return await self.loop._turn()

    def told(self) -> tuple[tuple[str, str], tuple[str, str]]:
        return self.world.condition(Kind.DOMAIN, DOMAIN), self.world.condition(Kind.SOURCE, SOURCE.name)


@pytest.fixture
async def tower(database: MailDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tower]:
    tower = Tower(database, monkeypatch)
    await tower.turn()
    yield tower
    await tower.loop._abdicate()


AWAY = DatabaseUnavailable("the mail database does not answer, or refused the login")
UNKNOWN = ("Unknown", "DatabaseUnavailable")


async def test_a_short_outage_of_the_database_is_not_told_on_every_object(tower: Tower) -> None:
    before = tower.told()
    patches = len(tower.world.patches)
    tower.error = AWAY
    for _ in range(5):
        await tower.turn()
    tower.error = None
    await tower.turn()
    assert tower.told() == before
    assert len(tower.world.patches) == patches


async def test_a_long_outage_of_the_database_is_told_once_and_over_at_the_first_good_turn(tower: Tower) -> None:
    before = tower.told()
    assert UNKNOWN not in before
    tower.error = AWAY
    await tower.turn()
    await tower.turn(OUTAGE)
    assert tower.told() == (UNKNOWN, UNKNOWN)
    assert tower.world.condition(Kind.DOMAIN, DOMAIN, "Reconciling") == ("True", "DatabaseUnavailable")
    patches = len(tower.world.patches)
    await tower.turn(OUTAGE)
    assert len(tower.world.patches) == patches
    tower.error = None
    await tower.turn()
    assert tower.told() == before


async def test_an_outage_that_lasts_is_one_error_until_it_is_over(tower: Tower) -> None:
    with capture_logs() as records:
        for error, seconds in ((AWAY, 2.0), (AWAY, LASTING), (AWAY, LASTING), (None, 2.0), (AWAY, 2.0), (None, 2.0)):
            tower.error = error
            await tower.turn(seconds)
    assert [(record["event"], record["what"]) for record in records if "what" in record] == [
        ("failure_lasts", "turn"),
        ("failure_over", "turn"),
    ]
    [told] = [record for record in records if record["log_level"] == "error"]
    assert told["error"] == "DatabaseUnavailable"


async def test_an_outage_leaves_those_alone_that_need_a_person(tower: Tower) -> None:
    tower.world.apply(Kind.DOMAIN, "lost", domain="y.fr", mode="Enforce", sourceRefs=[{"name": "s", "namespace": "z"}])
    assert tower.loop._reign is not None
    tower.loop._reign.notice()
    await tower.turn()
    tower.error = AWAY
    await tower.turn()
    await tower.turn(OUTAGE)
    assert tower.world.condition(Kind.DOMAIN, "lost") == ("False", "NotAuthorized")


async def test_a_schema_that_is_known_again_is_told_at_the_next_turn(tower: Tower) -> None:
    before = tower.told()
    tower.error = SchemaUnknown(("a column is gone",))
    await tower.turn()
    assert tower.told() == (("False", "SchemaUnknown"), ("False", "SchemaUnknown"))
    tower.error = None
    await tower.turn()
    assert tower.told() == before


async def test_a_source_whose_asking_has_ended_with_an_error_is_closed_like_any_other(
    operating: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end of the term, or another provider, comes before the turn that would have begun it anew (invariant 11)."""

    def stumble(*_: object) -> None:
        raise KeyError("ada@x.fr")

    monkeypatch.setattr(operating.metrics, "answered", stumble)
    operating.now += operating.desk.interval
    await operating.turn_while_asking()
    with capture_logs() as records:
        await operating.reign.close()
    assert [(record["event"], record["error"]) for record in records] == [("asking_failed", "KeyError")]
